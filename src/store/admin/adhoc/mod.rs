//! Queries by hand. Whatever a person types, the query only reads, and ends in time.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use tokio::pin;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use crate::StoreError;

mod statement;

pub(crate) use statement::{Dialect, reading};

/// The time that a stopped query has to end.
const GRACE: Duration = Duration::from_secs(3);

/// A connection for one query, which cannot write.
#[async_trait]
pub trait Session: Send {
    /// Runs a query and sends its answer: the columns once, then its rows. Ends early without an error when the
    /// receiver is dropped. PostgreSQL itself ends the query at `limit`.
    async fn run(&mut self, query: &str, limit: Duration, answers: &Sender<QueryPart>) -> Result<(), QueryError>;

    /// Returns the handle that stops a running query.
    fn brake(&self) -> Box<dyn Brake>;
}

/// The handle that stops the query of a session from another task.
#[async_trait]
pub trait Brake: Send {
    /// Makes the database give up the query, so that it uses no more resources.
    async fn pull(&self) -> Result<(), StoreError>;
}

/// A part of the answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryPart {
    /// The names of the columns, which need not be unique.
    Columns(Vec<String>),
    Row(Vec<Value>),
    /// The end of the answer. A query that fails midway does not send this.
    End,
}

/// A value of a type that both databases have. On both, times are text in the form of SQLite's columns.
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

/// Errors of a query, which has no answer then or only a part.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no query, and the database was not asked.
    #[error("{0}")]
    NotReading(&'static str),
    /// The message of the database.
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
    /// Returns the error of a statement that a person wrote, with the database's own message, which quotes it.
    pub(crate) fn of_statement(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::Refused(error.message().to_owned()),
            // PostgreSQL has internal types that the driver does not take.
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
                Self::Refused("a column has a type that cannot be shown; cast it to text".to_owned())
            }
            error => Self::Store(error.into()),
        }
    }
}

/// Runs a query until it ends, `limit` is over or `stop` is ready. The database does not work on it afterwards.
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
        // The receiver may have been dropped.
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
    // The query ends with an error that does not matter, or its rows wait for a receiver and it ends with the process.
    let _ = timeout(GRACE, run).await;
    Err(why)
}
