//! Citus, in whose distributed schemas the tables of a cell may be.

use sqlx::PgConnection;

use super::TABLES;
use crate::StoreError;

const HAS_CITUS: &str = "SELECT to_regclass('pg_dist_partition') IS NOT NULL";
/// The tables of the current schema are hidden by temporary ones of the same name.
const HAS_SHARDS: &str = "SELECT EXISTS (\
         SELECT FROM pg_dist_partition \
         JOIN pg_class ON pg_class.oid = logicalrelid \
         WHERE relnamespace = current_schema()::regnamespace AND relname = $1\
     )";
const BY_ROWS: &str = "SELECT min(relname::text) \
     FROM pg_dist_partition \
     JOIN pg_class ON pg_class.oid = logicalrelid \
     WHERE partmethod <> 'n' AND relnamespace = current_schema()::regnamespace AND relname = ANY($1)";

pub(super) async fn is_installed(connection: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(HAS_CITUS).fetch_one(connection).await?)
}

/// Returns whether Citus has distributed a table, so that the one in the schema is an empty shell.
pub(super) async fn distributes(connection: &mut PgConnection, table: &str) -> Result<bool, StoreError> {
    if !is_installed(connection).await? {
        return Ok(false);
    }
    Ok(sqlx::query_scalar(HAS_SHARDS).bind(table).fetch_one(connection).await?)
}

/// Refuses tables whose rows Citus distributes, where there is Citus. The clock and the events would be committed on
/// different nodes, and no snapshot spans these, so a reader of the feed would miss events. In a distributed schema every
/// table is on one node.
pub(super) async fn refuse_distributed_rows(connection: &mut PgConnection) -> Result<(), StoreError> {
    let table: Option<String> = sqlx::query_scalar(BY_ROWS).bind(TABLES.as_slice()).fetch_one(connection).await?;
    let refusal = |table| {
        format!(
            "Citus distributes the rows of its table {table} over nodes that no snapshot spans, so that readers would miss \
             events; take that back with SELECT undistribute_table('{table}'), for each such table, and distribute the \
             schema as a whole with citus_schema_distribute"
        )
    };
    table.map_or(Ok(()), |table| Err(StoreError::Unsafe(refusal(table))))
}
