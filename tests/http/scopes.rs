//! For a token for some instances, the others do not exist. Requests about them have the same answers as requests
//! about things that do not exist.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::media::{Given, given};
use crate::media::{JPEG, key};
use crate::support::client;
use crate::support::database::tokens::token;
use crate::support::database::world::{World, on_both};
use crate::support::events::{ack, reaction, received, sent};
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::service::{Service, answer};

/// Every route that can name something of another instance. `{instance}`, `{message}`, `{chat}` and `{hash}` stand for
/// ids.
const ROUTES: [&str; 23] = [
    "/api/v1/media/{hash}",
    "/api/v1/messages/{instance}/{message}/media",
    "/api/v1/messages/{instance}/{message}",
    "/api/v1/messages?instance_id={instance}",
    "/api/v1/messages?chat_id={chat}",
    "/api/v1/messages?instance_id={instance}&q=hola",
    "/api/v1/messages?chat_id={chat}&q=hola",
    "/api/v1/chats?instance_id={instance}",
    "/api/v1/chats?instance_id={instance}&unanswered=true",
    "/api/v1/chats/{instance}/{chat}",
    "/api/v1/chats/{instance}/{chat}/messages",
    "/api/v1/acks?instance_id={instance}",
    "/api/v1/acks?message_id={message}",
    "/api/v1/reactions?instance_id={instance}",
    "/api/v1/media?instance_id={instance}",
    "/api/v1/media?message_id={message}",
    "/api/v1/events?instance_id={instance}",
    "/api/v1/events?message_id={message}",
    "/api/v1/events?after=beginning&instance_id={instance}",
    "/api/v1/stats/messages?instance_id={instance}&by=week&since=2024-08-01&until=2024-09-01",
    "/api/v1/stats/delivery?instance_id={instance}&since=2024-08-01&until=2024-09-01",
    "/api/v1/stats/responses?instance_id={instance}&since=2024-08-01&until=2024-09-01",
    "/api/v1/stats/hours?instance_id={instance}&since=2024-08-01&until=2024-09-01",
];

/// Every route that lists what exists without naming an instance.
const LISTS: [&str; 16] = [
    "/api/v1/messages",
    "/api/v1/messages?time=received&order=asc",
    "/api/v1/messages?q=hola",
    "/api/v1/messages?has_media=true",
    "/api/v1/messages?kind=person,group",
    "/api/v1/chats",
    "/api/v1/chats?kind=person,group,status,broadcast,channel,other",
    "/api/v1/chats?unanswered=true",
    "/api/v1/chats?q=220000",
    "/api/v1/acks",
    "/api/v1/reactions",
    "/api/v1/media",
    "/api/v1/media?kind=person,group",
    "/api/v1/media?state=stored",
    "/api/v1/events",
    "/api/v1/instances",
];

/// The content of a file that only instance 8 has.
const THEIRS: &[u8] = b"%PDF-1.7\n%of instance 8";

/// The ids to put into a route.
#[derive(Clone)]
struct Ids {
    instance: &'static str,
    message: &'static str,
    chat: &'static str,
    hash: String,
}

impl Ids {
    fn in_place(&self, route: &str) -> String {
        let parts =
            [("{instance}", self.instance), ("{message}", self.message), ("{chat}", self.chat), ("{hash}", &self.hash)];
        parts.iter().fold(route.to_owned(), |path, (name, id)| path.replace(name, id))
    }

    /// Removes these ids from a text, so that it can be compared with one about others.
    fn out_of(&self, text: &str) -> String {
        let quoted = |id: &str| format!("{id:?}");
        [self.hash.as_str(), self.chat]
            .iter()
            .fold(text.replace(&quoted(self.message), "ID"), |text, id| text.replace(id, "ID"))
            .replace(&quoted(self.instance), "ID")
    }
}

/// Returns the ids of instance 8: those of a message whose file is stored, and of one whose file is not.
fn theirs() -> [Ids; 2] {
    let chat = "573002220000@c.us";
    let stored = Ids { instance: "8", message: "THEIRS", chat, hash: key(THEIRS).to_string() };
    [stored.clone(), Ids { message: "PENDING", ..stored }]
}

fn nowhere() -> Ids {
    Ids { instance: "9", message: "NOBODYS", chat: "573009990000@c.us", hash: key(b"nowhere").to_string() }
}

