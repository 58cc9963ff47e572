//! The program itself.

mod commands;
mod damage;
mod death;
mod logs;
mod media;
mod readme;
mod replicas;
mod settings;
mod sql;
mod sql_docs;
mod sql_role;
mod tokens;
