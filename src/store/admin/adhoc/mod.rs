//! One query of a person, whatever they type: it reads, it ends in time, and nothing is written.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use tokio::pin;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use crate::StoreError;

mod statement;

pub(crate) use statement::{Dialect, reading};

/// How long a query that was stopped may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// A connection for one query, which cannot write.
#[async_trait]
pub trait Session: Send {
    /// Runs a query and hands on what it answers: the columns once, then its rows. Ends early, and well, when nobody
    /// takes them any more.
    /// PostgreSQL ends it by itself at `limit`, at the latest.
    async fn run(&mut self, query: &str, limit: Duration, answers: &Sender<QueryPart>) -> Result<(), QueryError>;

    /// What ends a query that runs.
    fn brake(&self) -> Box<dyn Brake>;
}

/// Ends the query of a session from elsewhere.
#[async_trait]
pub trait Brake: Send {
    /// Makes the database give up the query, so that it costs nobody anything any more.
    async fn pull(&self) -> Result<(), StoreError>;
}

/// A part of what a query answers.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryPart {
    /// The names of its columns; they need not differ.
    Columns(Vec<String>),
    Row(Vec<Value>),
    /// That was all. Does not come when the query failed on its way.
    End,
}

/// A value, as far as both databases have its type. Times are text as SQLite's columns hold them, whatever the database.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Flag(bool),
    Integer(i64),
    Real(f64),
    /// A number with more digits than the others can hold, as text.
    Decimal(String),
    Text(String),
    /// A document, as text.
    Json(String),
    Bytes(Vec<u8>),
}

/// Why a query has no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It is no query: nothing was asked of the database.
    #[error("{0}")]
    NotReading(&'static str),
    /// What the database said of it.
    #[error("{0}")]
    Refused(String),
    #[error("the query took longer than {} seconds and was stopped; --timeout gives it more", .0.as_secs())]
    TimeLimit(Duration),
    #[error("the query was stopped")]
    Stopped,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl QueryError {
    /// Of a statement that a person wrote: the database's own words, which quote it.
    pub(crate) fn of_statement(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::Refused(error.message().to_owned()),
            // Types of PostgreSQL's own insides, which the driver does not take.
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
                Self::Refused("a column has a type that cannot be shown; cast it to text".to_owned())
            }
            error => Self::Store(error.into()),
        }
    }
}

/// Runs a query until it ends, `limit` is over or `stop` is ready; then the database no longer works on it.
pub async fn ask(
    mut session: Box<dyn Session>,
    query: &str,
    limit: Duration,
    stop: impl Future<Output = ()>,
    answers: Sender<QueryPart>,
) -> Result<(), QueryError> {
    let brake = session.brake();
    let run = async {
        session.run(query, limit, &answers).await?;
        // Nobody may be there any more to be told.
        let _ = answers.send(QueryPart::End).await;
        Ok(())
    };
    pin!(run);
    let why = tokio::select! {
        outcome = &mut run => return outcome,
        () = sleep(limit) => QueryError::TimeLimit(limit),
        () = stop => QueryError::Stopped,
    };
    brake.pull().await?;
    // It ends with an error of no interest; or its rows wait for somebody who takes none, and it ends with the process.
    let _ = timeout(GRACE, run).await;
    Err(why)
}
