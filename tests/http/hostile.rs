//! A signed body is answered 200 and kept byte for byte, whatever it contains, and does no harm to other events.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::received;
use crate::support::hostile::hostile;
use crate::support::program::service::Service;

#[test(flavor = "multi_thread")]
async fn every_hostile_body_is_kept_byte_for_byte_and_other_events_are_stored() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let hostile = hostile();
        let neighbours: Vec<Vec<u8>> = (0..hostile.len()).map(|n| received(&format!("N{n}"), json!({}))).collect();
        // They are sent at the same time, so that they share batches.
        let deliveries = hostile.iter().zip(&neighbours).flat_map(|((poison, _), neighbour)| [poison, neighbour]);
        let answers = join_all(deliveries.map(|body| service.deliver("/webhook/7", body))).await;
        assert!(answers.iter().all(|answer| !answer.accepted()));
        for (body, outcome) in &hostile {
            let kept = world
                .rows(&format!(
                    "SELECT state, reason FROM events WHERE body = {}",
                    match world.backend {
                        Backend::Sqlite => format!("x'{}'", hex::encode(body)),
                        Backend::Postgres => format!("'\\x{}'::bytea", hex::encode(body)),
                    }
                ))
                .await;
            assert_eq!(kept, [*outcome], "{}", String::from_utf8_lossy(&body[..body.len().min(200)]));
        }
        let stored = world.value("SELECT count(*) FROM messages WHERE id LIKE 'N%'").await;
        assert_eq!(stored, neighbours.len().to_string());
        service.stop().await;
    })
    .await;
}

/// Makes the database refuse rows of `table` for which `condition` holds, as a trigger of the owner could.
async fn refuse(world: &World, table: &str, condition: &str) {
    let statements = match world.backend {
        Backend::Sqlite => format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON {table} WHEN {condition} BEGIN SELECT RAISE(ABORT, 'refused'); END"
        ),
        Backend::Postgres => format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN IF {condition} THEN RAISE EXCEPTION 'refused'; END IF; RETURN new; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
        ),
    };
    world.execute(&statements).await;
}

/// Such an event cannot be stored in any way, and the gateway keeps it.
#[test(flavor = "multi_thread")]
async fn an_event_that_the_database_refuses_even_as_quarantined_is_503_and_other_events_are_stored() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        refuse(&world, "events", "new.instance_id = 'poison'").await;
        let bodies: Vec<Vec<u8>> = (0..12).map(|n| received(&format!("N{n}"), json!({}))).collect();
        let path = |n: usize| if n == 5 { "/webhook/poison" } else { "/webhook/7" };
        let deliveries = bodies.iter().enumerate().map(|(n, body)| service.deliver(path(n), body));
        for (n, answer) in join_all(deliveries).await.into_iter().enumerate() {
            assert_eq!(answer.status.as_u16(), if n == 5 { 503 } else { 200 }, "{n}");
        }
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "11");
        service.stop().await;
    })
    .await;
}

/// Makes the database drop rows of `table` for which `condition` holds, without an error.
async fn swallow(world: &World, table: &str, condition: &str) {
    let statements = match world.backend {
        Backend::Sqlite => {
            format!("CREATE TRIGGER swallow BEFORE INSERT ON {table} WHEN {condition} BEGIN SELECT RAISE(IGNORE); END")
        }
        Backend::Postgres => format!(
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN IF {condition} THEN RETURN NULL; END IF; RETURN new; END $$; \
             CREATE TRIGGER swallow BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION swallow()"
        ),
    };
    world.execute(&statements).await;
}

/// The gateway sends the event again until somebody has removed the trigger.
#[test(flavor = "multi_thread")]
async fn an_event_whose_row_a_trigger_drops_is_503_until_the_trigger_is_gone_and_other_events_are_stored() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        swallow(&world, "messages", "new.id LIKE 'poison%'").await;
        let ids: Vec<String> = (0..40).map(|n| format!("{}{n}", if n % 13 == 5 { "poison" } else { "N" })).collect();
        let bodies: Vec<Vec<u8>> = ids.iter().map(|id| received(id, json!({}))).collect();
        let answers = join_all(bodies.iter().map(|body| service.deliver("/webhook/7", body))).await;
        for (id, answer) in ids.iter().zip(&answers) {
            assert_eq!(answer.status.as_u16(), if id.starts_with("poison") { 503 } else { 200 }, "{id}");
        }
        for table in ["events", "messages"] {
            assert_eq!(world.value(&format!("SELECT count(*) FROM {table}")).await, "37");
        }
        let gone =
            if world.backend == Backend::Sqlite { "DROP TRIGGER swallow" } else { "DROP FUNCTION swallow CASCADE" };
        world.execute(gone).await;
        for (id, body) in ids.iter().zip(&bodies).filter(|(id, _)| id.starts_with("poison")) {
            assert!(!service.deliver("/webhook/7", body).await.accepted(), "{id} is new");
        }
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "40");
        service.stop().await;
    })
    .await;
}

/// The body passes all checks of buzon, but the database does not accept it.
#[test(flavor = "multi_thread")]
async fn an_event_that_the_database_refuses_is_quarantined_and_other_events_are_stored() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        refuse(&world, "messages", "new.id LIKE 'poison%'").await;
        let ids: Vec<String> = (0..40).map(|n| format!("{}{n}", if n % 13 == 5 { "poison" } else { "N" })).collect();
        let bodies: Vec<Vec<u8>> = ids.iter().map(|id| received(id, json!({}))).collect();
        let answers = join_all(bodies.iter().map(|body| service.deliver("/webhook/7", body))).await;
        assert!(answers.iter().all(|answer| !answer.accepted()));
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "37");
        let quarantined =
            world.rows("SELECT state, reason, body FROM events WHERE state <> 'applied' ORDER BY seq").await;
        assert_eq!(quarantined.len(), 3);
        for (id, body) in ids.iter().zip(&bodies).filter(|(id, _)| id.starts_with("poison")) {
            let kept = format!("quarantined|refused_by_database|{}", hex::encode(body));
            assert!(quarantined.contains(&kept), "{id}");
        }
        service.stop().await;
    })
    .await;
}
