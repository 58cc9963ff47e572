//! The stream: `GET /api/v1/stream`.

use std::collections::BTreeSet;
use std::convert::Infallible;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::unfold;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

use crate::http::ApiState;
use crate::http::api::parameters::{Query, invalid, list};
use crate::http::auth::access::Caller;
use crate::http::openapi::problems::StreamProblems;
use crate::http::problem::Problem;
use domain::instance::InstanceId;
use domain::page::position::{FeedStart, Position};
use store::FeedFilter;

pub mod feed;
pub mod follower;
pub mod streams;

use feed::after;
use follower::Follower;

const LAST_EVENT_ID: &str = "Last-Event-ID";

#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct StreamParameters {
    /// Only items of this instance, or of several, separated by commas.
    #[serde(deserialize_with = "instances")]
    #[param(value_type = Option<String>, example = "123")]
    instance_id: Option<BTreeSet<InstanceId>>,
    /// Only events of this type, or of several, separated by commas; `media` stands for files.
    #[serde(deserialize_with = "list")]
    #[param(value_type = Option<String>, example = "message_received,ack_update,media")]
    event: Option<Vec<String>>,
    /// Begin after this position; `beginning` stands for the one before the first event. `Last-Event-ID` takes
    /// precedence; without either, the stream begins now.
    #[serde(deserialize_with = "after")]
    #[param(value_type = Option<String>, example = "beginning")]
    after: Option<FeedStart>,
    /// A ticket, for an `EventSource`, which cannot send a token.
    ticket: Option<String>,
}

fn instances<'de, D: Deserializer<'de>>(value: D) -> Result<Option<BTreeSet<InstanceId>>, D::Error> {
    let ids = list(value)?.unwrap_or_default();
    let ids = ids.iter().map(|id| InstanceId::new(id)).collect::<Result<_, _>>();
    ids.map(Some).map_err(D::Error::custom)
}

/// `GET /api/v1/stream`
#[utoipa::path(
    operation_id = "follow_stream",
    get, path = "/api/v1/stream", tag = "Ledger", security(("token" = []), ("ticket" = [])),
    params(
        StreamParameters,
        ("Last-Event-ID" = Option<String>, Header,
            description = "The position from which an `EventSource` continues when it reconnects", example = "beginning"),
    ),
    summary = "The feed in real time, as server-sent events",
    description = "Each item of the feed comes with the position after it as `id` and itself as `data`. Its name, after `event:`, is \
                   always `event` or `media`: the type of an event is in the data, as `event_type`. A `media` item says \
                   that a file has been stored, or that buzon gave it up; request the message of the file again to see it. \
                   A client that reconnects continues where it was, and misses nothing. After every 15 seconds without an \
                   item there is a comment, with the `id` up to which everything was sent. A client that does not read for \
                   30 seconds is disconnected, and a token that is revoked or expires ends its streams within 5 seconds. \
                   There are at most 256 streams, 64 for one token, and 64 are reserved for the owner's token. \
                   A ticket can be used to connect for five minutes; to reconnect later, request another one and continue \
                   from the last position. After a restore the answer is 400 `position_of_another_history`: what you have \
                   may lack events, and have some that buzon no longer has, so begin again with `after=beginning`. \
                   \n\nIn a page:\n\n```js\nlet after = '';\n\
                   const again = () => setTimeout(() => follow().catch(again), 2000);\n\
                   const headers = {Authorization: 'Bearer ' + token};\n\
                   async function lost() {\n  \
                   const answer = await fetch('/api/v1/events?limit=1&after=' + after, {headers});\n  \
                   return answer.status === 400 && (await answer.json()).code === 'position_of_another_history';\n}\n\
                   async function follow() {\n  \
                   if (after && await lost()) { after = 'beginning'; clear(); }\n  \
                   const {ticket} = await (await fetch('/api/v1/tickets', {method: 'POST', headers})).json();\n  \
                   const stream = new EventSource(`/api/v1/stream?ticket=${ticket}${after && '&after=' + after}`);\n  \
                   const seen = item => { after = item.lastEventId; show(JSON.parse(item.data)); };\n  \
                   stream.addEventListener('event', seen);\n  \
                   stream.addEventListener('media', seen);\n  \
                   stream.onerror = () => { stream.close(); again(); };\n}\n\
                   follow().catch(again);\n```",
    responses(
        (
            status = 200, description = "The stream; it does not end", content_type = "text/event-stream", body = String,
            example = "retry: 2000\nid: LvF1dZ0mFjQAAAAAAAASZg\n\nid: LvF1dZ0mFjQAAAAAAAASZw\nevent: event\n\
                       data: {\"kind\":\"event\",\"id\":\"-/5b1f3a9e0c7d42e68f1b2a3c4d5e6f70\",\
                       \"instance_id\":\"-\",\"event_type\":\"ack_update\",\"chat_id\":null,\"state\":\"applied\",\"timestamp\":1724716803,\
                       \"received_at\":\"2024-08-27T00:00:03.100Z\",\
                       \"changes\":[{\"instance_id\":\"123\",\"message_id\":\"ABCD1234\"}]}\n\nid: LvF1dZ0mFjQAAAAAAAASaA\nevent: media\n\
                       data: {\"kind\":\"media\",\"instance_id\":\"123\",\"message_id\":\"ABCD1234\",\
                       \"state\":\"stored\",\"reason\":null,\
                       \"changes\":[{\"instance_id\":\"123\",\"message_id\":\"ABCD1234\"}]}\n\n",
        ),
        StreamProblems,
    ),
)]
pub async fn follow(
    api: Data<ApiState>,
    caller: Caller,
    Query(parameters): Query<StreamParameters>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let start = last_event_id(&request)?.or(parameters.after);
    let filter = FeedFilter {
        instances: parameters.instance_id.unwrap_or_default(),
        event_types: parameters.event.into_iter().flatten().collect(),
    };
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Keeps proxies from holding the stream back in order to compress or buffer it.
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header(("X-Accel-Buffering", "no"))
        .force_close();
    if request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let streams = api.streams.clone();
    let slot = streams.slot(&caller)?;
    let latest = streams.latest_position().await?;
    let seq = start.map_or(Some(latest.seq), |start| start.number(latest.history, latest.seq));
    let position = Position { seq: seq.ok_or(Problem::PositionOfAnotherHistory)?, ..latest };
    let (follower, chunks) = Follower::new(streams, caller, filter, position, slot);
    tokio::spawn(follower.run());
    let body = unfold(chunks, |mut chunks| async { Some((Ok::<_, Infallible>(chunks.recv().await?), chunks)) });
    Ok(response.streaming(body))
}

/// Reads the header with which a browser reconnects. It reconnects with its old URL, so the header is newer than
/// `after` in the URL.
fn last_event_id(request: &HttpRequest) -> Result<Option<FeedStart>, Problem> {
    let value = request.headers().get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?").trim());
    let given = value.filter(|value| !value.is_empty());
    given.map(FeedStart::parse).transpose().map_err(|expected| invalid(LAST_EVENT_ID, expected))
}
