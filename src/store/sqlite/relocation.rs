//! The database that moves to PostgreSQL, and the mark that it keeps for good.

use std::path::Path;

use async_trait::async_trait;
use futures_util::StreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, Executor, Row, SqliteConnection, TypeInfo, ValueRef};

use super::lock::Lock;
use super::{BEGIN, COMMIT, MIGRATIONS, connect, hold, options, present, tables};
use crate::OpenError;
use crate::StoreError;
use crate::admin::relocation::{ColumnValue, LEDGER, RelocationSource, Retirement, TableRow, TableRows, quoted};
use crate::admin::schema;
use crate::write::persons::moves::move_messages;
use domain::time::timestamp::Timestamp;

/// The number of messages that are moved to their conversations together.
const MOVED_TOGETHER: u32 = 256;

const HAS_MARK: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_buzon_copied')";
const MARK: &str = "CREATE TABLE _buzon_copied (place TEXT NOT NULL, at TEXT NOT NULL) STRICT";

/// The source holds the lock of servers and, in a transaction, that of writers.
pub(crate) struct SqliteSource {
    connection: SqliteConnection,
    _lock: Lock,
}

impl SqliteSource {
    /// Opens the database. Messages that are on their way to another conversation arrive there first, because the tables
    /// that are worked out at the new place have none on their way.
    pub(crate) async fn open(path: &Path) -> Result<Self, OpenError> {
        present(path)?;
        let lock = hold(path).await?;
        let mut connection = connect(&options(path).create_if_missing(false)).await?;
        let tables = tables(&mut connection).await?;
        match schema::missing(&mut connection, &MIGRATIONS, &tables).await? {
            0 => {}
            missing => return Err(OpenError::MigrationsPending { missing }),
        }
        if retirement(&mut connection).await?.is_none() {
            end_moves(&mut connection).await?;
        }
        connection.execute(BEGIN).await.map_err(StoreError::from)?;
        Ok(Self { connection, _lock: lock })
    }
}

async fn end_moves(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut goes_on = true;
    while goes_on {
        connection.execute(BEGIN).await?;
        goes_on = move_messages(connection, MOVED_TOGETHER).await?.more;
        connection.execute(COMMIT).await?;
    }
    Ok(())
}

/// Returns the mark of a database that has moved.
async fn retirement(connection: &mut SqliteConnection) -> Result<Option<Retirement>, StoreError> {
    let is_marked: bool = sqlx::query_scalar(HAS_MARK).fetch_one(&mut *connection).await?;
    if !is_marked {
        return Ok(None);
    }
    let (to, at) = sqlx::query_as("SELECT place, at FROM _buzon_copied").fetch_one(connection).await?;
    Ok(Some(Retirement { to, at }))
}

/// Refuses a database that has moved: nobody reads there what is out of date, or writes what the new place lacks.
pub(crate) async fn refuse_retired(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    match retirement(connection).await? {
        Some(Retirement { to, at }) => Err(StoreError::Retired { to, at }),
        None => Ok(()),
    }
}

#[async_trait]
impl RelocationSource for SqliteSource {
    async fn database_id(&mut self) -> Result<String, StoreError> {
        let id = sqlx::query_scalar!("SELECT database_id FROM installation WHERE id = 1");
        Ok(id.fetch_one(&mut self.connection).await?)
    }

    async fn retirement(&mut self) -> Result<Option<Retirement>, StoreError> {
        retirement(&mut self.connection).await
    }

    async fn columns(&mut self, table: &str) -> Result<Vec<String>, StoreError> {
        let columns = sqlx::query_scalar("SELECT name FROM pragma_table_info(?1) ORDER BY cid").bind(table);
        Ok(columns.fetch_all(&mut self.connection).await?)
    }

    fn rows<'r>(&'r mut self, table: &str, columns: &[String], after: i64) -> TableRows<'r> {
        let part = if table == LEDGER { format!("WHERE seq > {after} ORDER BY seq") } else { String::new() };
        let query = format!("SELECT {} FROM {table} {part}", quoted(columns));
        let rows = sqlx::query(AssertSqlSafe(query)).fetch(&mut self.connection);
        rows.map(|row| values(&row?)).boxed()
    }

    async fn retire(mut self: Box<Self>, to: &str, at: Timestamp) -> Result<(), StoreError> {
        self.connection.execute(MARK).await?;
        let marking = sqlx::query("INSERT INTO _buzon_copied (place, at) VALUES (?1, ?2)").bind(to).bind(at);
        marking.execute(&mut self.connection).await?;
        self.connection.execute(COMMIT).await?;
        Ok(self.connection.close().await?)
    }
}

fn values(row: &SqliteRow) -> Result<TableRow, StoreError> {
    let value = |column: usize| -> Result<ColumnValue, StoreError> {
        let value = row.try_get_raw(column)?;
        Ok(match value.type_info().name() {
            _ if value.is_null() => ColumnValue::Null,
            "INTEGER" => ColumnValue::Integer(row.try_get(column)?),
            "REAL" => ColumnValue::Real(row.try_get(column)?),
            "BLOB" => ColumnValue::Bytes(row.try_get(column)?),
            _ => ColumnValue::Text(row.try_get(column)?),
        })
    };
    (0..row.len()).map(value).collect()
}
