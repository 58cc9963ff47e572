//! The plans by which PostgreSQL finds rows, as it reports them for the service's own statements.

use sqlx::{Connection, PgConnection};

use super::measure::{ask, measure};
use super::questions::questions;
use super::{Scale, serve};
use crate::support::database::postgres::Server;
use crate::support::database::world::World;
use crate::support::program::service::Service;

/// Every plan goes to the log, and the log to one file that a statement can read.
pub const EXPLAINED: &str = "-c logging_collector=on -c log_rotation_size=0 -c session_preload_libraries=auto_explain";
const ALWAYS: &str = "-c auto_explain.log_min_duration=0 -c auto_explain.log_analyze=on -c auto_explain.log_buffers=on";

/// At this number of messages, the page is such a large part of the table that a scan is cheaper.
const LARGE_PAGE: &str = "a page of 200";

/// The last columns of indexes: a filter on them reads no row that it does not let through.
const LOOKED_AT_IN_THE_INDEX: [(&str, &str); 6] = [
    ("messages_chat", "type"),
    ("messages_from", "type"),
    ("messages_ack", "type"),
    ("messages_type", "from_me"),
    ("messages_media", "kind"),
    ("chats_latest", "kind"),
];

/// The number of messages is large enough that a scan is cheaper for no other question.
const SCALE: Scale = Scale { messages: 20_000, chats: 800, instances: 4 };

/// Returns the server's log so far, if a statement can read it.
async fn log(server: &str) -> Option<String> {
    let mut connection = PgConnection::connect(server).await.expect("PostgreSQL answers");
    let log = sqlx::query_scalar("SELECT pg_read_file(pg_current_logfile())").fetch_one(&mut connection).await;
    connection.close().await.expect("it closes");
    log.expect("the log can be read")
}

/// Returns the plans of the statements that answer a request, with their times. They are empty where the server does
/// not run with [`EXPLAINED`].
pub async fn of(world: &World, service: &Service, path: &str) -> String {
    let Some(before) = log(&world.url).await else { return String::new() };
    for setting in ["log_min_duration = 0", "log_analyze = on", "log_buffers = on"] {
        world.execute(&format!("ALTER SYSTEM SET auto_explain.{setting}")).await;
    }
    world.execute("SELECT pg_reload_conf()").await;
    ask(service, path).await;
    for setting in ["log_min_duration", "log_analyze", "log_buffers"] {
        world.execute(&format!("ALTER SYSTEM RESET auto_explain.{setting}")).await;
    }
    world.execute("SELECT pg_reload_conf()").await;
    log(&world.url).await.expect("it is still there").split_off(before.len())
}

#[test]
async fn no_question_walks_over_a_large_table() {
    let server = Server::start(&format!("{EXPLAINED} {ALWAYS}"));
    let world = World::on_server(&server.url, "").await;
    let (service, sample) = serve(&world, SCALE).await;
    let before = log(&server.url).await.expect("it is a file").len();
    let questions = questions(&sample, world.history().await);
    measure(&service, questions.iter().filter(|it| it.name != LARGE_PAGE), 8).await;
    service.stop().await;
    let log = log(&server.url).await.expect("it is a file");
    let plans: Vec<&str> = log[before..].split("LOG:  duration:").skip(1).collect();
    assert!(plans.iter().filter(|plan| plan.contains(" on messages")).count() > 100);
    for table in ["messages", "events", "message_acks", "message_search"] {
        for plan in &plans {
            let walk = format!("Seq Scan on {table}");
            assert!(!plan.lines().any(|line| line.contains(&format!("{walk} "))), "{plan}");
        }
    }
    for plan in &plans {
        for scan in IndexScan::of(plan) {
            assert!(scan.pages <= scan.needed(), "{} {scan:?} {plan}", scan.node);
        }
    }
    for (index, column) in LOOKED_AT_IN_THE_INDEX {
        let scans = plans.iter().flat_map(|plan| nodes(plan, |line| line.contains(&format!(" using {index} on "))));
        let (mut in_the_index, mut in_the_row) = (0, 0);
        for (_, details) in scans {
            let has = |line: &str| line.split(|it: char| !it.is_alphanumeric() && it != '_').any(|word| word == column);
            let looks = |kind| details.iter().any(|line| line.starts_with(kind) && has(line));
            in_the_index += u32::from(looks("Index Cond:"));
            in_the_row += u32::from(looks("Filter:"));
        }
        assert!(in_the_index > 0 && in_the_row == 0, "{index}, {column}: {in_the_index} and {in_the_row}");
    }
}

/// Returns the wanted nodes of a plan, each with its details.
fn nodes(plan: &str, wanted: impl Fn(&str) -> bool) -> Vec<(&str, Vec<&str>)> {
    let lines: Vec<&str> = plan.lines().map(str::trim).collect();
    let details =
        |place: usize| lines[place + 1..].iter().take_while(|line| !line.starts_with("->")).copied().collect();
    let places = (0..lines.len()).filter(|place| wanted(lines[*place]));
    places.map(|place| (lines[place], details(place))).collect()
}

/// The use of an index of a large table.
#[derive(Debug)]
struct IndexScan<'p> {
    node: &'p str,
    loops: f64,
    /// The rows of all loops.
    rows: f64,
    /// The rows of all loops that a filter removed.
    removed: f64,
    /// The pages that were read.
    pages: f64,
}

impl<'p> IndexScan<'p> {
    fn of(plan: &'p str) -> Vec<Self> {
        let scans = nodes(plan, |line| {
            line.contains("Index")
                && line.contains("Scan")
                && line.contains(" on messages")
                && !line.contains("never executed")
        });
        let scan = |(line, details): (&'p str, Vec<&'p str>)| {
            let loops = after(line, "loops=");
            let removed =
                details.iter().find(|line| line.starts_with("Rows Removed")).map_or(0.0, |line| after(line, ": "));
            let pages = details.iter().find(|line| line.starts_with("Buffers:")).expect("buffers are told");
            Self {
                node: line,
                loops,
                rows: after(line.split_once("actual").expect("it was executed").1, "rows=") * loops,
                removed: removed * loops,
                pages: after(pages, "hit=") + after(pages, "read="),
            }
        };
        scans.into_iter().map(scan).collect()
    }

    /// Returns the maximum number of pages that are needed: one descent of the index for each loop, and for each row
    /// its page and the index's.
    fn needed(&self) -> f64 {
        6.0 * self.loops + 2.0 * (self.rows + self.removed)
    }
}

/// Returns the number after a word; 0 without the word.
fn after(line: &str, word: &str) -> f64 {
    let Some((_, rest)) = line.split_once(word) else { return 0.0 };
    let number: String = rest.chars().take_while(|character| character.is_ascii_digit() || *character == '.').collect();
    number.parse().expect("it is a number")
}
