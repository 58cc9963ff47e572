//! Read-only roles.
//!
//! A role is limited by its grants. Read-only transactions and time limits are only defaults, which a person can change
//! for a session. PostgreSQL lets every role fill the disk with large objects and temporary files of queries, and only
//! a superuser can prevent that.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::StoreError;
use crate::admin::readers::{ReadOnlyRoles, ReaderError, RoleName, RoleOrder, RoleOutcome};
use crate::postgres::{BEGIN, COMMIT, dial, url};

/// The comment that marks a role of buzon.
const MARK: &str = "reads the database of buzon; made by buzon sql-role";

/// The tables that these roles do not see: hashes of credentials, the audit and the keys of its pseudonyms, answers of
/// receivers, which may quote an event, and the keys and marks of erasures. A new table belongs into this list or the next.
pub(crate) const HIDDEN: [&str; 9] = [
    "api_tokens",
    "audit",
    "erasure_ids",
    "erasure_keys",
    "erasure_marks",
    "forward_failures",
    "media_removals",
    "pseudonym_keys",
    "sessions",
];

/// The tables that they see.
#[cfg(test)]
const SHOWN: [&str; 21] = [
    super::super::MIGRATIONS_TABLE,
    "chat_aliases",
    "chat_links",
    "chat_links_owner",
    "chat_moves",
    "chat_names",
    "chats",
    "erasures",
    "events",
    "forwards",
    "installation",
    "ledger_clock",
    "media",
    "media_object_locks",
    "message_acks",
    "message_reactions",
    "message_search",
    "messages",
    "responses",
    "retention_runs",
    "time_zone_offsets",
];

const DENIED: &str = "42501";

/// The facts on which the statements depend.
struct Facts {
    database: String,
    schema: String,
    /// The role that makes tables, which is the user of buzon.
    owner: String,
    /// The comment on the role; `None` if there is no such role.
    comment: Option<String>,
    /// Those of the hidden tables that exist.
    hidden: Vec<String>,
    everybody_creates: bool,
    everybody_uses_space: bool,
    everybody_makes_objects: bool,
    is_superuser: bool,
}

pub(crate) struct PostgresReadOnlyRoles(pub(crate) SecretString);

#[async_trait]
impl ReadOnlyRoles for PostgresReadOnlyRoles {
    async fn order(&self, name: &RoleName, order: &RoleOrder, only_print: bool) -> Result<RoleOutcome, ReaderError> {
        let mut connection = dial(&url::options(&self.0).map_err(StoreError::from)?).await?;
        let facts = facts(&mut connection, name).await?;
        if facts.comment.as_deref().is_some_and(|comment| comment != MARK) {
            return Err(ReaderError::Foreign(name.clone()));
        }
        let (statements, url) = match order {
            RoleOrder::Make { password } => {
                (facts.making(name, password), Some(url::of_role(&self.0, name.as_str(), password)))
            }
            RoleOrder::Drop if facts.comment.is_none() => return Err(ReaderError::Missing(name.clone())),
            RoleOrder::Drop => (facts.dropping(name), None),
        };
        let limits = if url.is_some() { facts.limiting(name) } else { vec![] };
        let (statements, left) = match facts.is_superuser && !only_print {
            true => ([statements, limits].concat(), vec![]),
            false => (statements, limits),
        };
        if !only_print {
            run(&mut connection, &statements).await?;
        }
        connection.close().await.map_err(StoreError::from)?;
        Ok(RoleOutcome { statements, left, url })
    }
}

/// Runs the statements in one transaction.
async fn run(connection: &mut PgConnection, statements: &[String]) -> Result<(), ReaderError> {
    connection.execute(BEGIN).await.map_err(refused)?;
    for statement in statements {
        connection.execute(AssertSqlSafe(statement.clone())).await.map_err(refused)?;
    }
    connection.execute(COMMIT).await.map_err(refused)?;
    Ok(())
}

fn refused(error: sqlx::Error) -> ReaderError {
    match error.as_database_error() {
        Some(refusal) if refusal.code().is_some_and(|code| code == DENIED) => {
            ReaderError::Denied(refusal.message().to_owned())
        }
        _ => ReaderError::Store(error.into()),
    }
}

