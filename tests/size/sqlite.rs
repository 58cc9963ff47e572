//! Rows into SQLite.

use std::str::FromStr;

use buzon::domain::search::{Facet, SearchEntry};
use buzon::domain::time::timestamp::Timestamp;
use sqlx::query_builder::Separated;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Executor, QueryBuilder, Sqlite, SqliteConnection};

use super::rows::{Batch, Cell};

/// The indexes that the migrations name; those of keys stay.
const INDEXES: &str = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL";
/// A statement takes 32,766 parameters.
const ROWS: usize = 1_000;

/// The upper bits of a key of `message_search` are a time, and the lower ones distinguish entries of that time.
const ORDINAL_BITS: u32 = 22;
const KEYS_SINCE: i64 = 1_230_768_000_000;
const SEARCH: &[&str] = &["search_key", "instance_id", "id", "occurred_at", "seq", "words", "facets"];

pub struct Loader {
    connection: SqliteConnection,
    makings: Vec<String>,
    last_key: i64,
}

impl Loader {
    /// Opens the database without protection from crashes: the file is useless until it is complete.
    pub async fn open(url: &str) -> Self {
        let options = SqliteConnectOptions::from_str(url).expect("the URL is right");
        let options = options.journal_mode(SqliteJournalMode::Off).synchronous(SqliteSynchronous::Off);
        let options = options.pragma("cache_size", "-2000000").pragma("temp_store", "MEMORY");
        let mut connection = SqliteConnection::connect_with(&options).await.expect("SQLite opens");
        let indexes: Vec<(String, String)> =
            sqlx::query_as(INDEXES).fetch_all(&mut connection).await.expect("the schema is there");
        assert!(indexes.len() > 20, "{indexes:?}");
        for (name, _) in &indexes {
            connection.execute(AssertSqlSafe(format!("DROP INDEX {name}"))).await.expect("it is there");
        }
        connection.execute("BEGIN").await.expect("nobody else writes");
        Self { connection, makings: indexes.into_iter().map(|(_, making)| making).collect(), last_key: 0 }
    }

    pub async fn write(&mut self, batch: &Batch) {
        for table in &batch.tables {
            for rows in table.rows.chunks(ROWS) {
                self.insert(table.name, table.columns, rows).await;
            }
        }
        for entries in batch.search.chunks(ROWS) {
            let rows: Vec<_> = entries.iter().map(|entry| self.search_row(entry)).collect();
            self.insert("message_search", SEARCH, &rows).await;
        }
    }

    async fn insert(&mut self, table: &str, columns: &[&str], rows: &[Vec<Cell>]) {
        let mut statement = QueryBuilder::<Sqlite>::new(format!("INSERT INTO {table} ({}) ", columns.join(", ")));
        statement.push_values(rows, |mut values, row| row.iter().for_each(|cell| push_cell(&mut values, cell)));
        let done = statement.build().execute(&mut self.connection).await;
        done.unwrap_or_else(|error| panic!("{table}: {error}"));
    }

    /// Returns the row of an entry. Entries arrive nearly in the order of their times; each takes the next free key.
    fn search_row(&mut self, entry: &SearchEntry) -> Vec<Cell> {
        let at: Timestamp = entry.occurred_at;
        let first = (at.millis() - KEYS_SINCE) << ORDINAL_BITS;
        self.last_key = first | ((self.last_key + 1) & ((1 << ORDINAL_BITS) - 1));
        let facets: Vec<&str> = entry.facets.iter().map(Facet::as_str).collect();
        vec![
            Cell::Number(self.last_key),
            entry.instance_id.as_str().into(),
            entry.id.as_str().into(),
            at.into(),
            Cell::Number(entry.seq),
            entry.words.clone().into(),
            facets.join(" ").into(),
        ]
    }

    /// Finishes without ANALYZE, which the program never runs on its databases.
    pub async fn finish(mut self, last_seq: i64) {
        self.run("COMMIT").await;
        for statement in std::mem::take(&mut self.makings) {
            self.run(&statement).await;
        }
        self.run("INSERT INTO message_words (message_words) VALUES ('rebuild')").await;
        self.run(&format!("UPDATE ledger_clock SET seq = {last_seq}")).await;
        self.connection.close().await.expect("it closes");
    }

    async fn run(&mut self, statement: &str) {
        let done = self.connection.execute(AssertSqlSafe(statement)).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

fn push_cell(values: &mut Separated<'_, Sqlite, &'static str>, cell: &Cell) {
    match cell {
        Cell::Null => values.push("NULL"),
        Cell::Text(text) => values.push_bind(text.clone()),
        Cell::Number(number) => values.push_bind(*number),
        Cell::Real(number) => values.push_bind(*number),
        Cell::Flag(flag) => values.push_bind(*flag),
        Cell::Time(at) => values.push_bind(at.to_rfc3339()),
        Cell::Bytes(bytes) => values.push_bind(bytes.clone()),
    };
}
