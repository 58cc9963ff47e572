//! The metrics for Prometheus. `catalog` names every metric, `events` has those of the path of an event, and `process`
//! those of the whole process.
//!
//! Each service has meters of its own. For what is counted often the counter is at hand, and counting is one atomic
//! addition; other counters are looked up by their labels. The values of labels are words of buzon's own. The only
//! value that others send is the id of an instance, of which at most [`MAX_INSTANCES`] are exported.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use domain::instance::InstanceId;
use domain::media::{AttemptOutcome, MediaJobCount, MediaState};
use domain::time::timestamp::Timestamp;

mod catalog;
mod events;
mod forwards;
pub mod process;

use catalog::{Metric, MetricKind};
pub use events::Events;
pub use forwards::ForwardGauges;

/// The maximum number of instances whose last event is exported. Further instances are only counted.
pub const MAX_INSTANCES: usize = 1_000;

static METADATA: Metadata<'static> = Metadata::new("buzon", Level::INFO, None);

/// The meters of a service.
pub struct Meters {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    pub events: Events,
    downloads: [Histogram; 2],
    media_bytes: Counter,
    /// The exported instances, which are the first that came. None is replaced by another.
    last_events: Mutex<BTreeMap<InstanceId, Gauge>>,
}

impl Default for Meters {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Meters {
    /// Makes the meters of a service. All metrics have the name of its cell as a label, if it has one.
    pub fn new(cell: Option<&str>) -> Self {
        let recorder = recorder(cell);
        let meters = Self {
            handle: recorder.handle(),
            events: Events::new(&recorder),
            downloads: DOWNLOADS.map(|outcome| histogram(&recorder, &catalog::MEDIA_DOWNLOAD, &[("outcome", outcome)])),
            media_bytes: counter(&recorder, &catalog::MEDIA_BYTES, &[]),
            last_events: Mutex::default(),
            recorder,
        };
        meters.start_counters();
        meters
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters")
    }
}

const DOWNLOADS: [&str; 2] = ["stored", "failed"];

/// The labels of how attempts to save a file end.
const ATTEMPTS: [&str; 7] = ["stored", "again", "postponed", "expired", "refused", "too_large", "failed"];

/// The kinds of requests that the replayer sends to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayRequest {
    /// A request for the list of failed deliveries.
    List,
    /// A request to send one of them again.
    Replay,
}

impl ReplayRequest {
    fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Replay => "replay",
        }
    }
}

/// Counters, which count from the start of the process.
impl Meters {
    /// Counts an event that was refused, by the code of its problem.
    pub fn refuse(&self, reason: &'static str) {
        counter(&self.recorder, &catalog::REFUSED, &[("reason", reason)]).increment(1);
    }

    /// Counts a request that was answered. `route` is a template and never a path.
    pub fn answer(&self, method: &str, route: &str, status: &str) {
        let labels = [("method", method), ("route", route), ("status", status)];
        counter(&self.recorder, &catalog::HTTP_REQUESTS, &labels).increment(1);
    }

    /// Records how long an attempt to save a file took.
    pub fn download(&self, took: Duration, is_stored: bool) {
        let [stored, failed] = &self.downloads;
        let histogram = if is_stored { stored } else { failed };
        histogram.record(took);
    }

    /// Counts what became of a job after an attempt.
    pub fn settle(&self, outcome: &AttemptOutcome) {
        let word = match outcome {
            AttemptOutcome::Stored { file, .. } => {
                self.media_bytes.increment(file.size);
                "stored"
            }
            AttemptOutcome::Retry { .. } => "again",
            AttemptOutcome::Postponed { .. } => "postponed",
            AttemptOutcome::GivenUp { state, .. } => state.as_str(),
            AttemptOutcome::Released => return,
        };
        counter(&self.recorder, &catalog::MEDIA_ATTEMPTS, &[("outcome", word)]).increment(1);
    }

    /// Counts an answer of the gateway: `ok`, or the code of the error.
    pub fn replay(&self, request: ReplayRequest, outcome: &'static str) {
        let labels = [("request", request.as_str()), ("outcome", outcome)];
        counter(&self.recorder, &catalog::REPLAY_REQUESTS, &labels).increment(1);
    }
}

/// Gauges, which are set before each [`Meters::text`].
impl Meters {
    /// Sets the number of erasures that have not ended.
    pub fn show_erasures(&self, pending: usize) {
        gauge(&self.recorder, &catalog::ERASURES_PENDING, &[]).set(pending as f64);
    }

    pub fn show_store(&self, is_up: bool) {
        gauge(&self.recorder, &catalog::STORE_UP, &[]).set(if is_up { 1.0 } else { 0.0 });
    }

    /// Sets the number of events that wait, and the bytes of the bodies that wait or are being committed.
    pub fn show_queue(&self, events: usize, bytes: usize) {
        gauge(&self.recorder, &catalog::QUEUE_EVENTS, &[]).set(events as f64);
        gauge(&self.recorder, &catalog::QUEUE_BYTES, &[]).set(bytes as f64);
    }

