//! Rows into PostgreSQL, by COPY.

use std::fmt::Write;

use buzon::domain::search::{Facet, SearchEntry};
use buzon::domain::time::timestamp::Timestamp;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::rows::{Batch, Cell};

/// Everything that keeps rows in order, as the statement that drops it and the one that makes it.
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
    /// Indexes are made when the rows are there: that takes a fraction of the time.
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
        self.copy("message_search", "instance_id, id, occurred_at, words", entries).await;
    }

    async fn copy(&mut self, table: &str, columns: &str, rows: String) {
        let statement = format!("COPY {table} ({columns}) FROM STDIN");
        let mut copy = self.connection.copy_in_raw(&statement).await.expect("rows are taken");
        copy.send(rows.into_bytes()).await.expect("rows are taken");
        copy.finish().await.unwrap_or_else(|error| panic!("{table}: {error}"));
    }

    /// What autovacuum does within minutes: statistics, and which pages a reader of an index need not look at.
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

/// A line as COPY reads it.
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

/// The words with their places and the facets without, as PostgreSQL reads a `tsvector`.
fn search_row(entry: &SearchEntry) -> Vec<Cell> {
    let words = entry.words.split(' ').zip(1..).map(|(word, place)| format!("'{word}':{place}"));
    let facets = entry.facets.iter().map(Facet::as_str).map(|facet| format!("'{facet}'"));
    let vector: Vec<String> = words.chain(facets).collect();
    let at: Timestamp = entry.occurred_at;
    vec![entry.instance_id.as_str().into(), entry.id.as_str().into(), at.into(), vector.join(" ").into()]
}
