//! Exports that the service makes for callers of the API. A token has one at a time: another takes the place of the one
//! that has ended. Two run at a time. The files are in a folder of their own, for their owner's token alone, and go after
//! a day, with the token, and at the start of the service.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ExportError;
use super::lists::{ExportTarget, ListExport, ListFormat};
use domain::access::token::TokenId;
use domain::audit::AuditedDeed;
use domain::time::timestamp::Timestamp;
use platform::clock::Clock;
use platform::disk::Disk;
use platform::private_folder;
use platform::random;
use store::Store;

/// The exports that run at a time.
pub const RUNNING: usize = 2;
/// The time for which a file is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
const TIDY_EVERY: Duration = Duration::from_secs(60);
const FOLDER: &str = "exports";
const ID_BYTES: usize = 16;

/// An export as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportJob {
    /// A random id, which is also the ETag of the file.
    pub id: String,
    /// The list that it has.
    pub list: &'static str,
    pub format: ListFormat,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub state: ExportState,
}

/// The state of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportState {
    Running,
    Done { rows: u64, cut: u64, size: u64 },
    Failed(String),
}

/// The reason why an export does not begin.
#[derive(Debug)]
pub enum StartRefusal {
    /// One of the token, or as many as may run, are under way.
    TooMany,
    DiskLow,
    Folder(io::Error),
}

/// All exports of this process.
pub struct ExportJobs {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    folder: PathBuf,
    /// Has room for another export: twice the reserve.
    beginning: Disk,
    /// Has room for the export to go on.
    running: Arc<Disk>,
    jobs: Arc<Mutex<Vec<JobEntry>>>,
    /// Ends all of them.
    stop: CancellationToken,
}

struct JobEntry {
    /// `None` for the token that opens everything.
    owner: Option<TokenId>,
    job: ExportJob,
    stop: CancellationToken,
}