async fn facts(connection: &mut PgConnection, name: &RoleName) -> Result<Facts, StoreError> {
    Ok(sqlx::query_as!(
        Facts,
        r#"
        SELECT
            current_database()::text AS "database!",
            current_schema()::text AS "schema!",
            current_user::text AS "owner!",
            (
                SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1
            ) AS comment,
            ARRAY(SELECT name FROM unnest($2::text[]) AS name WHERE to_regclass(name) IS NOT NULL) AS "hidden!",
            has_schema_privilege('public', current_schema()::text, 'CREATE') AS "everybody_creates!",
            has_database_privilege('public', current_database(), 'TEMPORARY') AS "everybody_uses_space!",
            has_function_privilege('public', 'pg_catalog.lo_creat(integer)', 'EXECUTE') AS "everybody_makes_objects!",
            current_setting('is_superuser')::bool AS "is_superuser!"
        "#,
        name.as_str(),
        &HIDDEN as _,
    )
    .fetch_one(connection)
    .await?)
}

impl Facts {
    fn making(&self, name: &RoleName, password: &SecretString) -> Vec<String> {
        let (database, schema, owner) = (quoted(&self.database), quoted(&self.schema), quoted(&self.owner));
        let (role, make) = (quoted(name.as_str()), if self.comment.is_some() { "ALTER" } else { "CREATE" });
        let password = password.expose_secret();
        let mut statements = vec![
            format!("{make} ROLE {role} WITH LOGIN PASSWORD '{password}'"),
            format!("COMMENT ON ROLE {role} IS '{MARK}'"),
            format!("ALTER ROLE {role} SET default_transaction_read_only = on"),
            format!("ALTER ROLE {role} SET statement_timeout = '30s'"),
            format!("ALTER ROLE {role} SET idle_in_transaction_session_timeout = '60s'"),
            format!("ALTER ROLE {role} SET TimeZone = 'UTC'"),
            format!("GRANT CONNECT ON DATABASE {database} TO {role}"),
            format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
            format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"),
            format!("ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"),
        ];
        if self.schema != "public" {
            statements.push(format!("ALTER ROLE {role} SET search_path = {schema}"));
        }
        if self.everybody_creates {
            statements.push(format!("GRANT CREATE ON SCHEMA {schema} TO {owner}"));
            statements.push(format!("REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC"));
        }
        if self.everybody_uses_space {
            statements.push(format!("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"));
        }
        statements.extend(self.hidden.iter().map(|table| hiding(&self.schema, table, name.as_str())));
        statements
    }

    /// Returns the statements that keep the role from filling the disk. The limit on the temporary files of a query
    /// fits most disks. Nobody needs large objects in a database that only buzon uses.
    fn limiting(&self, name: &RoleName) -> Vec<String> {
        let mut statements = vec![format!("ALTER ROLE {} SET temp_file_limit = '1GB'", quoted(name.as_str()))];
        if self.everybody_makes_objects {
            statements.push(
                "REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid), \
                 pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC"
                    .to_owned(),
            );
        }
        statements
    }

    fn dropping(&self, name: &RoleName) -> Vec<String> {
        let (database, schema, owner) = (quoted(&self.database), quoted(&self.schema), quoted(&self.owner));
        let role = quoted(name.as_str());
        vec![
            format!("ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} REVOKE SELECT ON TABLES FROM {role}"),
            format!("REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}"),
            format!("REVOKE USAGE ON SCHEMA {schema} FROM {role}"),
            format!("REVOKE CONNECT ON DATABASE {database} FROM {role}"),
            format!("DROP ROLE {role}"),
        ]
    }
}

fn hiding(schema: &str, table: &str, role: &str) -> String {
    format!("REVOKE ALL ON TABLE {}.{} FROM {}", quoted(schema), quoted(table), quoted(role))
}

pub(crate) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Revokes the default grants on the hidden tables, because a migration may make such a table after the roles.
pub(crate) async fn hide(connection: &mut PgConnection) -> Result<(), StoreError> {
    let readers = sqlx::query!(
        r#"
        SELECT DISTINCT nspname::text AS "schema!", relname::text AS "table!", rolname::text AS "role!"
        FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        CROSS JOIN LATERAL aclexplode(relacl) AS granted
        JOIN pg_roles ON pg_roles.oid = granted.grantee
        WHERE pg_class.oid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS name)
            AND shobj_description(pg_roles.oid, 'pg_authid') = $2
        "#,
        &HIDDEN as _,
        MARK,
    )
    .fetch_all(&mut *connection)
    .await?;
    for reader in readers {
        connection.execute(AssertSqlSafe(hiding(&reader.schema, &reader.table, &reader.role))).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::postgres::TABLES;

    #[test]
    fn a_role_either_sees_a_table_or_does_not() {
        let (hidden, shown) = (BTreeSet::from(HIDDEN), BTreeSet::from(SHOWN));
        assert!(hidden.is_disjoint(&shown));
        assert_eq!(&hidden | &shown, BTreeSet::from(TABLES), "say of a new table whether roles see it");
    }
}
