//! Several processes on one PostgreSQL server.

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::json;

use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, ack, sent, sign};
use crate::support::program::process::Buzon;

const SIGNED: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET)];

async fn deliver(client: &Client, buzon: &Buzon, path: &str, body: Vec<u8>) {
    let url = format!("http://{}{path}", buzon.address);
    let request = client.post(url).header("X-Whapi-Signature", sign(SECRET, &body)).body(body);
    assert_eq!(request.send().await.expect("it answers").status(), 200);
}

#[test(flavor = "multi_thread")]
async fn an_ack_that_races_its_message_in_another_process_always_finds_it() {
    let world = World::empty(Backend::Postgres).await;
    let (one, two) = (Buzon::serve(&world, SIGNED).await, Buzon::serve(&world, SIGNED).await);
    let client = crate::support::client();
    let races = (0..300).map(|n| {
        let (one, two, client) = (&one, &two, &client);
        let (id, words) = (format!("A{n}"), ["delivered", "read"]);
        async move {
            let (message, acks) = if n % 2 == 0 { (one, two) } else { (two, one) };
            // Some acks have the guide's form without an instance, others name one in the path.
            let path = if n % 3 == 0 { "/webhook" } else { "/webhook/7" };
            tokio::join!(
                deliver(client, message, "/webhook/7", sent(&id, json!({}))),
                deliver(client, acks, path, ack(&id, words[0])),
                deliver(client, message, path, ack(&id, words[1])),
            )
        }
    });
    join_all(races).await;
    assert_eq!(world.rows("SELECT ack, count(*) FROM messages GROUP BY ack").await, ["read|300"]);
    assert_eq!(world.value("SELECT count(*) FROM message_acks WHERE instance_id = '7'").await, "600");
    one.kill().await;
    two.kill().await;
}

#[test(flavor = "multi_thread")]
async fn processes_that_start_together_on_an_empty_database_all_serve() {
    let world = World::empty(Backend::Postgres).await;
    let processes = join_all((0..3).map(|_| Buzon::serve(&world, SIGNED))).await;
    let client = crate::support::client();
    let body = |n: usize| sent(&format!("A{n}"), json!({}));
    join_all(processes.iter().flat_map(|buzon| (0..20).map(|n| deliver(&client, buzon, "/webhook/7", body(n))))).await;
    assert_eq!(world.rows("SELECT count(*), sum(deliveries)::int8 FROM events").await, ["20|60"]);
    assert_eq!(world.value("SELECT message_count FROM chats").await, "20");
}
