//! The running service: its settings, its log, its metrics, and its end.

mod connection_limiter;
mod damage;
mod error_messages;
mod exposure;
mod logs;
mod metrics;
mod pooler;
mod replicas;
mod settings;
mod start_and_stop;
mod stderr;
