//! Requests that buzon makes to the gateway by itself.

mod replaying;
