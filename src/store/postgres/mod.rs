//! The store in PostgreSQL, which any number of buzon processes can share.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection, PgPool};

use super::{Availability, EventStore, OpenError, OpenMode, Pending, StoreError};
use crate::admin::examination::warn_of;
use crate::admin::schema::{self, COPYING, MIGRATIONS_TABLE, RESTORING};
use crate::write::record::record;
use crate::write::writer::{UnitOfWork, Writer};
use dial::{dial, pool};
use domain::event::Event;
use domain::event::batch::Receipt;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use migrations::Migrating;
use new_words::NewWords;

mod citus;
mod dial;
mod durability;
mod locks;
mod migrations;
mod new_words;
mod pooler;
pub(crate) mod relocation;
pub(super) mod url;

pub(crate) mod admin;
pub(crate) mod read;
pub(crate) mod write;

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("../../migrations/postgres");
    migrations.dangerous_set_table_name(MIGRATIONS_TABLE);
    // sqlx waits forever for its own lock: see `locks`.
    migrations.set_locking(false);
    migrations
});

/// The names of all tables that the migrations make.
const TABLES: [&str; 30] = [
    MIGRATIONS_TABLE,
    "api_tokens",
    "audit",
    "chat_aliases",
    "chat_links",
    "chat_links_owner",
    "chat_moves",
    "chat_names",
    "chats",
    "erasure_ids",
    "erasure_keys",
    "erasure_marks",
    "erasures",
    "events",
    "forward_failures",
    "forwards",
    "installation",
    "ledger_clock",
    "media",
    "media_object_locks",
    "media_removals",
    "message_acks",
    "message_reactions",
    "message_search",
    "messages",
    "pseudonym_keys",
    "responses",
    "retention_runs",
    "sessions",
    "time_zone_offsets",
];

/// The settings of a connection that writes. All statements look rows up by keys. If only look-ups in indexes are
/// allowed, a plan is right for any number of rows and can be kept; the planner itself would read a whole table of some
/// tens of thousands of rows for each batch. Citus sends a statement to the right node only if its plan has the values, so
/// there it chooses plans itself. A wait for another session's lock ends before the statement's time does,
/// so that no event is blamed for it. A process that hangs blocks the others no longer than the time limits. A batch
/// that is given up blocks them until the server notices that its connection is closed, which only servers on Linux do.
const SETTINGS: &str = "SELECT set_config('plan_cache_mode', 'force_generic_plan', false) \
     WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus'); \
     SET enable_seqscan = off; \
     SET enable_hashjoin = off; \
     SET enable_mergejoin = off; \
     SET statement_timeout = '4s'; \
     SET lock_timeout = '3s'; \
     SET idle_in_transaction_session_timeout = '4s'; \
     SELECT set_config('client_connection_check_interval', '100ms', false) WHERE version() LIKE '%linux%'";

/// The beginning of a unit of work. Each of its statements must see what was committed before the unit took the
/// ledger's clock, so the isolation level is stated, whatever the server's default is.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const COMMIT: &str = "COMMIT";

/// Drops all plans. A plan that was made for empty tables may use the wrong one of several indexes, so all plans are
/// made again whenever the number of units of work has doubled. Autovacuum has the same effect, but only a minute
/// later.
const FORGET_PLANS: &str = "DISCARD PLANS";

const READ_CONNECTIONS: u32 = 2;
const REPORT_CONNECTIONS: u32 = 4;
const READ_POOL_WAIT: Duration = Duration::from_secs(2);

pub(super) struct PostgresStore {
    options: PgConnectOptions,
    allow_managed: bool,
    /// Records events.
    writer: Writer<PgConnection>,
    /// Writes everything else, so that events never wait for it.
    job_writer: Writer<PgConnection>,
    /// The number of units of work that were begun.
    begun: AtomicU64,
    /// `None` in a process beside the one that serves.
    new_words: Option<NewWords>,
    read_pool: PgPool,
    /// Answers the queries of people and dashboards.
    reports: PgPool,
}

impl PostgresStore {
    pub(super) async fn open(
        url: &SecretString,
        pending: Pending,
        access: OpenMode,
        allow_managed: bool,
    ) -> Result<Self, OpenError> {
        let options = url::options(url).map_err(StoreError::from)?;
        let opened = open_writer(&options, pending, access, allow_managed).await;
        let writer = locks::named(&options, opened).await?;
        let (read_pool, reports) = (pool(&options, READ_CONNECTIONS), pool(&options, REPORT_CONNECTIONS));
        let (writer, job_writer) = (Writer::new(Some(writer)), Writer::new(None));
        let new_words = (access == OpenMode::Serve).then(|| NewWords::start(options.clone()));
        Ok(Self { options, allow_managed, writer, job_writer, begun: 0.into(), new_words, read_pool, reports })
    }

    /// Counts words and facets of the search that were committed.
    fn count_terms(&self, terms: usize) {
        if let Some(new_words) = &self.new_words {
            new_words.add(terms);
        }
    }

    /// Begins a unit of work.
    async fn begin<'w>(&self, writer: &'w Writer<PgConnection>) -> Result<UnitOfWork<'w, PgConnection>, StoreError> {
        let mut unit = writer.take(open_to_write(&self.options, self.allow_managed)).await?;
        if (self.begun.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two() {
            unit.execute(FORGET_PLANS).await?;
        }
        unit.execute(BEGIN).await?;
        Ok(unit)
    }
}

