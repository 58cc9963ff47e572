//! A real server in this process, on both databases.

mod api;
mod attribution;
mod compression;
mod contract;
mod cors;
mod edge;
mod events;
mod group_commit;
mod guide;
mod hostile;
mod limits;
mod lists;
mod media;
mod metrics;
mod outage;
mod panics;
mod scopes;
mod signature;
mod slow_commits;
mod statistics;
mod stream;
mod tickets;
mod tokens;
mod unsigned;
mod vanishing;
mod walking;
