use std::sync::Arc;

use buzon::domain::access::scope::Scope;
use buzon::domain::event::Event;
use buzon::domain::instance::InstanceId;
use buzon::domain::page::{Paging, SortKey, SortOrder};
use buzon::domain::search::SearchQuery;
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::{MessageFilter, MessageReport, Store};
use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{event, received, sent};

pub fn said(instance: &str, id: &str, fields: Value) -> Event {
    event(instance, received(id, fields), ARRIVAL)
}

pub async fn found_by(store: &Arc<dyn Store>, filter: MessageFilter, limit: u32) -> Vec<String> {
    let paging = Paging { order: SortOrder::NewestFirst, limit, cursor: None, since: None, until: None };
    let found = walk(store, &Scope::All, &filter, paging).await;
    found.into_iter().map(|it| format!("{} {}", it.instance_id, it.id)).collect()
}

/// Returns the messages of all pages. A search that takes long has more pages than its limit asks for.
async fn walk(
    store: &Arc<dyn Store>,
    scope: &Scope,
    filter: &MessageFilter,
    mut paging: Paging<SortKey>,
) -> Vec<MessageReport> {
    let mut found = vec![];
    loop {
        let page = store.list_messages(scope, filter, &paging).await.expect("the search is answered");
        found.extend(page.rows);
        paging.cursor = page.next;
        if paging.cursor.is_none() {
            return found;
        }
    }
}

fn searching(text: &str) -> MessageFilter {
    MessageFilter { search: Some(SearchQuery::parse(text).expect("it is a query")), ..MessageFilter::default() }
}

async fn found(store: &Arc<dyn Store>, text: &str) -> Vec<String> {
    found_by(store, searching(text), 200).await
}

#[test]
async fn words_are_found_without_regard_to_case_and_accents_and_phrases_word_by_word() {
    on_both(async |world| {
        let store = world.open().await;
        let events = [
            said("7", "A", json!({"body": "¿Me manda el MENÚ del día, por favor?", "timestamp": 1724716801})),
            said("7", "B", json!({"body": "El día del menu 👍🏽", "timestamp": 1724716802})),
            said("7", "C", json!({"body": null, "timestamp": 1724716803})),
            said("7", "D", json!({"body": "…", "timestamp": 1724716803})),
        ];
        record(&store, &events).await;
        assert_eq!(found(&store, "menu").await, ["7 B", "7 A"]);
        assert_eq!(found(&store, "DÍA menú").await, ["7 B", "7 A"]);
        assert_eq!(found(&store, "\"menú del día\"").await, ["7 A"]);
        assert_eq!(found(&store, "\"dia del menu\" 👍").await, ["7 B"]);
        assert_eq!(found(&store, "favor manda").await, ["7 A"]);
        assert_eq!(found(&store, "manda 👍").await, [""; 0]);
        assert_eq!(found(&store, "men").await, [""; 0]);
        assert_eq!(world.value("SELECT count(*) FROM message_search").await, "2");
    })
    .await;
}

