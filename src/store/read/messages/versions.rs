//! The versions of a message: the texts of its copies in the ledger.

use std::collections::HashMap;

use async_trait::async_trait;

use super::MessageReport;
use crate::StoreError;
use crate::read::Queries;
use crate::read::events::EventReport;
use domain::event::event_id::EventId;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::message::fold::LedgerCopy;
use domain::message::version::{Version, versions};
use domain::time::timestamp::Timestamp;

/// The maximum number of copies of a message in which its versions are looked for.
pub(crate) const COPIES: i64 = 200;

/// The statement that reads the copies of a message.
#[async_trait]
pub trait VersionQueries {
    /// Returns the first copies of a message in the order of their arrival: at most [`COPIES`], and no more than one if
    /// their bodies have more than [`domain::page::PAGE_BYTES`].
    async fn copies_of(&mut self, key: &MessageKey) -> Result<CopiesRead, StoreError>;
}

/// The copies of a message that were read.
pub struct CopiesRead {
    pub(crate) copies: Vec<LedgerCopy>,
    /// The events that brought them, by their numbers.
    pub(crate) events: HashMap<i64, EventId>,
    /// True if there are more.
    pub(crate) more: bool,
}

impl MessageReport {
    /// Returns the texts that the message had, and whether it has more copies than these come from.
    pub(super) async fn versions(&self, queries: &mut dyn Queries) -> Result<(Vec<Version>, bool), StoreError> {
        let (first, current) = self.copies;
        if first == current && self.edited_at.is_none() && !self.is_service {
            // Its text never changed, and came with its first copy.
            let event = queries.events_with(&[current]).await?.pop();
            let (sent_at, received_at) = (self.fields.sent_at, self.received_at);
            let version = |(body, event): (_, EventReport)| Version { body, sent_at, received_at, event: event.id() };
            return Ok((self.fields.body.clone().zip(event).map(version).into_iter().collect(), false));
        }
        let CopiesRead { copies, events, more } = queries.copies_of(&self.key()).await?;
        Ok((versions(copies, |copy| events.get(&copy.seq).cloned()), more))
    }
}

/// The columns of `events` that a copy is read from, and the number of copies that were found.
pub(crate) struct CopyRow {
    pub(crate) instance_id: InstanceId,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) body_sha256: Vec<u8>,
    pub(crate) received_at: Timestamp,
    pub(crate) seq: i64,
    pub(crate) found: i64,
}

impl From<Vec<CopyRow>> for CopiesRead {
    fn from(rows: Vec<CopyRow>) -> Self {
        let more = rows.first().is_some_and(|row| row.found > rows.len() as i64);
        let id = |row: &CopyRow| (row.seq, EventId::new(row.instance_id.clone(), &row.body_sha256));
        let events = rows.iter().map(id).collect();
        let copy = |row: CopyRow| LedgerCopy::of_ledger(row.instance_id, &row.body?, row.received_at, row.seq);
        Self { copies: rows.into_iter().filter_map(copy).collect(), events, more }
    }
}
