//! Erasures in the store: the rows that go, and those that stay.

use std::sync::Arc;

use buzon::blob::{BlobLocation, Blobs, S3Options};
use buzon::domain::chat::ChatKey;
use buzon::domain::erasure::marks::MarkKey;
use buzon::domain::event::Event;
use buzon::domain::instance::InstanceId;
use buzon::erasure::Eraser;
use buzon::erasure::person::ErasedPerson;
use buzon::platform::clock::{Clock, SystemClock};
use buzon::store::{self, Aim, ErasureOrder, ErasureStage, GivenName, Options, Store};
use serde_json::{Value, json};

use crate::support::clock::ARRIVAL;
use crate::support::database::world::{World, on_both, record};
use crate::support::events::{ack, event, reaction, received, sent};

const ANA: &str = "573155550199@c.us";
const EVA: &str = "573004445566@c.us";
const LID: &str = "99887766554433@lid";
const OURS: &str = "573009998877@c.us";
const GROUP: &str = "120363041234567890@g.us";

pub(super) fn from(person: &str, seconds: i64, more: Value) -> Value {
    let mut fields = json!({"chat_id": person, "from": person, "to": OURS, "timestamp": 1_724_716_800 + seconds});
    let more = more.as_object().expect("fields are an object").clone();
    fields.as_object_mut().expect("fields are an object").extend(more);
    fields
}

fn to(person: &str, seconds: i64) -> Value {
    json!({"chat_id": person, "from": OURS, "to": person, "timestamp": 1_724_716_800 + seconds})
}

fn in_group(author: &str, seconds: i64) -> Value {
    from(GROUP, seconds, json!({"group_sender": author, "is_group": 1, "sender_name": "Zoraida"}))
}

/// The traffic: of instance, body.
fn traffic() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("7", received("A1", from(ANA, 0, json!({"sender_name": "Zoraida"})))),
        ("7", sent("A2", to(ANA, 60))),
        ("7", ack("A2", "read")),
        ("-", ack("A2", "delivered")),
        ("7", received("A3", from(LID, 120, json!({"sender_pn": ANA})))),
        ("7", received("A1", from(ANA, 0, json!({"body": "edited"})))),
        ("7", reaction("A1", EVA, json!("👍"), json!(1_724_716_900))),
        ("7", received("G1", in_group(ANA, 10))),
        ("7", received("G2", in_group(EVA, 20))),
        ("7", reaction("G2", ANA, json!("👍"), json!(1_724_716_930))),
        ("7", reaction("G2", EVA, json!("❤"), json!(1_724_716_931))),
        ("7", ack("true_120363041234567890@g.us_3EB0_573155550199@c.us", "read")),
        ("7", ack("true_573155550199@c.us_3EB0", "read")),
        ("7", b"not JSON of 573155550199".to_vec()),
        ("7", br#"{"event_type":"message_received","chat_id":"573155550199@c.us"}"#.to_vec()),
        ("7", br#"{"event_type":"presence","contact":{"id":"573155550199@c.us"}}"#.to_vec()),
        ("-", received("U1", from(ANA, 30, json!({})))),
        ("8", received("A1", from(ANA, 40, json!({})))),
        ("7", received("E1", from(EVA, 50, json!({"body": "llama al 573155550199"})))),
        ("7", sent("E2", to(EVA, 90))),
        ("7", ack("E2", "read")),
    ]
}

async fn deliver(store: &Arc<dyn Store>, events: Vec<(&str, Vec<u8>)>) {
    for (instance, body) in events {
        record(store, &[event(instance, body, ARRIVAL)]).await;
    }
}

pub(super) fn eraser(world: &World, store: &Arc<dyn Store>) -> Eraser {
    let media = BlobLocation::Folder(world.folder.path().join("media"));
    let blobs = Blobs::open(&media, &S3Options::default()).expect("the folder can be made");
    let (store, data_dir) = (store.clone(), world.data_dir());
    Eraser { store, blobs, backups: Arc::default(), data_dir, clock: Arc::new(SystemClock) }
}

