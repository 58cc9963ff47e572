//! A database of each kind, and its rows as text.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use buzon::domain::event::Event;
use buzon::domain::event::batch::Receipt;
use buzon::domain::page::position::{History, Position};
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::{self, Database, OpenError, OpenMode, Options, Pending, Store, StoreError};
use sqlx::postgres::PgRow;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Column, Connection, Executor, PgConnection, Row, SqliteConnection, TypeInfo, ValueRef};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::postgres;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// The world of a test: a database, and a folder that is removed with it.
pub struct World {
    pub backend: Backend,
    pub url: String,
    pub folder: TempDir,
}

/// Runs `test` with each database, whose schema is this version's.
pub async fn on_both(mut test: impl AsyncFnMut(World)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        test(World::new(backend).await).await;
    }
}

/// Runs `test` with both databases at the same time, which suits tests that wait most of the time.
pub async fn on_both_at_once(test: impl AsyncFn(World)) {
    let on = async |backend| test(World::new(backend).await).await;
    tokio::join!(on(Backend::Sqlite), on(Backend::Postgres));
}

/// Runs `test` with an empty database of each kind.
pub async fn on_both_empty(mut test: impl AsyncFnMut(World)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}, empty");
        test(World::empty(backend).await).await;
    }
}

/// A SQLite file with this version's schema.
static SQLITE_TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();

/// The name of a database with this version's schema on the server that all tests share.
static POSTGRES_TEMPLATE: OnceCell<String> = OnceCell::const_new();

impl World {
    /// Returns a world whose database has this version's schema. It is copied from a template, because migrations take
    /// ten times as long as a copy. Tests of migrations and of first starts need [`World::empty`].
    pub async fn new(backend: Backend) -> Self {
        let (world, new_id) = match backend {
            Backend::Sqlite => {
                let template = SQLITE_TEMPLATE.get_or_init(async || {
                    let template = Self::empty(Backend::Sqlite).await;
                    template.open().await.close().await;
                    std::fs::read(template.folder.path().join("buzon.db")).expect("it was made")
                });
                let world = Self::empty(Backend::Sqlite).await;
                std::fs::write(world.folder.path().join("buzon.db"), template.await).expect("there is room");
                (world, "lower(hex(randomblob(16)))")
            }
            // The template would stay behind on a server that is not the tests' own.
            Backend::Postgres if postgres::is_borrowed() => return Self::empty(backend).await,
            Backend::Postgres => {
                let template = POSTGRES_TEMPLATE.get_or_init(async || {
                    let template = Self::empty(Backend::Postgres).await;
                    template.open().await.close().await;
                    postgres::name(&template.url)
                });
                let template = format!("TEMPLATE {}", template.await);
                (Self::on_server(postgres::server(), &template).await, "replace(gen_random_uuid()::text, '-', '')")
            }
        };
        world.execute(&format!("UPDATE installation SET database_id = {new_id}")).await;
        world
    }

