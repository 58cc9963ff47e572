//! The check that a schema is ours and of this version, and its migrations.

use sqlx::migrate::{Migrate, MigrateError, Migrator};

use crate::OpenError;
use crate::StoreError;

/// The table of the migrations that have run. Its name is our own, so that the migrations of another program that uses
/// sqlx are never taken for ours.
pub(crate) const MIGRATIONS_TABLE: &str = "_buzon_migrations";

/// A table that exists while a database is being restored.
pub(crate) const RESTORING: &str = "_buzon_restoring";

/// A table that exists while a database is being copied here.
pub(crate) const COPYING: &str = "_buzon_copying";

/// The treatment of migrations that have not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    Run,
    Refuse,
}

/// Returns how many migrations have not run. `tables` are the tables and views of the database. If there are some and none
/// is ours, the database belongs to another program.
pub(crate) async fn missing<C: Migrate>(
    connection: &mut C,
    migrations: &Migrator,
    tables: &[String],
) -> Result<usize, OpenError> {
    if tables.iter().any(|table| table == RESTORING) {
        return Err(OpenError::RestoreUnfinished);
    }
    if tables.iter().any(|table| table == COPYING) {
        return Err(OpenError::CopyUnfinished);
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

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {

    use sqlx::migrate::{Migration, MigrationType};
    use sqlx::{Connection, Executor, SqlSafeStr, SqliteConnection};

    use super::*;

    fn migrations(statements: &[&'static str]) -> Migrator {
        let migration = |(at, sql): (usize, &&'static str)| {
            Migration::new(at as i64 + 1, "test".into(), MigrationType::Simple, sql.into_sql_str(), false)
        };
        let mut migrator = Migrator::with_migrations(statements.iter().enumerate().map(migration).collect());
        migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
        migrator
    }

    async fn tables(connection: &mut SqliteConnection) -> Vec<String> {
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .fetch_all(connection)
            .await
            .unwrap()
    }

    const FIRST: &str = "CREATE TABLE kept (id INTEGER)";
    const SECOND: &str = "ALTER TABLE kept ADD COLUMN word TEXT NOT NULL DEFAULT 'new'";

    /// Returns a database with the first migration and a row.
    async fn older() -> SqliteConnection {
        let mut older = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        assert_eq!(prepare(&mut older, &migrations(&[FIRST]), &[], Pending::Run).await.unwrap(), 1);
        older.execute("INSERT INTO kept VALUES (7)").await.unwrap();
        older
    }

    #[test]
    async fn an_older_schema_is_brought_up_with_its_rows_unless_migrations_are_refused() {
        let mut connection = older().await;
        let (both, found) = (migrations(&[FIRST, SECOND]), tables(&mut connection).await);
        let refused = prepare(&mut connection, &both, &found, Pending::Refuse).await;
        assert!(matches!(refused, Err(OpenError::MigrationsPending { missing: 1 })), "{refused:?}");
        assert_eq!(prepare(&mut connection, &both, &found, Pending::Run).await.unwrap(), 1);
        assert_eq!(prepare(&mut connection, &both, &found, Pending::Refuse).await.unwrap(), 0);
        let rows: (i64, String) = sqlx::query_as("SELECT id, word FROM kept").fetch_one(&mut connection).await.unwrap();
        assert_eq!(rows, (7, "new".to_owned()));
        let older = prepare(&mut connection, &migrations(&[FIRST]), &found, Pending::Run).await;
        assert!(matches!(older, Err(OpenError::NewerSchema { found: 2, known: 1 })), "{older:?}");
    }

    #[test]
    async fn a_migration_that_fails_leaves_nothing_behind_and_can_run_again() {
        let mut connection = older().await;
        let found = tables(&mut connection).await;
        let failing = migrations(&[FIRST, "CREATE TABLE half (id INTEGER); INSERT INTO nowhere VALUES (1)"]);
        let failed = prepare(&mut connection, &failing, &found, Pending::Run).await;
        assert!(matches!(&failed, Err(OpenError::Migration(said)) if said.starts_with("number 2")), "{failed:?}");
        assert_eq!(tables(&mut connection).await, found);
        assert_eq!(prepare(&mut connection, &migrations(&[FIRST, SECOND]), &found, Pending::Run).await.unwrap(), 1);
    }
}
