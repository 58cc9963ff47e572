//! Merges the list of new words into their index beside the writer, so that events do not wait for it.
//!
//! GIN keeps what is new in a list, and merges it when that has reached `gin_pending_list_limit`: whoever adds the row that is
//! one too many does so, for some tenths of a second. That is also what remains if this task cannot go on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor};
use tokio::time::timeout;

use super::dial;
use crate::domain::event::{Effect, Event};
use crate::store::StoreError;
use crate::store::chores::{Chore, Chores};

/// So many bytes of words take half of what the list may have.
const WORTH_A_MERGE: usize = 350_000;

/// Whoever adds to the list meanwhile is not held up. Needs the owner of the index, which is whoever migrated.
const MERGE: &str = "SELECT gin_clean_pending_list('message_words')";
const MERGE_WAIT: Duration = Duration::from_secs(60);

pub(super) struct NewWords {
    /// Of words that were recorded since the last merge.
    bytes: AtomicUsize,
    merges: Chores,
}

impl NewWords {
    pub(super) fn start(options: PgConnectOptions) -> Self {
        Self { bytes: AtomicUsize::new(0), merges: Chores::start(Merge(options)) }
    }

    /// These were committed.
    pub(super) fn add(&self, events: &[Event]) {
        let words = events.iter().map(|event| match &event.reading.effect {
            Effect::Message(copy) => copy.words.len(),
            _ => 0,
        });
        if self.bytes.fetch_add(words.sum(), Ordering::Relaxed) >= WORTH_A_MERGE {
            self.bytes.store(0, Ordering::Relaxed);
            self.merges.look();
        }
    }
}

/// On a connection of its own each time: it is used for a moment, and seldom.
struct Merge(PgConnectOptions);

#[async_trait]
impl Chore for Merge {
    async fn look(&mut self) -> Result<(), StoreError> {
        let mut connection = dial(&self.0).await?;
        let silent = |_| StoreError::Unavailable("no answer to a merge of new words".to_owned());
        timeout(MERGE_WAIT, connection.execute(MERGE)).await.map_err(silent)??;
        Ok(connection.close().await?)
    }
}