impl ExportJobs {
    /// Takes the exports of `data_dir`, and removes what an earlier process left there. Runs them on the runtime that this is
    /// called in, until `stop`.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        data_dir: &Path,
        min_free: u64,
        stop: CancellationToken,
    ) -> Self {
        let folder = data_dir.join(FOLDER);
        clear(&folder);
        let disk = |min_free| Disk::new(vec![data_dir.to_owned()], min_free);
        Self {
            store,
            clock,
            runtime: Handle::current(),
            folder,
            beginning: disk(min_free.saturating_mul(2)),
            running: Arc::new(disk(min_free)),
            jobs: Arc::default(),
            stop,
        }
    }

    /// Begins an export for the bearer of a token, once its entry in the audit is stored.
    pub fn start(
        &self,
        owner: Option<TokenId>,
        order: ListExport,
        deed: AuditedDeed,
    ) -> Result<ExportJob, StartRefusal> {
        if !self.beginning.fits(0) {
            return Err(StartRefusal::DiskLow);
        }
        private_folder::make(&self.folder).map_err(StartRefusal::Folder)?;
        let id = hex::encode(random::bytes::<ID_BYTES>().map_err(StartRefusal::Folder)?);
        let now = self.clock.now();
        let job = ExportJob {
            id: id.clone(),
            list: order.query.list(),
            format: order.format,
            created_at: now,
            expires_at: now + KEPT,
            state: ExportState::Running,
        };
        let mut jobs = self.jobs();
        let is_running = |entry: &&JobEntry| entry.job.state == ExportState::Running;
        let own = jobs.iter().any(|entry| entry.owner == owner && is_running(&entry));
        if own || jobs.iter().filter(is_running).count() >= RUNNING {
            return Err(StartRefusal::TooMany);
        }
        self.drop_jobs(&mut jobs, |entry| entry.owner == owner);
        let path = self.path(&job);
        let (store, disk, all) = (self.store.clone(), self.running.clone(), self.jobs.clone());
        let (runtime, stop) = (self.runtime.clone(), self.stop.child_token());
        jobs.push(JobEntry { owner, job: job.clone(), stop: stop.clone() });
        // A thread drives the export, whose connections are those of the runtime.
        self.runtime.spawn_blocking(move || {
            let ended =
                runtime.block_on(stop.run_until_cancelled(run(store, order, deed, path.clone(), disk).boxed_local()));
            let mut jobs = lock(&all);
            match (jobs.iter_mut().find(|entry| entry.job.id == id), ended) {
                (Some(entry), Some(ended)) => entry.job.state = ended,
                _ => remove(&path),
            }
        });
        Ok(job)
    }

    /// Returns the exports of a token.
    pub fn list(&self, owner: Option<TokenId>) -> Vec<ExportJob> {
        let now = self.clock.now();
        let jobs = self.jobs();
        jobs.iter().filter(|it| it.owner == owner && it.job.expires_at > now).map(|it| it.job.clone()).collect()
    }

    /// Returns an export of a token.
    pub fn find(&self, owner: Option<TokenId>, id: &str) -> Option<ExportJob> {
        self.list(owner).into_iter().find(|job| job.id == id)
    }

    /// Opens the file of an export that is done.
    pub fn open(&self, job: &ExportJob) -> io::Result<fs::File> {
        fs::File::open(self.path(job))
    }

    /// Removes what has expired, and what belongs to a token that has ended, again and again.
    pub async fn keep_tidy(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TIDY_EVERY);
        loop {
            ticks.tick().await;
            self.tidy().await;
        }
    }

    /// Removes what has expired, and what belongs to a token that has ended.
    pub async fn tidy(&self) {
        let now = self.clock.now();
        self.drop_jobs(&mut self.jobs(), |entry| entry.job.expires_at <= now);
        let owners: Vec<TokenId> = self.jobs().iter().filter_map(|entry| entry.owner).collect();
        for owner in owners {
            match self.store.token_by_id(owner).await {
                Ok(token) if token.as_ref().is_some_and(|token| token.is_active(now)) => {}
                Ok(_) => self.drop_jobs(&mut self.jobs(), |entry| entry.owner == Some(owner)),
                Err(error) => warn!(%error, "the token of an export could not be looked up"),
            }
        }
    }

    fn drop_jobs(&self, jobs: &mut Vec<JobEntry>, is_meant: impl Fn(&JobEntry) -> bool) {
        for entry in jobs.extract_if(.., |entry| is_meant(entry)) {
            entry.stop.cancel();
            remove(&self.path(&entry.job));
        }
    }

    fn path(&self, job: &ExportJob) -> PathBuf {
        self.folder.join(format!("{}.{}", job.id, job.format.as_str()))
    }

    fn jobs(&self) -> MutexGuard<'_, Vec<JobEntry>> {
        lock(&self.jobs)
    }
}

fn lock(jobs: &Mutex<Vec<JobEntry>>) -> MutexGuard<'_, Vec<JobEntry>> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(
    store: Arc<dyn Store>,
    order: ListExport,
    deed: AuditedDeed,
    path: PathBuf,
    disk: Arc<Disk>,
) -> ExportState {
    let outcome = async {
        store.audit(&deed).await?;
        let summary = order.run(store, ExportTarget::File(path.clone()), disk).await?;
        Ok::<_, ExportError>((summary, fs::metadata(&path)?.len()))
    };
    match outcome.await {
        Ok((summary, size)) => ExportState::Done { rows: summary.rows, cut: summary.cut, size },
        Err(error) => {
            warn!(%error, "an export failed");
            ExportState::Failed(match error {
                ExportError::DiskLow => error.to_string(),
                _ => "the database or the disk failed; the log has the reason".to_owned(),
            })
        }
    }
}

/// Removes all files of exports in a data folder, also those that are being written, which then fail.
pub fn remove_all(data_dir: &Path) {
    clear(&data_dir.join(FOLDER));
}

fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        remove(&entry.path());
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => warn!(%error, "the file of an export was not removed"),
        _ => {}
    }
}
