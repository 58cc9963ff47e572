//! Exports: `/api/v1/exports`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_TYPE, ContentDisposition, ContentRange, ContentRangeSpec, ETag, EntityTag,
    LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::media_files::{FileParameters, requested_range};
use super::parameters::{NoParameters, Query, invalid};
use super::time::rfc3339;
use crate::export::jobs::{ExportJob, ExportState, StartRefusal};
use crate::export::lists::{ExportQuery, ListExport, ListFormat};
use crate::http::auth::access::Caller;
use crate::http::conditional::is_known;
use crate::http::json::json as respond;
use crate::http::openapi::problems::{ExportFileResponses, ExportListProblems, ExportProblems, NewExportProblems};
use crate::http::problem::Problem;
use crate::http::{ApiState, REVALIDATE};
use domain::audit::AuditedDeed;
use domain::chat::chat_id;

pub mod order;

/// The bytes of the body of an order.
const ORDER_BYTES: usize = 16 * 1024;

/// An order to export a list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewExport {
    #[schema(inline, example = "messages")]
    list: ExportedList,
    #[schema(inline, example = "csv")]
    format: FileFormat,
    /// True for CSV in which no text is taken for a formula.
    #[serde(default)]
    #[schema(example = false)]
    guard: bool,
    /// The parameters of the list, `since` and `until` among them, without those of a page. Chats are of all kinds unless
    /// it names some.
    #[serde(default)]
    #[schema(example = json!({"since": "2024-08-01", "kind": "person"}))]
    filter: BTreeMap<String, String>,
}

/// A list that can be exported.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportedList {
    Messages,
    Chats,
    Reactions,
    Acks,
    Media,
    Events,
}

/// The format of the file.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    Ndjson,
    Csv,
    Xlsx,
}

impl From<FileFormat> for ListFormat {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Ndjson => Self::Ndjson,
            FileFormat::Csv => Self::Csv,
            FileFormat::Xlsx => Self::Xlsx,
        }
    }
}

/// An export.
#[derive(Serialize, ToSchema)]
pub struct Export {
    #[schema(example = "5b1f3a9e0c7d42e68f1b2a3c4d5e6f70")]
    id: String,
    #[schema(example = "messages")]
    list: String,
    #[schema(example = "csv")]
    format: String,
    /// running, done or failed
    #[schema(example = "done")]
    state: String,
    /// The reason why it failed.
    #[schema(example = json!(null), required = true)]
    reason: Option<String>,
    #[schema(example = "2024-08-27T00:00:00Z", format = DateTime)]
    created_at: String,
    /// When the file is removed.
    #[schema(example = "2024-08-28T00:00:00Z", format = DateTime)]
    expires_at: String,
    #[schema(example = 1204, required = true)]
    rows: Option<u64>,
    /// The texts that a cell of a workbook could not hold.
    #[schema(example = 0, required = true)]
    cut: Option<u64>,
    /// The size of the file in bytes.
    #[schema(example = 70011, required = true)]
    size: Option<u64>,
    /// The address of the file once it is there.
    #[schema(example = "/api/v1/exports/5b1f3a9e0c7d42e68f1b2a3c4d5e6f70/file", required = true)]
    url: Option<String>,
}

/// The exports of a token.
#[derive(Serialize, ToSchema)]
pub struct Exports {
    data: Vec<Export>,
}

impl From<ExportJob> for Export {
    fn from(job: ExportJob) -> Self {
        let (state, reason) = match &job.state {
            ExportState::Running => ("running", None),
            ExportState::Done { .. } => ("done", None),
            ExportState::Failed(reason) => ("failed", Some(reason.clone())),
        };
        let done = match job.state {
            ExportState::Done { rows, cut, size } => Some((rows, cut, size)),
            _ => None,
        };
        Self {
            url: done.map(|_| format!("/api/v1/exports/{}/file", job.id)),
            id: job.id,
            list: job.list.to_owned(),
            format: job.format.as_str().to_owned(),
            state: state.to_owned(),
            reason,
            created_at: rfc3339(job.created_at),
            expires_at: rfc3339(job.expires_at),
            rows: done.map(|(rows, ..)| rows),
            cut: done.map(|(_, cut, _)| cut),
            size: done.map(|(.., size)| size),
        }
    }
}

/// Lets a caller with the right pass.
fn allowed(caller: &Caller) -> Result<(), Problem> {
    if caller.can_export { Ok(()) } else { Err(Problem::ExportNotAllowed) }
}

