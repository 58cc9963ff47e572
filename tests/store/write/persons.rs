//! One person, one conversation.

use std::sync::Arc;

use buzon::domain::access::scope::Scope;
use buzon::domain::chat::ChatKey;
use buzon::domain::chat::chat_kind::ChatKinds;
use buzon::domain::instance::InstanceId;
use buzon::domain::page::position::{FeedStart, Position};
use buzon::domain::page::{Paging, SortKey, SortOrder};
use buzon::store::{
    self, Aim, ChatFilter, FeedFilter, FeedItem, GivenName, MessageFilter, Options, OwnerWord, ReactionFilter, Store,
};
use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{World, on_both, record};
use crate::support::events::{event, reaction, received, sent};

const ANA: &str = "573001112233@c.us";
const EVA: &str = "573004445566@c.us";
const LID: &str = "176369157804064@lid";
const OURS: &str = "573009998877@c.us";

const CHATS: &str = "SELECT chat_id, contact, message_count, last_message_id, waiting_id FROM chats ORDER BY chat_id";
const ALIASES: &str = "SELECT alias, chat_id FROM chat_aliases WHERE alias <> chat_id ORDER BY alias";
const MESSAGES: &str = "SELECT id, chat_id, stated_chat_id FROM messages ORDER BY id";

/// Returns the fields of a message from this person, who stands in `more` too if other ids are stated.
fn from(person: &str, seconds: i64, more: Value) -> Value {
    let mut fields = json!({"chat_id": person, "from": person, "to": OURS, "timestamp": 1_724_716_800 + seconds});
    let more = more.as_object().expect("fields are an object").clone();
    fields.as_object_mut().expect("fields are an object").extend(more);
    fields
}

fn to(person: &str, seconds: i64) -> Value {
    json!({"chat_id": person, "from": OURS, "to": person, "timestamp": 1_724_716_800 + seconds})
}

async fn deliver(store: &Arc<dyn Store>, bodies: impl IntoIterator<Item = Vec<u8>>) {
    for body in bodies {
        record(store, &[event("7", body, ARRIVAL)]).await;
    }
}

fn word(one: &str, other: &str, linked: bool) -> OwnerWord {
    let instance_id = InstanceId::new("7").expect("it is an instance id");
    OwnerWord { instance_id, one: one.to_owned(), other: other.to_owned(), linked }
}

fn first_page() -> Paging<SortKey> {
    Paging { order: SortOrder::NewestFirst, limit: 10, cursor: None, since: None, until: None }
}

/// Moves messages in pieces of this size, until there is nothing to move.
async fn move_all(store: &Arc<dyn Store>, limit: u32) {
    while store.move_messages(limit).await.expect("messages can be moved") {}
    assert!(!store.is_moving().await.expect("the store answers"));
}

/// Checks that every table is what the ledger says, and returns what was left out.
async fn check(world: &World) -> Vec<String> {
    let options = Options { pending: store::Pending::Refuse, ..world.options() };
    let differences = store::rebuild(&options, Aim::Check, &|_| ()).await.expect("the ledger can be read");
    assert!(differences.iter().all(store::Difference::is_none), "{differences:?}");
    differences.into_iter().flat_map(|it| it.left_out).collect()
}

#[test]
async fn a_lid_whose_number_is_stated_is_in_the_conversation_of_the_number() {
    on_both(async |world| {
        let store = world.open().await;
        let events = [
            received("L1", from(ANA, 0, json!({}))),
            sent("L2", to(ANA, 60)),
            received("L3", from(LID, 3600, json!({"sender_pn": ANA, "senderPn": "573001112233"}))),
            sent("L4", to(ANA, 3660)),
        ];
        deliver(&store, events).await;
        assert_eq!(world.rows(CHATS).await, [format!("{ANA}|573001112233|4|L4|NULL")]);
        assert_eq!(world.rows(ALIASES).await, [format!("{LID}|{ANA}")]);
        assert_eq!(world.rows(MESSAGES).await[2], format!("L3|{ANA}|{LID}"));
        assert_eq!(world.value("SELECT count(*) FROM responses").await, "2");
        assert!(check(&world).await.is_empty());
    })
    .await;
}

