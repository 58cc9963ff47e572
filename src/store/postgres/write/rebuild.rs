use async_trait::async_trait;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::OpenError;
use crate::Pending;
use crate::StoreError;
use crate::postgres::{COMMIT, citus, connect, dial, locks, prepare, url};
use crate::write::rebuild::{
    Aim, AppliedColumns, BYTES, DerivedTable, Difference, EVENTS, MOVES, OUTLIVES, RebuildRows, RebuildStage, TABLES,
    TableColumns, rebuild,
};
use domain::chat::ChatKey;
use domain::event::Event;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;

/// The settings of a rebuild: there is no time limit, and temporary tables have more memory than for small queries.
const SETTINGS: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
     SET temp_buffers = '128MB'; SET plan_cache_mode = 'force_custom_plan'";

/// The transaction of a check, in which only temporary tables can be written.
const CHECK: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The transaction of a rebuild, which waits for the batch that is under way and goes before all others.
const REBUILD: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; UPDATE ledger_clock SET seq = seq";

/// The owner's words, which statements join with derived tables. Citus joins no distributed table with a temporary one,
/// so they are copied there.
const JOINED: [&str; 2] = ["chat_links_owner", "chat_names"];

pub(crate) async fn run(
    url: &SecretString,
    allow_managed: bool,
    aim: Aim,
    progress: &(dyn Fn(RebuildStage) + Send + Sync),
) -> Result<Vec<Difference>, OpenError> {
    let options = url::options(url).map_err(StoreError::from)?;
    locks::named(&options, connected(&options, allow_managed, aim, progress).await).await
}

async fn connected(
    options: &PgConnectOptions,
    allow_managed: bool,
    aim: Aim,
    progress: &(dyn Fn(RebuildStage) + Send + Sync),
) -> Result<Vec<Difference>, OpenError> {
    prepare(options, Pending::Refuse).await?;
    let mut connection = match aim {
        Aim::Check => dial(options).await?,
        Aim::Rebuild => connect(options, allow_managed).await?,
    };
    let differences = within(&mut connection, aim, progress).await?;
    connection.close().await.map_err(StoreError::from)?;
    Ok(differences)
}

pub(crate) async fn within(
    connection: &mut PgConnection,
    aim: Aim,
    progress: &(dyn Fn(RebuildStage) + Send + Sync),
) -> Result<Vec<Difference>, StoreError> {
    connection.execute(SETTINGS).await?;
    let copied: &[&str] = if citus::distributes(connection, "events").await? { &JOINED } else { &[] };
    let derived = TABLES.iter().chain([&MOVES]).map(|table| table.name);
    let making = derived
        .chain(copied.iter().copied())
        .map(|name| format!("CREATE TEMP TABLE {name} (LIKE {name} INCLUDING ALL)"));
    connection.execute(AssertSqlSafe(Vec::from_iter(making).join(";"))).await?;
    connection.execute(if aim == Aim::Check { CHECK } else { REBUILD }).await?;
    for name in copied {
        let copying = format!("INSERT INTO pg_temp.{name} SELECT * FROM {}", permanent(connection, name).await?);
        connection.execute(AssertSqlSafe(copying)).await?;
    }
    let differences = rebuild(connection, aim, progress).await?;
    connection.execute(COMMIT).await?;
    Ok(differences)
}

/// Returns the name of the permanent table, which a temporary one does not hide.
async fn permanent(connection: &mut PgConnection, table: &str) -> Result<String, StoreError> {
    let schema = sqlx::query_scalar!(r#"SELECT quote_ident(current_schema()) AS "schema!""#);
    Ok(format!("{}.{table}", schema.fetch_one(connection).await?))
}

#[async_trait]
impl RebuildRows for PgConnection {
    fn differs(&self) -> &'static str {
        "IS DISTINCT FROM"
    }

    async fn names(&mut self, table: &DerivedTable) -> Result<(String, String), StoreError> {
        let live = permanent(self, table.name).await?;
        // Citus joins no distributed table with a temporary one, but rows that it has fetched before.
        let is_fetched = citus::distributes(self, table.name).await?;
        let live = if is_fetched { format!("(SELECT * FROM {live} OFFSET 0)") } else { live };
        Ok((live, format!("pg_temp.{}", table.name)))
    }

    async fn last_seq(&mut self) -> Result<i64, StoreError> {
        let seq = sqlx::query_scalar!(r#"SELECT seq AS "seq!" FROM ledger_clock WHERE id = 1"#);
        Ok(seq.fetch_one(self).await?)
    }

    async fn applied_after(&mut self, seq: i64) -> Result<Vec<(i64, Event)>, StoreError> {
        let rows = sqlx::query_as!(
            AppliedColumns,
            r#"
            SELECT
                seq,
                instance_id AS "instance_id: InstanceId",
                body AS "body!",
                received_at AS "received_at: Timestamp",
                signed
            FROM events
            WHERE seq > $1
                AND seq <= (
                    SELECT max(summed.seq)
                    FROM (
                        SELECT
                            next.seq,
                            sum(next.size) OVER (ORDER BY next.seq) AS bytes,
                            row_number() OVER (ORDER BY next.seq) AS place
                        FROM (
                            SELECT seq, octet_length(body) AS size
                            FROM events
                            WHERE seq > $1 AND state = 'applied' AND body IS NOT NULL
                            ORDER BY seq
                            LIMIT $2
                        ) AS next
                    ) AS summed
                    WHERE summed.bytes <= $3 OR summed.place = 1
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
        let columns = sqlx::query_scalar!(
            r#"
            SELECT attname::text AS "name!"
            FROM pg_attribute
            WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
            ORDER BY attnum
            "#,
            table.name,
        )
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
        let schema =
            sqlx::query_scalar!(r#"SELECT quote_ident(current_schema()) AS "schema!""#).fetch_one(&mut *self).await?;
        let (live, derived) = (format!("{schema}.chat_links"), "pg_temp.chat_links");
        let keeping = format!("INSERT INTO {derived} SELECT * FROM {live} AS kept WHERE {OUTLIVES}");
        self.execute(AssertSqlSafe(keeping)).await?;
        let named = format!("SELECT instance_id, a FROM {derived} UNION SELECT instance_id, b FROM {derived}");
        let rows: Vec<(InstanceId, String)> = sqlx::query_as(AssertSqlSafe(named)).fetch_all(self).await?;
        Ok(rows.into_iter().map(|(instance_id, chat_id)| ChatKey { instance_id, chat_id }).collect())
    }

    async fn take_over(&mut self, table: &DerivedTable) -> Result<(), StoreError> {
        let (live, derived) = (permanent(self, table.name).await?, format!("pg_temp.{}", table.name));
        let statements = match table.columns {
            TableColumns::All => format!("TRUNCATE {live}; INSERT INTO {live} SELECT * FROM {derived}"),
            TableColumns::Only(columns) => {
                let columns: Vec<String> =
                    columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
                let (key, columns) = (table.key.join(", "), columns.join(", "));
                format!("INSERT INTO {live} SELECT * FROM {derived} ON CONFLICT ({key}) DO UPDATE SET {columns}")
            }
        };
        self.execute(AssertSqlSafe(statements)).await?;
        Ok(())
    }
}
