//! Connecting to the server, and what to do where that fails.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgConnection};
use tokio::time::timeout;

use super::READ_POOL_WAIT;
use crate::StoreError;

const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// The maximum time in seconds that a statement waits for a lock of another session. By default, PostgreSQL waits
/// forever.
pub(super) const LOCK_WAIT: u64 = 10;
const LOCK_TIMEOUT: &str = "SET lock_timeout = '10s'";

/// The time that a connection may take. A server behind a silent firewall never answers.
pub(super) async fn dial(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let connecting = async {
        let mut connection = options.connect().await?;
        connection.execute(LOCK_TIMEOUT).await?;
        Ok(connection)
    };
    match timeout(CONNECT_WAIT, connecting).await {
        Ok(connected) => connected.map_err(|error| refusal(options, error)),
        Err(_) => {
            let waited = CONNECT_WAIT.as_secs();
            Err(StoreError::Unavailable(format!("{} gives no answer within {waited} seconds", place(options))))
        }
    }
}

/// Returns a pool, which opens connections when they are needed.
pub(super) fn pool(options: &PgConnectOptions, size: u32) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(size).acquire_timeout(READ_POOL_WAIT);
    let limited =
        pool.after_connect(|connection, _| Box::pin(async move { connection.execute(LOCK_TIMEOUT).await.map(drop) }));
    limited.connect_lazy_with(options.clone())
}

/// Returns `host:port`, or the path of a socket.
fn place(options: &PgConnectOptions) -> String {
    let (port, host) = (options.get_port(), options.get_host());
    match options.get_socket() {
        Some(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
        None if host.starts_with('/') => format!("{host}/.s.PGSQL.{port}"),
        None => format!("{host}:{port}"),
    }
}

/// Returns the error of a refusal, with the server and, if the kind of refusal has one, the remedy.
fn refusal(options: &PgConnectOptions, error: sqlx::Error) -> StoreError {
    let place = place(options);
    let (user, database) = (options.get_username(), options.get_database().unwrap_or(options.get_username()));
    let Some(refusal) = error.as_database_error() else { return unreachable(&place, &error) };
    let remedy = match refusal.code().as_deref() {
        Some("3D000") => format!("make it: createdb --owner={} {}", word(user), word(database)),
        Some("28000") if refusal.message().contains("does not exist") => {
            format!("make it: createuser --pwprompt {}", word(user))
        }
        Some("28000") if refusal.message().contains("pg_hba.conf") => {
            "let it in: a line of that server's pg_hba.conf says who may come from where, and how".to_owned()
        }
        Some("28000" | "28P01") => format!(
            "is {} the user that you mean, and the password in database_url its own? Another password: ALTER ROLE … \
             PASSWORD …; a user that is not there: createuser --pwprompt {}",
            word(user),
            word(user)
        ),
        Some("08P01") if refusal.message().contains("startup parameter") => {
            "a connection pooler stands before the server: connect to the server itself, or let the pooler work in \
             session mode and take this parameter (PgBouncer: ignore_startup_parameters = extra_float_digits)"
                .to_owned()
        }
        _ => return error.into(),
    };
    StoreError::Unavailable(format!("{place}: {}; {remedy}", refusal.message()))
}

/// Returns the error for a server that could not be reached, or did not let the connection begin.
fn unreachable(place: &str, error: &sqlx::Error) -> StoreError {
    let said = match error {
        sqlx::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    // rustls says this of a certificate without extensions, such as Citus makes for itself.
    let remedy = if said.contains("UnsupportedCertVersion") {
        "; its certificate is X.509 version 1, which cannot be checked: give the server one of version 3, or, on a \
         network that is safe, add sslmode=disable to database_url"
    } else {
        ""
    };
    StoreError::Unavailable(format!("cannot connect to PostgreSQL at {place}: {said}{remedy}"))
}

/// Quotes the text so that a shell takes it for one word.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