#[test]
async fn numbers_that_are_written_in_two_ways_are_one_person() {
    on_both(async |world| {
        let store = world.open().await;
        for (shorter, longer) in [
            ("525512345678@c.us", "5215512345678@c.us"),
            ("553188887777@c.us", "5531988887777@c.us"),
            ("541112345678@c.us", "5491112345678@c.us"),
        ] {
            let id = |way: &str| format!("{way}{shorter}");
            deliver(&store, [sent(&id("A"), to(shorter, 0)), received(&id("B"), from(longer, 60, json!({})))]).await;
        }
        // A landline of São Paulo, and a number that only looks like it with a ninth digit.
        deliver(&store, [sent("C", to("551133334444@c.us", 0)), sent("D", to("5511933334444@c.us", 0))]).await;
        let chats = world.rows("SELECT chat_id, message_count FROM chats ORDER BY chat_id").await;
        let expected = [
            "525512345678@c.us|2",
            "541112345678@c.us|2",
            "551133334444@c.us|1",
            "5511933334444@c.us|1",
            "553188887777@c.us|2",
        ];
        assert_eq!(chats, expected);
        for (kinds, found) in [(ChatKinds::conversations(), 1), (ChatKinds::parse("group").unwrap(), 0)] {
            let filter = ChatFilter { contact: Some("5215512345678".to_owned()), kinds, ..ChatFilter::default() };
            let page = store.list_chats(&Scope::All, &filter, &first_page()).await.unwrap();
            assert_eq!(page.rows.len(), found, "{filter:?}");
        }
        assert!(check(&world).await.is_empty());
    })
    .await;
}

#[test]
async fn a_conversation_has_the_number_of_its_first_message_though_the_other_was_named_in_a_group() {
    on_both(async |world| {
        let store = world.open().await;
        let (shorter, longer) = ("525512345678@c.us", "5215512345678@c.us");
        let in_group = json!({"chat_id": "1203@g.us", "from": "1203@g.us", "group_sender": shorter});
        deliver(
            &store,
            [received("A", in_group), received("B", from(longer, 0, json!({}))), sent("C", to(shorter, 5))],
        )
        .await;
        assert_eq!(world.rows(ALIASES).await, [format!("{shorter}|{longer}")]);
        assert!(check(&world).await.is_empty());
    })
    .await;
}

#[test]
async fn copies_and_quotes_say_who_is_who_in_any_order() {
    on_both(async |world| {
        let store = world.open().await;
        let copies = |id: &str, lid: &str, person: &str| {
            [received(id, from(lid, 0, json!({}))), received(id, from(person, 1, json!({})))]
        };
        let [one, other] = copies("A", "1@lid", "571@c.us");
        deliver(&store, [one, other]).await;
        let [one, other] = copies("B", "2@lid", "572@c.us");
        deliver(&store, [other, one]).await;
        // Those of a batch.
        let both = copies("C", "3@lid", "573@c.us").map(|body| event("7", body, ARRIVAL));
        record(&store, &both).await;
        let quote = |of: &str| json!({"quoted_message_id": of});
        deliver(&store, [sent("D", to("574@c.us", 0)), received("E", from("4@lid", 9, quote("D")))]).await;
        deliver(&store, [received("G", from("5@lid", 9, quote("F"))), sent("F", to("575@c.us", 0))]).await;
        let in_group = json!({"chat_id": "1203@g.us", "from": "6@lid", "quoted_message_id": "D"});
        deliver(&store, [received("H", in_group)]).await;
        move_all(&store, 9).await;
        let expected = ["1@lid|571@c.us", "2@lid|572@c.us", "3@lid|573@c.us", "4@lid|574@c.us", "5@lid|575@c.us"];
        assert_eq!(world.rows(ALIASES).await, expected);
        assert!(check(&world).await.is_empty());
    })
    .await;
}

