//! Queries by hand, in a transaction that cannot write and is never committed.
//!
//! A query is prepared first, which accepts a single statement only, and then sent as text, so that the server formats
//! values of every type. Other kinds of statements are refused before, such as one that ends the transaction or writes
//! a file.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgRow, PgValueRef};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Executor, PgConnection, Row, SqlSafeStr, Statement, TypeInfo,
    ValueRef,
};
use tokio::sync::mpsc::Sender;

use crate::StoreError;
use crate::admin::adhoc::{Brake, Dialect, QueryError, QueryPart, Session, Value, reading};
use crate::postgres::{dial, url};

/// The settings that give values the same form whatever the settings of the server and the role are.
const BEGIN: &str = "BEGIN TRANSACTION READ ONLY; \
     SET LOCAL TimeZone = 'UTC'; \
     SET LOCAL DateStyle = 'ISO, YMD'; \
     SET LOCAL bytea_output = 'hex'";

/// PostgreSQL's code for a canceled query: by its own time limit, or by a request.
const CANCELED: &str = "57014";

pub(crate) struct PostgresSession {
    connection: PgConnection,
    brake: PostgresBrake,
}

impl PostgresSession {
    /// Begins the transaction. Its first statement takes a snapshot, after which nothing can make the transaction
    /// writable.
    pub(crate) async fn open(url: &SecretString) -> Result<Self, StoreError> {
        let options = url::options(url)?.disable_statement_logging();
        let mut connection = dial(&options).await?;
        connection.execute(BEGIN).await?;
        // With this, the server notices when this process dies. Older servers cannot.
        let notice = "SELECT set_config(name, '1000', true) FROM pg_settings \
                      WHERE name = 'client_connection_check_interval'";
        connection.execute(notice).await?;
        let process = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
        Ok(Self { connection, brake: PostgresBrake { options, process } })
    }

    /// Prepares the query, runs it, and sends its answer.
    async fn answer(&mut self, query: &str, answers: &Sender<QueryPart>) -> Result<(), sqlx::Error> {
        let text = || AssertSqlSafe(query.to_owned());
        let prepared = self.connection.prepare(text().into_sql_str()).await?;
        let columns = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
        if answers.send(QueryPart::Columns(columns)).await.is_err() {
            return Ok(());
        }
        let mut rows = sqlx::raw_sql(text()).fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await? {
            if answers.send(QueryPart::Row(values(&row)?)).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Session for PostgresSession {
    async fn run(&mut self, query: &str, limit: Duration, answers: &Sender<QueryPart>) -> Result<(), QueryError> {
        let query = reading(query, Dialect::Postgres)?;
        let limited = format!("SET LOCAL statement_timeout = {}", limit.as_millis());
        self.connection.execute(AssertSqlSafe(limited)).await.map_err(StoreError::from)?;
        self.answer(query, answers).await.map_err(|error| match error.as_database_error().and_then(|it| it.code()) {
            Some(code) if code == CANCELED => QueryError::TimeLimit(limit),
            _ => QueryError::of_statement(error),
        })
    }

    fn brake(&self) -> Box<dyn Brake> {
        Box::new(self.brake.clone())
    }
}

/// Asks the server on another connection to cancel the query, because it would not notice that this one is closed.
#[derive(Clone)]
struct PostgresBrake {
    options: PgConnectOptions,
    process: i32,
}

#[async_trait]
impl Brake for PostgresBrake {
    async fn pull(&self) -> Result<(), StoreError> {
        let mut connection = dial(&self.options).await?;
        sqlx::query("SELECT pg_cancel_backend($1)").bind(self.process).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

fn values(row: &PgRow) -> Result<Vec<Value>, sqlx::Error> {
    let value = |(column, described): (usize, &sqlx::postgres::PgColumn)| {
        value(&row.try_get_raw(column)?, described.type_info().name())
    };
    row.columns().iter().enumerate().map(value).collect()
}

fn value(raw: &PgValueRef<'_>, kind: &str) -> Result<Value, sqlx::Error> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let text = raw.as_str().map_err(sqlx::Error::Decode)?;
    let as_text = || Value::Text(text.to_owned());
    Ok(match kind {
        "BOOL" => Value::Flag(text == "t"),
        "INT2" | "INT4" | "INT8" | "OID" => text.parse().map_or_else(|_| as_text(), Value::Integer),
        "FLOAT4" | "FLOAT8" => text.parse().map_or_else(|_| as_text(), Value::Real),
        "NUMERIC" => Value::Decimal(text.to_owned()),
        "JSON" | "JSONB" => Value::Json(text.to_owned()),
        "BYTEA" => {
            text.strip_prefix("\\x").and_then(|digits| hex::decode(digits).ok()).map_or_else(as_text, Value::Bytes)
        }
        "TIMESTAMP" => Value::Text(time(text)),
        "TIMESTAMPTZ" => Value::Text(text.strip_suffix("+00").map_or(text.to_owned(), |text| time(text) + "Z")),
        _ => as_text(),
    })
}

/// Returns a time in the form of SQLite's columns, with at least milliseconds: `2024-08-27 00:00:00.5` becomes
/// `2024-08-27T00:00:00.500`. Other forms, such as `infinity`, stay as they are.
fn time(text: &str) -> String {
    const TO_SECONDS: usize = "2024-08-27 00:00:00".len();
    match text.split_once(' ') {
        Some((date, clock)) if text.len() >= TO_SECONDS && !text.ends_with("BC") => {
            let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, ""));
            format!("{date}T{seconds}.{fraction:0<3}")
        }
        _ => text.to_owned(),
    }
}
