//! The bytes of stored files, for callers that may see a message that came with them.
//!
//! Strangers chose the content. Nothing of it may run in the owner's browser: the content type was found from the bytes
//! and browsers may not guess another, only a few types are shown in place, and everything is sandboxed.

use std::ops::Range;
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT_RANGES, ByteRangeSpec, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, Charset, ContentDisposition,
    ContentRange, ContentRangeSpec, DispositionParam, DispositionType, ETag, EntityTag, ExtendedValue, Header, IfRange,
    LOCATION, REFERRER_POLICY, Range as RangeHeader, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::TryStreamExt;
use serde::Deserialize;
use tracing::warn;
use utoipa::IntoParams;

use super::parameters::Query;
use super::request::visible;
use crate::blob::Blobs;
use crate::http::auth::access::Caller;
use crate::http::conditional::is_known;
use crate::http::openapi::problems::FileResponses;
use crate::http::problem::Problem;
use crate::http::store_handle::StoreHandle;
use crate::http::{ApiState, REVALIDATE};
use domain::media::StoredFile;
use domain::media::media_type::is_inline_safe;
use domain::media::object_key::ObjectKey;

/// The time for which a redirect to the bucket is valid.
const REDIRECT_VALID: Duration = Duration::from_secs(5 * 60);
/// The content of a hash never changes.
const FOREVER: &str = "private, max-age=31536000, immutable";

/// The stored files.
pub struct MediaFiles {
    store: StoreHandle,
    blobs: Blobs,
    /// True if responses are redirects to the bucket.
    redirect: bool,
}

impl MediaFiles {
    pub fn new(store: StoreHandle, blobs: Blobs, redirect: bool) -> Self {
        Self { store, blobs, redirect }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct FileParameters {
    /// A ticket, for an `<img>`, which cannot send a token.
    ticket: Option<String>,
}

/// `GET /api/v1/media/{sha256}`
#[utoipa::path(
    operation_id = "get_file",
    get, path = "/api/v1/media/{sha256}", tag = "Media", security(("token" = []), ("ticket" = [])),
    summary = "A stored file by its hash",
    description = "Supports `Range` and `If-Range`. Pictures, sound and video are shown in place; all other files are \
                   downloads.",
    params((
        "sha256" = String, Path, description = "The hash of the content: the last part of `media.url` of a message",
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    )),
    responses(FileResponses),
)]
pub async fn by_key(
    api: Data<ApiState>,
    caller: Caller,
    _: Query<FileParameters>,
    key: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key = ObjectKey::parse(&key).ok_or_else(unknown_file)?;
    let scope = caller.scope.clone();
    let file = api.store.ask(|store| async move { store.stored_file(&key, &scope).await }).await?;
    respond(&api.files, &request, &caller, &file.ok_or_else(unknown_file)?, FOREVER).await
}

/// `GET /api/v1/messages/{instance_id}/{id}/media`
#[utoipa::path(
    operation_id = "get_message_file",
    get, path = "/api/v1/messages/{instance_id}/{id}/media", tag = "Media", security(("token" = []), ("ticket" = [])),
    summary = "The stored file of a message",
    description = "The same as by the hash, for clients that do not know it.",
    params(
        ("instance_id" = String, Path, description = "The instance of the message", example = "123"),
        ("id" = String, Path, description = "The id of the message", example = "ABCD1234"),
    ),
    responses(FileResponses),
)]
pub async fn of_message(
    api: Data<ApiState>,
    caller: Caller,
    _: Query<FileParameters>,
    message: Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (instance_id, id) = message.into_inner();
    let instance_id = visible(&caller, &instance_id, &id).ok_or_else(unknown_message)?;
    let query = api.store.ask(|store| async move { store.media_of_message(&instance_id, &id).await });
    let job = query.await?.into_iter().next().ok_or_else(unknown_message)?;
    let Some(file) = job.file else {
        let reason = job.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        return Err(Problem::MediaNotStored(format!("the file is {}{reason}", job.state)));
    };
    respond(&api.files, &request, &caller, &file, REVALIDATE).await
}

fn unknown_file() -> Problem {
    Problem::NotFound("there is no file with this hash".to_owned())
}

fn unknown_message() -> Problem {
    Problem::NotFound("there is no message with this id, or it came without a file".to_owned())
}

