//! How PostgreSQL finds its rows, by its own account of the service's own statements.

use sqlx::{Connection, PgConnection};

use super::measure::{ask, measure};
use super::questions::questions;
use super::{Scale, serve};
use crate::support::postgres::Server;
use crate::support::service::Service;
use crate::support::world::World;

/// Every plan goes to the log, and the log to a file that a statement can read.
pub const EXPLAINED: &str = "-c logging_collector=on -c session_preload_libraries=auto_explain";
const ALWAYS: &str = "-c auto_explain.log_min_duration=0";

/// Of so few messages, these are so large a part that a walk over all is the shorter way.
const LARGE_PAGE: &str = "a page of 200";

/// Enough that it is the shorter way for no other.
const SCALE: Scale = Scale { messages: 20_000, chats: 800, instances: 4 };

/// What the server has written so far.
pub async fn log(server: &str) -> String {
    let mut connection = PgConnection::connect(server).await.expect("PostgreSQL answers");
    let log = sqlx::query_scalar("SELECT pg_read_file(pg_current_logfile())").fetch_one(&mut connection).await;
    connection.close().await.expect("it closes");
    log.expect("the log is a file")
}

/// The plans of the statements that answer this, with their times.
pub async fn of(world: &World, service: &Service, path: &str) -> String {
    let before = log(&world.url).await.len();
    for setting in ["log_min_duration = 0", "log_analyze = on", "log_buffers = on"] {
        world.execute(&format!("ALTER SYSTEM SET auto_explain.{setting}")).await;
    }
    world.execute("SELECT pg_reload_conf()").await;
    ask(service, path).await;
    for setting in ["log_min_duration", "log_analyze", "log_buffers"] {
        world.execute(&format!("ALTER SYSTEM RESET auto_explain.{setting}")).await;
    }
    world.execute("SELECT pg_reload_conf()").await;
    log(&world.url).await.split_off(before)
}

#[tokio::test]
async fn no_question_walks_over_a_large_table() {
    let server = Server::start(&format!("{EXPLAINED} {ALWAYS}"));
    let world = World::on_server(&server.url, "").await;
    let (service, memory) = serve(&world, SCALE).await;
    let before = log(&server.url).await.len();
    let questions = questions(&memory);
    measure(&service, questions.iter().filter(|it| it.name != LARGE_PAGE), 8).await;
    service.stop().await;
    let log = log(&server.url).await;
    let plans: Vec<&str> = log[before..].split("LOG:  duration:").skip(1).collect();
    assert!(plans.iter().filter(|plan| plan.contains(" on messages")).count() > 100);
    for table in ["messages", "events", "message_acks", "message_search"] {
        for plan in &plans {
            let walk = format!("Seq Scan on {table}");
            assert!(!plan.lines().any(|line| line.contains(&format!("{walk} "))), "{plan}");
        }
    }
}
