//! The program itself.

mod commands;
mod death;
mod logs;
mod readme;
mod replicas;
mod settings;
