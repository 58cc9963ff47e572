//! The place that a database moves to from SQLite. A mark, which is a table that `schema::missing` refuses by name, keeps
//! everything else out until the move has ended. The ledger's clock is the position of the copy: it moves with the events, in
//! one transaction, and stands still if somebody else has moved it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::StreamExt;
use secrecy::SecretString;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Column, Executor, PgConnection, Postgres, Row, TypeInfo, ValueRef};

use super::migrations::Migrating;
use super::write::rebuild;
use super::{BEGIN, COMMIT, MIGRATIONS, admin, connect, locks, pooler, tables, url};
use crate::OpenError;
use crate::StoreError;
use crate::admin::copies::CopyError;
use crate::admin::relocation::{
    CLOCK, ColumnValue, LEDGER, RELOCATED, RelocationTarget, TableRow, TableRows, TableTreatment, TargetState, quoted,
};
use crate::admin::schema::{self, COPYING, Pending};
use crate::error::all_written;
use crate::write::rebuild::{Aim, RebuildStage};
use domain::forward::PAUSED_BY_COPY;
use domain::time::timestamp::Timestamp;

/// The settings of the move's connections: there is no time limit except for locks, and a process that is killed leaves no
/// session that goes on. Not every server knows all of them.
const SETTINGS: &str = "SELECT set_config(name, '0', FALSE) FROM pg_settings WHERE name IN \
     ('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout'); \
     SELECT set_config('client_connection_check_interval', '100ms', FALSE) WHERE version() LIKE '%linux%'";

const MARK: &str = "CREATE TABLE _buzon_copying (source TEXT NOT NULL, ledger TEXT NOT NULL)";
const UNMARK: &str = "DROP TABLE _buzon_copying";

/// Waits for the batch that is under way, and keeps others out.
const HOLD_CLOCK: &str = "UPDATE ledger_clock SET seq = seq";

/// The columns that number their rows by themselves.
const NUMBERED: &str = "SELECT attrelid::regclass::text, attname::text FROM pg_attribute \
     JOIN pg_class ON pg_class.oid = attrelid \
     WHERE relnamespace = current_schema()::regnamespace AND attidentity <> ''";

const TYPES: &str = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
     WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped";

pub(crate) struct PostgresTarget {
    options: PgConnectOptions,
    allow_managed: bool,
    /// The URL without its secrets.
    shown: String,
    /// This connection also holds the lock against backups, restores and other moves.
    connection: PgConnection,
}

impl PostgresTarget {
    pub(crate) async fn open(url: &SecretString, allow_managed: bool) -> Result<Self, CopyError> {
        let options = url::options(url).map_err(StoreError::from)?;
        pooler::refuse_transaction_mode(&options).await?;
        let mut connection = connect_for_long(&options, allow_managed).await?;
        locks::backing_up(&mut connection).await?;
        Ok(Self { options, allow_managed, shown: url::shown(url), connection })
    }

    /// Returns the source's id and the digest of the ledger that the mark of an unfinished move names.
    async fn mark(&mut self) -> Result<Option<(String, String)>, StoreError> {
        if !tables(&mut self.connection).await?.iter().any(|table| table == COPYING) {
            return Ok(None);
        }
        let mark = sqlx::query_as("SELECT source, ledger FROM _buzon_copying");
        Ok(mark.fetch_optional(&mut self.connection).await?)
    }

    /// Makes the tables of this version, or brings them to it.
    async fn prepare(&mut self) -> Result<(), CopyError> {
        let connection = &mut self.connection;
        // sqlx would log a notice that the table of migrations exists already.
        connection.execute("SET client_min_messages TO warning").await?;
        let mut tables = tables(connection).await?;
        tables.retain(|table| table != COPYING);
        if schema::missing(&mut *connection, &MIGRATIONS, &tables).await? > 0 {
            locks::migrating(connection).await?;
        }
        schema::prepare(&mut Migrating(connection), &MIGRATIONS, &tables, Pending::Run).await?;
        admin::readers::hide(connection).await?;
        Ok(())
    }

