//! The commands of the program, one file for each, and the documents whose commands they run.

mod cell;
mod commands;
mod contact;
mod doctor;
mod gateway;
mod healthcheck;
mod media;
mod readme;
mod send;
mod shells;
mod simulate;
mod sql;
mod sql_docs;
mod sql_role;
mod terminal_escapes;
mod tokens;
