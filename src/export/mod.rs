//! Exports: rows as files for other programs, conversations for people, and everything about one person.
//!
//! An export reads in pages, each a short question of its own, so that no event waits for it and its memory does not
//! grow. A thread of its own formats and writes what was read, while the next page is being read.

use std::io;

use store::StoreError;

use crate::blob::BlobError;

pub mod archive;
pub mod conversation;
mod explanation;
pub mod jobs;
pub mod lists;
mod media;
mod pages;
pub mod person;
mod rows;
mod sink;
mod target;
mod transcript;
mod xlsx;

/// A failure of an export, of which no file is left.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("cannot write the file: {0}")]
    Write(#[from] io::Error),
    #[error("the disk has too little free space")]
    DiskLow,
    #[error("{0}")]
    Absent(String),
    #[error("the export broke off")]
    Broken,
}
