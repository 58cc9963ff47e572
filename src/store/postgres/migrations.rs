//! Running migrations statement by statement. sqlx sends a migration as one text of many statements, which Citus refuses
//! in a distributed schema.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// A connection that migrates.
pub(super) struct Migrating<'c>(pub(super) &'c mut PgConnection);

/// Returns the statements of a migration. A statement ends where a line ends with a semicolon, and a comment is a line of
/// its own.
fn statements(migration: &str) -> impl Iterator<Item = String> {
    let lines = migration.lines().filter(|line| !line.trim_start().starts_with("--"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let statements: Vec<String> = code.split(";\n").map(|it| it.trim().trim_end_matches(';').to_owned()).collect();
    statements.into_iter().filter(|statement| !statement.is_empty())
}

impl Migrate for Migrating<'_> {
    fn create_schema_if_not_exists<'e>(&'e mut self, schema: &'e str) -> BoxFuture<'e, Result<(), MigrateError>> {
        self.0.create_schema_if_not_exists(schema)
    }

    fn ensure_migrations_table<'e>(&'e mut self, table: &'e str) -> BoxFuture<'e, Result<(), MigrateError>> {
        self.0.ensure_migrations_table(table)
    }

    fn dirty_version<'e>(&'e mut self, table: &'e str) -> BoxFuture<'e, Result<Option<i64>, MigrateError>> {
        self.0.dirty_version(table)
    }

    fn list_applied_migrations<'e>(
        &'e mut self,
        table: &'e str,
    ) -> BoxFuture<'e, Result<Vec<AppliedMigration>, MigrateError>> {
        self.0.list_applied_migrations(table)
    }

    fn lock(&mut self) -> BoxFuture<'_, Result<(), MigrateError>> {
        self.0.lock()
    }

    fn unlock(&mut self) -> BoxFuture<'_, Result<(), MigrateError>> {
        self.0.unlock()
    }

    /// Runs the statements and notes the migration in one transaction.
    fn apply<'e>(
        &'e mut self,
        table: &'e str,
        migration: &'e Migration,
    ) -> BoxFuture<'e, Result<Duration, MigrateError>> {
        Box::pin(async move {
            let start = Instant::now();
            let mut transaction = self.0.begin().await?;
            for statement in statements(migration.sql.as_str()) {
                let done = transaction.execute(AssertSqlSafe(statement)).await;
                done.map_err(|error| MigrateError::ExecuteMigration(error, migration.version))?;
            }
            transaction.skip(table, migration).await?;
            transaction.commit().await?;
            Ok(start.elapsed())
        })
    }

    fn revert<'e>(
        &'e mut self,
        table: &'e str,
        migration: &'e Migration,
    ) -> BoxFuture<'e, Result<Duration, MigrateError>> {
        self.0.revert(table, migration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_split_where_its_statements_end() {
        let migration =
            "-- First;\nCREATE TABLE a (\n    -- of a;\n    x INT\n);\n\nINSERT INTO a VALUES (1);\n-- Last";
        let split = Vec::from_iter(statements(migration));
        assert_eq!(split, ["CREATE TABLE a (\n    x INT\n)", "INSERT INTO a VALUES (1)"]);
    }

    #[test]
    fn each_statement_of_the_migrations_begins_with_what_a_migration_does() {
        for migration in super::super::MIGRATIONS.iter() {
            for statement in statements(migration.sql.as_str()) {
                let word = statement.split_whitespace().next().unwrap_or_default();
                assert!(["CREATE", "ALTER", "INSERT", "UPDATE", "DROP"].contains(&word), "{statement}");
                assert!(!statement.contains(';'), "{statement}");
            }
        }
    }
}
