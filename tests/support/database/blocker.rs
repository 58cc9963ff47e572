//! Another client's transaction that blocks all writes.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::world::{Backend, World};
use crate::support::eventually;

pub enum Blocker {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Blocker {
    /// Locks this table; on SQLite, the whole database.
    pub async fn new(world: &World, table: &str) -> Self {
        match world.backend {
            Backend::Sqlite => {
                let mut connection = SqliteConnection::connect(&world.url).await.expect("SQLite opens");
                // A busy writer leaves only short gaps between its transactions, and SQLite's own retries become too
                // rare to hit one.
                connection.execute("PRAGMA busy_timeout = 0").await.expect("it is set");
                eventually("it begins", async || connection.execute("BEGIN IMMEDIATE").await.is_ok()).await;
                Self::Sqlite(connection)
            }
            Backend::Postgres => {
                let mut connection = PgConnection::connect(&world.url).await.expect("PostgreSQL answers");
                let lock = format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE");
                connection.execute(AssertSqlSafe(lock)).await.expect("it begins");
                Self::Postgres(connection)
            }
        }
    }

    pub async fn release(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.expect("it closes"),
            Self::Postgres(connection) => connection.close().await.expect("it closes"),
        }
    }
}
