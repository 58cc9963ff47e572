//! A real server in this process, on both databases.

mod api;
mod attribution;
mod group_commit;
mod guide;
mod hostile;
mod limits;
mod lists;
mod media;
mod outage;
mod signature;
mod unsigned;
mod vanishing;