async fn respond(
    files: &MediaFiles,
    request: &HttpRequest,
    caller: &Caller,
    file: &StoredFile,
    caching: &'static str,
) -> Result<HttpResponse, Problem> {
    let etag = EntityTag::new_strong(file.object_key.to_string());
    if is_known(request, &etag) {
        return Ok(HttpResponse::NotModified()
            .insert_header(ETag(etag))
            .insert_header((CACHE_CONTROL, caching))
            .finish());
    }
    // The bucket's URL is signed for GET only, and the policy of the page admits no other host.
    if files.redirect && caller.session.is_none() && request.method() == Method::GET {
        return redirect(files, file).await;
    }
    let range = requested_range(request, &etag, file.size)?;
    let mut response = HttpResponse::build(match range {
        Some(_) => StatusCode::PARTIAL_CONTENT,
        None => StatusCode::OK,
    });
    describe(&mut response, file).insert_header(ETag(etag)).insert_header((CACHE_CONTROL, caching));
    if let Some(range) = &range {
        let range = Some((range.start, range.end - 1));
        response.insert_header(ContentRange(ContentRangeSpec::Bytes { range, instance_length: Some(file.size) }));
    }
    body(files, request, file, range.unwrap_or(0..file.size), response).await
}

/// Adds headers that say what the file is, and that it may do nothing.
fn describe<'r>(response: &'r mut HttpResponseBuilder, file: &StoredFile) -> &'r mut HttpResponseBuilder {
    response
        .insert_header((CONTENT_TYPE, file.content_type.as_str()))
        .insert_header(disposition(file))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
}

async fn body(
    files: &MediaFiles,
    request: &HttpRequest,
    file: &StoredFile,
    range: Range<u64>,
    mut response: HttpResponseBuilder,
) -> Result<HttpResponse, Problem> {
    let length = range.end - range.start;
    // A HEAD checks that the file exists and reads nothing of it.
    let range = if request.method() == Method::HEAD { 0..0 } else { range };
    let (blobs, key) = (files.blobs.clone(), file.object_key.clone());
    let bytes = files.store.run(async move { blobs.read(&key, range).await }).await?;
    let bytes = bytes.inspect_err(|error| warn!(%error, "a file broke off while it was being sent"));
    Ok(response.body(SizedStream::new(length, bytes)))
}

async fn redirect(files: &MediaFiles, file: &StoredFile) -> Result<HttpResponse, Problem> {
    let (blobs, file, disposition) = (files.blobs.clone(), file.clone(), disposition(file).to_string());
    let url = files
        .store
        .run(async move { blobs.presign(&file.object_key, &file.content_type, &disposition, REDIRECT_VALID).await });
    let url = url.await?.ok_or(Problem::MediaMissing)?;
    let mut response = HttpResponse::TemporaryRedirect();
    Ok(response.insert_header((LOCATION, url.as_str())).insert_header((CACHE_CONTROL, "no-store")).finish())
}

/// Returns `inline` for the few types that are safe to show, with the original name.
fn disposition(file: &StoredFile) -> ContentDisposition {
    let disposition = match is_inline_safe(&file.content_type) {
        true => DispositionType::Inline,
        false => DispositionType::Attachment,
    };
    let parameters = file.served_name().into_iter().map(|name| match is_printable(&name) {
        true => DispositionParam::Filename(name),
        false => DispositionParam::FilenameExt(ExtendedValue {
            charset: Charset::Ext("UTF-8".to_owned()),
            language_tag: None,
            value: name.into_bytes(),
        }),
    });
    ContentDisposition { disposition, parameters: parameters.collect() }
}

/// Returns true if a quoted text in a header can hold the name. Names from the gateway have no control characters; the row
/// in the database is not trusted to be as it was written.
fn is_printable(name: &str) -> bool {
    name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Returns the requested range; `None` stands for the whole file. Several ranges at once are answered with the whole file,
/// which RFC 9110 allows. A HEAD is about the whole file too (RFC 9110, section 14.2).
pub(super) fn requested_range(
    request: &HttpRequest,
    etag: &EntityTag,
    size: u64,
) -> Result<Option<Range<u64>>, Problem> {
    if request.method() != Method::GET {
        return Ok(None);
    }
    let Ok(RangeHeader::Bytes(parts)) = RangeHeader::parse(request) else { return Ok(None) };
    let [part] = parts.as_slice() else { return Ok(None) };
    if matches!(part, ByteRangeSpec::FromTo(first, last) if first > last) {
        return Ok(None);
    }
    let other_version = match IfRange::parse(request) {
        Ok(IfRange::EntityTag(tag)) => !tag.strong_eq(etag),
        Ok(IfRange::Date(_)) => true,
        Err(_) => request.headers().contains_key("if-range"),
    };
    if other_version {
        return Ok(None);
    }
    let (first, last) = part.to_satisfiable_range(size).ok_or(Problem::RangeNotSatisfiable(size))?;
    Ok(Some(first..last + 1))
}