/// `POST /api/v1/exports`
#[utoipa::path(
    operation_id = "start_export",
    post, path = "/api/v1/exports", tag = "Exports", security(("token" = []), ("session" = [])),
    summary = "Begin to export a list into a file",
    description = "The owner's token may do this, and tokens that were made with `buzon token create --export`. A token has \
                   one export at a time: another takes the place of one that has ended. Two run at a time. Ask for it until \
                   it is done, then get its `url`. Everything a token sees can be in the file, and nothing else. The \
                   cookie of a session is good for this only if `Sec-Fetch-Site` is `same-origin`, or without that header \
                   the `Origin` is that of buzon, and if the `Content-Type` is `application/json`.",
    request_body = NewExport,
    responses((status = 201, description = "The export, which runs", body = Export), NewExportProblems),
)]
pub async fn start(
    api: Data<ApiState>,
    caller: Caller,
    _: Query<NoParameters>,
    body: Result<Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    allowed(&caller)?;
    let body = body.ok().filter(|body| body.len() <= ORDER_BYTES);
    let body = body.ok_or_else(|| invalid("body", format!("expected at most {ORDER_BYTES} bytes of JSON")))?;
    let new: NewExport = serde_json::from_slice(&body).map_err(|error| invalid("body", error))?;
    let format = ListFormat::from(new.format);
    let filters: Vec<String> = new.filter.keys().cloned().collect();
    let (query, range) = order::query(new.list, new.filter, &api.local_time.zone)?;
    let (actor, scope) = (caller.actor.clone(), caller.scope.clone());
    let subject_hmac = match subject(&query) {
        Some(id) => Some(api.store.ask(|store| async move { store.audit_pseudonym(&id).await }).await?),
        None => None,
    };
    let deed = AuditedDeed {
        at: api.local_time.clock.now(),
        actor,
        action: format!("export {}", query.list()),
        subject_hmac,
        detail: json!({"format": format.as_str(), "filters": filters}),
    };
    let zone = api.local_time.zone.clone();
    let order = ListExport { query, range, scope, format, guard: new.guard, zone };
    let job = api.exports.start(caller.token, order, deed).map_err(|refusal| match refusal {
        StartRefusal::TooMany => Problem::TooManyExports,
        StartRefusal::DiskLow => Problem::ExportDiskLow,
        StartRefusal::Folder(error) => {
            tracing::error!(%error, "the folder of exports cannot be used");
            Problem::Internal
        }
    })?;
    let mut response = HttpResponse::Created();
    response
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((LOCATION, format!("/api/v1/exports/{}", job.id)));
    Ok(respond(&mut response, &Export::from(job)))
}

/// Returns the id of the chat or the person that an export is about, if its filter names one.
pub fn subject(query: &ExportQuery) -> Option<String> {
    let number = |contact: &Option<String>| contact.as_deref().map(chat_id::of_number);
    match query {
        ExportQuery::Messages(it) => {
            let person = it.author.clone().or_else(|| it.from_id.clone()).or_else(|| it.to_id.clone());
            it.chat_id.clone().or_else(|| number(&it.contact)).or(person)
        }
        ExportQuery::Chats(it) => number(&it.contact),
        ExportQuery::Reactions(it) => it.from_number.clone(),
        ExportQuery::Media(it) => it.chat_id.clone().or_else(|| number(&it.contact)),
        ExportQuery::Acks(_) | ExportQuery::Events(_) => None,
    }
}

/// `GET /api/v1/exports`
#[utoipa::path(
    operation_id = "list_exports",
    get, path = "/api/v1/exports", tag = "Exports", security(("token" = []), ("session" = [])),
    summary = "The exports of this token",
    responses((status = 200, description = "The exports", body = Exports), ExportListProblems),
)]
pub async fn list(api: Data<ApiState>, caller: Caller, _: Query<NoParameters>) -> Result<HttpResponse, Problem> {
    allowed(&caller)?;
    let data = api.exports.list(caller.token).into_iter().map(Export::from).collect();
    Ok(respond(&mut HttpResponse::Ok(), &Exports { data }))
}

fn unknown() -> Problem {
    Problem::NotFound("there is no export with this id, or it was removed".to_owned())
}

/// `GET /api/v1/exports/{id}`
#[utoipa::path(
    operation_id = "get_export",
    get, path = "/api/v1/exports/{id}", tag = "Exports", security(("token" = []), ("session" = [])),
    summary = "An export and its state",
    params(("id" = String, Path, description = "The id of the export", example = "5b1f3a9e0c7d42e68f1b2a3c4d5e6f70")),
    responses((status = 200, description = "The export", body = Export), ExportProblems),
)]
pub async fn one(
    api: Data<ApiState>,
    caller: Caller,
    _: Query<NoParameters>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    allowed(&caller)?;
    let job = api.exports.find(caller.token, &id).ok_or_else(unknown)?;
    Ok(respond(&mut HttpResponse::Ok(), &Export::from(job)))
}

/// `GET /api/v1/exports/{id}/file`
#[utoipa::path(
    operation_id = "get_export_file",
    get, path = "/api/v1/exports/{id}/file", tag = "Exports", security(("token" = []), ("ticket" = []), ("session" = [])),
    summary = "The file of an export that is done",
    description = "Supports `Range` and `If-Range`, so that a download that broke off can go on.",
    params(("id" = String, Path, description = "The id of the export", example = "5b1f3a9e0c7d42e68f1b2a3c4d5e6f70")),
    responses(ExportFileResponses),
)]
pub async fn file(
    api: Data<ApiState>,
    caller: Caller,
    _: Query<FileParameters>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    allowed(&caller)?;
    let job = api.exports.find(caller.token, &id).ok_or_else(unknown)?;
    let ExportState::Done { size, .. } = job.state else { return Err(Problem::ExportNotReady) };
    let etag = EntityTag::new_strong(job.id.clone());
    if is_known(&request, &etag) {
        return Ok(HttpResponse::NotModified().insert_header(ETag(etag)).finish());
    }
    // The file may have been removed meanwhile, as by an erasure.
    let file = Arc::new(api.exports.open(&job).map_err(|_| unknown())?);
    let range = requested_range(&request, &etag, size)?;
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CONTENT_TYPE, job.format.content_type()))
        .insert_header(ContentDisposition::attachment(format!("{}.{}", job.list, job.format.as_str())))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CACHE_CONTROL, REVALIDATE))
        .insert_header(ETag(etag));
    if let Some(Range { start, end }) = range {
        let range = Some((start, end - 1));
        response.insert_header(ContentRange(ContentRangeSpec::Bytes { range, instance_length: Some(size) }));
    }
    let range = range.unwrap_or(0..size);
    let length = range.end - range.start;
    let range = if request.method() == Method::HEAD { 0..0 } else { range };
    Ok(response.body(SizedStream::new(length, crate::blob::chunks(file, range))))
}
