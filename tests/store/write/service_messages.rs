//! Notices that come in the form of a message.

use buzon::domain::event::Event;
use serde_json::{Value, json};

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{event, received, sent};

const SECOND: i64 = 1_724_716_800;
const CHATS: &str =
    "SELECT message_count, service_count, last_message_id, last_incoming_id, waiting_id, name FROM chats";

fn notice(id: &str, kind: &str, second: i64) -> Vec<u8> {
    received(id, json!({"type": kind, "body": "", "timestamp": SECOND + second}))
}

fn at(second: i64) -> Value {
    json!({"timestamp": SECOND + second})
}

#[test]
async fn nobody_waits_for_an_answer_to_a_notice_and_nothing_counts_it() {
    on_both(async |world| {
        let store = world.open().await;
        let kinds = [
            "e2e_notification",
            "notification_template",
            "call_log",
            "protocol",
            "gp2",
            "ciphertext",
            "notification",
            "reaction",
            "revoked",
            "unknown",
        ];
        let notices: Vec<Event> =
            kinds.iter().zip(0..).map(|(kind, n)| event("7", notice(kind, kind, n), ARRIVAL)).collect();
        record(&store, &notices).await;
        assert_eq!(world.rows(CHATS).await, ["0|10|NULL|NULL|NULL|NULL"]);
        record(&store, &[event("7", sent("offer", at(86_400)), later(200_000_000))]).await;
        assert_eq!(world.rows(CHATS).await, ["1|10|offer|NULL|NULL|NULL"]);
        assert_eq!(world.value("SELECT count(*) FROM responses").await, "0");
        assert_eq!(world.value("SELECT count(*) FROM messages WHERE is_service").await, "10");
        assert_eq!(world.rows("SELECT messages, incoming, chats FROM v_daily").await, ["1|0|1"]);
    })
    .await;
}

#[test]
async fn a_notice_between_messages_changes_nothing_for_its_chat() {
    on_both(async |world| {
        let store = world.open().await;
        let said = [received("1", at(0)), notice("n", "call_log", 30), sent("2", at(60)), notice("m", "gp2", 90)];
        for body in said {
            record(&store, &[event("7", body, ARRIVAL)]).await;
        }
        assert_eq!(world.rows(CHATS).await, ["2|2|2|1|NULL|Juan Pérez"]);
        assert_eq!(world.rows("SELECT incoming_id, outgoing_id, seconds FROM responses").await, ["1|2|60"]);
        // The call that we made is no answer either.
        let call = sent("call", json!({"type": "call_log", "body": "", "timestamp": SECOND + 120}));
        record(&store, &[event("7", received("3", at(100)), ARRIVAL), event("7", call, ARRIVAL)]).await;
        assert_eq!(world.rows("SELECT waiting_id, last_outgoing_id FROM chats").await, ["3|2"]);
    })
    .await;
}

#[test]
async fn a_placeholder_that_becomes_a_message_leaves_nothing_behind() {
    on_both(async |world| {
        let store = world.open().await;
        let placeholder = json!({
            "type": "ciphertext", "body": "Esperando el mensaje", "vcard": "v", "sender_name": "Nadie",
            "chat_id": "5@c.us", "timestamp": SECOND,
        });
        record(&store, &[event("7", received("A", placeholder.clone()), ARRIVAL)]).await;
        record(
            &store,
            &[event("7", received("A", json!({"body": "", "type": "image", "timestamp": SECOND + 5})), later(1))],
        )
        .await;
        let row = "SELECT chat_id, type, body, vcard, sender_name, is_service, sent_at, edited_at FROM messages";
        let real = "573001112233@c.us|image|NULL|NULL|Juan Pérez|0|2024-08-27T00:00:00.000Z|NULL";
        assert_eq!(world.rows(row).await, [real]);
        assert_eq!(world.value("SELECT count(*) FROM message_search").await, "0");
        let chats = "SELECT chat_id, message_count, service_count, waiting_id FROM chats";
        assert_eq!(world.rows(chats).await, ["573001112233@c.us|1|0|A"]);
        // Another placeholder of the same message is none any more.
        record(&store, &[event("7", received("A", again(placeholder)), later(2))]).await;
        assert_eq!(world.rows(row).await, [real]);
        assert_eq!(world.rows(chats).await, ["573001112233@c.us|1|0|A"]);
    })
    .await;
}

/// Makes another body of the same meaning.
fn again(mut fields: Value) -> Value {
    fields["n"] = json!(1);
    fields
}

#[test]
async fn a_reaction_that_comes_as_a_message_is_a_reaction_and_asks_nothing() {
    on_both(async |world| {
        let store = world.open().await;
        let react = |id: &str, emoji: &str, second: i64| {
            let fields = json!({
                "type": "reaction", "body": "", "quoted_message_id": "answer", "reaction": emoji,
                "timestamp": SECOND + second,
            });
            event("7", received(id, fields), later(second))
        };
        record(
            &store,
            &[event("7", received("question", at(0)), ARRIVAL), event("7", sent("answer", at(60)), ARRIVAL)],
        )
        .await;
        record(&store, &[react("r1", "👍", 90)]).await;
        let reactions = "SELECT message_id, from_number, reaction, reacted_at FROM v_current_reactions";
        assert_eq!(world.rows(reactions).await, ["answer|573001112233@c.us|👍|2024-08-27T00:01:30.000Z"]);
        assert_eq!(world.rows("SELECT waiting_id, last_message_id FROM chats").await, ["NULL|answer"]);
        record(&store, &[react("r2", "", 100)]).await;
        assert_eq!(world.rows(reactions).await, [""; 0]);
        assert_eq!(world.value("SELECT count(*) FROM message_reactions").await, "2");
    })
    .await;
}
