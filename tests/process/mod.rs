//! The program itself.

mod commands;
mod connection_limiter;
mod damage;
mod death;
mod doctor;
mod exposure;
mod gateway;
mod healthcheck;
mod logs;
mod media;
mod metrics;
mod readme;
mod remedies;
mod replicas;
mod send;
mod settings;
mod shells;
mod simulate;
mod sql;
mod sql_docs;
mod sql_role;
mod stderr;
mod terminal;
mod tokens;