#[test]
async fn a_search_is_narrowed_by_every_filter_and_by_time() {
    on_both(async |world| {
        let store = world.open().await;
        let elsewhere = json!({"chat_id": "5799@c.us", "timestamp": 1720000000, "type": "image"});
        let events = [said("7", "A", json!({})), said("7", "B", elsewhere), event("8", sent("C", json!({})), ARRIVAL)];
        record(&store, &events).await;
        let hola = || searching("hola");
        let seven = InstanceId::new("7").ok();
        for (filter, expected) in [
            (hola(), &["8 C", "7 A", "7 B"][..]),
            (MessageFilter { instance_id: seven.clone(), ..hola() }, &["7 A", "7 B"]),
            (MessageFilter { instance_id: InstanceId::new("9").ok(), ..hola() }, &[]),
            (MessageFilter { chat_id: Some("5799@c.us".to_owned()), ..hola() }, &["7 B"]),
            (MessageFilter { contact: Some("5799".to_owned()), ..hola() }, &["7 B"]),
            (MessageFilter { contact: Some("5798".to_owned()), ..hola() }, &[]),
            (MessageFilter { kind: Some("image".to_owned()), ..hola() }, &["7 B"]),
            (MessageFilter { from_me: Some(true), ..hola() }, &["8 C"]),
            (MessageFilter { from_me: Some(false), instance_id: seven, ..hola() }, &["7 A", "7 B"]),
        ] {
            assert_eq!(found_by(&store, filter.clone(), 200).await, expected, "{filter:?}");
            assert_eq!(found_by(&store, filter.clone(), 1).await, expected, "{filter:?}");
        }
        let since = Some(Timestamp::from_millis(1_720_000_000_000));
        let until = Some(Timestamp::from_millis(1_724_716_800_000));
        for (since, until, order, expected) in [
            (since, until, SortOrder::NewestFirst, &["B"][..]),
            (until, None, SortOrder::OldestFirst, &["A", "C"]),
            (None, since, SortOrder::NewestFirst, &[]),
            (None, None, SortOrder::OldestFirst, &["B", "A", "C"]),
        ] {
            let paging = Paging { order, limit: 9, cursor: None, since, until };
            let rows = walk(&store, &Scope::All, &hola(), paging).await;
            assert_eq!(rows.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), expected);
        }
        let eight = Scope::Instances(InstanceId::new("8").into_iter().collect());
        let paging = Paging { order: SortOrder::NewestFirst, limit: 9, cursor: None, since: None, until: None };
        let rows = walk(&store, &eight, &hola(), paging).await;
        assert_eq!(rows.len(), 1);
    })
    .await;
}

#[test]
async fn a_walk_over_what_is_found_meets_all_of_it_in_order_also_where_thousands_share_a_second() {
    on_both(async |world| {
        let store = world.open().await;
        let events: Vec<_> = (0..240)
            .map(|n: i64| {
                let month = [1_706_000_000, 1_709_000_000, 1_720_000_000, 1_724_716_800][n as usize % 4];
                let fields = json!({"timestamp": month + n % 3 / 2, "body": if n % 5 == 0 { "hola" } else { "Hola, buenos días" }});
                said(["7", "10", "8"][n as usize % 3], &format!("A{}", n * 37 % 240), fields)
            })
            .collect();
        for batch in events.chunks(60) {
            record(&store, batch).await;
        }
        for text in ["hola", "\"buenos días\""] {
            let all = found_by(&store, searching(text), 200).await;
            assert_eq!(all.len(), if text == "hola" { 240 } else { 192 });
            let listed = found_by(&store, MessageFilter::default(), 200).await;
            let expected: Vec<_> = listed.into_iter().filter(|it| all.contains(it)).collect();
            for limit in [1, 7, 200] {
                assert_eq!(found_by(&store, searching(text), limit).await, expected, "{text} {limit}");
            }
        }
    })
    .await;
}

/// A search goes from week to week.
#[test]
async fn a_message_in_the_first_or_the_last_moment_of_a_week_is_found_in_both_directions() {
    on_both(async |world| {
        let store = world.open().await;
        let times = [
            ("A", "2024-07-29T00:00:00Z"),
            ("B", "2024-08-18T23:59:59.999Z"),
            ("C", "2024-08-19T00:00:00Z"),
            ("D", "2024-08-25T23:59:59.999Z"),
        ];
        record(&store, &times.map(|(id, at)| said("7", id, json!({"timestamp": at})))).await;
        for limit in [1, 9] {
            assert_eq!(found_by(&store, searching("hola"), limit).await, ["7 D", "7 C", "7 B", "7 A"], "{limit}");
        }
        let paging = Paging { order: SortOrder::OldestFirst, limit: 9, cursor: None, since: None, until: None };
        let rows = walk(&store, &Scope::All, &searching("hola"), paging).await;
        assert_eq!(rows.iter().map(|it| it.id.as_str()).collect::<String>(), "ABCD");
    })
    .await;
}

