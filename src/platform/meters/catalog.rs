//! Every metric with its name, kind and help text. A test compares docs/metrics.md with this list.

/// The contents of the HELP and TYPE lines of a metric.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: MetricKind,
    pub(crate) help: &'static str,
}

pub(crate) enum MetricKind {
    Counter,
    Gauge,
    /// A histogram with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

const fn metric(name: &'static str, kind: MetricKind, help: &'static str) -> Metric {
    Metric { name, kind, help }
}

/// Buckets for the seconds of a commit.
const COMMIT_SECONDS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Buckets for the seconds of a download.
const DOWNLOAD_SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0];
const BATCH_EVENTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

pub(crate) const EVENTS: Metric = metric(
    "buzon_events_total",
    MetricKind::Counter,
    "Events that were committed, by type and by what became of them.",
);
pub(crate) const REFUSED: Metric =
    metric("buzon_events_refused_total", MetricKind::Counter, "Events that were not taken, by the code of the answer.");
pub(crate) const SIGNATURES: Metric = metric(
    "buzon_signatures_accepted_total",
    MetricKind::Counter,
    "Events that were let in, by the secret that verified them.",
);
pub(crate) const BATCH: Metric =
    metric("buzon_batch_events", MetricKind::Histogram(BATCH_EVENTS), "Events that were committed together.");
pub(crate) const COMMIT: Metric = metric(
    "buzon_commit_seconds",
    MetricKind::Histogram(COMMIT_SECONDS),
    "How long the database took for a commit, with all tries.",
);
pub(crate) const RECEIVE_TO_COMMIT: Metric = metric(
    "buzon_receive_to_commit_seconds",
    MetricKind::Histogram(COMMIT_SECONDS),
    "How long it took from an event's last byte until it was committed.",
);
pub(crate) const QUEUE_EVENTS: Metric =
    metric("buzon_queue_events", MetricKind::Gauge, "Events that wait for the writer.");
pub(crate) const QUEUE_BYTES: Metric = metric(
    "buzon_queue_bytes",
    MetricKind::Gauge,
    "Bytes of the bodies that wait for the writer or are being committed.",
);
pub(crate) const STORE_UP: Metric =
    metric("buzon_store_up", MetricKind::Gauge, "Whether the database answers: 1, or 0 if it does not.");
pub(crate) const LAST_EVENT: Metric = metric(
    "buzon_instance_last_event_timestamp_seconds",
    MetricKind::Gauge,
    "When an instance's last event came, in seconds since 1970.",
);
pub(crate) const INSTANCES_UNLISTED: Metric = metric(
    "buzon_instances_unlisted",
    MetricKind::Gauge,
    "Instances whose last event is not exported, because there are too many.",
);
pub(crate) const MEDIA_JOBS: Metric =
    metric("buzon_media_jobs", MetricKind::Gauge, "Files that messages came with, by the state of saving them.");
pub(crate) const MEDIA_OLDEST: Metric = metric(
    "buzon_media_oldest_pending_seconds",
    MetricKind::Gauge,
    "Age of the oldest message whose file is still to be saved; 0 where there is none.",
);
pub(crate) const MEDIA_ATTEMPTS: Metric =
    metric("buzon_media_attempts_total", MetricKind::Counter, "Attempts to save a file, by what became of its job.");
pub(crate) const MEDIA_DOWNLOAD: Metric = metric(
    "buzon_media_download_seconds",
    MetricKind::Histogram(DOWNLOAD_SECONDS),
    "How long it took to fetch a file and to store it, or until that failed.",
);
pub(crate) const MEDIA_BYTES: Metric =
    metric("buzon_media_stored_bytes_total", MetricKind::Counter, "Bytes of the files that were saved.");
pub(crate) const DISK_FREE: Metric =
    metric("buzon_disk_free_bytes", MetricKind::Gauge, "Bytes that are free on the fullest disk of a kind.");
pub(crate) const DISK_MIN_FREE: Metric = metric(
    "buzon_disk_min_free_bytes",
    MetricKind::Gauge,
    "Bytes that stay free there: with less, events or files are no longer taken.",
);
pub(crate) const REPLAY_REQUESTS: Metric = metric(
    "buzon_replay_requests_total",
    MetricKind::Counter,
    "What the gateway was asked after an outage, by its answer.",
);
pub(crate) const FORWARD_EVENTS: Metric = metric(
    "buzon_forward_events_total",
    MetricKind::Counter,
    "Answers of the receivers of forwards, and events that ended without one, by outcome.",
);
pub(crate) const FORWARD_LAG_EVENTS: Metric = metric(
    "buzon_forward_lag_events",
    MetricKind::Gauge,
    "Events of the ledger that a forward has not dealt with, at most 100,000.",
);
pub(crate) const FORWARD_LAG_SECONDS: Metric =
    metric("buzon_forward_lag_seconds", MetricKind::Gauge, "Age of the oldest of these events; 0 where there is none.");
pub(crate) const FORWARD_STATE: Metric = metric(
    "buzon_forward_state",
    MetricKind::Gauge,
    "1 if a forward is stopped, because its receiver is away or wrong, or paused; else 0.",
);
pub(crate) const ERASURES_PENDING: Metric = metric(
    "buzon_erasures_pending",
    MetricKind::Gauge,
    "Erasures that have begun and not ended, because they are under way or a place with backups does not know of them.",
);
pub(crate) const HTTP_REQUESTS: Metric = metric(
    "buzon_http_requests_total",
    MetricKind::Counter,
    "Requests that were answered, by method, template of the route, and status.",
);
pub(crate) const LOG_LINES_LOST: Metric =
    metric("buzon_log_lines_lost_total", MetricKind::Counter, "Lines of the log that could not be written.");
pub(crate) const TASK_RESTARTS: Metric = metric(
    "buzon_task_restarts_total",
    MetricKind::Counter,
    "Background tasks that died of a mistake in buzon and were started again.",
);
pub(crate) const BUILD_INFO: Metric =
    metric("buzon_build_info", MetricKind::Gauge, "1, with the version and the database.");

pub(crate) const ALL: &[Metric] = &[
    EVENTS,
    REFUSED,
    SIGNATURES,
    BATCH,
    COMMIT,
    RECEIVE_TO_COMMIT,
    QUEUE_EVENTS,
    QUEUE_BYTES,
    STORE_UP,
    LAST_EVENT,
    INSTANCES_UNLISTED,
    MEDIA_JOBS,
    MEDIA_OLDEST,
    MEDIA_ATTEMPTS,
    MEDIA_DOWNLOAD,
    MEDIA_BYTES,
    DISK_FREE,
    DISK_MIN_FREE,
    REPLAY_REQUESTS,
    FORWARD_EVENTS,
    FORWARD_LAG_EVENTS,
    FORWARD_LAG_SECONDS,
    FORWARD_STATE,
    ERASURES_PENDING,
    HTTP_REQUESTS,
    LOG_LINES_LOST,
    TASK_RESTARTS,
    BUILD_INFO,
];

/// The problem codes of refused events that alerts and dashboards name.
pub(crate) const REASONS: [&str; 15] = [
    "client_not_allowed",
    "signature_missing",
    "signature_mismatch",
    "too_many_refused",
    "not_found",
    "body_unreadable",
    "body_timeout",
    "body_too_large",
    "content_encoding",
    "too_many_bodies",
    "queue_full",
    "disk_low",
    "store_unavailable",
    "commit_timeout",
    "shutting_down",
];

/// The outcomes of requests to the gateway that alerts and dashboards name.
pub(crate) const REPLAY_OUTCOMES: [&str; 4] = ["ok", "busy", "trouble", "unanswered"];
