use std::path::Path;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, SqliteConnection};

use crate::OpenError;
use crate::OpenMode;
use crate::Pending;
use crate::StoreError;
use crate::sqlite::{BEGIN, COMMIT, connect, hold, options, prepare};
use crate::write::rebuild::{
    Aim, AppliedColumns, BYTES, DerivedTable, Difference, EVENTS, MOVES, OUTLIVES, RebuildRows, RebuildStage, TABLES,
    TableColumns, rebuild,
};
use domain::chat::ChatKey;
use domain::event::Event;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The table that is written together with `message_search`, from which it follows.
const WORDS: &str = "message_words";

pub(crate) async fn run(
    path: &Path,
    aim: Aim,
    progress: &(dyn Fn(RebuildStage) + Send + Sync),
) -> Result<Vec<Difference>, OpenError> {
    let _lock = match aim {
        Aim::Rebuild => Some(hold(path).await?),
        Aim::Check => None,
    };
    prepare(path, Pending::Refuse, OpenMode::Beside).await?;
    let options = options(path).create_if_missing(false);
    let mut connection = match aim {
        // Temporary tables can be written on a read-only connection.
        Aim::Check => options.read_only(true).connect().await.map_err(StoreError::from)?,
        Aim::Rebuild => connect(&options).await?,
    };
    let differences = within(&mut connection, aim, progress).await?;
    connection.close().await.map_err(StoreError::from)?;
    Ok(differences)
}

async fn within(
    connection: &mut SqliteConnection,
    aim: Aim,
    progress: &(dyn Fn(RebuildStage) + Send + Sync),
) -> Result<Vec<Difference>, StoreError> {
    connection.execute("PRAGMA temp_store = FILE").await?;
    for statement in makings(connection).await? {
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    connection.execute(if aim == Aim::Check { "BEGIN" } else { BEGIN }).await?;
    let differences = rebuild(connection, aim, progress).await?;
    connection.execute(COMMIT).await?;
    Ok(differences)
}

/// Returns the statements that make the temporary tables and their indexes, from those that made the permanent ones.
async fn makings(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let names: Vec<&str> = TABLES.iter().chain([&MOVES]).map(|table| table.name).chain([WORDS]).collect();
    let made: Vec<String> = sqlx::query_scalar(
        "SELECT sql FROM main.sqlite_schema \
         WHERE sql IS NOT NULL AND type <> 'trigger' AND tbl_name IN (SELECT value FROM json_each(?1)) \
         ORDER BY type DESC, name",
    )
    .bind(crate::sqlite::json(names))
    .fetch_all(connection)
    .await?;
    let temporary = |sql: String| {
        ["CREATE TABLE ", "CREATE VIRTUAL TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX "]
            .into_iter()
            .find_map(|start| sql.strip_prefix(start).map(|rest| format!("{start}temp.{rest}")))
            .ok_or_else(|| StoreError::Unavailable(format!("the schema holds a statement of somebody else: {sql}")))
    };
    made.into_iter().map(temporary).collect()
}

#[async_trait]
impl RebuildRows for SqliteConnection {
    fn differs(&self) -> &'static str {
        "IS NOT"
    }

    async fn names(&mut self, table: &DerivedTable) -> Result<(String, String), StoreError> {
        Ok((format!("main.{}", table.name), format!("temp.{}", table.name)))
    }

    async fn last_seq(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar!("SELECT seq FROM ledger_clock WHERE id = 1").fetch_one(self).await?)
    }

    async fn applied_after(&mut self, seq: i64) -> Result<Vec<(i64, Event)>, StoreError> {
        let rows = sqlx::query_as!(
            AppliedColumns,
            r#"
            SELECT
                seq AS "seq!: i64",
                instance_id AS "instance_id!: InstanceId",
                body AS "body!: Vec<u8>",
                received_at AS "received_at!: Timestamp",
                signed AS "signed!: bool"
            FROM events
            WHERE seq > ?1
                AND seq <= (
                    SELECT max(summed.seq)
                    FROM (
                        SELECT
                            next.seq,
                            sum(next.size) OVER (ORDER BY next.seq) AS bytes,
                            row_number() OVER (ORDER BY next.seq) AS place
                        FROM (
                            SELECT seq, length(body) AS size
                            FROM events
                            WHERE seq > ?1 AND state = 'applied' AND body IS NOT NULL
                            ORDER BY seq
                            LIMIT ?2
                        ) AS next
                    ) AS summed
                    WHERE summed.bytes <= ?3 OR summed.place = 1
                )
                AND state = 'applied'
                AND body IS NOT NULL
            ORDER BY seq
            "#,
            seq,
            EVENTS,
            BYTES,
        )
        .fetch_all(self)
        .await?;
        let event = |row: AppliedColumns| (row.seq, Event::from(row));
        Ok(rows.into_iter().map(event).collect())
    }

    async fn other_columns(&mut self, table: &DerivedTable) -> Result<Vec<String>, StoreError> {
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info(?1) WHERE name <> 'search_key' ORDER BY cid")
                .bind(table.name)
                .fetch_all(self)
                .await?;
        Ok(columns.into_iter().filter(|column| !table.key.contains(&column.as_str())).collect())
    }

    async fn count(&mut self, query: String) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(self).await?)
    }

    async fn texts_of(&mut self, query: String) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(self).await?)
    }

    async fn keep_evidence(&mut self) -> Result<Vec<ChatKey>, StoreError> {
        let (live, derived) = ("main.chat_links".to_owned(), "temp.chat_links");
        let keeping = format!("INSERT INTO {derived} SELECT * FROM {live} AS kept WHERE {OUTLIVES}");
        self.execute(AssertSqlSafe(keeping)).await?;
        let named = format!("SELECT instance_id, a FROM {derived} UNION SELECT instance_id, b FROM {derived}");
        let rows: Vec<(InstanceId, String)> = sqlx::query_as(AssertSqlSafe(named)).fetch_all(self).await?;
        Ok(rows.into_iter().map(|(instance_id, chat_id)| ChatKey { instance_id, chat_id }).collect())
    }

    async fn take_over(&mut self, table: &DerivedTable) -> Result<(), StoreError> {
        let (name, key) = (table.name, table.key.join(", "));
        let statements = match table.columns {
            TableColumns::All => format!("DELETE FROM main.{name}; INSERT INTO main.{name} SELECT * FROM temp.{name}"),
            TableColumns::Only(columns) => {
                let columns: Vec<String> =
                    columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
                let columns = columns.join(", ");
                // Without a condition, the parser takes ON for the beginning of a join's constraint.
                format!(
                    "INSERT INTO main.{name} SELECT * FROM temp.{name} WHERE TRUE \
                     ON CONFLICT ({key}) DO UPDATE SET {columns}"
                )
            }
        };
        self.execute(AssertSqlSafe(statements)).await?;
        if name == "message_search" {
            self.execute("INSERT INTO main.message_words (message_words) VALUES ('rebuild')").await?;
        }
        Ok(())
    }
}
