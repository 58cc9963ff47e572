//! Queries by hand. The file is opened read-only, so SQLite itself refuses to write.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow, SqliteValueRef};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Decode, Executor, Row, SqlSafeStr, Sqlite, SqliteConnection, Statement,
    TypeInfo, ValueRef,
};
use tokio::sync::mpsc::Sender;

use crate::StoreError;
use crate::admin::adhoc::{Brake, Dialect, QueryError, QueryPart, Session, Value, reading};
use crate::sqlite::BUSY_WAIT;
use crate::sqlite::lock::{beside, unusable};
use crate::sqlite::relocation;

/// The number of instructions that SQLite executes between two checks of the stop flag. It takes well under a
/// millisecond.
const INSTRUCTIONS: i32 = 10_000;

pub(crate) struct SqliteSession {
    connection: SqliteConnection,
    stopped: Arc<AtomicBool>,
}

impl SqliteSession {
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        beside(path, "").map_err(|error| StoreError::Unavailable(unusable(path, &error).to_string()))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .create_if_missing(false)
            .pragma("query_only", "ON")
            .busy_timeout(BUSY_WAIT)
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        relocation::refuse_retired(&mut connection).await?;
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = stopped.clone();
        connection.lock_handle().await?.set_progress_handler(INSTRUCTIONS, move || !seen.load(Ordering::Relaxed));
        Ok(Self { connection, stopped })
    }
}

#[async_trait]
impl Session for SqliteSession {
    async fn run(&mut self, query: &str, _: Duration, answers: &Sender<QueryPart>) -> Result<(), QueryError> {
        let query = reading(query, Dialect::Sqlite)?;
        let text = || AssertSqlSafe(query.to_owned());
        let prepared = self.connection.prepare(text().into_sql_str()).await.map_err(QueryError::of_statement)?;
        let columns = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
        if answers.send(QueryPart::Columns(columns)).await.is_err() {
            return Ok(());
        }
        let mut rows = sqlx::raw_sql(text()).fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await.map_err(QueryError::of_statement)? {
            if answers.send(QueryPart::Row(values(&row)?)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    fn brake(&self) -> Box<dyn Brake> {
        Box::new(SqliteBrake(self.stopped.clone()))
    }
}

struct SqliteBrake(Arc<AtomicBool>);

#[async_trait]
impl Brake for SqliteBrake {
    async fn pull(&self) -> Result<(), StoreError> {
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}

fn values(row: &SqliteRow) -> Result<Vec<Value>, StoreError> {
    let value = |column| value(row.try_get_raw(column)?);
    Ok((0..row.len()).map(value).collect::<Result<_, sqlx::Error>>()?)
}

/// Reads a value by its own type, because the type of an expression's column is unknown.
fn value(raw: SqliteValueRef<'_>) -> Result<Value, sqlx::Error> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    let value = match kind.as_str() {
        "INTEGER" | "BOOLEAN" => <i64 as Decode<Sqlite>>::decode(raw).map(Value::Integer),
        "REAL" => <f64 as Decode<Sqlite>>::decode(raw).map(Value::Real),
        "BLOB" => <Vec<u8> as Decode<Sqlite>>::decode(raw).map(Value::Bytes),
        // Text may hold any bytes, for example after a cast.
        _ => {
            <&[u8] as Decode<Sqlite>>::decode(raw).map(|bytes| Value::Text(String::from_utf8_lossy(bytes).into_owned()))
        }
    };
    value.map_err(sqlx::Error::Decode)
}
