//! Erasures of persons, and retention.

mod canaries;
mod retention;
mod rows;
