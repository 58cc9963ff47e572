//! The answers of the read API: the page of a list, and the format of times.

use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use domain::page::Page;
use domain::time::timestamp::Timestamp;

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
    pub fn new<K: Serialize + DeserializeOwned>(list: &str, page: Page<T, K>) -> Self {
        Self {
            next_cursor: page.next.map(|cursor| cursor.encode(list)),
            prev_cursor: page.previous.map(|cursor| cursor.encode(list)),
            data: page.rows,
        }
    }
}

/// JSON with a line end, so that at a terminal the prompt has a line of its own.
pub fn json_line(thing: &impl Serialize) -> Vec<u8> {
    let mut body = serde_json::to_vec(thing).expect("what is answered is JSON");
    body.push(b'\n');
    body
}

/// An answer with this JSON.
pub fn json(response: &mut HttpResponseBuilder, thing: &impl Serialize) -> HttpResponse {
    response.content_type("application/json").body(json_line(thing))
}

/// A time as the API shows it: RFC 3339 in UTC, with milliseconds where there are some.
pub fn shown(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    match text.strip_suffix(".000Z") {
        Some(seconds) => format!("{seconds}Z"),
        None => text,
    }
}
