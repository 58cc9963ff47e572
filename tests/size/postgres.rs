//! Rows into PostgreSQL, by COPY.

use std::fmt::Write;

use buzon::domain::search::{Facet, SearchEntry};
use buzon::domain::time::timestamp::Timestamp;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::rows::{Batch, Cell};

/// All constraints and indexes, each as the statement that drops it and the one that creates it.
const ORDERS: &str = "
    SELECT
        format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE contype IN ('p', 'u') AND conrelid::regclass::text = ANY ($1)
    UNION ALL
    SELECT format('DROP INDEX %I', indexname), indexdef
    FROM pg_indexes
    WHERE tablename = ANY ($1)
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexname::regclass)";

const TABLES: [&str; 8] =
    ["events", "messages", "message_acks", "message_reactions", "responses", "media", "chats", "message_search"];

pub struct Loader {
    connection: PgConnection,
    makings: Vec<String>,
}

impl Loader {
    /// Opens the database without its indexes. They are created when the rows are there, which takes a fraction of the
    /// time.
    pub async fn open(url: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
        let orders: Vec<(String, String)> =
            sqlx::query_as(ORDERS).bind(TABLES).fetch_all(&mut connection).await.expect("the catalog is there");
        assert!(orders.len() > 20, "{orders:?}");
        let (droppings, makings): (Vec<_>, Vec<_>) = orders.into_iter().unzip();
        connection.execute(AssertSqlSafe(droppings.join(";"))).await.expect("indexes can be dropped");
        Self { connection, makings }
    }

    pub async fn write(&mut self, batch: &Batch) {
        for table in &batch.tables {
            let rows = table.rows.iter().fold(String::new(), |mut text, row| {
                push_row(&mut text, row);
                text
            });
            self.copy(table.name, &table.columns.join(", "), rows).await;
        }
        let entries = batch.search.iter().fold(String::new(), |mut text, entry| {
            push_row(&mut text, &search_row(entry));
            text
        });
        self.copy("message_search", "instance_id, id, occurred_at, seq, words", entries).await;
    }

    async fn copy(&mut self, table: &str, columns: &str, rows: String) {
        let statement = format!("COPY {table} ({columns}) FROM STDIN");
        let mut copy = self.connection.copy_in_raw(&statement).await.expect("rows are taken");
        copy.send(rows.into_bytes()).await.expect("rows are taken");
        copy.finish().await.unwrap_or_else(|error| panic!("{table}: {error}"));
    }

    /// Does what autovacuum would do within minutes: statistics, and the visibility map for index-only scans.
    pub async fn finish(mut self, last_seq: i64) {
        self.run("SET maintenance_work_mem = '1GB'").await;
        for statement in std::mem::take(&mut self.makings) {
            self.run(&statement).await;
        }
        self.run(&format!("UPDATE ledger_clock SET seq = {last_seq}")).await;
        self.run("VACUUM ANALYZE").await;
        self.run("CHECKPOINT").await;
        self.connection.close().await.expect("it closes");
    }

    async fn run(&mut self, statement: &str) {
        let done = self.connection.execute(AssertSqlSafe(statement)).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// Adds a line in the format of COPY.
fn push_row(text: &mut String, row: &[Cell]) {
    for (place, cell) in row.iter().enumerate() {
        if place > 0 {
            text.push('\t');
        }
        match cell {
            Cell::Null => text.push_str("\\N"),
            Cell::Text(value) => value.chars().for_each(|character| push_escaped(text, character)),
            Cell::Number(number) => write!(text, "{number}").expect("text can be written"),
            Cell::Real(number) => write!(text, "{number}").expect("text can be written"),
            Cell::Flag(flag) => text.push(if *flag { 't' } else { 'f' }),
            Cell::Time(at) => text.push_str(&at.to_rfc3339()),
            Cell::Bytes(bytes) => text.extend(["\\\\x", &hex::encode(bytes)]),
        }
    }
    text.push('\n');
}

fn push_escaped(text: &mut String, character: char) {
    match character {
        '\\' => text.push_str("\\\\"),
        '\t' => text.push_str("\\t"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        other => text.push(other),
    }
}

/// Returns the words with their positions and the facets without, in the form of a `tsvector`.
fn search_row(entry: &SearchEntry) -> Vec<Cell> {
    let words = entry.words.split(' ').zip(1..).map(|(word, place)| format!("'{word}':{place}"));
    let facets = entry.facets.iter().map(Facet::as_str).map(|facet| format!("'{facet}'"));
    let vector: Vec<String> = words.chain(facets).collect();
    let at: Timestamp = entry.occurred_at;
    let key = [entry.instance_id.as_str().into(), entry.id.as_str().into(), at.into(), Cell::Number(entry.seq)];
    key.into_iter().chain([vector.join(" ").into()]).collect()
}
