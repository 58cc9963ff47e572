//! What buzon asks of the gateway by itself.

mod replaying;
