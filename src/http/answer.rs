//! What the read API answers: one thing, or a page of a list.

use actix_web::http::header::{ETag, EntityTag};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::conditional::is_known;
use crate::domain::page::Page;
use crate::domain::timestamp::Timestamp;

/// A page of a list. The walk is over when `next_cursor` is null.
#[derive(Serialize, ToSchema)]
pub struct ListAnswer<T> {
    pub data: Vec<T>,
    /// Give it as `cursor` for the page that follows.
    #[schema(example = "eyJsaXN0IjoibWVzc2FnZXMifQ", required = true)]
    pub next_cursor: Option<String>,
    /// Give it as `cursor` for the page before.
    #[schema(example = json!(null), required = true)]
    pub prev_cursor: Option<String>,
}

impl<T> ListAnswer<T> {
    pub fn empty() -> Self {
        Self { data: vec![], next_cursor: None, prev_cursor: None }
    }

    /// `list` names the list for its cursors.
    pub fn new<K>(list: &str, page: Page<T, K>) -> Self
    where
        K: Serialize + serde::de::DeserializeOwned,
    {
        Self {
            next_cursor: page.next.map(|cursor| cursor.encode(list)),
            prev_cursor: page.previous.map(|cursor| cursor.encode(list)),
            data: page.rows,
        }
    }
}

/// One thing, with an ETag: who has it already is told so.
pub fn item(request: &HttpRequest, thing: &impl Serialize) -> HttpResponse {
    let body = serde_json::to_vec(thing).expect("what the API answers is JSON");
    // Weak, because it may be sent compressed.
    let etag = EntityTag::new_weak(hex::encode(&Sha256::digest(&body)[..16]));
    if is_known(request, &etag) {
        return HttpResponse::NotModified().insert_header(ETag(etag)).finish();
    }
    HttpResponse::Ok().insert_header(ETag(etag)).content_type("application/json").body(body)
}

/// A time as the API shows it: RFC 3339 in UTC, with milliseconds where there are some.
pub fn shown(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    match text.strip_suffix(".000Z") {
        Some(seconds) => format!("{seconds}Z"),
        None => text,
    }
}
