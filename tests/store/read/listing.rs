//! Lists and their cursors, compared with a full read of all messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use buzon::domain::access::scope::Scope;
use buzon::domain::chat::chat_kind::{ChatKind, ChatKinds};
use buzon::domain::instance::InstanceId;
use buzon::domain::page::{Cursor, Paging, SortKey, SortOrder};
use buzon::domain::search::SearchQuery;
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::{AckFilter, ChatFilter, MediaFilter, MessageFilter, MessageReport, ReactionFilter, Store};
use serde_json::json;

use crate::support::clock::later;
use crate::support::database::world::{on_both, on_both_at_once, record};
use crate::support::events::{ack, event, reaction, received, sent};

const INSTANCES: [&str; 4] = ["1", "10", "2", "-"];
const PEOPLE: [&str; 3] = ["573001112233", "573004445566", "34600111222"];
const GROUP: &str = "120363041234567890@g.us";
const KINDS: [&str; 3] = ["text", "image", "audio"];

/// Returns a number that looks random and is the same in every run.
fn scramble(n: u64, below: usize) -> usize {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33) as usize % below
}

/// Records messages of several instances and chats, many of them in the same second.
async fn fill(store: &Arc<dyn Store>, count: u64) {
    let events: Vec<_> = (0..count)
        .map(|n| {
            let pick = |salt: u64, below| scramble(n * 31 + salt, below);
            let person = format!("{}@{}", PEOPLE[pick(1, 3)], ["c.us", "s.whatsapp.net"][pick(2, 2)]);
            let chat = if pick(3, 5) == 0 { GROUP.to_owned() } else { person.clone() };
            let fields = json!({
                "chat_id": chat, "from": person, "to": (PEOPLE[pick(4, 3)]), "type": (KINDS[pick(5, 3)]),
                "timestamp": 1_724_716_800 + pick(6, 20), "ack": (["", "sent", "read"][pick(7, 3)]),
                "status": (["received", "sent"][pick(8, 2)]), "is_group": chat == GROUP,
                "media_url": if pick(9, 3) == 0 { format!("/{n}.jpg") } else { String::new() },
                "quoted_message_id": if pick(10, 4) == 0 { "A1" } else { "" },
                "group_sender": if chat == GROUP { format!("{}@c.us", PEOPLE[pick(14, 3)]) } else { String::new() },
            });
            let id = format!("A{n}");
            let body = if pick(11, 2) == 0 { received(&id, fields) } else { sent(&id, fields) };
            event(INSTANCES[pick(12, 4)], body, later(pick(13, 50) as i64))
        })
        .collect();
    for batch in events.chunks(100) {
        record(store, batch).await;
    }
}

fn paging(order: SortOrder, limit: u32, cursor: Option<Cursor<SortKey>>) -> Paging<SortKey> {
    Paging { order, limit, cursor, since: None, until: None }
}

async fn messages(
    store: &Arc<dyn Store>,
    scope: &Scope,
    filter: &MessageFilter,
    paging: &Paging<SortKey>,
) -> Vec<MessageReport> {
    store.list_messages(scope, filter, paging).await.expect("the store answers").rows
}

