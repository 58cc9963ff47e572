//! The program itself.

mod cli;
mod serve;
