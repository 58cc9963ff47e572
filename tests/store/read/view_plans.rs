//! The plans by which both databases answer queries on the views: an index is used for each condition that docs/sql.md
//! promises.

use crate::support::database::world::{Backend, World, on_both};

/// Conditions that must not scan all messages.
const FAST: [&str; 16] = [
    "SELECT * FROM v_messages WHERE instance_id = '7' AND id = 'A'",
    "SELECT * FROM v_messages WHERE instance_id = '7' AND chat_id = 'C' ORDER BY occurred_at",
    "SELECT * FROM v_messages WHERE contact = '573001112233' ORDER BY occurred_at",
    "SELECT * FROM v_messages WHERE instance_id = '7' AND occurred_at >= '2024-08-27T00:00:00.000Z'",
    "SELECT type, count(*) FROM v_messages WHERE occurred_at >= '2024-08-27T00:00:00.000Z' GROUP BY type",
    "SELECT * FROM v_messages WHERE occurred_at >= (SELECT yesterday_starts_at FROM v_today)",
    "SELECT * FROM v_messages ORDER BY occurred_at DESC LIMIT 20",
    "SELECT * FROM v_messages WHERE occurred_at >= (SELECT starts_at FROM v_days WHERE local_day = '2024-08-27') \
     AND occurred_at < (SELECT ends_at FROM v_days WHERE local_day = '2024-08-27')",
    "SELECT * FROM v_daily WHERE local_day >= '2024-08-01'",
    "SELECT * FROM v_daily WHERE instance_id = '7' AND local_day >= '2024-08-01'",
    "SELECT * FROM v_unanswered WHERE instance_id = '7'",
    "SELECT * FROM v_chats WHERE contact = '573001112233'",
    "SELECT * FROM v_media WHERE instance_id = '7' AND message_id = 'A'",
    "SELECT * FROM v_reactions WHERE instance_id = '7' AND message_id = 'A'",
    "SELECT * FROM v_response_times WHERE instance_id = '7' AND waiting_since >= '2024-08-27T00:00:00.000Z'",
    "SELECT * FROM v_quarantine WHERE instance_id = '7'",
];

async fn plan(world: &World, query: &str) -> String {
    match world.backend {
        Backend::Sqlite => world.rows(&format!("EXPLAIN QUERY PLAN {query}")).await.join("\n"),
        // Empty tables are always scanned unless scans are made expensive.
        Backend::Postgres => {
            let name = crate::support::database::postgres::name(&world.url);
            world.execute(&format!("ALTER DATABASE {name} SET enable_seqscan = off")).await;
            world.rows(&format!("EXPLAIN {query}")).await.join("\n")
        }
    }
}

#[test]
async fn a_condition_on_keys_and_times_reaches_the_indexes_of_messages() {
    on_both(async |world| {
        world.open().await.close().await;
        for query in FAST {
            let plan = plan(&world, query).await;
            for table in ["messages", "events", "message_reactions", "media", "responses"] {
                let walks = plan.lines().any(|line| match world.backend {
                    Backend::Sqlite => {
                        let all =
                            line.ends_with(&format!("SCAN {table}")) || line.contains(&format!("SCAN {table} USING"));
                        all && !query.contains("LIMIT")
                    }
                    Backend::Postgres => line.contains(&format!("Seq Scan on {table}")),
                });
                assert!(!walks, "{query}\n{plan}");
            }
        }
    })
    .await;
}

#[test]
async fn a_days_messages_are_found_by_their_time_alone_or_with_their_instance() {
    on_both(async |world| {
        world.open().await.close().await;
        for (condition, index) in [("", "messages_time"), ("instance_id = '7' AND", "messages_")] {
            let query = format!("SELECT * FROM v_daily WHERE {condition} local_day = '2024-08-27'");
            let plan = plan(&world, &query).await;
            let by_time = plan.lines().any(|line| line.contains(index));
            assert!(by_time, "{query}\n{plan}");
        }
    })
    .await;
}

/// A query pays only for what it selects: the joins of a view are not made for columns that are not selected.
#[test]
async fn postgresql_leaves_out_the_joins_that_a_query_does_not_need() {
    let world = World::new(Backend::Postgres).await;
    world.open().await.close().await;
    for query in ["SELECT count(*) FROM v_messages", "SELECT type, count(*) FROM v_messages GROUP BY type"] {
        let plan = plan(&world, query).await;
        assert!(!plan.contains("Join") && !plan.contains("Nested Loop") && !plan.contains("SubPlan"), "{plan}");
    }
}
