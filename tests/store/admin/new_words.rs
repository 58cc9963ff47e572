//! PostgreSQL's list of pending words is merged into their index beside the writer.

use serde_json::json;

use crate::support::clock::later;
use crate::support::database::world::{Backend, World, record};
use crate::support::events::{event, received};
use crate::support::eventually;

const PAGES: &str = "SELECT n_pending_pages FROM gin_metapage_info(get_raw_page('message_words', 0))";

#[test(flavor = "multi_thread")]
async fn the_list_of_new_words_is_merged_long_before_the_writer_would_do_it() {
    let world = World::new(Backend::Postgres).await;
    let store = world.open().await;
    world.execute("CREATE EXTENSION pageinspect").await;
    // Autovacuum would merge the list too.
    world.execute("ALTER TABLE message_search SET (autovacuum_enabled = off)").await;
    let pages = async || world.value(PAGES).await.parse::<u64>().expect("it is a number");
    let message = |n: i64| {
        let words: Vec<String> = (0..40).map(|word| format!("{n:05}w{word:03}")).collect();
        event("7", received(&n.to_string(), json!({ "body": words.join(" ") })), later(n))
    };
    for batch in 0..4 {
        record(&store, &Vec::from_iter((0..100).map(|place| message(batch * 100 + place)))).await;
    }
    let some = pages().await;
    assert!(some > 40, "{some}");
    // Together, the batches fill half of what the writer lets the list become.
    for batch in 4..10 {
        record(&store, &Vec::from_iter((0..100).map(|place| message(batch * 100 + place)))).await;
    }
    eventually("the list is short", async || pages().await < some).await;
    store.close().await;
}
