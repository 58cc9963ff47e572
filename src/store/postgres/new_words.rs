//! Merges the list of new words into their index beside the writer, so that events do not wait for it.
//!
//! GIN keeps what is new in a list. By itself, whoever adds the row with which the list reaches `gin_pending_list_limit` merges it,
//! and would hold up all events for some tenths of a second; so it is if this task cannot go on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor};
use tokio::time::timeout;

use super::dial;
use crate::StoreError;
use crate::admin::maintenance::{Maintenance, MaintenanceTask};
use domain::event::{Effect, Event};

/// So many words and facets take less than half of what the list may have, about 25 bytes each: another process can add as many.
const WORTH_A_MERGE: usize = 32_768;

/// Of each message: where and when it was.
const FACETS: usize = 3;

/// Whoever adds to the list meanwhile is not held up. Needs the owner of the index, which is whoever migrated.
const MERGE: &str = "SELECT gin_clean_pending_list('message_words')";
const MERGE_WAIT: Duration = Duration::from_secs(5);

pub(super) struct NewWords {
    /// That were recorded since the last merge.
    count: AtomicUsize,
    merges: Maintenance,
}

impl NewWords {
    pub(super) fn start(options: PgConnectOptions) -> Self {
        Self { count: AtomicUsize::new(0), merges: Maintenance::start("merges of new words", Merge(options)) }
    }

    /// These were committed.
    pub(super) fn add(&self, events: &[Event]) {
        let words = events.iter().map(|event| match &event.interpretation.effect {
            Effect::Message(copy) if !copy.words.is_empty() => copy.words.split(' ').count() + FACETS,
            _ => 0,
        });
        let new: usize = words.sum();
        if self.count.fetch_add(new, Ordering::Relaxed) + new >= WORTH_A_MERGE {
            self.count.store(0, Ordering::Relaxed);
            self.merges.wake();
        }
    }

    /// Waits for the merge that is under way.
    pub(super) async fn close(&self) {
        self.merges.close().await;
    }
}

/// On a connection of its own each time: it is used for a moment, and seldom.
struct Merge(PgConnectOptions);

#[async_trait]
impl MaintenanceTask for Merge {
    async fn run(&mut self) -> Result<(), StoreError> {
        let merge = async {
            let mut connection = dial(&self.0).await?;
            connection.execute(MERGE).await?;
            Ok(connection.close().await?)
        };
        let silent = |_| StoreError::Unavailable("no answer to a merge of new words".to_owned());
        timeout(MERGE_WAIT, merge).await.map_err(silent)?
    }
}