fn scope(instances: &[&str]) -> Scope {
    Scope::Instances(instances.iter().map(|id| InstanceId::new(id).expect("it is one")).collect::<BTreeSet<_>>())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn kinds(words: &str) -> Option<ChatKinds> {
    ChatKinds::parse(words).ok()
}

/// A predicate that states whether a filter should let a message through.
type LetsThrough = fn(&MessageReport) -> bool;

fn filters() -> Vec<(MessageFilter, LetsThrough)> {
    let none = MessageFilter::default;
    vec![
        (none(), |_| true),
        (MessageFilter { instance_id: InstanceId::new("10").ok(), ..none() }, |it| it.instance_id.as_str() == "10"),
        (MessageFilter { instance_id: InstanceId::new("nobody").ok(), ..none() }, |_| false),
        (MessageFilter { contact: some(PEOPLE[0]), ..none() }, |it| {
            it.fields.chat_id.as_deref().is_some_and(|chat| chat.starts_with(PEOPLE[0]))
        }),
        (MessageFilter { contact: some(PEOPLE[0]), chat_id: some("573001112233@c.us"), ..none() }, |it| {
            it.fields.chat_id.as_deref() == Some("573001112233@c.us")
        }),
        (MessageFilter { contact: some(PEOPLE[0]), chat_id: some(GROUP), ..none() }, |_| false),
        (MessageFilter { chat_id: some(GROUP), ..none() }, |it| it.fields.chat_id.as_deref() == Some(GROUP)),
        (MessageFilter { chat_id: some(GROUP), from_me: Some(true), ..none() }, |it| {
            it.fields.chat_id.as_deref() == Some(GROUP) && it.fields.from_me
        }),
        (MessageFilter { from_id: some("34600111222@c.us"), ..none() }, |it| {
            it.fields.from_id.as_deref() == Some("34600111222@c.us")
        }),
        (MessageFilter { author: some("573001112233@c.us"), ..none() }, |it| {
            it.fields.group_sender.as_ref().or(it.fields.from_id.as_ref()).is_some_and(|it| it == "573001112233@c.us")
        }),
        (MessageFilter { author: some("34600111222@c.us"), chat_id: some(GROUP), ..none() }, |it| {
            let author = it.fields.group_sender.as_ref().or(it.fields.from_id.as_ref());
            it.fields.chat_id.as_deref() == Some(GROUP) && author.is_some_and(|it| it == "34600111222@c.us")
        }),
        (MessageFilter { to_id: some(PEOPLE[1]), ..none() }, |it| it.fields.to_id.as_deref() == Some(PEOPLE[1])),
        (MessageFilter { from_me: Some(false), ..none() }, |it| !it.fields.from_me),
        (MessageFilter { from_me: Some(true), kinds: kinds("group"), ..none() }, |it| {
            it.fields.from_me && it.chat_kind == ChatKind::Group
        }),
        (MessageFilter { kinds: kinds("status,person"), ..none() }, |it| it.chat_kind == ChatKind::Person),
        (MessageFilter { kinds: kinds("status"), ..none() }, |_| false),
        (MessageFilter { kinds: kinds("person"), chat_id: some(GROUP), ..none() }, |_| false),
        (MessageFilter { kinds: kinds("person"), from_id: some("34600111222@c.us"), ..none() }, |it| {
            it.chat_kind == ChatKind::Person && it.fields.from_id.as_deref() == Some("34600111222@c.us")
        }),
        (MessageFilter { kinds: kinds("group"), ack: some("read"), ..none() }, |it| {
            it.chat_kind == ChatKind::Group && it.ack == "read"
        }),
        (MessageFilter { kind: some("image"), ..none() }, |it| it.fields.kind.as_deref() == Some("image")),
        (MessageFilter { kind: some("image"), from_me: Some(true), ..none() }, |it| {
            it.fields.kind.as_deref() == Some("image") && it.fields.from_me
        }),
        (MessageFilter { ack: some("read"), ..none() }, |it| it.ack == "read"),
        (MessageFilter { status: some("sent"), ..none() }, |it| it.fields.status.as_deref() == Some("sent")),
        (MessageFilter { has_media: Some(true), ..none() }, |it| it.media.is_some()),
        (MessageFilter { has_media: Some(false), kind: some("text"), ..none() }, |it| {
            it.media.is_none() && it.fields.kind.as_deref() == Some("text")
        }),
        (MessageFilter { quoted_message_id: some("A1"), ..none() }, |it| {
            it.fields.quoted_message_id.as_deref() == Some("A1")
        }),
    ]
}

/// A message's time and the place of its arrival among the others, which its id tells.
type Place = (Timestamp, u64, String);

fn place(report: &MessageReport, by_arrival: bool) -> Place {
    let at = if by_arrival { report.received_at } else { report.occurred_at };
    let arrival = report.id.trim_start_matches('A').parse().unwrap_or_default();
    (at, arrival, format!("{} {}", report.instance_id, report.id))
}

#[test]
async fn a_walk_by_cursors_meets_every_message_that_the_filter_lets_through_once() {
    on_both(async |world| {
        let store = world.open().await;
        fill(&store, 180).await;
        let all =
            messages(&store, &Scope::All, &MessageFilter::default(), &paging(SortOrder::OldestFirst, 200, None)).await;
        assert_eq!(all.len(), 180);
        for (filter, lets_through) in filters() {
            for (scope, by_arrival, order, limit) in [
                (Scope::All, false, SortOrder::NewestFirst, 7),
                (Scope::All, true, SortOrder::OldestFirst, 33),
                (scope(&["10", "2"]), false, SortOrder::OldestFirst, 4),
            ] {
                let filter = MessageFilter { by_arrival, ..filter.clone() };
                let inside = |it: &&MessageReport| scope.allows(&it.instance_id) && lets_through(it);
                let mut expected: Vec<_> = all.iter().filter(inside).map(|it| place(it, by_arrival)).collect();
                expected.sort();
                if order == SortOrder::NewestFirst {
                    expected.reverse();
                }
                assert_eq!(walk(&store, &scope, &filter, order, limit).await, expected, "{filter:?}");
            }
        }
        store.close().await;
    })
    .await;
}

/// Walks from the first page to the last, and back. Both ways must meet the same messages.
async fn walk(
    store: &Arc<dyn Store>,
    scope: &Scope,
    filter: &MessageFilter,
    order: SortOrder,
    limit: u32,
) -> Vec<Place> {
    let places = |rows: &[MessageReport]| rows.iter().map(|it| place(it, filter.by_arrival)).collect::<Vec<_>>();
    let mut there = vec![];
    let mut cursor = None;
    let mut previous = None;
    loop {
        let page = store.list_messages(scope, filter, &paging(order, limit, cursor)).await.expect("the store answers");
        there.push(places(&page.rows));
        previous = page.previous.or(previous);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let mut back = vec![there.last().cloned().unwrap_or_default()];
    while let Some(cursor) = previous {
        let paging = paging(order, limit, Some(cursor));
        let page = store.list_messages(scope, filter, &paging).await.expect("the store answers");
        back.push(places(&page.rows));
        previous = page.previous;
    }
    back.reverse();
    assert_eq!(back, there);
    there.concat()
}

/// Neither the ids nor the instances are in the order of arrival.
#[test]
async fn what_came_within_one_second_is_listed_and_found_in_the_order_of_its_arrival() {
    on_both(async |world| {
        let store = world.open().await;
        let arrivals = [("8", "3EB0F0"), ("7", "3EB0A1"), ("9", "3EB0B2"), ("7", "3EB099"), ("7", "3EB010")];
        for (instance, id) in arrivals {
            record(&store, &[event(instance, received(id, json!({"body": "hola"})), later(0))]).await;
        }
        // A later copy of the first message does not move it.
        let edited = received("3EB0F0", json!({"body": "hola otra vez"}));
        record(&store, &[event("8", edited, later(1))]).await;
        let hola = SearchQuery::parse("hola").ok();
        for (filter, instances) in [
            (MessageFilter::default(), &["8", "7", "9"][..]),
            (MessageFilter { by_arrival: true, ..MessageFilter::default() }, &["8", "7", "9"]),
            (MessageFilter { search: hola, ..MessageFilter::default() }, &["8", "7", "9"]),
            (MessageFilter { instance_id: InstanceId::new("7").ok(), ..MessageFilter::default() }, &["7"]),
            (MessageFilter { chat_id: some("573001112233@c.us"), ..MessageFilter::default() }, &["8", "7", "9"]),
            (MessageFilter { from_me: Some(false), ..MessageFilter::default() }, &["8", "7", "9"]),
        ] {
            let inside = arrivals.iter().filter(|(instance, _)| instances.contains(instance));
            let mut expected: Vec<String> = inside.map(|(instance, id)| format!("{instance} {id}")).collect();
            for order in [SortOrder::OldestFirst, SortOrder::NewestFirst] {
                for limit in [1, 2, 9] {
                    let met = walk(&store, &scope(&["7", "8", "9"]), &filter, order, limit).await;
                    assert_eq!(met.into_iter().map(|(.., id)| id).collect::<Vec<_>>(), expected, "{filter:?} {limit}");
                }
                expected.reverse();
            }
        }
        let last = "SELECT last_message_id, last_incoming_id, waiting_id FROM chats WHERE instance_id = '7'";
        assert_eq!(world.value(last).await, "3EB010|3EB010|3EB0A1");
        let numbered = world.rows("SELECT instance_id, id FROM messages ORDER BY seq").await;
        assert_eq!(numbered, arrivals.map(|(instance, id)| format!("{instance}|{id}")));
        store.close().await;
    })
    .await;
}

#[test]
async fn a_walk_loses_and_repeats_nothing_while_others_arrive() {
    on_both(async |world| {
        let store = world.open().await;
        fill(&store, 60).await;
        let before =
            messages(&store, &Scope::All, &MessageFilter::default(), &paging(SortOrder::NewestFirst, 200, None)).await;
        let before: BTreeSet<_> = before.iter().map(|it| place(it, false)).collect();
        for order in [SortOrder::NewestFirst, SortOrder::OldestFirst] {
            let mut met = vec![];
            let mut cursor = None;
            for round in 0.. {
                let paging = paging(order, 9, cursor);
                let page = store.list_messages(&Scope::All, &MessageFilter::default(), &paging).await;
                let page = page.expect("the store answers");
                met.extend(page.rows.iter().map(|it| place(it, false)));
                // One message is older than the walk's position, and one is newer.
                let arriving = [1_724_716_799, 1_724_716_900].map(|at| {
                    let id = format!("B{order:?}{round}{at}");
                    event("10", received(&id, json!({"timestamp": at})), later(round))
                });
                record(&store, &arriving).await;
                cursor = page.next;
                if cursor.is_none() || round > 40 {
                    break;
                }
            }
            let once: BTreeSet<_> = met.iter().cloned().collect();
            assert_eq!(once.len(), met.len());
            assert!(before.is_subset(&once));
        }
        store.close().await;
    })
    .await;
}

#[test]
async fn a_message_comes_with_its_file_its_reactions_its_acks_and_what_it_quotes() {
    on_both(async |world| {
        let store = world.open().await;
        record(
            &store,
            &[
                event("7", received("A", json!({"body": "¿Qué hay?"})), later(0)),
                event(
                    "7",
                    sent("B", json!({"quoted_message_id": "A", "media_url": "/menu.jpg", "ack": "sent"})),
                    later(1),
                ),
                event("8", received("A", json!({"body": "other"})), later(2)),
            ],
        )
        .await;
        record(&store, &[event("-", ack("B", "delivered"), later(3)), event("7", ack("B", "read"), later(9))]).await;
        let reacted =
            |emoji: &str, at: i64| reaction("B", "573001112233@c.us", json!(emoji), json!(1_724_717_000 + at));
        record(&store, &[event("7", reacted("👍", 0), later(4)), event("7", reacted("❤️", 1), later(5))]).await;
        let seven = InstanceId::new("7").expect("it is one");
        let detail = store.message(&seven, "B").await.expect("the store answers").expect("it is there");
        assert_eq!(detail.quoted.expect("it is there").fields.body, some("¿Qué hay?"));
        let acks: Vec<_> = detail.acks.iter().map(|it| (it.ack.as_str(), it.rank, it.received_at)).collect();
        assert_eq!(acks, [("sent", 2, later(1)), ("delivered", 4, later(3)), ("read", 5, later(9))]);
        assert_eq!(detail.message.ack, "read");
        assert_eq!(detail.message.media.expect("it came with a file").state.as_str(), "pending");
        let reactions: Vec<_> = detail.message.reactions.iter().map(|it| it.reaction.as_str()).collect();
        assert_eq!(reactions, ["❤️"]);
        assert_eq!(store.message(&seven, "C").await.expect("the store answers"), None);
        store.close().await;
    })
    .await;
}

#[test]
async fn acks_reactions_files_and_chats_are_lists_too() {
    on_both(async |world| {
        let store = world.open().await;
        let mut events = vec![];
        for n in 0..30_i64 {
            let instance = INSTANCES[scramble(n as u64, 3)];
            let chat = format!("57300{n}@c.us");
            let fields =
                json!({"chat_id": chat, "media_url": format!("/{}.jpg", n % 7), "timestamp": 1_724_716_800 + n % 5});
            events.push(event(instance, received(&format!("A{n}"), fields), later(n)));
            events.push(event(instance, ack(&format!("A{n}"), "read"), later(n % 4)));
            events.push(event(instance, reaction("A1", &chat, json!("👍"), json!(1_724_717_000 + n % 3)), later(n)));
        }
        record(&store, &events).await;
        for limit in [4, 200] {
            for order in [SortOrder::NewestFirst, SortOrder::OldestFirst] {
                let mut met = [0; 4];
                let mut cursors = [const { Some(None) }; 4];
                while cursors.iter().any(Option::is_some) {
                    let wanted = cursors.each_ref().map(|cursor| cursor.clone().map(|it| paging(order, limit, it)));
                    let [acks, reactions, files, chats] = &wanted;
                    cursors = [None, None, None, None];
                    if let Some(paging) = acks {
                        let filter = AckFilter { ack: some("read"), ..AckFilter::default() };
                        let page = store.list_acks(&Scope::All, &filter, paging).await.expect("the store answers");
                        (met[0], cursors[0]) = (met[0] + page.rows.len(), page.next.map(Some));
                    }
                    if let Some(paging) = reactions {
                        let filter = ReactionFilter::default();
                        let page = store.list_reactions(&Scope::All, &filter, paging).await.expect("the store answers");
                        (met[1], cursors[1]) = (met[1] + page.rows.len(), page.next.map(Some));
                    }
                    if let Some(paging) = files {
                        let filter = MediaFilter::default();
                        let page = store.list_media(&Scope::All, &filter, paging).await.expect("the store answers");
                        (met[2], cursors[2]) = (met[2] + page.rows.len(), page.next.map(Some));
                    }
                    if let Some(paging) = chats {
                        let filter = ChatFilter::default();
                        let page = store.list_chats(&Scope::All, &filter, paging).await.expect("the store answers");
                        assert!(page.rows.iter().all(|chat| chat.last_message.is_some()));
                        (met[3], cursors[3]) = (met[3] + page.rows.len(), page.next.map(Some));
                    }
                }
                assert_eq!(met, [30; 4], "{order:?} {limit}");
            }
        }
        let none = scope(&["nobody"]);
        let page = store.list_acks(&none, &AckFilter::default(), &paging(SortOrder::NewestFirst, 9, None)).await;
        assert_eq!(page.expect("the store answers").rows, []);
        store.close().await;
    })
    .await;
}

/// A view that never ends stands for a question that is too large.
#[test]
async fn a_question_that_takes_too_long_is_given_up_and_the_next_is_answered() {
    on_both_at_once(async |world| {
        let store = world.open().await;
        fill(&store, 20).await;
        world
            .execute(
                "ALTER TABLE message_acks RENAME TO hidden;
                 CREATE VIEW message_acks AS
                 WITH RECURSIVE endless (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless)
                 SELECT hidden.* FROM hidden CROSS JOIN endless WHERE endless.n < 0",
            )
            .await;
        let list = async || {
            store.list_acks(&Scope::All, &AckFilter::default(), &paging(SortOrder::NewestFirst, 9, None)).await
        };
        let given_up = list().await.expect_err("it never ends");
        assert!(matches!(given_up, buzon::store::StoreError::TooSlow), "{given_up:?}");
        world.execute("DROP VIEW message_acks; ALTER TABLE hidden RENAME TO message_acks").await;
        assert!(!list().await.expect("the store answers").rows.is_empty());
        store.close().await;
    })
    .await;
}