    /// Returns the tables of a prepared database in which something is stored.
    async fn occupied(&mut self) -> Result<Vec<&'static str>, StoreError> {
        let mut occupied = Vec::new();
        for table in &RELOCATED {
            let rows = match table.treatment {
                TableTreatment::Replaced if table.name == CLOCK => "ledger_clock WHERE seq > 0",
                TableTreatment::Replaced => continue,
                _ => table.name,
            };
            let query = AssertSqlSafe(format!("SELECT EXISTS (SELECT FROM {rows})"));
            if sqlx::query_scalar(query).fetch_one(&mut self.connection).await? {
                occupied.push(table.name);
            }
        }
        Ok(occupied)
    }

    /// Returns the error of a place to which somebody else writes.
    fn disturbed(&self) -> CopyError {
        CopyError::Useless(format!(
            "somebody else writes to {}; stop the buzon that serves it, and empty it",
            self.shown
        ))
    }

    async fn clock(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT seq FROM ledger_clock").fetch_one(&mut self.connection).await?)
    }

    async fn database_id(&mut self) -> Result<String, StoreError> {
        Ok(sqlx::query_scalar("SELECT database_id FROM installation").fetch_one(&mut self.connection).await?)
    }

    async fn set_mark(&mut self, database_id: &str, ledger: &str) -> Result<(), StoreError> {
        let mark = sqlx::query("INSERT INTO _buzon_copying (source, ledger) VALUES ($1, $2)");
        mark.bind(database_id).bind(ledger).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Empties everything that a move has written, and sets the mark of another one.
    async fn clear(&mut self, database_id: &str, ledger: &str) -> Result<(), StoreError> {
        let filled = RELOCATED.iter().filter(|table| table.treatment != TableTreatment::Replaced);
        let names = Vec::from_iter(filled.map(|table| table.name)).join(", ");
        let clearing = format!("{BEGIN}; TRUNCATE {names}; UPDATE ledger_clock SET seq = 0; DELETE FROM {COPYING}");
        self.connection.execute(AssertSqlSafe(clearing)).await?;
        self.set_mark(database_id, ledger).await?;
        self.connection.execute(COMMIT).await?;
        Ok(())
    }

    /// Inserts rows, whose values go to the server as one array for each column.
    async fn insert(&mut self, table: &'static str, columns: &[String], rows: Vec<TableRow>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let types: Vec<(String, String)> = sqlx::query_as(TYPES).bind(table).fetch_all(&mut self.connection).await?;
        let types = BTreeMap::from_iter(types);
        let kinds = columns.iter().map(|column| {
            let name = types.get(column).ok_or_else(|| StoreError::unreadable(table, column))?;
            Ok(ArrayKind::of(name))
        });
        let kinds = kinds.collect::<Result<Vec<_>, StoreError>>()?;
        let places = kinds.iter().enumerate().map(|(at, kind)| format!("${}::{}", at + 1, kind.array()));
        let given = (0..columns.len()).map(|at| format!("c{at}"));
        let casts = columns.iter().enumerate().map(|(at, column)| cast(&types[column], &format!("new.c{at}")));
        // Without a table of the schema, Citus would run the statement on another node.
        let statement = format!(
            "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM unnest({}) AS new ({}) \
             JOIN ledger_clock ON ledger_clock.id = 1",
            quoted(columns),
            Vec::from_iter(casts).join(", "),
            Vec::from_iter(places).join(", "),
            Vec::from_iter(given).join(", ")
        );
        let count = rows.len();
        let mut arrays = Vec::from_iter(kinds.iter().map(|_| Vec::with_capacity(count)));
        for row in rows {
            arrays.iter_mut().zip(row).for_each(|(array, value)| array.push(value));
        }
        let mut insert = sqlx::query(AssertSqlSafe(statement));
        for ((kind, values), column) in kinds.into_iter().zip(arrays).zip(columns) {
            insert = kind.bind(insert, values).ok_or_else(|| StoreError::unreadable(table, column))?;
        }
        let written = insert.execute(&mut self.connection).await?.rows_affected();
        all_written(table, count, written)
    }
}

