//! Media jobs: the files that are still to be saved, those that are, and those that never will be.

use std::collections::HashSet;

use async_trait::async_trait;
use serde::Serialize;

use super::events::take_numbers;
use crate::StoreError;
use crate::error::{count, in_table};
use crate::write::record::Rows;
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::media::{AttemptOutcome, Lease, LeasedJob, MediaJob, MediaKey, MediaState, Settlement};
use domain::message::MessageKey;
use domain::time::timestamp::Timestamp;

/// The contract of media jobs.
#[async_trait]
pub trait MediaStore: Send + Sync {
    /// Leases jobs that are due, those of the oldest messages first. No two callers ever hold the same job. A job whose
    /// next attempt is absurdly late is due immediately.
    async fn claim_media(&self, claim: &JobClaim) -> Result<Vec<LeasedJob>, StoreError>;

    /// Lengthens the leases that are still held, and returns them.
    async fn renew_media(&self, leases: &[Lease], until: Timestamp) -> Result<HashSet<Lease>, StoreError>;

    /// Writes how attempts ended, and gives up their leases. If a job was made due again since it was claimed, only
    /// that its file is stored is written. A file that was stored before stays until another one is stored. A job that ends gets a number of the ledger's clock, by which the feed shows
    /// it. Returns the leases that were given up, without those that another caller has taken over.
    async fn settle_media(&self, settlements: &[Settlement]) -> Result<HashSet<Lease>, StoreError>;

    /// Makes the jobs due at `now` that ended with an object that is gone, and those that are under way: one of them may have
    /// found the object just before, and its lease is taken, so that it cannot end with it.
    async fn redo_media(&self, gone: &ObjectKey, now: Timestamp) -> Result<(), StoreError>;

    /// Returns the number and the body of the first applied copy of a message in the ledger after the number `after`, for
    /// a file that stands in the event itself. It returns one at a time because a body is large.
    async fn copy_after(
        &self,
        instance_id: &InstanceId,
        message_id: &str,
        after: i64,
    ) -> Result<Option<(i64, Vec<u8>)>, StoreError>;

    /// Returns the earliest time after `now` at which a job is due or a lease ends.
    async fn next_media_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;
}

/// A request of a worker for jobs.
#[derive(Clone, Debug)]
pub struct JobClaim {
    pub now: Timestamp,
    pub lease_until: Timestamp,
    /// A lease that ends after this time was given by a wrong clock, and does not count.
    pub lease_absurd_after: Timestamp,
    /// A next attempt after this time was set by such a clock.
    pub attempt_absurd_after: Timestamp,
    pub limit: u32,
    /// Hosts with enough requests under way.
    pub busy_hosts: Vec<String>,
}

/// The statements on `media` within a transaction that records events.
#[async_trait]
pub(crate) trait MediaRows {
    /// Writes jobs as pending, in the chats of their messages. If a job exists already, only the time of its message may
    /// become an earlier one, and the chat another one. Returns how many rows were written.
    async fn insert_media(&mut self, jobs: &[MediaJob]) -> Result<u64, StoreError>;

    /// Moves the files of these messages into the chats that the messages are in.
    async fn move_media(&mut self, messages: &[MessageKey]) -> Result<(), StoreError>;

    /// Makes these jobs due at their time again, with no attempt counted, unless the file is stored. They leave the
    /// feed until they end again.
    async fn wake_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError>;
}

/// The columns of a claimed row.
pub(crate) struct LeasedColumns {
    pub(crate) instance_id: InstanceId,
    pub(crate) message_id: String,
    pub(crate) source_sha256: Vec<u8>,
    pub(crate) lease_token: i64,
    pub(crate) source_url: String,
    pub(crate) source_host: String,
    pub(crate) occurred_at: Timestamp,
    pub(crate) attempts: i32,
    pub(crate) denials: i32,
    pub(crate) kind: Option<String>,
    pub(crate) has_file: bool,
}

impl TryFrom<LeasedColumns> for LeasedJob {
    type Error = StoreError;

    fn try_from(row: LeasedColumns) -> Result<Self, StoreError> {
        Ok(Self {
            lease: lease(row.instance_id, row.message_id, &row.source_sha256, row.lease_token)?,
            source_url: row.source_url,
            source_host: row.source_host,
            occurred_at: row.occurred_at,
            attempts: count("media", row.attempts)?,
            denials: count("media", row.denials)?,
            kind: row.kind,
            has_file: row.has_file,
        })
    }
}

