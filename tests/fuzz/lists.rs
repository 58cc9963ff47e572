//! The read API: both databases give the same answer to every request, and never one that is an error of the server.

use buzon::domain::event::Event;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::mutation::mutated_text;
use super::{corpus, hold_slowly};
use crate::support::clock::later;
use crate::support::database::world::{Backend, World, record};
use crate::support::events::{SECRET, ack, event, reaction, received, sent};
use crate::support::program::service::Service;

const SETTINGS: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")];

/// Data of every kind that can be requested.
fn events() -> Vec<Event> {
    let message = |n: i64| {
        let id = format!("{}{n}", if n % 2 == 0 { "A" } else { "ñ" });
        let chat = format!("57300111223{}@c.us", n % 3);
        let fields = json!({"chat_id": chat, "body": format!("Hola, menú {n}"), "timestamp": 1_724_716_800 + n % 4,
                            "media_url": if n % 5 == 0 { "/a.jpg" } else { "" }});
        let body = if n % 3 == 0 { sent(&id, fields) } else { received(&id, fields) };
        [body, ack(&id, "read"), reaction(&id, &chat, json!("👍"), json!(1_724_716_800 + n)), b"{}".to_vec()]
    };
    let instance = |n: usize| ["7", "8", "-"][n % 3];
    let bodies = (0..12).flat_map(message).enumerate();
    bodies.map(|(n, body)| event(instance(n), body, later(n as i64))).collect()
}

/// Returns the status, and the answer without what depends on the moment or the database.
async fn ask(service: &Service, token: &str, question: &str) -> (u16, Option<Value>) {
    let response = service.get(&format!("/api/v1/{question}")).bearer_auth(token).send().await;
    let response = response.expect("the server answers");
    let status = response.status().as_u16();
    let timeless = status == 200 && !question.starts_with("stats") && !question.starts_with("instances");
    let mut body: Option<Value> = if timeless { response.json().await.ok() } else { None };
    // A position is of one database.
    body.as_mut().and_then(Value::as_object_mut).and_then(|body| body.remove("next_after"));
    (status, body)
}

#[test]
fn every_request_has_the_same_answer_on_both_databases_and_never_a_server_error() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let worlds = runtime.block_on(async { [World::new(Backend::Sqlite).await, World::new(Backend::Postgres).await] });
    let services = worlds.each_ref().map(|world| {
        runtime.block_on(async {
            let store = world.open().await;
            record(&store, &events()).await;
            store.close().await;
            Service::start_with(world, SETTINGS).await
        })
    });
    let tokens = services.each_ref().map(Service::token);
    hold_slowly(300, &mutated_text(corpus::lines("lists")), |question| {
        // Streams have no end, and a path with `..` leads to another route.
        prop_assume!(!question.contains("..") && !question.starts_with("stream"));
        let answers = [0, 1].map(|n| runtime.block_on(ask(&services[n], &tokens[n], &question)));
        prop_assert_eq!(&answers[0], &answers[1]);
        prop_assert!([200, 400, 404].contains(&answers[0].0), "{}", answers[0].0);
        Ok(())
    });
    services.into_iter().for_each(|service| runtime.block_on(service.stop()));
}