    /// Returns a world whose database is empty.
    pub async fn empty(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::in_folder("buzon.db"),
            Backend::Postgres => Self::on_server(postgres::server(), "").await,
        }
    }

    /// Returns a world with a SQLite database of this path in its folder.
    pub fn in_folder(path: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let url = format!("sqlite://{}", folder.path().join(path).display());
        Self { backend: Backend::Sqlite, url, folder }
    }

    /// Returns a world with the PostgreSQL database of this URL.
    pub fn at(url: String) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        Self { backend: Backend::Postgres, url, folder }
    }

    /// Creates a database on this server with these options of `CREATE DATABASE`.
    pub async fn on_server(server: &str, options: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        Self { backend: Backend::Postgres, url: postgres::database(server, options).await, folder }
    }

    pub fn options(&self) -> Options {
        Options {
            database: Database::parse(&self.url).expect("the URL is right"),
            pending: Pending::Run,
            access: OpenMode::Serve,
            allow_managed_pg: false,
        }
    }

    pub async fn try_open(&self) -> Result<Arc<dyn Store>, OpenError> {
        store::open(&self.options()).await
    }

    pub async fn open(&self) -> Arc<dyn Store> {
        self.try_open().await.expect("the store opens")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a query that both databases understand, and returns its rows as text: columns separated by `|`, NULL as
    /// `NULL`, flags as 0 and 1, bytes in hexadecimal, times in SQLite's form.
    pub async fn rows(&self, query: &str) -> Vec<String> {
        let mut rows = self.rows_of_each(&[query.to_owned()]).await;
        rows.pop().expect("there is one query")
    }

    /// Runs each query on the same connection, and returns its rows.
    pub async fn rows_of_each(&self, queries: &[String]) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        match self.backend {
            Backend::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.expect("SQLite opens");
                for query in queries.iter().map(String::as_str) {
                    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut connection).await;
                    found.push(rows.expect("the query is right").iter().map(sqlite_text).collect());
                }
                connection.close().await.expect("SQLite closes");
            }
            Backend::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.expect("PostgreSQL answers");
                for query in queries.iter().map(String::as_str) {
                    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut connection).await;
                    found.push(rows.expect("the query is right").iter().map(postgres_text).collect());
                }
                connection.close().await.expect("PostgreSQL closes");
            }
        }
        found
    }

    /// Returns the only value of a query.
    pub async fn value(&self, query: &str) -> String {
        let rows = self.rows(query).await;
        assert_eq!(rows.len(), 1, "{query}");
        rows.into_iter().next().expect("there is one")
    }

    /// Runs statements.
    pub async fn execute(&self, statements: &str) {
        match self.backend {
            Backend::Sqlite => {
                let options = SqliteConnectOptions::from_str(&self.url).expect("the URL is right");
                let options = options.create_if_missing(true);
                let mut connection = SqliteConnection::connect_with(&options).await.expect("SQLite opens");
                connection.execute(AssertSqlSafe(statements)).await.expect("the statements are right");
                connection.close().await.expect("SQLite closes");
            }
            Backend::Postgres => postgres::execute(&self.url, statements).await,
        }
    }

    /// Returns the position of the feed after this number, as the API writes it.
    pub async fn position(&self, seq: i64) -> String {
        Position { history: self.history().await, seq }.encode()
    }

    /// Returns the history of the database.
    pub async fn history(&self) -> History {
        let row = self.value("SELECT database_id, epoch FROM installation").await;
        let (database_id, epoch) = row.split_once('|').expect("there are two columns");
        History::new(database_id, epoch)
    }

    /// Returns the public ids of all events in the order of their numbers.
    pub async fn event_ids(&self) -> Vec<String> {
        let rows = self.rows("SELECT instance_id, body_sha256 FROM events ORDER BY seq").await;
        let id = |row: String| {
            let (instance, hash) = row.split_once('|').expect("there are two columns");
            format!("{instance}/{}", &hash[..32])
        };
        rows.into_iter().map(id).collect()
    }

    /// Returns every row of every table that follows from the set of events, without numbers, repeats and the state of
    /// jobs.
    pub async fn dump(&self) -> Vec<String> {
        const TABLES: [(&str, &str); 9] = [
            (
                "events",
                "instance_id, event_type, message_id, chat_id, body, body_sha256, received_at, signed, state, reason",
            ),
            (
                "messages",
                "instance_id, id, chat_id, stated_chat_id, from_id, to_id, from_me, sender_name, body, type, sent_at, kind, is_group, \
                 quoted_message_id, reaction, media_url, file_name, latitude, longitude, vcard, status, ack, ack_rank, \
                 group_sender, received_at, occurred_at, delivered_at, read_at, last_sent_at, is_service, \
                 edited_at, edited_sent_at, revoked_at, revoked_sent_at, \
                 (SELECT events.body_sha256 FROM events WHERE events.seq = messages.event_seq), \
                 (SELECT events.body_sha256 FROM events WHERE events.seq = messages.revoked_seq)",
            ),
            ("message_acks", "instance_id, message_id, ack, ack_rank, received_at, last_received_at"),
            (
                "message_reactions",
                "instance_id, message_id, from_number, reaction, reacted_at, received_at, last_received_at",
            ),
            (
                "chats",
                "instance_id, chat_id, given_name, name, name_at, name_message_id, message_count, service_count, last_message_at, \
                 last_message_id, last_incoming_at, last_incoming_id, last_outgoing_at, last_outgoing_id, contact, \
                 kind, search, waiting_since, waiting_id, last_asked_at",
            ),
            (
                "responses",
                "instance_id, chat_id, kind, waiting_since, incoming_id, last_asked_at, answered_at, outgoing_id, seconds, \
                 seconds_from_last",
            ),
            ("chat_links", "instance_id, a, b, source"),
            ("chat_aliases WHERE alias <> chat_id", "instance_id, alias, chat_id"),
            ("media", "instance_id, message_id, source_sha256, chat_id, kind, source_url, source_host, occurred_at"),
        ];
        let words = ("message_search", self.words().await);
        let tables = TABLES.into_iter().chain([words]);
        let queries = Vec::from_iter(tables.clone().map(|(table, columns)| format!("SELECT {columns} FROM {table}")));
        let mut dump = Vec::new();
        for ((table, _), mut rows) in tables.zip(self.rows_of_each(&queries).await) {
            rows.sort();
            dump.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
        }
        dump
    }

    /// Returns the columns of `message_search`, with words and facets in their order. On SQLite, the full-text index is
    /// checked against them.
    async fn words(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite => {
                self.execute("INSERT INTO message_words (message_words, rank) VALUES ('integrity-check', 1)").await;
                "instance_id, id, occurred_at, words, facets"
            }
            Backend::Postgres => {
                "instance_id, id, occurred_at, \
                 (SELECT string_agg(lexeme, ' ' ORDER BY place) \
                  FROM unnest(words) CROSS JOIN unnest(positions) AS place), \
                 (SELECT string_agg(lexeme, ' ' ORDER BY lexeme) FROM unnest(words) WHERE positions IS NULL)"
            }
        }
    }
}

