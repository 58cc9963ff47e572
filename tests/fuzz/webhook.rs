//! R10: every body within the limit that has a valid signature is answered 200 and kept byte for byte.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use proptest::prelude::*;

use super::decoder::body;
use super::hold_slowly;
use crate::chaos::harness::auditor::assert_consistent;
use crate::support::database::world::{Backend, World};
use crate::support::events::SECRET;
use crate::support::program::service::Service;

const SETTINGS: &[(&str, &str)] = &[("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")];

#[test]
fn any_signed_body_is_answered_200_and_kept_byte_for_byte() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
        let world = runtime.block_on(World::new(backend));
        let service = runtime.block_on(Service::start_with(&world, SETTINGS));
        let sent = std::cell::RefCell::new(BTreeSet::new());
        let paths = prop::sample::select(&["/webhook", "/webhook/7", "/webhook/8"][..]);
        // They are sent at the same time, so that they share batches.
        let bodies = prop::collection::vec((paths, body()), 1..40);
        hold_slowly(30, &bodies, |bodies| {
            let deliveries = bodies.iter().map(|(path, body)| service.deliver(path, body));
            for answer in runtime.block_on(join_all(deliveries)) {
                prop_assert_eq!(answer.status.as_u16(), 200, "{:?}", answer);
            }
            sent.borrow_mut().extend(bodies.iter().map(|(_, body)| hex::encode(body)));
            Ok(())
        });
        runtime.block_on(service.stop());
        let kept = runtime.block_on(world.rows("SELECT body FROM events"));
        assert_eq!(BTreeSet::from_iter(kept), sent.into_inner());
        runtime.block_on(assert_consistent(&world));
        let states = runtime.block_on(world.rows("SELECT DISTINCT state FROM events"));
        assert_eq!(
            BTreeSet::from_iter(states),
            BTreeSet::from(["applied", "ignored", "quarantined"].map(String::from))
        );
        let refused = "SELECT count(*) FROM events WHERE reason = 'refused_by_database'";
        assert_eq!(
            runtime.block_on(world.value(refused)),
            "0",
            "the decoder lets nothing through that a column refuses"
        );
    }
}