fn order(person: &ErasedPerson, name: &str) -> ErasureOrder {
    ErasureOrder {
        name: name.to_owned(),
        instance_id: person.instance_id.clone(),
        ids: person.ids.keys().cloned().collect(),
        at: SystemClock.now(),
        new_key: MarkKey { id: "k".to_owned(), key: vec![9; 32] },
    }
}

async fn erase(world: &World, store: &Arc<dyn Store>, person: &ErasedPerson) {
    store.begin_erasure(&order(person, "one")).await.expect("it begins");
    eraser(world, store).finish().await.expect("it ends");
}

/// Checks that every table is what the ledger says.
pub(super) async fn check(world: &World) {
    let options = Options { pending: store::Pending::Refuse, ..world.options() };
    let differences = store::rebuild(&options, Aim::Check, &|_| ()).await.expect("the ledger can be read");
    assert!(differences.iter().all(store::Difference::is_none), "{differences:?}");
}

const MESSAGES: &str = "SELECT instance_id, id FROM messages ORDER BY instance_id, id";
const STATES: &str =
    "SELECT state, count(*), CAST(sum(deliveries) AS BIGINT) FROM events GROUP BY state ORDER BY state";
const LEFT: &str = "SELECT instance_id, message_id, chat_id FROM events WHERE body IS NOT NULL ORDER BY seq";

#[test]
async fn everything_of_the_person_goes_and_what_others_wrote_stays() {
    on_both(async |world| {
        let store = world.open().await;
        deliver(&store, traffic()).await;
        let named = GivenName::new(
            ChatKey { instance_id: InstanceId::from_store("7"), chat_id: ANA.to_owned() },
            Some("Zoraida".to_owned()),
        );
        store.name_chats(&[named]).await.expect("it is named");
        check(&world).await;
        let person = ErasedPerson::find(&*store, ANA, None, false).await.expect("it is known");
        assert_eq!(Vec::from_iter(person.ids.keys()), [ANA, LID]);
        let rehearsal = person.rehearse(&*store).await.expect("it can be told");
        assert_eq!(rehearsal.named_by_others, [("7".to_owned(), "E1".to_owned())]);
        let exports = world.data_dir().join("exports");
        std::fs::create_dir_all(&exports).expect("there is room");
        std::fs::write(exports.join("1.ndjson"), ANA).expect("there is room");
        erase(&world, &store, &person).await;
        assert_eq!(std::fs::read_dir(&exports).expect("it is there").count(), 0, "no export has the person");

        assert_eq!(world.rows(MESSAGES).await, ["7|E1", "7|E2", "7|G2"]);
        assert_eq!(world.rows(LEFT).await.len(), 6, "{:?}", world.rows(LEFT).await);
        assert_eq!(world.rows(STATES).await, ["applied|6|6", "erased|16|16"]);
        for table in ["chat_links", "chat_aliases", "chat_names", "erasure_ids", "media_removals"] {
            let count = world.value(&format!("SELECT count(*) FROM {table} WHERE 1 = 1")).await;
            let expected = if table == "chat_links" { "1" } else { "0" };
            assert_eq!(count, expected, "{table}: {:?}", world.rows(&format!("SELECT * FROM {table}")).await);
        }
        assert_eq!(world.rows("SELECT from_number FROM message_reactions").await, [EVA]);
        assert_eq!(world.rows("SELECT chat_id FROM chats ORDER BY chat_id").await, [GROUP, EVA]);
        assert_eq!(world.rows("SELECT message_id FROM message_acks WHERE ack = 'read'").await, ["E2"]);
        check(&world).await;
        let reports = store.erasures().await.expect("they are listed");
        assert_eq!((reports[0].stage, reports[0].events), (ErasureStage::Ended, 16));
    })
    .await;
}

