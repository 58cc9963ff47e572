//! Performance at size: a generator of messages by the million, and the latency of questions about them.
//!
//! An ordinary run makes a few thousand messages and checks plans and answers, never times. With `BUZON_TEST_SIZE=full`
//! there are 10 million messages on PostgreSQL and 2 million on SQLite, or any given number on both, and the times are
//! printed: `docs/performance.md` has the command. `BUZON_TEST_SIZE_DATABASE` names a database to be filled and kept;
//! one that a run has filled is used again as it is.

mod history;
mod load;
mod measure;
mod people;
mod plans;
mod postgres;
mod questions;
mod report;
mod rows;
mod sqlite;
mod words;

use std::time::Instant;

use crate::support::database::postgres::Server;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{SECRET, event};
use crate::support::program::service::Service;
use history::History;
use load::{MessageSample, load};
use measure::measure;
use questions::questions;
use report::report;

/// The amount of data.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub messages: u64,
    pub chats: u64,
    pub instances: u64,
}

impl Scale {
    const SMALL: Self = Self { messages: 2_000, chats: 120, instances: 5 };

    fn of(messages: u64) -> Self {
        Self { messages, chats: (messages / 200).clamp(120, 50_000), instances: 40 }
    }

    /// Returns the size that `BUZON_TEST_SIZE` asks for; `None` in an ordinary run.
    fn asked(backend: Backend) -> Option<Self> {
        let asked = std::env::var("BUZON_TEST_SIZE").ok()?;
        match (asked.as_str(), backend) {
            ("full", Backend::Sqlite) => Some(Self { chats: 50_000, ..Self::of(2_000_000) }),
            ("full", Backend::Postgres) => Some(Self::of(10_000_000)),
            (number, _) => Some(Self::of(number.parse().expect("BUZON_TEST_SIZE is full or a number of messages"))),
        }
    }

    /// Returns whether the ledger keeps the bodies of applied events. Beyond some millions they are left out: no
    /// question reads them, and the disk is limited.
    fn bodies(&self) -> bool {
        self.messages <= 2_000_000
    }
}

/// Loads the history into a world, and serves it.
async fn serve(world: &World, scale: Scale) -> (Service, MessageSample) {
    world.open().await.close().await;
    let began = Instant::now();
    let sample = load(world, scale).await;
    println!("{scale:?} on {:?} after {:.0?}", world.backend, began.elapsed());
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_MEDIA_DOWNLOADS", "0")];
    (Service::start_with(world, &settings).await, sample)
}

#[test]
async fn the_rows_that_are_loaded_are_those_that_the_program_makes_of_the_events() {
    on_both(async |world| {
        let recorded = World::new(world.backend).await;
        let store = recorded.open().await;
        let arrivals: Vec<_> = History::new(Scale::SMALL).map(|it| event(it.instance(), it.body(), it.at)).collect();
        for events in arrivals.chunks(200) {
            record(&store, events).await;
        }
        store.close().await;
        world.open().await.close().await;
        let before = schema(&world).await;
        load(&world, Scale::SMALL).await;
        assert_eq!(schema(&world).await, before);
        let (loaded, recorded) = (world.dump().await, recorded.dump().await);
        assert!(loaded.len() > 5_000);
        for (loaded, recorded) in loaded.iter().zip(&recorded) {
            assert_eq!(loaded, recorded);
        }
        assert_eq!(loaded.len(), recorded.len());
    })
    .await;
}

/// Asks all questions at the requested size and reports their times, or at a small size by default.
async fn answer_all(world: &World) {
    let asked = Scale::asked(world.backend);
    let (service, sample) = serve(world, asked.unwrap_or(Scale::SMALL)).await;
    let questions = questions(&sample, world.history().await);
    println!("{}", measure::HEAD);
    let answered = measure(&service, &questions, if asked.is_some() { 200 } else { 2 }).await;
    if asked.is_some() {
        report(world, &service, &questions, &answered).await;
    }
    for times in answered {
        assert!(times.rows > 0 || MAY_BE_EMPTY.contains(&times.name), "{}", times.name);
    }
    service.stop().await;
}

/// Questions that need not find a row at a small size.
const MAY_BE_EMPTY: [&str; 6] = [
    "chats of kinds that do not occur",
    "type that nobody sends",
    "reactions to a message",
    "search: two words that never meet",
    "search: a phrase of common words that is rare",
    "search: a word that nobody wrote",
];

/// Returns the database that is to be kept.
fn kept(backend: Backend) -> Option<World> {
    let url = std::env::var("BUZON_TEST_SIZE_DATABASE").ok()?;
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let world = World { backend, url, folder };
    Some(world).filter(|world| world.url.starts_with("sqlite") == (backend == Backend::Sqlite))
}

#[test(flavor = "multi_thread")]
async fn each_question_is_answered_on_sqlite() {
    match kept(Backend::Sqlite) {
        Some(world) => answer_all(&world).await,
        None => answer_all(&World::new(Backend::Sqlite).await).await,
    }
}

#[test(flavor = "multi_thread")]
async fn each_question_is_answered_on_postgresql() {
    if let Some(world) = kept(Backend::Postgres) {
        return answer_all(&world).await;
    }
    let options = format!("{} -c shared_buffers=1GB -c max_wal_size=8GB", plans::EXPLAINED);
    let server = Server::start(&options);
    answer_all(&World::on_server(&server.url, "").await).await;
}

/// Returns all indexes and keys.
async fn schema(world: &World) -> Vec<String> {
    let mut schema = world
        .rows(match world.backend {
            Backend::Sqlite => "SELECT name, sql FROM sqlite_schema",
            Backend::Postgres => "SELECT tablename::text, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        })
        .await;
    schema.sort();
    schema
}
