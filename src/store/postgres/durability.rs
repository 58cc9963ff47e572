//! Checks that a commit is on disk when PostgreSQL says so.

use sqlx::PgConnection;

use super::{TABLES, citus};
use crate::StoreError;

/// Refuses settings under which a commit could be lost. The checked `synchronous_commit` is kept for this connection,
/// even if the server's changes. `allow_managed` waives `fsync` and `full_page_writes`, which some managed services
/// turn off because they guard the log themselves; `synchronous_commit` is never waived.
pub(super) async fn check(connection: &mut PgConnection, allow_managed: bool) -> Result<(), StoreError> {
    let settings = sqlx::query!(
        r#"
        SELECT
            current_setting('fsync') AS "fsync!",
            current_setting('full_page_writes') AS "full_page_writes!",
            set_config('synchronous_commit', current_setting('synchronous_commit'), FALSE) AS "synchronous_commit!",
            current_setting('server_encoding') AS "server_encoding!",
            pg_is_in_recovery() AS "standby!",
            to_regclass('pg_dist_partition') IS NOT NULL AS "citus!"
        "#
    )
    .fetch_one(&mut *connection)
    .await?;
    let off = |name: &str, value: &str| (value == "off").then(|| format!("{name} is off; turn it on"));
    let waivable = |name: &str, value: &str| {
        let managed = ", or set BUZON_ALLOW_MANAGED_PG=true for a managed service that guards the log itself";
        off(name, value).filter(|_| !allow_managed).map(|refusal| refusal + managed)
    };
    let encoding = (settings.server_encoding != "UTF8")
        .then(|| format!("its encoding is {}; create it with ENCODING 'UTF8'", settings.server_encoding));
    let standby = settings.standby.then(|| "it is a standby, which takes no writes; name the primary".to_owned());
    let refusal = off("synchronous_commit", &settings.synchronous_commit)
        .or_else(|| waivable("fsync", &settings.fsync))
        .or_else(|| waivable("full_page_writes", &settings.full_page_writes))
        .or(encoding)
        .or(standby);
    match refusal {
        Some(refusal) => return Err(StoreError::Unsafe(refusal)),
        None => tables(connection).await?,
    }
    if settings.citus { citus::refuse_distributed_rows(connection).await } else { Ok(()) }
}

/// A table of buzon, and the properties that could lose its rows.
struct UnsafeTable {
    table: String,
    unlogged: bool,
    rule: Option<String>,
    row_security: bool,
}

/// Refuses tables that are emptied after a crash, and those that silently drop or hide rows. A trigger may do the same,
/// but the written rows are counted.
async fn tables(connection: &mut PgConnection) -> Result<(), StoreError> {
    let found = sqlx::query_as!(
        UnsafeTable,
        r#"
        SELECT
            relname::text AS "table!",
            relpersistence = 'u' AS "unlogged!",
            (
                SELECT min(rulename::text)
                FROM pg_rewrite
                WHERE ev_class = pg_class.oid AND ev_enabled <> 'D'
            ) AS rule,
            row_security_active(oid) AS "row_security!"
        FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname = ANY($1)
        ORDER BY relname
        "#,
        &TABLES as _,
    );
    let refusal = found.fetch_all(connection).await?.into_iter().find_map(UnsafeTable::refusal);
    refusal.map_or(Ok(()), |refusal| Err(StoreError::Unsafe(refusal)))
}

impl UnsafeTable {
    fn refusal(self) -> Option<String> {
        let Self { table, unlogged, rule, row_security } = self;
        if unlogged {
            return Some(format!(
                "its table {table} is UNLOGGED, and empty after a crash; run: ALTER TABLE {table} SET LOGGED"
            ));
        }
        if let Some(rule) = rule {
            let rule = rule.escape_debug();
            return Some(format!("the rule {rule} can drop rows of its table {table}; remove it with DROP RULE"));
        }
        row_security.then(|| {
            format!(
                "row security hides rows of its table {table} from buzon's own user; let that user own the table, \
                 without FORCE ROW LEVEL SECURITY"
            )
        })
    }
}
