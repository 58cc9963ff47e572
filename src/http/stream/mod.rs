//! The stream: `GET /api/v1/stream`.

use std::collections::BTreeSet;
use std::convert::Infallible;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::unfold;
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::http::api::parameters;
use crate::http::api::parameters::invalid;
use crate::http::auth::access::Caller;
use crate::http::openapi::problem_docs::StreamProblems;
use crate::http::stream::feed::{position, since_seq};
use crate::http::stream::follower::Follower;
use crate::http::stream::streams::Streams;
use domain::instance::InstanceId;
use store::FeedFilter;

pub mod feed;
pub mod follower;
pub mod streams;

const LAST_EVENT_ID: &str = "Last-Event-ID";

/// What is followed.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct StreamParameters {
    /// Of this instance, or of these, with commas between them.
    #[param(example = "123")]
    instance_id: Option<String>,
    /// Events of this type, or of these, with commas between them; `media` stands for files.
    #[param(example = "message_received,ack_update,media")]
    event: Option<String>,
    /// Begin after this number. `Last-Event-ID` comes before it; without either, the stream begins now.
    #[param(value_type = Option<i64>, minimum = 0, example = 4711)]
    since_seq: Option<String>,
    /// A ticket, for an `EventSource`, which cannot send a token.
    ticket: Option<String>,
}

/// `GET /api/v1/stream`
#[utoipa::path(
    operation_id = "follow_stream",
    get, path = "/api/v1/stream", tag = "Ledger", security(("token" = []), ("ticket" = [])),
    params(
        StreamParameters,
        ("Last-Event-ID" = Option<i64>, Header, description = "What an `EventSource` sends when it connects again",
            example = 4711),
    ),
    summary = "The feed as it happens, as server-sent events",
    description = "Each item of the feed comes with its number as `id` and itself as `data`. Its name, after `event:`, is \
                   `event` or `media`, and nothing else: the type of an event is in the data, as `event_type`. A `media` \
                   item says that a file has been stored, or that it was given up; the message that it came with can then \
                   be asked for again. A client that connects again goes on where it was, and misses nothing. Every 15 \
                   seconds without an item there is a comment, with the `id` up to which everything was sent. A client that \
                   does not read for 30 seconds is dropped, and a token that has ended ends its streams within 5 seconds. \
                   There are 256 streams at most, 64 for one token, and 64 are kept for the owner's token. \
                   A ticket is good for connecting, not for connecting again after five minutes: have another one made, \
                   and begin where you were.\n\nIn a page:\n\n```js\nlet since = '';\n\
                   const again = () => setTimeout(() => follow().catch(again), 2000);\n\
                   async function follow() {\n  \
                   const headers = {Authorization: 'Bearer ' + token};\n  \
                   const {ticket} = await (await fetch('/api/v1/tickets', {method: 'POST', headers})).json();\n  \
                   const stream = new EventSource(`/api/v1/stream?ticket=${ticket}${since && '&since_seq=' + since}`);\n  \
                   const seen = item => { since = item.lastEventId; show(JSON.parse(item.data)); };\n  \
                   stream.addEventListener('event', seen);\n  \
                   stream.addEventListener('media', seen);\n  \
                   stream.onerror = () => { stream.close(); again(); };\n}\n\
                   follow().catch(again);\n```",
    responses(
        (
            status = 200, description = "It does not end", content_type = "text/event-stream", body = String,
            example = "retry: 2000\nid: 4710\n\nid: 4711\nevent: event\ndata: {\"kind\":\"event\",\"seq\":4711,\
                       \"instance_id\":\"-\",\"event_type\":\"ack_update\",\"chat_id\":null,\"state\":\"applied\",\"timestamp\":1724716803,\
                       \"received_at\":\"2024-08-27T00:00:03.100Z\",\
                       \"changes\":[{\"instance_id\":\"123\",\"message_id\":\"ABCD1234\"}]}\n\nid: 4712\nevent: media\n\
                       data: {\"kind\":\"media\",\"seq\":4712,\"instance_id\":\"123\",\"message_id\":\"ABCD1234\",\
                       \"state\":\"stored\",\"reason\":null,\
                       \"changes\":[{\"instance_id\":\"123\",\"message_id\":\"ABCD1234\"}]}\n\n",
        ),
        StreamProblems,
    ),
)]
pub async fn follow(streams: Data<Streams>, reader: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let parameters: StreamParameters = parameters::read(&request)?;
    let filter = parameters.filter()?;
    let since = last_event_id(&request)?.or(since_seq(&parameters.since_seq)?);
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Nothing on the way is to hold it back, in order to compress or to buffer it.
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header(("X-Accel-Buffering", "no"))
        .force_close();
    if request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let slot = streams.slot(&reader)?;
    let since = match since {
        Some(since) => since,
        None => streams.latest_seq().await?,
    };
    let (follower, chunks) = Follower::new(streams.into_inner(), reader, filter, since, slot);
    tokio::spawn(follower.run());
    let body = unfold(chunks, |mut chunks| async { Some((Ok::<_, Infallible>(chunks.recv().await?), chunks)) });
    Ok(response.streaming(body))
}

/// A browser connects again with the URL that it had, so this is later news than what the URL says.
fn last_event_id(request: &HttpRequest) -> Result<Option<i64>, Problem> {
    let value = request.headers().get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?").trim());
    let given = value.filter(|value| !value.is_empty());
    given.map(position).transpose().map_err(|expected| invalid(LAST_EVENT_ID, expected))
}

impl StreamParameters {
    fn filter(&self) -> Result<FeedFilter, Problem> {
        let instances = elements(&self.instance_id).map(InstanceId::new).collect::<Result<BTreeSet<_>, _>>();
        Ok(FeedFilter {
            instances: instances.map_err(|error| invalid("instance_id", error))?,
            event_types: elements(&self.event).map(str::to_owned).collect(),
        })
    }
}

fn elements(list: &Option<String>) -> impl Iterator<Item = &str> {
    let text = list.as_deref().unwrap_or_default();
    text.split(',').map(str::trim).filter(|element| !element.is_empty())
}
