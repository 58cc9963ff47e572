//! Clients of the service: a browser, raw HTTP, server-sent events, Prometheus.

pub mod browser;
pub mod prometheus;
pub mod raw_http;
pub mod sse;
pub mod steps;
