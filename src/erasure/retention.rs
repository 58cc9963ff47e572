//! Lets go of what is older than what is kept, once a night, and says before what that would be.

use std::time::{Duration, Instant};

use serde_json::json;
use tracing::{info, warn};

use super::{EraseError, Eraser, scrub};
use domain::audit::{AuditActor, AuditedDeed};
use domain::instance::InstanceId;
use domain::retention::{REMEMBERED, RetentionPolicy};
use domain::time::timestamp::Timestamp;
use store::{Overdue, OverdueQuery, Store, StoreError};

/// The interval between two runs, and that at which the time is looked at.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
const LOOK: Duration = Duration::from_secs(10 * 60);
/// The number of messages, events or files that go together.
const TOGETHER: u32 = 32;
/// The share of all, as one of so many, above which a run waits for the owner.
const LARGE_SHARE: i64 = 10;

/// The consequences of a run.
#[derive(Clone, Debug, Default)]
pub struct RetentionPlan {
    pub instances: Vec<(InstanceId, Overdue)>,
    pub is_first: bool,
}

impl RetentionPlan {
    /// Returns whether the owner must say yes: at the first run, and before a run that removes over a tenth.
    pub fn needs_yes(&self) -> bool {
        self.is_first
            || self
                .instances
                .iter()
                .any(|(_, it)| is_large(it.messages, it.all_messages) || is_large(it.files, it.all_files))
    }

    /// Returns whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.instances.iter().all(|(_, it)| it.messages == 0 && it.files == 0)
    }
}

fn is_large(part: i64, all: i64) -> bool {
    part > all / LARGE_SHARE
}

/// Returns what a run would remove.
pub async fn plan(store: &dyn Store, policy: &RetentionPolicy, now: Timestamp) -> Result<RetentionPlan, StoreError> {
    let mut plan = RetentionPlan { instances: vec![], is_first: store.last_retention().await?.is_none() };
    for instance_id in store.ledger_instances().await? {
        let periods = policy.of(&instance_id);
        let query = OverdueQuery {
            instance_id: instance_id.clone(),
            messages_before: periods.messages.map(|period| now - period),
            files_before: periods.media.map(|period| now - period),
        };
        plan.instances.push((instance_id, store.overdue(&query).await?));
    }
    Ok(plan)
}

/// Lets go of everything that is older than what is kept. Returns the number of events and of files.
///
/// # Errors
/// If something does not answer. What was done stays done, and the next run goes on.
pub async fn run(eraser: &Eraser, policy: &RetentionPolicy) -> Result<(u64, u64), EraseError> {
    let store = &eraser.store;
    let now = eraser.clock.now();
    let run = store.begin_retention(now).await?;
    let (mut events, mut files) = (0, 0);
    for instance_id in store.ledger_instances().await? {
        let periods = policy.of(&instance_id);
        if let Some(before) = periods.messages.map(|period| now - period) {
            events += repeat(|| store.expire_events(&instance_id, before, TOGETHER)).await?;
        }
        if let Some(before) = periods.media.map(|period| now - period) {
            files += repeat(|| store.expire_files(&instance_id, before, TOGETHER)).await?;
        }
    }
    repeat(|| store.forget_expired(now - REMEMBERED, TOGETHER)).await?;
    while eraser.remove_objects().await? {}
    scrub(&**store, &*eraser.clock).await?;
    store.end_retention(run, eraser.clock.now(), events, files).await?;
    let deed = AuditedDeed {
        at: eraser.clock.now(),
        actor: AuditActor::Command,
        action: "retention".to_owned(),
        subject_hmac: None,
        detail: json!({"events": events, "files": files}),
    };
    store.audit(&deed).await?;
    Ok((events, files))
}

/// Repeats a piece until it finds nothing. Between two pieces, events have as much time as a piece took.
async fn repeat<F: Future<Output = Result<u64, StoreError>>>(piece: impl Fn() -> F) -> Result<u64, StoreError> {
    let mut sum = 0;
    loop {
        let begun = Instant::now();
        match piece().await? {
            0 => return Ok(sum),
            count => sum += count,
        }
        tokio::time::sleep(begun.elapsed()).await;
    }
}

/// Lets go once a day, for ever, after the owner has said yes to the first run.
pub async fn nightly(eraser: Eraser, policy: RetentionPolicy) {
    loop {
        if let Err(error) = tonight(&eraser, &policy).await {
            warn!(%error, "what is too old could not be removed; it will be tried again");
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn tonight(eraser: &Eraser, policy: &RetentionPolicy) -> Result<(), EraseError> {
    let now = eraser.clock.now();
    let last = eraser.store.last_retention().await?;
    if policy.keeps_all() || last.is_some_and(|last| last + EVERY > now) {
        return Ok(());
    }
    let plan = plan(&*eraser.store, policy, now).await?;
    if plan.needs_yes() {
        info!("retention waits for your word: see buzon retention");
        return Ok(());
    }
    let (events, files) = run(eraser, policy).await?;
    info!(events, files, "what is older than what is kept is removed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_and_one_of_over_a_tenth_wait_for_the_owner() {
        for (is_first, part, all, waits) in [
            (true, 0, 100, true),
            (false, 10, 100, false),
            (false, 11, 100, true),
            (false, 0, 0, false),
            (false, 1, 5, true),
        ] {
            let overdue = Overdue { messages: part, all_messages: all, ..Overdue::default() };
            let plan = RetentionPlan { instances: vec![(InstanceId::unstated(), overdue)], is_first };
            assert_eq!(plan.needs_yes(), waits, "{part} of {all}");
        }
    }
}