async fn connect_for_long(options: &PgConnectOptions, allow_managed: bool) -> Result<PgConnection, StoreError> {
    let mut connection = connect(options, allow_managed).await?;
    connection.execute(SETTINGS).await?;
    Ok(connection)
}

/// The kind of array in which the values of a column are sent.
#[derive(Clone, Copy)]
enum ArrayKind {
    Integers,
    Reals,
    Bytes,
    Texts,
}

impl ArrayKind {
    fn of(type_name: &str) -> Self {
        match type_name {
            "boolean" | "smallint" | "integer" | "bigint" => Self::Integers,
            "double precision" => Self::Reals,
            "bytea" => Self::Bytes,
            _ => Self::Texts,
        }
    }

    fn array(self) -> &'static str {
        match self {
            Self::Integers => "int8[]",
            Self::Reals => "float8[]",
            Self::Bytes => "bytea[]",
            Self::Texts => "text[]",
        }
    }

    /// Binds the values. Returns `None` if one of them is of another kind.
    fn bind(
        self,
        query: Query<'_, Postgres, PgArguments>,
        values: Vec<ColumnValue>,
    ) -> Option<Query<'_, Postgres, PgArguments>> {
        macro_rules! bound {
            ($kind:ident) => {{
                let values = values.into_iter().map(|value| match value {
                    ColumnValue::Null => Some(None),
                    ColumnValue::$kind(value) => Some(Some(value)),
                    _ => None,
                });
                query.bind(values.collect::<Option<Vec<_>>>()?)
            }};
        }
        Some(match self {
            Self::Integers => bound!(Integer),
            Self::Reals => bound!(Real),
            Self::Bytes => bound!(Bytes),
            Self::Texts => bound!(Text),
        })
    }
}

/// Returns the expression that makes a value of this type from that of an array.
fn cast(type_name: &str, value: &str) -> String {
    if type_name == "boolean" { format!("{value} <> 0") } else { format!("{value}::{type_name}") }
}

#[async_trait]
impl RelocationTarget for PostgresTarget {
    async fn state(&mut self, database_id: &str) -> Result<TargetState, CopyError> {
        if let Some((source, ledger)) = self.mark().await? {
            if source == database_id {
                return Ok(TargetState::Unfinished { ledger });
            }
            return Err(CopyError::Useless(format!("{} holds an unfinished copy of another database", self.shown)));
        }
        let tables = tables(&mut self.connection).await?;
        match schema::missing(&mut self.connection, &MIGRATIONS, &tables).await? {
            0 => {}
            missing if missing == MIGRATIONS.iter().count() => return Ok(TargetState::Empty),
            missing => return Err(OpenError::MigrationsPending { missing }.into()),
        }
        Ok(match self.occupied().await? {
            tables if tables.is_empty() => TargetState::Empty,
            tables => TargetState::Occupied { database_id: self.database_id().await?, tables },
        })
    }

    async fn begin(&mut self, database_id: &str, ledger: &str) -> Result<i64, CopyError> {
        self.prepare().await?;
        match self.mark().await? {
            Some((_, begun)) if begun == ledger => {}
            Some(_) => self.clear(database_id, ledger).await?,
            None => {
                self.connection.execute(BEGIN).await?;
                self.connection.execute(HOLD_CLOCK).await?;
                if !self.occupied().await?.is_empty() {
                    return Err(self.disturbed());
                }
                self.connection.execute(MARK).await?;
                self.set_mark(database_id, ledger).await?;
                self.connection.execute(COMMIT).await?;
            }
        }
        Ok(self.clock().await?)
    }

    async fn append(
        &mut self,
        columns: &[String],
        rows: Vec<TableRow>,
        after: i64,
        last: i64,
    ) -> Result<(), CopyError> {
        self.connection.execute(BEGIN).await?;
        let clock = sqlx::query("UPDATE ledger_clock SET seq = $2 WHERE seq = $1").bind(after).bind(last);
        let moved = clock.execute(&mut self.connection).await?;
        if moved.rows_affected() != 1 {
            return Err(self.disturbed());
        }
        self.insert(LEDGER, columns, rows).await?;
        self.connection.execute(COMMIT).await?;
        Ok(())
    }

