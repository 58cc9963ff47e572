//! The program itself.

mod commands;
mod death;
mod logs;
mod replicas;
mod settings;
