//! Media jobs: the files that are still to be saved, those that are, and those that never will be.

use std::collections::HashSet;

use async_trait::async_trait;

use super::events::EventRows;
use super::written::take_numbers;
use crate::StoreError;
use domain::instance::InstanceId;
use domain::media::{AttemptOutcome, Lease, LeasedJob, MediaJob, MediaKey, MediaState, Settlement, StoredFile};
use domain::time::timestamp::Timestamp;

/// The contract of media jobs.
#[async_trait]
pub trait MediaStore: Send + Sync {
    /// Leases jobs that are due, those whose messages are the oldest first. No two callers ever hold the same job. A job
    /// whose next attempt is absurdly late is due now.
    async fn claim_media(&self, claim: &JobClaim) -> Result<Vec<LeasedJob>, StoreError>;

    /// Lengthens the leases that are still held, and returns them.
    async fn renew_media(&self, leases: &[Lease], until: Timestamp) -> Result<HashSet<Lease>, StoreError>;

    /// Writes how attempts ended, and gives up their leases; of a job that was made due again since it was claimed, only
    /// that its file is stored. A job that ends has a number of the ledger's clock from then on, by which the feed
    /// shows it. Returns the leases that were given up: not one that another caller has taken over.
    async fn settle_media(&self, settlements: &[Settlement]) -> Result<HashSet<Lease>, StoreError>;

    /// When the first job after `now` is due, or a lease ends.
    async fn next_media_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;
}

/// Which jobs a worker wants.
#[derive(Clone, Debug)]
pub struct JobClaim {
    pub now: Timestamp,
    pub lease_until: Timestamp,
    /// A lease that is to last longer than until then was given by a clock that was wrong, and counts for nothing.
    pub lease_absurd_after: Timestamp,
    /// A next attempt that is to be later than then was appointed by such a clock.
    pub attempt_absurd_after: Timestamp,
    pub limit: u32,
    /// Hosts that are being asked for enough already.
    pub busy_hosts: Vec<String>,
}

/// The statements on `media` within a transaction that records events.
#[async_trait]
pub(crate) trait MediaRows {
    /// Writes jobs as pending; of one that is there already, only the time of its message may become an earlier one.
    /// Returns how many rows were written.
    async fn insert_media(&mut self, jobs: &[MediaJob]) -> Result<u64, StoreError>;

    /// Makes these jobs due at their time, with all their attempts before them, unless the file is stored. They leave the
    /// feed until they end again.
    async fn wake_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError>;
}

/// A claimed row.
pub(crate) struct LeasedRow<T> {
    pub(crate) instance_id: String,
    pub(crate) message_id: String,
    pub(crate) source_sha256: Vec<u8>,
    pub(crate) lease_token: i64,
    pub(crate) source_url: String,
    pub(crate) source_host: String,
    pub(crate) occurred_at: T,
    pub(crate) attempts: i32,
    pub(crate) denials: i32,
}

impl<T> LeasedRow<T> {
    pub(crate) fn read(self, time: impl Fn(T) -> Result<Timestamp, StoreError>) -> Result<LeasedJob, StoreError> {
        Ok(LeasedJob {
            lease: lease(&self.instance_id, self.message_id, &self.source_sha256, self.lease_token)?,
            source_url: self.source_url,
            source_host: self.source_host,
            occurred_at: time(self.occurred_at)?,
            attempts: count(self.attempts)?,
            denials: count(self.denials)?,
        })
    }
}

/// The key of a row, and its claim.
pub(crate) struct LeaseRow {
    pub(crate) instance_id: String,
    pub(crate) message_id: String,
    pub(crate) source_sha256: Vec<u8>,
    pub(crate) lease_token: i64,
}

/// The leases of these rows.
pub(crate) fn read_leases<L: FromIterator<Lease>>(rows: Vec<LeaseRow>) -> Result<L, StoreError> {
    let lease = |row: LeaseRow| lease(&row.instance_id, row.message_id, &row.source_sha256, row.lease_token);
    rows.into_iter().map(lease).collect()
}

pub(crate) fn count(number: impl TryInto<u32>) -> Result<u32, StoreError> {
    number.try_into().map_err(|_| unreadable("a count"))
}

fn lease(instance_id: &str, message_id: String, source_sha256: &[u8], token: i64) -> Result<Lease, StoreError> {
    let instance_id = InstanceId::new(instance_id).map_err(|_| unreadable("instance_id"))?;
    let source_sha256 = source_sha256.try_into().map_err(|_| unreadable("source_sha256"))?;
    Ok(Lease { key: MediaKey { instance_id, message_id, source_sha256 }, token })
}

pub(crate) fn unreadable(column: &str) -> StoreError {
    StoreError::unreadable("media", column)
}

/// The columns of a row whose attempt ended; what is not set stays as it is.
pub(crate) struct SettledColumns<'s> {
    pub(crate) state: MediaState,
    pub(crate) reason: Option<&'s str>,
    /// Taken back from the attempts: what was known before stays known.
    pub(crate) uncounted: i32,
    pub(crate) denied: i32,
    pub(crate) next_attempt_at: Option<Timestamp>,
    pub(crate) file: Option<&'s StoredFile>,
    pub(crate) stored_at: Option<Timestamp>,
    pub(crate) settled_seq: Option<i64>,
}

/// The columns of these settlements. The jobs that end take their numbers off the ledger's clock, and so hold it to the
/// commit as a batch of events does: no file appears below a number that was seen.
pub(crate) async fn settled_columns<'s>(
    rows: &mut impl EventRows,
    settlements: &'s [Settlement],
) -> Result<Vec<SettledColumns<'s>>, StoreError> {
    let ends = |it: &&Settlement| it.outcome.ends_job();
    let count = i64::try_from(settlements.iter().filter(ends).count()).expect("it is far smaller than 2^63");
    let last_seq = if count > 0 { take_numbers(rows, count).await? } else { 0 };
    let mut numbers = last_seq - count + 1..=last_seq;
    let columns = |it: &'s Settlement| {
        let settled_seq = if it.outcome.ends_job() { numbers.next() } else { None };
        SettledColumns { settled_seq, ..SettledColumns::from(&it.outcome) }
    };
    Ok(settlements.iter().map(columns).collect())
}

impl<'s> From<&'s AttemptOutcome> for SettledColumns<'s> {
    fn from(outcome: &'s AttemptOutcome) -> Self {
        let pending = Self {
            state: MediaState::Pending,
            reason: None,
            uncounted: 0,
            denied: 0,
            next_attempt_at: None,
            file: None,
            stored_at: None,
            settled_seq: None,
        };
        match outcome {
            AttemptOutcome::Stored { file, at } => {
                Self { state: MediaState::Stored, file: Some(file), stored_at: Some(*at), ..pending }
            }
            AttemptOutcome::Retry { at, reason, denied } => {
                Self { reason: Some(reason), denied: (*denied).into(), next_attempt_at: Some(*at), ..pending }
            }
            AttemptOutcome::GivenUp { state, reason } => Self { state: *state, reason: Some(reason), ..pending },
            AttemptOutcome::Postponed { at, reason } => {
                Self { reason: Some(reason), uncounted: 1, next_attempt_at: Some(*at), ..pending }
            }
            AttemptOutcome::Released => Self { uncounted: 1, ..pending },
        }
    }
}
