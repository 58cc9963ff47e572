//! The samples of the guide, byte for byte.

use crate::support::database::world::on_both;
use crate::support::events::{GUIDE, GUIDE_CURL};
use crate::support::program::service::Service;

const MESSAGES: &str = "SELECT instance_id, id, ack FROM messages ORDER BY id";

async fn assert_rows(world: &crate::support::database::world::World) {
    assert_eq!(world.rows(MESSAGES).await, ["123|ABCD1234|pending", "123|WXYZ5678|delivered"]);
    let reactions = world.rows("SELECT instance_id, message_id, from_number, reaction FROM v_current_reactions").await;
    assert_eq!(reactions, ["123|WXYZ5678|573001112233@c.us|👍"]);
    let ledger = world.rows("SELECT event_type, deliveries, state, body FROM events ORDER BY event_type").await;
    let mut samples: Vec<String> =
        GUIDE.iter().map(|(kind, body)| format!("{kind}|2|applied|{}", hex::encode(body))).collect();
    samples.sort();
    assert_eq!(ledger, samples);
    let chats = world.rows("SELECT chat_id, name, message_count, last_message_id FROM chats").await;
    assert_eq!(chats, ["573001112233@c.us|Juan Pérez|2|WXYZ5678"]);
}

#[test]
async fn the_samples_repeated_and_in_any_order_give_the_same_rows() {
    let orders = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 3, 4, 1]];
    for order in orders {
        on_both(async |world| {
            let service = Service::start(&world).await;
            for sample in order {
                assert!(!service.deliver("/webhook", GUIDE[sample].1).await.accepted());
            }
            for sample in order.iter().rev() {
                assert!(service.deliver("/webhook", GUIDE[*sample].1).await.accepted());
            }
            service.stop().await;
            assert_rows(&world).await;
        })
        .await;
    }
}

/// The guide's own receivers use `id` as the key of every event, and therefore drop this ack.
#[test]
async fn an_ack_that_shares_its_id_with_its_message_is_not_taken_for_a_repeat() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        let [_, (_, sent), (_, ack), ..] = GUIDE;
        assert!(!service.deliver("/webhook/123", sent).await.accepted());
        assert!(!service.deliver("/webhook/123", ack).await.accepted());
        assert_eq!(world.rows(MESSAGES).await, ["123|WXYZ5678|delivered"]);
        service.stop().await;
    })
    .await;
}

#[test]
async fn the_curl_lines_work_without_a_secret_from_this_machine() {
    on_both(async |world| {
        let service = Service::start_with(&world, &[]).await;
        for body in GUIDE_CURL {
            let request = service.post("/webhook", body).header("Content-Type", "application/json");
            assert!(!crate::support::program::service::answer(request).await.accepted());
        }
        assert_eq!(world.rows(MESSAGES).await, ["123|SIM-1|pending"]);
        assert_eq!(world.rows("SELECT instance_id, ack FROM message_acks ORDER BY 1").await, ["-|read", "123|pending"]);
        assert_eq!(world.rows("SELECT DISTINCT signed FROM events").await, ["0"]);
        service.stop().await;
    })
    .await;
}

#[test]
async fn a_service_that_was_stopped_continues_after_its_start() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        assert!(!service.deliver("/webhook", GUIDE[1].1).await.accepted());
        service.stop().await;
        let service = Service::start(&world).await;
        assert!(service.deliver("/webhook", GUIDE[1].1).await.accepted());
        assert!(!service.deliver("/webhook", GUIDE[2].1).await.accepted());
        assert_eq!(world.rows(MESSAGES).await, ["123|WXYZ5678|delivered"]);
        service.stop().await;
    })
    .await;
}