#[test]
async fn neither_our_own_number_nor_a_message_that_names_several_persons_says_anything() {
    on_both(async |world| {
        let store = world.open().await;
        let mut outgoing = to(LID, 0);
        outgoing["sender_pn"] = json!(OURS);
        outgoing["participant_pn"] = json!(OURS);
        let ours = json!({"sender_pn": OURS, "remoteJidAlt": OURS});
        deliver(&store, [sent("A", outgoing), received("B", from(LID, 1, ours))]).await;
        for person in [LID, ANA, EVA] {
            deliver(&store, [received("C", from(person, 2, json!({"body": person})))]).await;
        }
        move_all(&store, 9).await;
        assert_eq!(world.rows(ALIASES).await, Vec::<String>::new());
        assert!(check(&world).await.is_empty());
    })
    .await;
}

#[test]
async fn what_becomes_known_late_moves_all_messages_while_others_arrive() {
    on_both(async |world| {
        let store = world.open().await;
        for n in 0..150 {
            let (question, answer) = (from(LID, n * 20, json!({})), to(if n % 3 == 0 { ANA } else { LID }, n * 20 + 7));
            let both = [received(&format!("Q{n}"), question), sent(&format!("R{n}"), answer)];
            record(&store, &both.map(|body| event("7", body, ARRIVAL))).await;
        }
        deliver(&store, [received("Z", from(LID, 4_000, json!({"sender_pn": ANA})))]).await;
        assert!(store.is_moving().await.unwrap());
        assert_eq!(check(&world).await, [format!("7/{LID}")]);
        let mut pieces = 0;
        while store.move_messages(10).await.unwrap() {
            pieces += 1;
            let (early, late) = (from(LID, pieces, json!({})), from(LID, 5_000 + pieces, json!({})));
            let more = [received(&format!("E{pieces}"), early), received(&format!("M{pieces}"), late)];
            deliver(&store, more).await;
            if pieces == 5 {
                assert_eq!(check(&world).await, [format!("7/{LID}")]);
                store.close().await;
                return finish(&world).await;
            }
        }
        panic!("there were {pieces} pieces");
    })
    .await;
}

/// Goes on after a restart.
async fn finish(world: &World) {
    let store = world.open().await;
    move_all(&store, 10).await;
    assert_eq!(world.value("SELECT count(*) FROM chats").await, "1");
    assert_eq!(world.value(&format!("SELECT count(*) FROM messages WHERE chat_id = '{ANA}'")).await, "311");
    assert!(check(world).await.is_empty());
}

#[test]
async fn the_owner_links_and_unlinks_whatever_events_say_again() {
    on_both(async |world| {
        let store = world.open().await;
        let events = [
            received("A", from(ANA, 0, json!({}))),
            received("B", from(EVA, 5, json!({}))),
            received("C", from(LID, 10, json!({"sender_pn": ANA}))),
            sent("D", to(EVA, 20)),
        ];
        deliver(&store, events).await;
        store.link_persons(&word(LID, ANA, false)).await.unwrap();
        move_all(&store, 1).await;
        assert_eq!(world.rows(MESSAGES).await[2], format!("C|{LID}|NULL"));
        deliver(&store, [received("E", from(LID, 30, json!({"sender_pn": ANA})))]).await;
        assert_eq!(world.rows(ALIASES).await, Vec::<String>::new());
        assert!(check(&world).await.is_empty());
        store.link_persons(&word(EVA, LID, true)).await.unwrap();
        store.link_persons(&word(ANA, EVA, true)).await.unwrap();
        move_all(&store, 2).await;
        assert_eq!(world.rows(ALIASES).await, [format!("{LID}|{ANA}"), format!("{EVA}|{ANA}")]);
        assert_eq!(world.rows(CHATS).await, [format!("{ANA}|573001112233|5|E|E")]);
        assert!(check(&world).await.is_empty());
        store.link_persons(&word(EVA, ANA, false)).await.unwrap();
        move_all(&store, 2).await;
        assert_eq!(world.rows(ALIASES).await, [format!("{LID}|{EVA}")]);
        assert!(check(&world).await.is_empty());
        let known = store.persons(&InstanceId::new("7").unwrap()).await.unwrap();
        assert_eq!(known.aliases, [(LID.to_owned(), EVA.to_owned())]);
        store.close().await;
        let options = Options { pending: store::Pending::Refuse, ..world.options() };
        let rebuilt = store::rebuild(&options, Aim::Rebuild, &|_| ()).await.unwrap();
        assert!(rebuilt.iter().all(store::Difference::is_none), "{rebuilt:?}");
    })
    .await;
}

