//! Whether a database's schema is ours, and of this version; and bringing it there.

use sqlx::migrate::{Migrate, MigrateError, Migrator};

use crate::{OpenError, StoreError};

/// A name of its own, so that another sqlx program's migrations are never taken for ours.
pub(crate) const MIGRATIONS_TABLE: &str = "_buzon_migrations";

/// A table that is there while a database is being restored.
pub(crate) const RESTORING: &str = "_buzon_restoring";

/// What to do about migrations that have not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    Run,
    Refuse,
}

/// How many migrations have not run. `tables` are the tables and views that the database holds; where there are some and
/// none is ours, it belongs to another program.
pub(crate) async fn missing<C: Migrate>(
    connection: &mut C,
    migrations: &Migrator,
    tables: &[String],
) -> Result<usize, OpenError> {
    if tables.iter().any(|table| table == RESTORING) {
        return Err(OpenError::RestoreUnfinished);
    }
    let ours = tables.iter().any(|table| table == MIGRATIONS_TABLE);
    if !ours && !tables.is_empty() {
        return Err(OpenError::ForeignTables { tables: tables.join(", ") });
    }
    let applied = if ours { connection.list_applied_migrations(MIGRATIONS_TABLE).await? } else { vec![] };
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    if let Some(newer) = applied.iter().map(|migration| migration.version).filter(|version| *version > known).max() {
        return Err(OpenError::NewerSchema { found: newer, known });
    }
    Ok(migrations.iter().count().saturating_sub(applied.len()))
}

/// Brings the schema to this version, and returns how many migrations that took.
pub(crate) async fn prepare<C: Migrate>(
    connection: &mut C,
    migrations: &Migrator,
    tables: &[String],
    pending: Pending,
) -> Result<usize, OpenError> {
    let missing = missing(connection, migrations, tables).await?;
    match pending {
        Pending::Refuse if missing > 0 => Err(OpenError::MigrationsPending { missing }),
        Pending::Refuse | Pending::Run => {
            migrations.run_direct(None, connection, false).await?;
            Ok(missing)
        }
    }
}

impl From<MigrateError> for OpenError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => Self::Store(error.into()),
            MigrateError::VersionMismatch(version) => Self::AlteredMigration { version },
            MigrateError::ExecuteMigration(error, version) => match StoreError::from(error) {
                busy @ StoreError::Contended { .. } => busy.into(),
                error => Self::Migration(format!("number {version}: {error}")),
            },
            error => Self::Migration(error.to_string()),
        }
    }
}