#[test]
async fn words_never_meet_facets_and_operators_are_text() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[said("7", "A", json!({"body": "hola NEAR facets words: a OR b NOT c* 'd' <-> !e"}))]).await;
        for nothing in ["I37", "M202408", "hola OR nada", "hol", "facets : I37"] {
            assert_eq!(found(&store, nothing).await, [""; 0], "{nothing}");
        }
        for all in ["near OR not", "words:a", "{words}:a", "-hola", "^hola", "a:*", "'d':1A", "!hola & !e", "hola\\"] {
            let words = all.replace(|letter: char| !letter.is_alphanumeric(), " ");
            assert_eq!(found(&store, all).await, found(&store, &words).await, "{all}");
        }
        assert_eq!(found(&store, "near OR not").await, ["7 A"]);
    })
    .await;
}

#[test]
async fn a_message_that_changes_is_found_by_what_it_says_now() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &[said("7", "A", json!({"body": "viejo", "timestamp": 1724716800}))]).await;
        let new = received("A", json!({"body": "nuevo", "timestamp": 1727000000}));
        record(&store, &[event("7", new, ARRIVAL)]).await;
        assert_eq!(found(&store, "viejo").await, ["7 A"], "a time after the arrival is unusable");
        let new = received("A", json!({"body": "nuevo", "timestamp": 1724716900}));
        record(&store, &[event("7", new, later(1))]).await;
        assert_eq!(found(&store, "viejo").await, [""; 0]);
        assert_eq!(found(&store, "nuevo").await, ["7 A"]);
        let wordless = received("A", json!({"body": "!", "timestamp": 1724716901}));
        record(&store, &[event("7", wordless, later(2))]).await;
        assert_eq!(world.value("SELECT count(*) FROM message_search").await, "0");
        world.dump().await;
    })
    .await;
}

#[test]
async fn thousands_of_messages_of_one_second_are_told_apart() {
    on_both(async |world| {
        let store = world.open().await;
        for batch in 0..20 {
            let message = |n: i64| event("7", sent(&format!("{batch}-{n}"), json!({})), ARRIVAL);
            record(&store, &Vec::from_iter((0..150).map(message))).await;
        }
        assert_eq!(world.value("SELECT count(*) FROM message_search").await, "3000");
        let other =
            |n: i64| event("7", sent(&format!("7-{n}"), json!({"body": "otro", "timestamp": 1724716891})), ARRIVAL);
        record(&store, &Vec::from_iter((0..150).map(other))).await;
        assert_eq!(world.value("SELECT count(*) FROM message_search").await, "3000");
        assert_eq!(found(&store, "otro").await.len(), 150);
        world.dump().await;
    })
    .await;
}

/// FTS5 starts a new segment at a key that is lower than the previous one, and all segments have to be merged.
#[test]
async fn sqlite_is_given_the_words_of_a_batch_in_the_order_of_time() {
    let world = World::new(Backend::Sqlite).await;
    let store = world.open().await;
    let message = |n: i64| said("7", &format!("{n:03}"), json!({"timestamp": 1_724_716_799 - n}));
    record(&store, &Vec::from_iter((0..100).map(message))).await;
    // The first ten rows describe the index.
    let pieces = "SELECT count(*) FROM message_words_data WHERE id > 10";
    assert_eq!(world.value(pieces).await, "1");
    store.close().await;
}

/// The text exceeds the limits of a tsvector.
#[test]
async fn a_text_of_any_length_is_kept_and_its_beginning_is_found() {
    on_both(async |world| {
        let store = world.open().await;
        let distinct: Vec<String> = (0..300_000).map(|n| format!("w{n:x}")).collect();
        let events = [
            said("7", "distinct", json!({"body": distinct.join(" ")})),
            said("7", "letters", json!({"body": "a ".repeat(200_000) + "z"})),
            said("7", "endless", json!({"body": "ab".repeat(500_000)})),
            said("7", "wide", json!({"body": "\u{FDFA}".repeat(100_000)})),
        ];
        record(&store, &events).await;
        assert_eq!(world.value("SELECT count(*) FROM events WHERE state = 'applied'").await, "4");
        assert_eq!(found(&store, "w0 w1f").await, ["7 distinct"]);
        assert_eq!(found(&store, "w493df").await, [""; 0]);
        assert_eq!(found(&store, "\"a a a\"").await, ["7 letters"]);
        assert_eq!(found(&store, &"ab".repeat(300)).await, ["7 endless"]);
    })
    .await;
}