#[test]
async fn the_feed_shows_each_link_and_unlink_at_a_number_of_its_own() {
    on_both(async |world| {
        let store = world.open().await;
        let stated = from(LID, 10, json!({"sender_pn": ANA}));
        deliver(&store, [received("A", from(ANA, 0, json!({}))), received("B", stated), sent("C", to(ANA, 20))]).await;
        let seen = async |since: i64| {
            let (scope, filter) = (Scope::Instances([InstanceId::new("7").unwrap()].into()), FeedFilter::default());
            let start = FeedStart::After(Position { seq: since, ..store.latest().await.unwrap() });
            let feed = store.feed(&scope, &filter, start, 100).await.unwrap().unwrap();
            let item = |item: &FeedItem| match item {
                FeedItem::Chat(chat) => format!("{} {} {}", chat.seq, chat.alias, chat.chat_id),
                other => other.seq().to_string(),
            };
            (feed.items.iter().map(item).collect::<Vec<_>>(), feed.next_since)
        };
        assert_eq!(seen(0).await, (vec!["1".to_owned(), "2".to_owned(), format!("3 {LID} {ANA}"), "4".to_owned()], 4));
        store.link_persons(&word(ANA, LID, false)).await.unwrap();
        assert_eq!(seen(4).await, (vec![format!("6 {LID} {LID}")], 6));
        let only_chats = FeedFilter { event_types: vec![FeedFilter::CHATS.to_owned()], ..FeedFilter::default() };
        let from_the_beginning =
            async |scope, filter| store.feed(&scope, &filter, FeedStart::Beginning, 100).await.unwrap().unwrap().items;
        assert_eq!(from_the_beginning(Scope::All, only_chats).await.len(), 1);
        let others = Scope::Instances([InstanceId::new("8").unwrap()].into());
        assert_eq!(from_the_beginning(others, FeedFilter::default()).await, []);
    })
    .await;
}

fn name(chat_id: &str, name: Option<&str>) -> GivenName {
    let instance_id = InstanceId::new("7").expect("it is an instance id");
    GivenName::new(ChatKey { instance_id, chat_id: chat_id.to_owned() }, name.map(str::to_owned))
}

