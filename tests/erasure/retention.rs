//! Retention: it lets go of what is older than what is kept, and late arrivals leave no content.

use buzon::domain::media::object_key::ObjectKey;
use buzon::domain::retention::{Periods, RetentionPolicy, SHORTEST};
use buzon::erasure::retention;
use buzon::platform::clock::{Clock, SystemClock};
use serde_json::json;

use super::rows::{check, eraser, from};
use crate::support::database::world::{on_both, record};
use crate::support::events::{SECRET, ack, event, received};
use crate::support::program::service::Service;

const ANA: &str = "573155550199@c.us";
const LID: &str = "99887766554433@lid";
const STATES: &str = "SELECT state, count(*) FROM events GROUP BY state ORDER BY state";

fn policy(messages: bool) -> RetentionPolicy {
    let general = Periods { messages: messages.then_some(SHORTEST * 2), media: Some(SHORTEST) };
    RetentionPolicy { general, ..RetentionPolicy::default() }
}

#[test]
async fn old_messages_go_with_their_events_and_persons_stay_who_they_are() {
    on_both(async |world| {
        let store = world.open().await;
        let now = SystemClock.now();
        let old = now - SHORTEST * 3;
        let at = |at: buzon::domain::time::timestamp::Timestamp| json!({"timestamp": at.seconds(), "sender_pn": ANA});
        record(&store, &[event("7", received("O1", from(LID, 0, at(old))), old)]).await;
        record(&store, &[event("7", ack("O1", "read"), old)]).await;
        record(&store, &[event("7", "no JSON", old)]).await;
        record(&store, &[event("7", received("N1", from(LID, 0, json!({"timestamp": now.seconds()}))), now)]).await;
        let plan = retention::plan(&*store, &policy(true), now).await.expect("it can be told");
        assert!(plan.needs_yes() && !plan.is_empty());
        let (events, files) = retention::run(&eraser(&world, &store), &policy(true)).await.expect("it ends");
        assert_eq!((events, files), (3, 0));
        assert_eq!(world.rows(STATES).await, ["applied|1", "expired|3"]);
        assert_eq!(world.rows("SELECT id, chat_id FROM messages").await, [format!("N1|{ANA}")]);
        check(&world).await;
        let plan = retention::plan(&*store, &policy(true), now).await.expect("it can be told");
        assert!(!plan.needs_yes() && plan.is_empty());
        // A repeat is recognised, and leaves nothing.
        record(&store, &[event("7", received("O1", from(LID, 0, at(old))), now)]).await;
        assert_eq!(world.rows(STATES).await, ["applied|1", "expired|3"]);
        assert_eq!(world.value("SELECT count(*) FROM messages").await, "1");
    })
    .await;
}

#[test]
async fn files_go_before_their_messages_and_are_not_fetched_again() {
    on_both(async |world| {
        let store = world.open().await;
        let now = SystemClock.now();
        let old = now - SHORTEST * 3;
        let body = received("O1", from(ANA, 0, json!({"timestamp": old.seconds(), "media_url": "/a.jpg"})));
        record(&store, &[event("7", body.clone(), old)]).await;
        let key = ObjectKey::of_digest([7; 32]);
        world.execute(&format!("UPDATE media SET state = 'stored', object_key = '{key}', size = 3")).await;
        let (_, files) = retention::run(&eraser(&world, &store), &policy(false)).await.expect("it ends");
        assert_eq!(files, 1);
        record(&store, &[event("7", body, now)]).await;
        assert_eq!(world.rows("SELECT state, object_key FROM media").await, ["removed|NULL"]);
        assert_eq!(world.rows("SELECT id FROM messages").await, ["O1"]);
        check(&world).await;
    })
    .await;
}

#[test]
async fn a_late_arrival_is_answered_200_and_leaves_its_arrival() {
    on_both(async |world| {
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_RETENTION_MESSAGES", "30d")];
        let service = Service::start_with(&world, &settings).await;
        let late = received("O1", from(ANA, 0, json!({})));
        service.deliver("/webhook/7", &late).await.accepted();
        assert!(service.deliver("/webhook/7", &late).await.accepted());
        let now = SystemClock.now().seconds();
        service.deliver("/webhook/7", received("N1", from(ANA, 0, json!({"timestamp": now})))).await.accepted();
        assert_eq!(world.rows("SELECT id FROM messages").await, ["N1"]);
        let rows = world.rows("SELECT state, deliveries, body IS NULL FROM events ORDER BY seq").await;
        assert!(rows[0].starts_with("expired|2|"), "{rows:?}");
        service.stop().await;
    })
    .await;
}
