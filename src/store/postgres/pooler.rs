//! Refuses a connection pooler in transaction mode. It hands each transaction of a connection to any session of the server,
//! so what was set and checked for a session, and the locks that it holds, are soon those of another one.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Row};
use tokio::time::timeout;

use super::dial::dial;
use crate::StoreError;
use crate::error::POOLER;

/// The time that the second connection may take. A pooler in session mode may have none to spare.
const SECOND_WAIT: Duration = Duration::from_secs(2);
/// A pooler that others use at the same time may give a connection the same session twice by chance.
const ROUNDS: usize = 3;

/// Makes sure that a connection is one session of the server for as long as it lasts: two connections that are open at the
/// same time never have a session in common, and each of them has one only. Nothing is prepared, because a pooler would
/// mix that up. If there is no second connection to compare with, nothing is refused.
pub(super) async fn refuse_transaction_mode(options: &PgConnectOptions) -> Result<(), StoreError> {
    let mut first = dial(options).await?;
    let Ok(Ok(mut second)) = timeout(SECOND_WAIT, dial(options)).await else { return Ok(()) };
    let (mut of_first, mut of_second) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..ROUNDS {
        for (connection, sessions) in [(&mut first, &mut of_first), (&mut second, &mut of_second)] {
            // A pooler that takes turns among its sessions gives two transactions in a row two of them.
            sessions.insert(session(connection).await?);
            sessions.insert(session(connection).await?);
        }
    }
    first.close().await?;
    second.close().await?;
    let is_session = of_first.len() == 1 && of_second.len() == 1 && of_first.is_disjoint(&of_second);
    if is_session { Ok(()) } else { Err(StoreError::Unsafe(POOLER.to_owned())) }
}

/// Returns the process of the server that answers.
async fn session(connection: &mut PgConnection) -> Result<i32, StoreError> {
    let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?;
    Ok(row.try_get(0)?)
}