#[test]
async fn a_conversation_has_the_owners_last_name_for_any_id_of_the_person() {
    on_both(async |world| {
        let store = world.open().await;
        let names = "SELECT chat_id, given_name, name FROM chats ORDER BY chat_id";
        let group = json!({"chat_id": "1203@g.us", "from": "1203@g.us", "group_sender": EVA, "sender_name": "Eva"});
        let ana = json!({"sender_name": "anita"});
        deliver(&store, [received("A", from(ANA, 0, ana)), received("B", group), sent("C", to(EVA, 5))]).await;
        let given = [name(ANA, Some("Ana Mayorista")), name("1203@g.us", Some("Proveedores")), name(LID, Some("Ella"))];
        store.name_chats(&given).await.unwrap();
        let before =
            ["1203@g.us|Proveedores|NULL".to_owned(), format!("{ANA}|Ana Mayorista|anita"), format!("{EVA}|NULL|NULL")];
        assert_eq!(world.rows(names).await, before);
        // A chat that begins later has the name too, and one that is linked has the later name.
        deliver(&store, [received("D", from(LID, 10, json!({})))]).await;
        assert_eq!(world.rows(names).await[1], format!("{LID}|Ella|Juan Pérez"));
        store.link_persons(&word(LID, ANA, true)).await.unwrap();
        move_all(&store, 9).await;
        assert_eq!(world.rows(names).await[1], format!("{ANA}|Ella|Juan Pérez"));
        assert!(check(&world).await.is_empty());
        let found = async |text: &str| {
            let filter = ChatFilter { search: Some(text.to_owned()), ..ChatFilter::default() };
            let page = store.list_chats(&Scope::All, &filter, &first_page()).await.unwrap();
            page.rows.into_iter().map(|chat| chat.name.unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(found("ella").await, ["Ella"]);
        assert_eq!(found("juan pe").await, ["Ella"]);
        assert_eq!(found("provee").await, ["Proveedores"]);
        let shown = "SELECT DISTINCT contact_name FROM v_messages WHERE contact_name IS NOT NULL ORDER BY 1";
        assert_eq!(world.rows(shown).await, ["Ella", "Proveedores"]);
        store.link_persons(&word(LID, ANA, false)).await.unwrap();
        store.name_chats(&[name("1203@g.us", None)]).await.unwrap();
        move_all(&store, 9).await;
        let after = [
            "1203@g.us|NULL|NULL".to_owned(),
            format!("{LID}|Ella|Juan Pérez"),
            format!("{ANA}|Ana Mayorista|anita"),
            format!("{EVA}|NULL|NULL"),
        ];
        assert_eq!(world.rows(names).await, after);
        let only_chats = FeedFilter { event_types: vec![FeedFilter::CHATS.to_owned()], ..FeedFilter::default() };
        let feed = store.feed(&Scope::All, &only_chats, FeedStart::Beginning, 100).await.unwrap().unwrap();
        let item = |item: &FeedItem| match item {
            FeedItem::Chat(chat) => format!("{} {} {:?}", chat.alias, chat.chat_id, chat.name.as_deref()),
            other => panic!("{other:?}"),
        };
        let expected = [
            format!("{ANA} {ANA} Some(\"Ana Mayorista\")"),
            format!("{LID} {LID} Some(\"Ella\")"),
            format!("{LID} {LID} None"),
            "1203@g.us 1203@g.us None".to_owned(),
        ];
        assert_eq!(feed.items.iter().map(item).collect::<Vec<_>>(), expected);
        let ids = "SELECT chat_id, id FROM v_contact_ids ORDER BY id";
        assert_eq!(world.rows(ids).await, [LID, ANA, EVA].map(|id| format!("{id}|{id}")));
        assert!(check(&world).await.is_empty());
    })
    .await;
}

#[test]
async fn a_rebuild_gives_every_message_its_chat_at_once() {
    on_both(async |world| {
        let store = world.open().await;
        let many = (0..100).map(|n| event("7", received(&format!("Q{n}"), from(LID, n, json!({}))), ARRIVAL));
        record(&store, &Vec::from_iter(many)).await;
        deliver(&store, [received("Z", from(LID, 4_000, json!({"sender_pn": ANA})))]).await;
        assert!(store.is_moving().await.unwrap());
        store.close().await;
        let options = Options { pending: store::Pending::Refuse, ..world.options() };
        store::rebuild(&options, Aim::Rebuild, &|_| ()).await.unwrap();
        assert_eq!(world.rows(CHATS).await, [format!("{ANA}|573001112233|101|Z|Q0")]);
        assert_eq!(world.value("SELECT count(*) FROM chat_moves").await, "0");
        assert!(check(&world).await.is_empty());
    })
    .await;
}

#[test]
async fn the_same_events_in_other_batches_give_the_same_links() {
    let bodies: Vec<Vec<u8>> = (0..60_i64)
        .map(|n| {
            let persons = [ANA, LID, EVA, "1764@lid", "525512345678@c.us", "5215512345678@c.us"];
            let (person, other) = (persons[(n * 7 % 6) as usize], persons[(n * 5 % 4) as usize]);
            let more = json!({
                "sender_pn": if n % 5 == 0 { json!(other) } else { json!(null) },
                "quoted_message_id": if n % 3 == 0 { json!(format!("A{}", n * 11 % 40)) } else { json!(null) },
            });
            received(&format!("A{}", n % 40), from(person, n * 13 % 50, more))
        })
        .collect();
    on_both(async |world| {
        let mut seen = None;
        let store = world.open().await;
        for (instance, size) in [("1", 1), ("2", 7), ("3", 60)] {
            for (batch, at) in bodies.chunks(size).zip(0..) {
                let batch: Vec<_> = batch.iter().map(|body| event(instance, body, later(at))).collect();
                record(&store, &batch).await;
            }
            move_all(&store, 5).await;
            let rows = |query: &str| query.replace("INSTANCE", instance);
            let links = "SELECT a, b, source FROM chat_links WHERE instance_id = 'INSTANCE' ORDER BY a, b, source";
            let chats = "SELECT id, chat_id, stated_chat_id FROM messages WHERE instance_id = 'INSTANCE' ORDER BY id";
            let found = [world.rows(&rows(links)).await, world.rows(&rows(chats)).await];
            let known = seen.get_or_insert_with(|| found.clone());
            assert_eq!(found, *known, "in batches of {size}");
        }
        assert!(check(&world).await.is_empty());
    })
    .await;
}

#[test]
async fn a_person_is_found_by_any_id() {
    on_both(async |world| {
        let store = world.open().await;
        let events = [
            received("A", from(ANA, 0, json!({}))),
            received("B", from(LID, 10, json!({"sender_pn": ANA}))),
            sent("C", to(LID, 20)),
            reaction("B", LID, json!("👍"), json!(1_724_716_900)),
            reaction("B", ANA, json!("❤️"), json!(1_724_716_910)),
            received("D", from(EVA, 30, json!({}))),
        ];
        deliver(&store, events).await;
        let instance = InstanceId::new("7").unwrap();
        for id in [ANA, LID] {
            let chat = store.chat(&instance, id).await.unwrap().expect("the chat is found");
            assert_eq!((chat.chat_id.as_str(), chat.message_count), (ANA, 3));
            let id = || Some(id.to_owned());
            let none = MessageFilter::default;
            for (filter, expected) in [
                (MessageFilter { chat_id: id(), ..none() }, &["C", "B", "A"][..]),
                (MessageFilter { from_id: id(), ..none() }, &["B", "A"]),
                (MessageFilter { author: id(), ..none() }, &["B", "A"]),
                (MessageFilter { to_id: id(), ..none() }, &["C"]),
                (MessageFilter { contact: Some("573001112233".to_owned()), ..none() }, &["C", "B", "A"]),
            ] {
                let page = store.list_messages(&Scope::All, &filter, &first_page()).await.unwrap();
                let ids: Vec<&str> = page.rows.iter().map(|message| message.id.as_str()).collect();
                assert_eq!(ids, expected, "{filter:?}");
            }
            let filter = ReactionFilter { from_number: id(), ..ReactionFilter::default() };
            let reactions = store.list_reactions(&Scope::All, &filter, &first_page()).await.unwrap();
            assert_eq!(reactions.rows.len(), 2);
        }
        let detail = store.message(&instance, "B").await.unwrap().expect("the message is found");
        let current: Vec<&str> = detail.message.reactions.iter().map(|it| it.reaction.as_str()).collect();
        assert_eq!(current, ["❤️"]);
        for query in [
            "SELECT from_number, reaction FROM v_current_reactions",
            "SELECT from_number, reaction FROM v_reactions",
            "SELECT author, reactions FROM v_messages WHERE id = 'B'",
        ] {
            let rows = world.rows(query).await;
            assert!(rows.len() == 1 && rows[0].ends_with("|❤️"), "{query}: {rows:?}");
        }
    })
    .await;
}