/// Opens the connection that records events, when the database is ready for them.
async fn open_writer(
    options: &PgConnectOptions,
    pending: Pending,
    access: OpenMode,
    allow_managed: bool,
) -> Result<PgConnection, OpenError> {
    pooler::refuse_transaction_mode(options).await?;
    let mut writer = open_to_write(options, allow_managed).await?;
    prepare(options, pending).await?;
    if access == OpenMode::Serve {
        warn_of(&admin::examination::triggers(&mut writer).await?);
    }
    Ok(writer)
}

/// Opens a connection for writing, and makes sure that its commits are on disk.
async fn connect(options: &PgConnectOptions, allow_managed: bool) -> Result<PgConnection, StoreError> {
    let mut connection = dial(options).await?;
    durability::check(&mut connection, allow_managed).await?;
    Ok(connection)
}

/// Opens a connection for writing, with its settings.
async fn open_to_write(options: &PgConnectOptions, allow_managed: bool) -> Result<PgConnection, StoreError> {
    let mut connection = connect(options, allow_managed).await?;
    connection.execute(SETTINGS).await?;
    Ok(connection)
}

pub(super) async fn migrate(url: &SecretString) -> Result<usize, OpenError> {
    let options = url::options(url).map_err(StoreError::from)?;
    pooler::refuse_transaction_mode(&options).await?;
    locks::named(&options, prepare(&options, Pending::Run).await).await
}

/// Prepares the schema on a connection of its own; the lock of migrations ends with the connection.
async fn prepare(options: &PgConnectOptions, pending: Pending) -> Result<usize, OpenError> {
    let mut connection = dial(options).await?;
    // sqlx would log a notice that the table of migrations exists already.
    connection.execute("SET client_min_messages TO warning").await.map_err(StoreError::from)?;
    let tables = tables(&mut connection).await?;
    if pending == Pending::Run && schema::missing(&mut connection, &MIGRATIONS, &tables).await? > 0 {
        locks::migrating(&mut connection).await?;
    }
    let done = schema::prepare(&mut Migrating(&mut connection), &MIGRATIONS, &tables, pending).await;
    if done.is_ok() {
        admin::readers::hide(&mut connection).await?;
    }
    connection.close().await.map_err(StoreError::from)?;
    done
}

/// Returns the tables and views of the current schema, without those of extensions, and without a mark of a restore
/// or a copy that another role has set: a role that may make tables there must not keep buzon from starting.
async fn tables(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        SELECT relname::text AS "name!"
        FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace
            AND relkind IN ('r', 'p', 'v', 'm', 'f')
            AND NOT EXISTS (
                SELECT
                FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
            )
            AND (
                relname <> ALL($1)
                OR relowner = (SELECT datdba FROM pg_database WHERE datname = current_database())
                OR EXISTS (
                    SELECT
                    FROM pg_roles
                    WHERE pg_roles.oid = relowner AND (rolsuper OR rolname = current_user)
                )
            )
        ORDER BY relname
        "#,
        &[RESTORING, COPYING] as _,
    )
    .fetch_all(connection)
    .await?)
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn record_batch(&self, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
        let mut unit = self.begin(&self.writer).await?;
        let receipts = record(&mut *unit, events).await?;
        unit.commit().await?;
        self.count_terms(new_words::terms(events));
        Ok(receipts)
    }
}

impl UnitOfWork<'_, PgConnection> {
    /// Commits the unit. A failed statement must have ended the unit before, because PostgreSQL answers the COMMIT then
    /// with a ROLLBACK that is no error.
    async fn commit(mut self) -> Result<(), StoreError> {
        self.execute(COMMIT).await?;
        self.give_back();
        Ok(())
    }
}

#[async_trait]
impl Availability for PostgresStore {
    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(&self.read_pool).await?;
        Ok(())
    }

    async fn close(&self) {
        self.read_pool.close().await;
        self.reports.close().await;
        for writer in [&self.writer, &self.job_writer] {
            if let Some(connection) = writer.close().await {
                // An error does not matter, because nothing uses the connection any more.
                let _ = connection.close().await;
            }
        }
        if let Some(new_words) = &self.new_words {
            new_words.close().await;
        }
    }
}

/// Returns the rows of these values.
fn rows<'r, R: From<&'r T>, T>(values: &'r [T]) -> Vec<R> {
    values.iter().map(R::from).collect()
}

/// Returns one column of the rows, as `unnest` takes it.
fn column<'r, R, T>(rows: &'r [R], value: impl FnMut(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// Returns the two columns of keys.
fn keys(keys: &[MessageKey]) -> (Vec<&InstanceId>, Vec<&str>) {
    keys.iter().map(|key| (&key.instance_id, key.id.as_str())).unzip()
}

/// Returns the keys of the outgoing messages with these ids, in all instances but `-`. Service messages are none.
async fn outgoing_with_ids(connection: &mut PgConnection, ids: &[String]) -> Result<Vec<MessageKey>, StoreError> {
    Ok(sqlx::query_as!(
        MessageKey,
        r#"
        SELECT instance_id AS "instance_id: InstanceId", id
        FROM messages
        WHERE from_me AND NOT is_service AND id = ANY($1) AND instance_id <> '-'
        "#,
        ids,
    )
    .fetch_all(connection)
    .await?)
}
