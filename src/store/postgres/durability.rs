//! A commit must be on disk when PostgreSQL says so.

use sqlx::PgConnection;

use crate::store::StoreError;

/// Refuses settings under which a commit could be lost. What `synchronous_commit` is now, it stays for this connection,
/// whatever becomes of the server's. `allow_managed` waives `fsync` and `full_page_writes`, which
/// some managed services turn off because they guard the log themselves; `synchronous_commit` is never waived.
pub(super) async fn check(connection: &mut PgConnection, allow_managed: bool) -> Result<(), StoreError> {
    let settings = sqlx::query!(
        r#"
        SELECT
            current_setting('fsync') AS "fsync!",
            current_setting('full_page_writes') AS "full_page_writes!",
            set_config('synchronous_commit', current_setting('synchronous_commit'), FALSE) AS "synchronous_commit!",
            current_setting('server_encoding') AS "server_encoding!",
            pg_is_in_recovery() AS "standby!"
        "#
    )
    .fetch_one(connection)
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
    refusal.map_or(Ok(()), |refusal| Err(StoreError::Unsafe(refusal)))
}
