//! The examination of the file, beside a server or without one.

use std::path::Path;

use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::Examination;
use crate::OpenError;
use crate::StoreError;
use crate::Trigger;
use crate::sqlite::{MIGRATIONS, relocation, schema, soundness, tables};

/// Examines the database at this path.
///
/// # Errors
/// The errors for which a server would refuse to open, except pending migrations.
pub(crate) async fn examine(path: &Path) -> Result<Examination, OpenError> {
    let absent = || Examination {
        is_new: true,
        migrations_missing: MIGRATIONS.iter().count(),
        id: None,
        server_time: None,
        triggers: vec![],
    };
    let Some(options) = soundness::for_reading(path).await? else { return Ok(absent()) };
    let mut connection = options.connect().await.map_err(StoreError::from)?;
    relocation::refuse_retired(&mut connection).await?;
    let tables = tables(&mut connection).await?;
    let migrations_missing = schema::missing(&mut connection, &MIGRATIONS, &tables).await?;
    let id = match migrations_missing {
        0 => {
            let id = sqlx::query_scalar!("SELECT database_id FROM installation WHERE id = 1");
            Some(id.fetch_one(&mut connection).await.map_err(StoreError::from)?)
        }
        _ => None,
    };
    let triggers = triggers(&mut connection).await?;
    connection.close().await.map_err(StoreError::from)?;
    Ok(Examination { is_new: tables.is_empty(), migrations_missing, id, server_time: None, triggers })
}

/// The prefix of the tables in which SQLite keeps the index of words.
const WORDS: &str = "message_words_";

/// Returns the triggers of the database.
///
/// # Errors
/// [`StoreError::Unsafe`] if a trigger is on one of SQLite's own tables, where it damages the index of words.
pub(crate) async fn triggers(connection: &mut SqliteConnection) -> Result<Vec<Trigger>, StoreError> {
    let triggers = sqlx::query_as!(
        Trigger,
        r#"
        SELECT name AS "name!: String", tbl_name AS "table!: String"
        FROM sqlite_master
        WHERE type = 'trigger'
        ORDER BY name
        "#
    );
    let triggers = triggers.fetch_all(connection).await?;
    match triggers.iter().find(|trigger| trigger.table.starts_with(WORDS)) {
        Some(Trigger { name, table }) => Err(StoreError::Unsafe(format!(
            "the trigger {} is on {table}, in which SQLite itself keeps the index of words; drop it",
            name.escape_debug()
        ))),
        None => Ok(triggers),
    }
}
