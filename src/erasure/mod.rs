//! Carries out erasures and retention: piece by piece beside the writer of events, in the service or in the command that asked.
//!
//! An erasure is resumed from where it stands, so that it ends however often a process is killed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::backup::{BackupError, BackupPlace};
use crate::blob::{BlobError, Blobs};
use crate::export::jobs;
use crate::media::{SweepError, remove_unreferenced};
use domain::erasure::EventTraces;
use domain::event::Event;
use domain::message::MessageKey;
use platform::clock::Clock;
use store::{ErasurePiece, ErasureScan, ErasureStage, Store, StoreError, SuspectedEvent, UnfinishedErasure};

pub mod person;
pub mod retention;

/// The numbers of the ledger that are looked at together, the events that are read together, and the pause of a service
/// between two looks whether there is something to erase.
const SPAN: i64 = 20_000;
const TOGETHER: u32 = 32;
const IDLE: Duration = Duration::from_secs(1);
/// The pause after a place with backups did not answer, and the number of objects that are removed at once.
const BACKUP_PAUSE: Duration = Duration::from_secs(60);
const OBJECTS: u32 = 100;
/// The pause while another process holds an object that is to be removed.
const HELD_PAUSE: Duration = Duration::from_millis(200);
/// The number of times that the remains in the pages of the files are tried to be removed beside readers.
const SCRUB_TRIES: u32 = 20;
const SCRUB_PAUSE: Duration = Duration::from_millis(250);

/// The parts that an erasure needs.
#[derive(Clone)]
pub struct Eraser {
    pub store: Arc<dyn Store>,
    pub blobs: Blobs,
    /// The places with backups, which are to learn of each erasure.
    pub backups: Arc<Vec<BackupPlace>>,
    /// The folder that has the files of exports.
    pub data_dir: PathBuf,
    pub clock: Arc<dyn Clock>,
}

/// The reasons why an erasure waits.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error("a place with backups does not learn of the erasure: {0}")]
    Backup(#[from] BackupError),
}

