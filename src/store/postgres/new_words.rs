//! Merges the list of new words into their index beside the writer, so that events do not wait for it.
//!
//! GIN keeps new entries in a pending list. By default, the session whose row makes the list reach
//! `gin_pending_list_limit` merges the list, which would delay all events for some tenths of a second. That happens if
//! this task cannot go on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor};
use tokio::time::timeout;

use super::{citus, dial};
use crate::StoreError;
use crate::admin::maintenance::{Maintenance, MaintenanceTask};
use domain::event::{Effect, Event};

/// The number of words and facets after which the list is merged. With about 25 bytes each, they take less than half of
/// the list's limit, so that another process can add as many.
const WORTH_A_MERGE: usize = 32_768;

/// The number of facets of each message: where and when it was.
const FACETS: usize = 3;

/// The merge, which does not block additions to the list. It needs the owner of the index, who is the role that
/// migrated.
const MERGE: &str = "SELECT gin_clean_pending_list('message_words')";
/// The merge where Citus has the table: the index in its schema is empty, and that of the shard has the list.
const MERGE_OF_SHARDS: &str = "SELECT run_command_on_shards('message_search', $$ \
         SELECT gin_clean_pending_list(indexrelid) \
         FROM pg_index \
         JOIN pg_class ON pg_class.oid = indexrelid \
         JOIN pg_am ON pg_am.oid = relam \
         WHERE indrelid = '%s'::regclass AND amname = 'gin' \
     $$)";
const MERGE_WAIT: Duration = Duration::from_secs(5);

pub(super) struct NewWords {
    /// The words and facets that were recorded since the last merge.
    count: AtomicUsize,
    merges: Maintenance,
}

impl NewWords {
    pub(super) fn start(options: PgConnectOptions) -> Self {
        Self { count: AtomicUsize::new(0), merges: Maintenance::start("merges of new words", Merge(options)) }
    }

    /// Counts words and facets that were committed.
    pub(super) fn add(&self, terms: usize) {
        if self.count.fetch_add(terms, Ordering::Relaxed) + terms >= WORTH_A_MERGE {
            self.count.store(0, Ordering::Relaxed);
            self.merges.wake();
        }
    }

    /// Ends the task after the merge that is under way.
    pub(super) async fn close(&self) {
        self.merges.close().await;
    }
}

/// Returns the number of words and facets that these events may add to the list.
pub(super) fn terms(events: &[Event]) -> usize {
    let terms = events.iter().map(|event| match &event.interpretation.effect {
        Effect::Message(copy) if !copy.words.is_empty() => copy.words.split(' ').count() + FACETS,
        _ => 0,
    });
    terms.sum()
}

/// Merges on a new connection each time, because the connection is used briefly and rarely.
struct Merge(PgConnectOptions);

#[async_trait]
impl MaintenanceTask for Merge {
    async fn run(&mut self) -> Result<(), StoreError> {
        let merge = async {
            let mut connection = dial(&self.0).await?;
            let has_shards = citus::distributes(&mut connection, "message_search").await?;
            connection.execute(if has_shards { MERGE_OF_SHARDS } else { MERGE }).await?;
            Ok(connection.close().await?)
        };
        let silent = |_| StoreError::Unavailable("no answer to a merge of new words".to_owned());
        timeout(MERGE_WAIT, merge).await.map_err(silent)?
    }
}