/// Starts a service with instance 7, for which the caller has a token, and instance 8, which has everything that can be
/// requested.
async fn start(world: &World) -> (Service, FileServer) {
    let gateway = FileServer::start().await;
    gateway.reply("/mine.jpg", Reply::file(JPEG));
    gateway.reply("/theirs.pdf", Reply::file(THEIRS));
    gateway.reply("/again.jpg", Reply::file(JPEG));
    gateway.reply("/later.jpg", Reply::status_with(429, "Retry-After: 3600\r\n"));
    let service = crate::media::service(world, &gateway, &[]).await;
    for (instance, id, url) in [
        ("7", "MINE", "/mine.jpg"),
        ("8", "THEIRS", "/theirs.pdf"),
        ("8", "AGAIN", "/again.jpg"),
        ("8", "PENDING", "/later.jpg"),
    ] {
        let chat = format!("57300{}220000@c.us", if instance == "7" { 1 } else { 2 });
        let fields = json!({"chat_id": chat, "from": chat, "type": "image", "media_url": url});
        service.deliver(&format!("/webhook/{instance}"), received(id, fields)).await.accepted();
    }
    for (instance, id) in [("7", "MINE"), ("8", "THEIRS")] {
        let path = format!("/webhook/{instance}");
        let answered = sent(&format!("{id}-ANSWER"), json!({"chat_id": format!("57300{instance}330000@c.us")}));
        for body in [ack(id, "read"), reaction(id, "573001112233@c.us", json!("👍"), json!(1_724_717_000)), answered]
        {
            service.deliver(&path, body).await.accepted();
        }
        let answered = received(&format!("{id}-EARLIER"), json!({"chat_id": format!("57300{instance}330000@c.us")}));
        service.deliver(&path, answered).await.accepted();
    }
    let tried = "SELECT count(*) FROM media WHERE state = 'stored' OR reason IS NOT NULL";
    crate::support::eventually("each file was attempted", async || world.value(tried).await == "4").await;
    (service, gateway)
}

/// Returns all that an answer says, without what differs between requests.
fn summary(given: &Given, ids: &Ids) -> (u16, BTreeMap<String, String>, String) {
    let own = |name: &str| ["date", "x-request-id"].contains(&name);
    let headers = given.headers.iter().filter(|(name, _)| !own(name.as_str()));
    let headers =
        headers.map(|(name, value)| (name.to_string(), ids.out_of(value.to_str().expect("the value is text"))));
    (given.status, headers.collect(), ids.out_of(&String::from_utf8_lossy(&given.body)))
}

/// Returns the kinds of requests, each of which could reveal something in its own way.
fn requests(ids: &Ids) -> Vec<(Method, &'static str, String)> {
    vec![
        (Method::GET, "Accept", "*/*".to_owned()),
        (Method::HEAD, "Accept", "*/*".to_owned()),
        (Method::GET, "If-None-Match", format!("\"{}\"", ids.hash)),
        (Method::GET, "If-None-Match", "*".to_owned()),
        (Method::GET, "Range", "bytes=0-0".to_owned()),
        (Method::GET, "Range", "bytes=99999-".to_owned()),
        (Method::GET, "Accept-Encoding", "gzip".to_owned()),
        (Method::POST, "Accept", "*/*".to_owned()),
    ]
}

fn request(service: &Service, method: &Method, path: &str) -> RequestBuilder {
    client().request(method.clone(), format!("http://{}{path}", service.api_address))
}

