//! A look at the database and its server's settings.

use secrecy::SecretString;
use sqlx::Connection;
use time::OffsetDateTime;

use super::{MIGRATIONS, dial, durability, schema, tables, url};
use crate::domain::timestamp::Timestamp;
use crate::store::{Examination, OpenError, StoreError};

/// # Errors
/// What a server would refuse to open for, pending migrations apart.
pub(in crate::store) async fn examine(url: &SecretString, allow_managed: bool) -> Result<Examination, OpenError> {
    let options = url::options(url).map_err(StoreError::from)?;
    let mut connection = dial(&options).await?;
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
    connection.close().await.map_err(StoreError::from)?;
    let server_time = Some(Timestamp::from_utc(now));
    Ok(Examination { is_new: tables.is_empty(), migrations_missing, id, server_time })
}