#[test]
async fn what_comes_again_in_any_order_leaves_nothing_but_its_arrival() {
    on_both(async |world| {
        let store = world.open().await;
        let mut events = traffic();
        // One message is never seen before.
        let unseen = events.remove(1);
        deliver(&store, events.clone()).await;
        let person = ErasedPerson::find(&*store, ANA, None, false).await.expect("it is known");
        erase(&world, &store, &person).await;
        let (messages, chats) = (world.rows(MESSAGES).await, world.rows("SELECT * FROM chats").await);

        events.push(unseen);
        events.reverse();
        deliver(&store, events.clone()).await;
        let batch: Vec<Event> = events.iter().map(|(of, body)| event(of, body, ARRIVAL)).collect();
        record(&store, &batch).await;
        assert_eq!(world.rows(MESSAGES).await, messages);
        assert_eq!(world.rows("SELECT * FROM chats").await, chats);
        assert_eq!(world.rows(STATES).await, ["applied|6|16", "erased|16|47"]);
        check(&world).await;

        // A message of the person after the erasure is a new relation.
        let later = SystemClock.now();
        let new = received("N1", from(ANA, 0, json!({"timestamp": later.seconds() + 5})));
        record(&store, &[event("7", new, later)]).await;
        assert_eq!(world.value("SELECT chat_id FROM messages WHERE id = 'N1'").await, ANA);
        assert_eq!(world.value(&format!("SELECT given_name FROM chats WHERE chat_id = '{ANA}'")).await, "NULL");
        check(&world).await;
    })
    .await;
}

#[test]
async fn in_one_instance_only_that_one_and_the_events_without_one_are_erased() {
    on_both(async |world| {
        let store = world.open().await;
        deliver(&store, traffic()).await;
        let instance = InstanceId::from_store("7");
        let person = ErasedPerson::find(&*store, ANA, Some(instance), false).await.expect("it is known");
        erase(&world, &store, &person).await;
        assert_eq!(world.rows(MESSAGES).await, ["7|E1", "7|E2", "7|G2", "8|A1"]);
        check(&world).await;
    })
    .await;
}

#[test]
async fn an_erasure_that_was_broken_off_goes_on_and_one_piece_is_done_once() {
    on_both(async |world| {
        let store = world.open().await;
        deliver(&store, traffic()).await;
        let person = ErasedPerson::find(&*store, ANA, None, false).await.expect("it is known");
        let id = store.begin_erasure(&order(&person, "one")).await.expect("it begins");
        assert_eq!(store.begin_erasure(&order(&person, "one")).await.expect("it is there"), id);
        store.close().await;
        let (one, other) = (world.open().await, {
            let beside = Options { access: store::OpenMode::Beside, ..world.options() };
            store::open(&beside).await.expect("it opens")
        });
        let (first, second) = (eraser(&world, &one), eraser(&world, &other));
        let ended = tokio::join!(first.finish(), second.finish());
        assert!(ended.0.is_ok() && ended.1.is_ok(), "{ended:?}");
        assert_eq!(world.rows(MESSAGES).await, ["7|E1", "7|E2", "7|G2"]);
        assert_eq!(one.erasures().await.expect("they are listed")[0].events, 16);
        check(&world).await;
    })
    .await;
}

#[test]
async fn an_older_copy_learns_of_an_erasure_from_its_marks() {
    on_both(async |world| {
        let store = world.open().await;
        deliver(&store, traffic()).await;
        let person = ErasedPerson::find(&*store, ANA, None, false).await.expect("it is known");
        erase(&world, &store, &person).await;
        let export = store.export_erasures().await.expect("it can be told");

        let older = World::new(world.backend).await;
        let copy = older.open().await;
        deliver(&copy, traffic()).await;
        assert_eq!(copy.import_erasures(&export, SystemClock.now()).await.expect("it is taken over"), 1);
        assert_eq!(copy.import_erasures(&export, SystemClock.now()).await.expect("it is known"), 0);
        eraser(&older, &copy).finish().await.expect("it ends");
        assert_eq!(older.rows(MESSAGES).await, world.rows(MESSAGES).await);
        assert_eq!(older.rows(STATES).await, world.rows(STATES).await);
        check(&older).await;
    })
    .await;
}
