//! What is worked out of messages is worked out, too, for those that were there before.

use buzon::domain::event::Event;
use buzon::store::{self, OpenMode, Options, Pending};
use serde_json::json;

use crate::support::clock::{ARRIVAL, later};
use crate::support::events::{ack, event, received, sent};
use crate::support::world::{Backend, World, on_both, record};

/// Of files; one is the gateway itself.
const HOSTS: [&str; 3] = ["https://gw.example.com", "http://files.example.com:8080", ""];

/// More than fit in a piece: questions, answers and acks in many chats, in no order of time; and messages without a chat
/// or words.
fn conversation(instance: &str, messages: i64) -> Vec<Event> {
    let message = |n: i64| {
        let kind = ["c.us", "c.us", "c.us", "g.us", "lid"][(n % 5) as usize];
        let chat = (n % 11 > 0).then(|| format!("{}@{kind}", 5_700 + n % 17));
        let fields = json!({
            "chat_id": chat, "timestamp": 1_724_716_800 - (n * 7_919) % 1_009, "body": format!("Menú número {n}"),
            "sender_name": format!("José {n}"), "media_url": (n % 4 == 0).then(|| format!("{}/{n}.jpg", HOSTS[n as usize % 3])),
        });
        let id = format!("m{n:05}");
        let said = if n % 3 == 0 { sent(&id, fields) } else { received(&id, fields) };
        [
            event(instance, said, later(n)),
            event(instance, ack(&id, ["sent", "delivered", "read"][n as usize % 3]), later(n)),
        ]
    };
    (0..messages).flat_map(message).chain([event(instance, received("mute", json!({"body": "!"})), ARRIVAL)]).collect()
}

/// Leaves the database as an older buzon would have.
async fn forget(world: &World) {
    world
        .execute(
            "UPDATE messages SET delivered_at = NULL, read_at = NULL;
             UPDATE chats SET contact = NULL, is_group = false, search = '', waiting_since = NULL, waiting_id = NULL;
             DELETE FROM responses;
             DELETE FROM message_search;
             UPDATE media SET source_host = '', occurred_at = next_attempt_at;
             UPDATE installation SET derived = 0, derived_up_to = NULL",
        )
        .await;
    if world.backend == Backend::Sqlite {
        world.execute("INSERT INTO message_words (message_words) VALUES ('delete-all')").await;
    }
}

async fn filled(world: &World) -> String {
    world.value("SELECT derived, derived_up_to FROM installation").await
}

async fn record_all(world: &World, events: &[Event]) -> Vec<String> {
    let store = world.open().await;
    for batch in events.chunks(256) {
        record(&store, batch).await;
    }
    store.close().await;
    world.dump().await
}

#[tokio::test]
async fn what_an_older_version_did_not_work_out_is_worked_out_by_a_migration_and_by_a_start() {
    on_both(async |world| {
        let dump = record_all(&world, &conversation("7", 1_300)).await;
        assert!(dump.iter().filter(|row| row.starts_with("responses")).count() > 100, "{dump:#?}");
        forget(&world).await;
        assert_ne!(world.dump().await, dump);
        let refusing = Options { pending: Pending::Refuse, ..world.options() };
        store::open(&refusing).await.expect("it opens").close().await;
        let beside = Options { access: OpenMode::Beside, ..world.options() };
        store::open(&beside).await.expect("it opens").close().await;
        assert_eq!(filled(&world).await, "0|NULL");
        world.open().await.close().await;
        assert_eq!(filled(&world).await, "1|NULL");
        assert_eq!(world.dump().await, dump);
        forget(&world).await;
        assert_eq!(store::migrate(&world.options().database).await.expect("it migrates"), 0);
        assert_eq!(world.dump().await, dump);
    })
    .await;
}

#[tokio::test]
async fn a_new_database_has_nothing_to_be_worked_out() {
    on_both(async |world| {
        store::open(&world.options()).await.expect("it opens").close().await;
        assert_eq!(filled(&world).await, "1|NULL");
    })
    .await;
}

#[tokio::test]
async fn what_is_worked_out_once_is_never_looked_at_again() {
    on_both(async |world| {
        record_all(&world, &conversation("7", 10)).await;
        forget(&world).await;
        world.execute("UPDATE installation SET derived = 1").await;
        world.open().await.close().await;
        assert_eq!(world.value("SELECT count(*) FROM message_search").await, "0");
    })
    .await;
}

#[tokio::test]
async fn after_a_death_in_the_middle_it_goes_on_where_it_was() {
    on_both(async |world| {
        let dump = record_all(&world, &conversation("7", 1_300)).await;
        forget(&world).await;
        let die = match world.backend {
            Backend::Sqlite => {
                "CREATE TRIGGER die BEFORE INSERT ON message_search WHEN new.id = 'm01100'
                 BEGIN SELECT RAISE(ABORT, 'dead'); END"
            }
            Backend::Postgres => {
                "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF new.id = 'm01100' THEN RAISE EXCEPTION 'dead'; END IF; RETURN new; END $$;
                 CREATE TRIGGER die BEFORE INSERT ON message_search FOR EACH ROW EXECUTE FUNCTION die()"
            }
        };
        world.execute(die).await;
        assert!(world.try_open().await.is_err());
        assert_eq!(filled(&world).await, r#"0|{"messages":["7","m00999"]}"#);
        assert_eq!(world.value("SELECT count(*) FROM message_search").await, "1000");
        // What was done is not done again.
        world.execute("UPDATE messages SET body = 'Otra cosa' WHERE id = 'm00000'").await;
        let undo = if world.backend == Backend::Sqlite { "DROP TRIGGER die" } else { "DROP FUNCTION die CASCADE" };
        world.execute(undo).await;
        world.open().await.close().await;
        world.execute("UPDATE messages SET body = 'Menú número 0' WHERE id = 'm00000'").await;
        assert_eq!(world.dump().await, dump);
    })
    .await;
}

#[tokio::test]
async fn another_process_records_batches_meanwhile() {
    let (world, calm) = (World::new(Backend::Postgres).await, World::new(Backend::Postgres).await);
    let (before, meanwhile) = (conversation("7", 1_300), conversation("7", 1_600).split_off(2_600));
    record_all(&world, &before).await;
    let other = world.open().await;
    forget(&world).await;
    let recorded = async {
        for batch in meanwhile.chunks(20) {
            record(&other, batch).await;
        }
    };
    let (store, ()) = tokio::join!(world.open(), recorded);
    store.close().await;
    assert_eq!(world.dump().await, record_all(&calm, &[before, meanwhile].concat()).await);
}