impl Drop for World {
    /// Drops the database if it is on a server that the environment names. A temporary server ends with its databases.
    fn drop(&mut self) {
        if self.backend == Backend::Postgres {
            postgres::drop_if_borrowed(&self.url);
        }
    }
}

/// Records one batch, and tries again after a conflict with another transaction, as the contract asks of a caller.
pub async fn record(store: &Arc<dyn Store>, events: &[Event]) -> Vec<Receipt> {
    loop {
        match store.record_batch(events).await {
            Err(StoreError::Contended { .. }) => {}
            outcome => return outcome.expect("the batch is recorded"),
        }
    }
}

fn sqlite_text(row: &SqliteRow) -> String {
    let text = |column: usize| {
        let value = row.try_get_raw(column).expect("the column is there");
        match value.type_info().name() {
            _ if value.is_null() => "NULL".to_owned(),
            "INTEGER" => row.get::<i64, _>(column).to_string(),
            "REAL" => row.get::<f64, _>(column).to_string(),
            "BLOB" => hex::encode(row.get::<Vec<u8>, _>(column)),
            _ => row.get::<String, _>(column),
        }
    };
    joined(row.columns().iter().map(|column| text(column.ordinal())))
}

fn postgres_text(row: &PgRow) -> String {
    let text = |column: usize, kind: &str| match kind {
        _ if row.try_get_raw(column).expect("the column is there").is_null() => "NULL".to_owned(),
        "BOOL" => i64::from(row.get::<bool, _>(column)).to_string(),
        "INT2" => row.get::<i16, _>(column).to_string(),
        "INT4" => row.get::<i32, _>(column).to_string(),
        "INT8" => row.get::<i64, _>(column).to_string(),
        "FLOAT8" => row.get::<f64, _>(column).to_string(),
        "BYTEA" => hex::encode(row.get::<Vec<u8>, _>(column)),
        "TIMESTAMPTZ" => Timestamp::from_utc(row.get(column)).to_rfc3339(),
        "TIMESTAMP" => {
            let local: time::PrimitiveDateTime = row.get(column);
            Timestamp::from_utc(local.assume_utc()).to_rfc3339().trim_end_matches('Z').to_owned()
        }
        "DATE" => row.get::<time::Date, _>(column).to_string(),
        _ => row.get::<String, _>(column),
    };
    joined(row.columns().iter().map(|column| text(column.ordinal(), column.type_info().name())))
}

fn joined(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join("|")
}
