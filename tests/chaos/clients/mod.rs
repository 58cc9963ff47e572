//! Faults caused by clients: too many, too slow, too large, or gone.

mod bombs;
mod dashboards;
mod disconnects;
mod message_copies;
mod overload;
mod slow_clients;
mod unread_answers;