    /// Sets the bytes that are free on the disk of `what`, and those that must stay free.
    pub fn show_disk(&self, what: &'static str, free: u64, min_free: u64) {
        gauge(&self.recorder, &catalog::DISK_FREE, &[("disk", what)]).set(free as f64);
        gauge(&self.recorder, &catalog::DISK_MIN_FREE, &[("disk", what)]).set(min_free as f64);
    }

    /// Sets the number of jobs in each state, which is 0 for a state that `jobs` does not name.
    pub fn show_media(&self, jobs: &[MediaJobCount], now: Timestamp) {
        let of = |state: MediaState| jobs.iter().find(|it| it.state == state);
        for state in MediaState::ALL {
            let count = of(state).map_or(0, |it| it.count);
            gauge(&self.recorder, &catalog::MEDIA_JOBS, &[("state", state.as_str())]).set(count as f64);
        }
        let age = of(MediaState::Pending).map_or(0, |it| now.millis().saturating_sub(it.oldest.millis()));
        gauge(&self.recorder, &catalog::MEDIA_OLDEST, &[]).set(age.max(0) as f64 / 1e3);
    }

    /// Sets the time of each instance's last event. The first instances of the list are exported first.
    pub fn show_last_events(&self, instances: &[(InstanceId, Timestamp)]) {
        let mut known = self.last_events.lock().unwrap_or_else(PoisonError::into_inner);
        for (instance, at) in instances {
            if !known.contains_key(instance) && known.len() == MAX_INSTANCES {
                continue;
            }
            let register = || gauge(&self.recorder, &catalog::LAST_EVENT, &[("instance_id", instance.as_str())]);
            known.entry(instance.clone()).or_insert_with(register).set(at.millis() as f64 / 1e3);
        }
        let unlisted = instances.len().saturating_sub(known.len());
        gauge(&self.recorder, &catalog::INSTANCES_UNLISTED, &[]).set(unlisted as f64);
    }

    /// Sets the version, and the database that is in use: `sqlite` or `postgres`.
    pub fn show_build(&self, database: &'static str) {
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("database", database)];
        gauge(&self.recorder, &catalog::BUILD_INFO, &labels).set(1.0);
    }

    /// Returns everything in the text format of Prometheus.
    pub fn text(&self) -> String {
        counter(&self.recorder, &catalog::LOG_LINES_LOST, &[]).absolute(process::lost_log_lines());
        counter(&self.recorder, &catalog::TASK_RESTARTS, &[]).absolute(process::restarted_tasks());
        self.handle.render()
    }

    /// Frees the memory of samples that have been counted. It must be called every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Starts the counters at 0. Prometheus sees no increase when a counter appears with its first count.
    fn start_counters(&self) {
        for reason in catalog::REASONS {
            counter(&self.recorder, &catalog::REFUSED, &[("reason", reason)]).increment(0);
        }
        for outcome in ATTEMPTS {
            counter(&self.recorder, &catalog::MEDIA_ATTEMPTS, &[("outcome", outcome)]).increment(0);
        }
        for request in [ReplayRequest::List, ReplayRequest::Replay] {
            for outcome in catalog::REPLAY_OUTCOMES {
                let labels = [("request", request.as_str()), ("outcome", outcome)];
                counter(&self.recorder, &catalog::REPLAY_REQUESTS, &labels).increment(0);
            }
        }
    }
}

fn recorder(cell: Option<&str>) -> PrometheusRecorder {
    let labelled =
        cell.into_iter().fold(PrometheusBuilder::new(), |builder, cell| builder.add_global_label("cell", cell));
    let builder = catalog::ALL.iter().fold(labelled, |builder, metric| match metric.kind {
        MetricKind::Histogram(buckets) => {
            let named = Matcher::Full(metric.name.to_owned());
            builder.set_buckets_for_metric(named, buckets).expect("the catalog has buckets for it")
        }
        MetricKind::Counter | MetricKind::Gauge => builder,
    });
    let recorder = builder.build_recorder();
    for Metric { name, kind, help } in catalog::ALL {
        let (name, help) = ((*name).into(), SharedString::const_str(help));
        match kind {
            MetricKind::Counter => recorder.describe_counter(name, None, help),
            MetricKind::Gauge => recorder.describe_gauge(name, None, help),
            MetricKind::Histogram(_) => recorder.describe_histogram(name, None, help),
        }
    }
    recorder
}

type Labels<'l> = &'l [(&'static str, &'l str)];

fn key(metric: &Metric, labels: Labels<'_>) -> Key {
    Key::from_parts(
        metric.name,
        labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect::<Vec<_>>(),
    )
}

fn counter(recorder: &PrometheusRecorder, metric: &Metric, labels: Labels<'_>) -> Counter {
    recorder.register_counter(&key(metric, labels), &METADATA)
}

fn gauge(recorder: &PrometheusRecorder, metric: &Metric, labels: Labels<'_>) -> Gauge {
    recorder.register_gauge(&key(metric, labels), &METADATA)
}

fn histogram(recorder: &PrometheusRecorder, metric: &Metric, labels: Labels<'_>) -> Histogram {
    recorder.register_histogram(&key(metric, labels), &METADATA)
}