/// Tells a claim that cannot be read from one that was not made. A row that cannot be read keeps its claim: the caller
/// commits, and the next claim takes other jobs.
pub(crate) fn claimed<T>(rows: Result<T, sqlx::Error>) -> Result<Result<T, StoreError>, StoreError> {
    match rows.map_err(StoreError::from).map_err(in_table("media")) {
        Err(error @ StoreError::Unreadable { .. }) => Ok(Err(error)),
        rows => rows.map(Ok),
    }
}

/// The columns of a row's key, and of its claim.
pub(crate) struct LeaseColumns {
    pub(crate) instance_id: InstanceId,
    pub(crate) message_id: String,
    pub(crate) source_sha256: Vec<u8>,
    pub(crate) lease_token: i64,
}

/// Reads the leases of these rows.
pub(crate) fn read_leases<L: FromIterator<Lease>>(rows: Vec<LeaseColumns>) -> Result<L, StoreError> {
    let lease = |row: LeaseColumns| lease(row.instance_id, row.message_id, &row.source_sha256, row.lease_token);
    rows.into_iter().map(lease).collect()
}

fn lease(instance_id: InstanceId, message_id: String, source_sha256: &[u8], token: i64) -> Result<Lease, StoreError> {
    let source_sha256 = source_sha256.try_into().map_err(|_| StoreError::unreadable("media", "source_sha256"))?;
    Ok(Lease { key: MediaKey { instance_id, message_id, source_sha256 }, token })
}

/// The columns of a row whose attempt ended, with the lease that it is recognised by.
#[derive(Serialize)]
pub(crate) struct SettledColumns<'s> {
    #[serde(flatten)]
    pub(crate) lease: &'s Lease,
    pub(crate) attempts: i32,
    pub(crate) state: &'static str,
    pub(crate) reason: Option<&'s str>,
    /// This is taken back from the attempts, and the reason stays.
    pub(crate) uncounted: i32,
    pub(crate) denied: i32,
    pub(crate) next_attempt_at: Option<Timestamp>,
    pub(crate) object_key: Option<&'s ObjectKey>,
    pub(crate) size: Option<i64>,
    pub(crate) content_type: Option<&'s str>,
    pub(crate) file_name: Option<&'s str>,
    pub(crate) stored_at: Option<Timestamp>,
    pub(crate) settled_seq: Option<i64>,
}

/// Returns the columns of these settlements. The jobs that end take their numbers off the ledger's clock, and hold the
/// clock until the commit as a batch of events does, so that no file appears below a number that was seen.
pub(crate) async fn settled_columns<'s>(
    rows: &mut dyn Rows,
    settlements: &'s [Settlement],
) -> Result<Vec<SettledColumns<'s>>, StoreError> {
    let ends = |it: &&Settlement| it.outcome.ends_job();
    let ended = i64::try_from(settlements.iter().filter(ends).count()).expect("it is far smaller than 2^63");
    let last_seq = if ended > 0 { take_numbers(rows, ended).await? } else { 0 };
    let mut numbers = last_seq - ended + 1..=last_seq;
    let columns = |it: &'s Settlement| {
        let settled_seq = if it.outcome.ends_job() { numbers.next() } else { None };
        SettledColumns { settled_seq, ..SettledColumns::from(it) }
    };
    Ok(settlements.iter().map(columns).collect())
}

impl<'s> From<&'s Settlement> for SettledColumns<'s> {
    fn from(settlement: &'s Settlement) -> Self {
        let pending = Self {
            lease: &settlement.lease,
            attempts: i32::try_from(settlement.attempts).unwrap_or(i32::MAX),
            state: MediaState::Pending.as_str(),
            reason: None,
            uncounted: 0,
            denied: 0,
            next_attempt_at: None,
            object_key: None,
            size: None,
            content_type: None,
            file_name: None,
            stored_at: None,
            settled_seq: None,
        };
        match &settlement.outcome {
            AttemptOutcome::Stored { file, at } => Self {
                state: MediaState::Stored.as_str(),
                object_key: Some(&file.object_key),
                size: Some(i64::try_from(file.size).unwrap_or(i64::MAX)),
                content_type: Some(file.content_type.as_str()),
                file_name: file.file_name.as_deref(),
                stored_at: Some(*at),
                ..pending
            },
            AttemptOutcome::Retry { at, reason, denied } => {
                Self { reason: Some(reason), denied: (*denied).into(), next_attempt_at: Some(*at), ..pending }
            }
            AttemptOutcome::GivenUp { state, reason } => {
                Self { state: state.as_str(), reason: Some(reason), ..pending }
            }
            AttemptOutcome::Postponed { at, reason } => {
                Self { reason: Some(reason), uncounted: 1, next_attempt_at: Some(*at), ..pending }
            }
            AttemptOutcome::Released => Self { uncounted: 1, ..pending },
        }
    }
}