impl Eraser {
    /// Erases what is to be erased, for ever. Between two pieces, events have as much time as a piece took.
    pub async fn run(self) {
        loop {
            let pause = match self.step().await {
                Ok(true) => Duration::ZERO,
                Ok(false) => IDLE,
                Err(EraseError::Backup(error)) => {
                    warn!(%error, "an erasure is pending: a place with backups could not be told");
                    BACKUP_PAUSE
                }
                Err(error) => {
                    debug!(%error, "an erasure waits; it will be tried again");
                    IDLE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Does all that is to be done.
    ///
    /// # Errors
    /// If something does not answer. What was done stays done.
    pub async fn finish(&self) -> Result<(), EraseError> {
        while self.step().await? {}
        Ok(())
    }

    /// Does the next step. Returns whether there may be more.
    async fn step(&self) -> Result<bool, EraseError> {
        if self.remove_objects().await? {
            return Ok(true);
        }
        let Some(erasure) = self.store.unfinished_erasure().await? else { return Ok(false) };
        match erasure.stage {
            ErasureStage::Rows => self.rows(&erasure).await?,
            ErasureStage::Files => self.files(&erasure).await?,
            ErasureStage::Backups => {
                self.tell_backups().await?;
                let notice = Event::erasure_notice(&erasure.name, erasure.instance_id.as_ref(), self.clock.now());
                self.store.record_batch(&[notice]).await?;
                self.advance(&erasure, ErasureStage::Ended).await?;
                info!(erasure = erasure.id, "an erasure has ended");
            }
            ErasureStage::Ended => {}
        }
        Ok(true)
    }

    async fn advance(&self, erasure: &UnfinishedErasure, to: ErasureStage) -> Result<(), EraseError> {
        self.store.advance_erasure(erasure.id, erasure.stage, to, self.clock.now()).await?;
        Ok(())
    }

    /// Goes on through the ledger.
    async fn rows(&self, erasure: &UnfinishedErasure) -> Result<(), EraseError> {
        let mut from = erasure.reached_seq;
        while from < erasure.until_seq {
            let scan = ErasureScan {
                instance_id: erasure.instance_id.clone(),
                after: from,
                until: erasure.until_seq.min(from + SPAN),
                ids: erasure.ids.clone(),
                limit: TOGETHER,
            };
            let (suspects, to) = self.store.suspects(&scan).await?;
            let (seqs, messages) = self.found(suspects).await?;
            let begun = Instant::now();
            let piece = ErasurePiece { erasure: erasure.id, from, to, seqs, messages };
            if !self.store.erase_piece(&piece).await? {
                // Another process has done it.
                return Ok(());
            }
            from = to;
            tokio::time::sleep(begun.elapsed()).await;
        }
        self.advance(erasure, ErasureStage::Files).await
    }

    /// Returns the events that are the person's, and the messages that go with them.
    async fn found(&self, suspects: Vec<SuspectedEvent>) -> Result<(Vec<i64>, Vec<MessageKey>), EraseError> {
        let (seqs, events): (Vec<i64>, Vec<Event>) =
            suspects.into_iter().map(|suspect| (suspect.seq, suspect.into_event())).unzip();
        if events.is_empty() {
            return Ok((vec![], vec![]));
        }
        let verdicts = self.store.judge(&events).await?;
        let going: Vec<(i64, &Event)> =
            seqs.into_iter().zip(&events).zip(verdicts).filter_map(|(it, goes)| goes.then_some(it)).collect();
        let messages: BTreeSet<MessageKey> =
            going.iter().filter_map(|(_, event)| EventTraces::of(event).message(event)).collect();
        Ok((going.into_iter().map(|(seq, _)| seq).collect(), messages.into_iter().collect()))
    }

    /// Removes what is left in the files of the database.
    async fn files(&self, erasure: &UnfinishedErasure) -> Result<(), EraseError> {
        // One that begins from now on does not have the rows.
        jobs::remove_all(&self.data_dir);
        self.advance(erasure, ErasureStage::Backups).await?;
        // The remains of all erasures are removed at once.
        let next = self.store.unfinished_erasure().await?;
        if next.is_some_and(|next| next.stage < ErasureStage::Backups) {
            return Ok(());
        }
        scrub(&*self.store, &*self.clock).await?;
        Ok(())
    }

    /// Removes objects that no file refers to any more. Returns whether there were any.
    async fn remove_objects(&self) -> Result<bool, EraseError> {
        let keys = self.store.removals(OBJECTS).await?;
        let mut is_held = false;
        for key in &keys {
            match remove_unreferenced(&*self.store, &self.blobs, key, self.clock.now()).await? {
                true => self.store.removed(key).await?,
                false => is_held = true,
            }
        }
        if is_held {
            tokio::time::sleep(HELD_PAUSE).await;
        }
        Ok(!keys.is_empty())
    }

    async fn tell_backups(&self) -> Result<(), EraseError> {
        if self.backups.is_empty() {
            return Ok(());
        }
        let export = self.store.export_erasures().await?;
        for place in self.backups.iter() {
            place.write_erasures(&export).await?;
        }
        Ok(())
    }
}

/// Removes what is left of removed rows, as far as that can be done beside a service, and notes it if nothing is left.
async fn scrub(store: &dyn Store, clock: &dyn Clock) -> Result<(), StoreError> {
    for _ in 0..SCRUB_TRIES {
        match store.scrub_beside().await {
            Ok(true) => return store.note_scrubbed(clock.now()).await,
            Ok(false) => {}
            Err(error @ StoreError::Damaged(_)) => return Err(error),
            Err(error) => debug!(%error, "the remains of an erasure could not be removed yet"),
        }
        if !store.scrubs_beside() {
            return Ok(());
        }
        tokio::time::sleep(SCRUB_PAUSE).await;
    }
    Ok(())
}
