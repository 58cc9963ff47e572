//! A cell on Citus that moves to another worker under load. `BUZON_TEST_CITUS_URL=URL cargo test --test suite
//! chaos::database::citus -- --ignored` runs it on a database of a cluster with two workers or more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::chaos::processes::replicas::watch;
use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, seed};
use crate::support::database::postgres;
use crate::support::database::world::{Backend, World};
use crate::support::program::process::Buzon;

/// Moves the schema to a worker that does not have it.
const MOVE: &str = "SELECT citus_schema_move(current_schema()::regnamespace, nodename, nodeport)
    FROM pg_dist_node
    WHERE isactive AND shouldhaveshards AND noderole = 'primary' AND groupid NOT IN (
        SELECT placement.groupid
        FROM pg_dist_placement AS placement
        JOIN pg_dist_shard AS shard ON shard.shardid = placement.shardid
        WHERE shard.logicalrelid = 'events'::regclass
    )
    LIMIT 1";

#[test(flavor = "multi_thread")]
#[ignore = "needs a cluster of Citus, which somebody has started"]
async fn a_cell_moves_to_another_worker_under_load_and_nothing_is_lost_or_missed() {
    let world = World::new(Backend::Postgres).await;
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed(), buzon.address);
    let over = Arc::new(AtomicBool::new(false));
    let watched = tokio::spawn(watch(world.url.clone(), over.clone()));
    loader.wait_for_acks(300).await;
    postgres::execute(&world.url, MOVE).await;
    loader.wait_for_acks(300).await;
    over.store(true, Ordering::Relaxed);
    assert!(watched.await.expect("the ledger can be read") > 300);
    assert_nothing_lost(&world, &loader.end().await, 1).await;
    buzon.kill().await;
}
