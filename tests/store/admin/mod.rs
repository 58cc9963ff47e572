//! Opening, examining and maintaining a database, and what people do with it beside the service.

mod adhoc;
mod audit;
mod checkpoints;
mod documented;
mod examination;
mod locks;
mod new_words;
pub mod open;
mod sessions;
mod tampering;
pub mod tokens;
mod zones;
