//! Making a cell. All steps can be repeated, so that a cell whose making was interrupted is completed by the same command.

use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::StoreError;
use crate::admin::cells::{CellError, CellName, NewCell};
use crate::postgres::{citus, dial, migrate, pooler, url};

/// Places all tables of the schema on one node, unless that was done before.
const DISTRIBUTE: &str = "SELECT citus_schema_distribute(nspname::regnamespace) FROM pg_namespace \
     WHERE nspname = $1 AND NOT EXISTS (SELECT FROM citus_schemas WHERE schema_name = nspname::regnamespace)";

/// Gives the shards the statistics settings of the tables, which do not reach them by themselves.
const SETTINGS_OF_SHARDS: &str = "SELECT run_command_on_shards(\
         attrelid::regclass, \
         format('ALTER TABLE %%s ALTER COLUMN %I SET (%s)', attname, array_to_string(attoptions, ', '))\
     ) \
     FROM pg_attribute \
     JOIN pg_class ON pg_class.oid = attrelid \
     WHERE relnamespace = $1::regnamespace AND relkind = 'r' AND attoptions IS NOT NULL";

const WORKER: &str = "SELECT nodename || ':' || nodeport FROM citus_shards \
     WHERE table_name = format('%I.events', $1)::regclass LIMIT 1";

/// Makes a schema with the tables of this version, and with `citus` distributes it.
pub(crate) async fn init(server: &SecretString, name: &CellName, citus: bool) -> Result<NewCell, CellError> {
    let options = url::options(server).map_err(stored)?;
    pooler::refuse_transaction_mode(&options).await.map_err(opened)?;
    let mut connection = dial::dial(&options).await.map_err(opened)?;
    if citus && !citus::is_installed(&mut connection).await.map_err(opened)? {
        return Err(CellError::NoCitus);
    }
    let statement = format!("SET client_min_messages TO warning; CREATE SCHEMA IF NOT EXISTS {name}");
    connection.execute(AssertSqlSafe(statement)).await.map_err(stored)?;
    let of_cell = url::of_schema(server, name.as_str());
    migrate(&of_cell).await?;
    let worker = if citus { Some(distribute(&mut connection, name).await.map_err(stored)?) } else { None };
    connection.close().await.map_err(stored)?;
    Ok(NewCell { url: of_cell, worker })
}

/// Distributes the schema, and returns the node that has it.
async fn distribute(connection: &mut PgConnection, name: &CellName) -> Result<String, sqlx::Error> {
    sqlx::query(DISTRIBUTE).bind(name.as_str()).execute(&mut *connection).await?;
    sqlx::query(SETTINGS_OF_SHARDS).bind(name.as_str()).execute(&mut *connection).await?;
    sqlx::query_scalar(WORKER).bind(name.as_str()).fetch_one(&mut *connection).await
}

fn stored(error: sqlx::Error) -> CellError {
    opened(error.into())
}

fn opened(error: StoreError) -> CellError {
    CellError::Open(error.into())
}
