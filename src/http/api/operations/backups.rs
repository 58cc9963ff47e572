//! Backups: `GET /api/v1/backups`.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::backup::{BackupCheck, LatestBackup, WatchedPlace};
use crate::http::api::request::ApiRequest;
use crate::http::api::time::rfc3339;
use crate::http::openapi::problems::ListProblems;
use crate::http::problem::Problem;

/// All places with backups that the setting `backup_to` names. The list has no pages.
#[derive(Serialize, ToSchema)]
pub struct BackupsResponse {
    data: Vec<BackupPlaceReport>,
}

/// A place with backups.
#[derive(Serialize, ToSchema)]
pub struct BackupPlaceReport {
    /// A folder, or `s3://BUCKET/PREFIX`.
    #[schema(example = "/mnt/backup/buzon")]
    place: String,
    /// The latest complete backup; null if there is none.
    latest: Option<BackupReport>,
    /// The result of the last `buzon backup verify`; null if there was none.
    check: Option<BackupCheckReport>,
    /// The reason why the place cannot be read, or why its newest backup is no use.
    #[schema(example = json!(null), required = true)]
    problem: Option<String>,
}

/// A complete backup.
#[derive(Serialize, ToSchema)]
pub struct BackupReport {
    #[schema(example = "2024-08-27T03-30-00.000Z")]
    name: String,
    /// The backup has every event that was answered before this time.
    #[schema(example = "2024-08-27T03:30:00Z", format = DateTime)]
    begun_at: String,
    /// The size of the copy of the database and of all media files that belong to it.
    #[schema(example = 734003200)]
    bytes: u64,
    /// The number of media files that it lacks, because the service did not have them.
    #[schema(example = 0)]
    lacking: u64,
}

/// The result of a check of a backup.
#[derive(Serialize, ToSchema)]
pub struct BackupCheckReport {
    /// The backup that was read.
    #[schema(example = "2024-08-27T03-30-00.000Z")]
    backup: String,
    #[schema(example = "2024-08-27T05:00:00Z", format = DateTime)]
    at: String,
    /// The number of things that were not as they had been written.
    #[schema(example = 0)]
    problems: u64,
}

impl From<WatchedPlace> for BackupPlaceReport {
    fn from(watched: WatchedPlace) -> Self {
        let latest = |LatestBackup { name, begun_at, bytes, lacking }| BackupReport {
            name,
            begun_at: rfc3339(begun_at),
            bytes,
            lacking,
        };
        let check = |BackupCheck { backup, at, problems }| BackupCheckReport { backup, at, problems };
        Self {
            place: watched.place,
            latest: watched.latest.map(latest),
            check: watched.check.map(check),
            problem: watched.problem,
        }
    }
}

/// `GET /api/v1/backups`
#[utoipa::path(
    operation_id = "list_backups",
    get, path = "/api/v1/backups", tag = "Ledger", security(("token" = []), ("session" = [])),
    summary = "The places with backups, the latest backup of each, and its last check",
    description = "The places are those of the setting `backup_to`, and what is said of them is at most a minute old. Only the \
                   owner's token sees them: another one sees none.",
    responses((status = 200, description = "The places", body = BackupsResponse), ListProblems),
)]
pub async fn list(request: ApiRequest) -> Result<HttpResponse, Problem> {
    let places = if request.caller.token.is_none() { request.api.backups.look().await } else { vec![] };
    request.response.json(&BackupsResponse { data: places.into_iter().map(BackupPlaceReport::from).collect() })
}
