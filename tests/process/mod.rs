//! The program itself.

mod commands;
mod damage;
mod death;
mod doctor;
mod gateway;
mod guests;
mod healthcheck;
mod logs;
mod media;
mod readme;
mod replicas;
mod send;
mod settings;
mod simulate;
mod sql;
mod sql_docs;
mod sql_role;
mod tokens;
