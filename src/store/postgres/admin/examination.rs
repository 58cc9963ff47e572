//! The examination of the database and its server's settings.

use std::time::Duration;

use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::Examination;
use crate::OpenError;
use crate::StoreError;
use crate::Trigger;
use crate::postgres::{MIGRATIONS, TABLES, dial, durability, locks, pooler, schema, tables, url};
use domain::time::timestamp::Timestamp;

/// The time that an examination may take. A pooler without a free session never answers.
const WAIT: Duration = Duration::from_secs(30);

/// Examines the database.
///
/// # Errors
/// The errors for which a server would refuse to open, except pending migrations.
pub(crate) async fn examine(url: &SecretString, allow_managed: bool) -> Result<Examination, OpenError> {
    let options = url::options(url).map_err(StoreError::from)?;
    let looking = async {
        pooler::refuse_transaction_mode(&options).await?;
        locks::named(&options, look(&options, allow_managed).await).await
    };
    let silent = |_| StoreError::Unavailable(format!("no answer to its examination within {} seconds", WAIT.as_secs()));
    timeout(WAIT, looking).await.map_err(silent)?
}

async fn look(options: &PgConnectOptions, allow_managed: bool) -> Result<Examination, OpenError> {
    let mut connection = dial(options).await?;
    let now: OffsetDateTime =
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut connection).await.map_err(StoreError::from)?;
    durability::check(&mut connection, allow_managed).await?;
    let tables = tables(&mut connection).await?;
    let migrations_missing = schema::missing(&mut connection, &MIGRATIONS, &tables).await?;
    let id = match migrations_missing {
        0 => {
            let id = sqlx::query_scalar!("SELECT database_id FROM installation");
            Some(id.fetch_one(&mut connection).await.map_err(StoreError::from)?)
        }
        _ => None,
    };
    let triggers = triggers(&mut connection).await?;
    connection.close().await.map_err(StoreError::from)?;
    let server_time = Some(Timestamp::from_utc(now));
    Ok(Examination { is_new: tables.is_empty(), migrations_missing, id, server_time, triggers })
}

pub(crate) async fn triggers(connection: &mut PgConnection) -> Result<Vec<Trigger>, StoreError> {
    Ok(sqlx::query_as!(
        Trigger,
        r#"
        SELECT tgname::text AS "name!", relname::text AS "table!"
        FROM pg_trigger
        JOIN pg_class ON pg_class.oid = tgrelid
        WHERE NOT tgisinternal
            AND tgenabled <> 'D'
            AND relnamespace = current_schema()::regnamespace
            AND relname = ANY($1)
        ORDER BY tgname, relname
        "#,
        &TABLES as _,
    )
    .fetch_all(connection)
    .await?)
}
