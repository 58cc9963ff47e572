//! A trigger can drop a row without an error. An event whose rows are dropped is never acknowledged.

use buzon::domain::access::scope::Scope;
use buzon::domain::event::Event;
use buzon::store::StoreError;
use serde_json::json;

use crate::store::admin::tokens::new;
use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{ack, event, reaction, received, sent};

/// Makes a table drop the rows that statements of this kind write.
async fn drop_rows(world: &World, table: &str, verb: &str) {
    let statements = match world.backend {
        Backend::Sqlite => format!("CREATE TRIGGER drop_rows BEFORE {verb} ON {table} BEGIN SELECT RAISE(IGNORE); END"),
        Backend::Postgres => format!(
            "CREATE FUNCTION drop_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
             CREATE TRIGGER drop_rows BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION drop_rows()"
        ),
    };
    world.execute(&statements).await;
}

async fn keep_rows(world: &World) {
    let statement = match world.backend {
        Backend::Sqlite => "DROP TRIGGER drop_rows",
        Backend::Postgres => "DROP FUNCTION drop_rows CASCADE",
    };
    world.execute(statement).await;
}

fn of(body: Vec<u8>) -> Event {
    event("7", body, ARRIVAL)
}

/// Returns one event of each kind: a question and its answer, an ack that is known before its message, a reaction, a
/// file.
fn one_of_everything() -> Vec<Event> {
    let bodies = [
        received("A", json!({"body": "¿Hay menú?", "media_url": "/a.jpg"})),
        ack("B", "read"),
        sent("B", json!({"body": "Claro"})),
        reaction("A", "573001112233@c.us", json!("👍"), json!(1_724_717_000)),
    ];
    bodies.into_iter().map(of).collect()
}

/// Returns other copies of the same messages, and events that change their rows.
fn changes() -> Vec<(&'static str, Vec<Event>)> {
    vec![
        ("ledger_clock", one_of_everything()),
        // Exact repeats count their deliveries.
        ("events", one_of_everything()),
        ("messages", vec![of(received("A", json!({"body": "¿Hay menú hoy?"})))]),
        ("messages", vec![of(ack("C", "delivered"))]),
        ("message_acks", vec![of(json!({"event_type": "ack_update", "id": "B", "ack": "read", "x": 1}).to_string().into())]),
        (
            "message_reactions",
            vec![of(json!({
                "event_type": "message_reaction", "message_id": "A", "from_number": "573001112233@c.us", "reaction": "👍",
                "timestamp": 1_724_717_000, "x": 1,
            })
            .to_string()
            .into())],
        ),
        ("chats", vec![of(received("D", json!({})))]),
        ("media", vec![of(received("A", json!({"media_url": "/a.jpg", "x": 1})))]),
    ]
}

#[test]
async fn a_batch_of_which_a_row_is_dropped_is_refused_with_the_tables_name_and_leaves_nothing() {
    on_both(async |world| {
        let store = world.open().await;
        let before = world.dump().await;
        for table in
            ["events", "messages", "message_acks", "message_reactions", "chats", "responses", "message_search", "media"]
        {
            drop_rows(&world, table, "INSERT").await;
            let refused = store.record_batch(&one_of_everything()).await.expect_err(table);
            assert!(matches!(refused, StoreError::Swallowed { table: named } if named == table), "{table}: {refused}");
            assert!(refused.to_string().contains(&format!("on the table {table} swallowed a row")), "{refused}");
            keep_rows(&world).await;
            assert_eq!(world.dump().await, before, "{table}");
        }
        record(&store, &one_of_everything()).await;
        record(&store, &[of(sent("C", json!({})))]).await;
        let before = world.dump().await;
        for (table, events) in changes() {
            drop_rows(&world, table, "UPDATE").await;
            let refused = store.record_batch(&events).await.expect_err(table);
            assert!(matches!(refused, StoreError::Swallowed { table: named } if named == table), "{table}: {refused}");
            keep_rows(&world).await;
            assert_eq!(world.dump().await, before, "{table}");
        }
        store.close().await;
    })
    .await;
}

/// A trigger that undoes a revocation would leave a leaked token valid.
#[test]
async fn a_token_that_is_not_kept_or_not_ended_is_an_error() {
    on_both(async |world| {
        let store = world.open().await;
        let token = new("panel", 1, Scope::All, None);
        drop_rows(&world, "api_tokens", "INSERT").await;
        let refused = store.create_token(&token).await.expect_err("it is not kept");
        assert!(matches!(refused, StoreError::Swallowed { table: "api_tokens" }), "{refused}");
        keep_rows(&world).await;
        let id = store.create_token(&token).await.expect("it is kept").expect("its name is free");
        assert_eq!(store.create_token(&token).await.expect("it is asked"), None, "the name is taken");
        drop_rows(&world, "api_tokens", "UPDATE").await;
        let refused = store.revoke_token(id, ARRIVAL).await.expect_err("it is active");
        assert!(matches!(refused, StoreError::Swallowed { table: "api_tokens" }), "{refused}");
        keep_rows(&world).await;
        assert!(store.revoke_token(id, ARRIVAL).await.expect("it is ended"));
        assert!(!store.revoke_token(id, ARRIVAL).await.expect("it was ended before"));
        store.close().await;
    })
    .await;
}

/// Existing rows are not taken for dropped ones.
#[test]
async fn existing_rows_are_not_taken_for_dropped() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &one_of_everything()).await;
        for receipt in record(&store, &one_of_everything()).await {
            assert!(receipt.duplicate);
        }
        for (_, events) in changes() {
            record(&store, &events).await;
        }
        store.close().await;
    })
    .await;
}

/// Such a trigger may only notify others of a row.
#[test]
async fn a_trigger_that_lets_the_row_pass_is_no_problem() {
    on_both(async |world| {
        world.open().await.close().await;
        let statements = match world.backend {
            Backend::Sqlite => {
                "CREATE TABLE told (id TEXT); \
                 CREATE TRIGGER tell AFTER INSERT ON messages BEGIN INSERT INTO told VALUES (new.id), (new.id); END"
            }
            Backend::Postgres => {
                "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN PERFORM pg_notify('messages', new.id); RETURN new; END $$; \
                 CREATE TRIGGER tell BEFORE INSERT OR UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION tell()"
            }
        };
        world.execute(statements).await;
        let store = world.open().await;
        record(&store, &one_of_everything()).await;
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "2");
        store.close().await;
    })
    .await;
}