#[test(flavor = "multi_thread")]
async fn requests_about_other_instances_are_answered_as_if_these_did_not_exist() {
    on_both(async |world| {
        let (service, _gateway) = start(&world).await;
        let mine = token(&world, &["7"]).await;
        let ticket = answer(service.post("/api/v1/tickets", "").bearer_auth(mine.text())).await;
        let ticket = ticket.body["ticket"].as_str().expect("the value is text").to_owned();
        for (route, theirs) in ROUTES.iter().flat_map(|route| theirs().map(|ids| (route, ids))) {
            let nowhere = nowhere();
            let mut differs_for_the_owner = false;
            for (n, (method, header, value)) in requests(&theirs).into_iter().enumerate() {
                // An answer that repeats the question is compressed to other bytes.
                if value == "gzip" && route.contains("/stats/") {
                    continue;
                }
                let (_, _, value_nowhere) = requests(&nowhere).remove(n);
                let ask = async |ids: &Ids, value: &str, token: Option<&str>| {
                    let path = ids.in_place(route);
                    let request = match token {
                        Some(token) => request(&service, &method, &path).bearer_auth(token),
                        None => request(&service, &method, &format!("{path}?ticket={ticket}")),
                    };
                    summary(&given(request.header(header, value)).await, ids)
                };
                for token in [Some(mine.text()), None] {
                    let (about, unknown) =
                        (ask(&theirs, &value, token).await, ask(&nowhere, &value_nowhere, token).await);
                    assert_eq!(about, unknown, "{method} {route} {header}: {value}");
                }
                let owner = service.token();
                let owner = Some(owner.as_str());
                differs_for_the_owner |=
                    ask(&theirs, &value, owner).await != ask(&nowhere, &value_nowhere, owner).await;
            }
            assert!(differs_for_the_owner, "{route}: there is nothing to see, so this proves nothing");
        }
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn lists_show_only_rows_that_the_token_may_see() {
    on_both(async |world| {
        let (service, _gateway) = start(&world).await;
        let mine = token(&world, &["7"]).await;
        for list in LISTS {
            let seen = async |token: &str| answer(service.get(list).bearer_auth(token)).await.body["data"].clone();
            let (own, all) = (seen(mine.text()).await, seen(&service.token()).await);
            let instances = |rows: &Value| {
                let rows = rows.as_array().expect("the value is a list").iter();
                rows.map(|row| row["instance_id"].as_str().expect("the row has an instance").to_owned())
                    .collect::<BTreeSet<_>>()
            };
            assert_eq!(instances(&own), BTreeSet::from(["7".to_owned()]), "{list}");
            assert_eq!(instances(&all).len(), 2, "{list}");
            let row = own.to_string();
            assert!(!["THEIRS", "AGAIN", "PENDING", "573002220000"].iter().any(|id| row.contains(id)), "{list}: {row}");
        }
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn an_id_that_two_instances_have_is_for_each_its_own() {
    on_both(async |world| {
        let (service, _gateway) = start(&world).await;
        let path = format!("/api/v1/media/{}", key(JPEG));
        for (instance, name) in [("7", "mine.jpg"), ("8", "again.jpg")] {
            let token = token(&world, &[instance]).await;
            let file = given(service.get(&path).bearer_auth(token.text())).await;
            assert_eq!((file.status, file.body.as_slice()), (200, JPEG));
            assert_eq!(file.header("content-disposition"), format!("inline; filename=\"{name}\""));
        }
        let both = token(&world, &["7", "8"]).await;
        for hash in [key(JPEG), key(THEIRS)] {
            let file = given(service.get(&format!("/api/v1/media/{hash}")).bearer_auth(both.text())).await;
            assert_eq!(file.status, 200);
        }
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn events_without_an_instance_need_a_token_for_everything() {
    on_both(async |world| {
        let gateway = FileServer::start().await;
        gateway.reply("/a.jpg", Reply::file(JPEG));
        let service = crate::media::service(&world, &gateway, &[]).await;
        let fields = json!({"type": "image", "media_url": "/a.jpg"});
        service.deliver("/webhook", received("A", fields)).await.accepted();
        crate::media::all_end(&world).await;
        assert_eq!(world.value("SELECT instance_id FROM media WHERE state = 'stored'").await, "-");
        let (some, all) = (token(&world, &["7"]).await, token(&world, &[]).await);
        for path in [format!("/api/v1/media/{}", key(JPEG)), "/api/v1/messages/-/A/media".to_owned()] {
            assert_eq!(given(service.get(&path).bearer_auth(some.text())).await.status, 404, "{path}");
            assert_eq!(given(service.get(&path).bearer_auth(all.text())).await.status, 200, "{path}");
        }
        service.stop().await;
    })
    .await;
}

/// Forwards hand on the events of all instances.
#[test]
async fn forwards_are_shown_to_a_token_for_everything_alone() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        world.execute("INSERT INTO forwards (name, position) VALUES ('bot', 0)").await;
        for (instances, names) in [(&[][..], &["bot"][..]), (&["7"][..], &[][..])] {
            let known = token(&world, instances).await;
            let listed = answer(service.get("/api/v1/forwards").bearer_auth(known.text())).await;
            let listed = listed.body["data"].as_array().expect("it is a list").clone();
            assert_eq!(listed.iter().map(|it| it["name"].clone()).collect::<Vec<_>>(), names, "{instances:?}");
        }
        service.stop().await;
    })
    .await;
}