    async fn fill(
        &mut self,
        table: &'static str,
        columns: &[String],
        rows: Vec<TableRow>,
        anew: bool,
    ) -> Result<(), CopyError> {
        let emptying = if anew { format!("; DELETE FROM {table}") } else { String::new() };
        let beginning = AssertSqlSafe(format!("{BEGIN}{emptying}"));
        self.connection.execute(beginning).await?;
        self.insert(table, columns, rows).await?;
        self.connection.execute(COMMIT).await?;
        Ok(())
    }

    async fn work_out(&mut self, progress: &(dyn Fn(RebuildStage) + Send + Sync)) -> Result<(), CopyError> {
        // The planner knows nothing about the copied rows yet.
        self.connection.execute("ANALYZE").await?;
        let mut connection = connect_for_long(&self.options, self.allow_managed).await?;
        rebuild::within(&mut connection, Aim::Rebuild, progress).await?;
        self.connection.execute("ANALYZE").await?;
        Ok(())
    }

    fn rows<'r>(&'r mut self, table: &str, columns: &[String]) -> TableRows<'r> {
        let query = format!("SELECT {} FROM {table}", quoted(columns));
        let rows = sqlx::query(AssertSqlSafe(query)).fetch(&mut self.connection);
        rows.map(|row| values(&row?)).boxed()
    }

    async fn release(&mut self) -> Result<(), CopyError> {
        let numbered: Vec<(String, String)> = sqlx::query_as(NUMBERED).fetch_all(&mut self.connection).await?;
        for (table, column) in numbered {
            let going_on =
                format!("SELECT setval(pg_get_serial_sequence($1, $2), (SELECT max({column}) FROM {table}))");
            let going_on = sqlx::query(AssertSqlSafe(going_on)).bind(table).bind(column);
            going_on.execute(&mut self.connection).await?;
        }
        self.connection.execute(BEGIN).await?;
        sqlx::query!("UPDATE forwards SET paused = TRUE, pause_reason = $1, lease_until = NULL", PAUSED_BY_COPY)
            .execute(&mut self.connection)
            .await?;
        self.connection.execute(UNMARK).await?;
        self.connection.execute(COMMIT).await?;
        Ok(())
    }
}

fn values(row: &PgRow) -> Result<TableRow, StoreError> {
    let value = |column: usize| -> Result<ColumnValue, StoreError> {
        let kind = row.column(column).type_info().name();
        Ok(match kind {
            _ if row.try_get_raw(column)?.is_null() => ColumnValue::Null,
            "BOOL" => ColumnValue::Integer(row.try_get::<bool, _>(column)?.into()),
            "INT2" => ColumnValue::Integer(row.try_get::<i16, _>(column)?.into()),
            "INT4" => ColumnValue::Integer(row.try_get::<i32, _>(column)?.into()),
            "INT8" => ColumnValue::Integer(row.try_get(column)?),
            "FLOAT8" => ColumnValue::Real(row.try_get(column)?),
            "BYTEA" => ColumnValue::Bytes(row.try_get(column)?),
            "TIMESTAMPTZ" => ColumnValue::Text(row.try_get::<Timestamp, _>(column)?.to_rfc3339()),
            "DATE" => ColumnValue::Text(row.try_get::<time::Date, _>(column)?.to_string()),
            _ => ColumnValue::Text(row.try_get(column)?),
        })
    };
    (0..row.len()).map(value).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::admin::schema::MIGRATIONS_TABLE;
    use crate::postgres::TABLES;

    #[test]
    fn a_copy_says_of_each_table_what_becomes_of_it() {
        let listed: BTreeSet<&str> = RELOCATED.iter().map(|table| table.name).chain([MIGRATIONS_TABLE]).collect();
        assert_eq!(listed.len(), RELOCATED.len() + 1, "a table is listed once");
        assert_eq!(listed, BTreeSet::from(TABLES), "say of a new table whether it is copied");
    }
}
