//! Copies are made by `pg_dump` in its custom format. Its snapshot is enough, because every transaction of buzon leaves the
//! tables consistent. The contents are read from the copy itself.

use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;
use std::process::Stdio;

use async_trait::async_trait;
use secrecy::SecretString;
use sqlx::{Connection, Executor, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use super::programs::{self, Program};
use super::{contents, restore};
use crate::OpenError;
use crate::StoreError;
use crate::admin::copies::{Contents, Copied, Copies, CopyError, DatabaseKind, Origin, Programs, known};
use crate::admin::schema::{COPYING, RESTORING};
use crate::postgres::dial::{LOCK_WAIT, dial};
use crate::postgres::{MIGRATIONS, locks, tables, url};

/// The settings of a copy: there is no time limit except for locks. Not every server knows the last setting.
const NO_LIMITS: &str = "SELECT set_config(name, '0', FALSE) FROM pg_settings WHERE name IN \
     ('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')";

/// The table that every database has that can be copied.
const NEEDED: &str = "installation";

const PIECE: usize = 256 * 1024;

pub(crate) struct PostgresCopies {
    url: SecretString,
    programs: Programs,
    /// The connection that holds the lock against other backups and restores.
    held: Option<PgConnection>,
    program: Option<Program>,
    /// The program that reads a copy.
    reader: Option<Program>,
}

impl PostgresCopies {
    pub(crate) fn new(url: &SecretString, programs: &Programs) -> Self {
        Self { url: url.clone(), programs: programs.clone(), held: None, program: None, reader: None }
    }

    async fn connect(&self) -> Result<PgConnection, StoreError> {
        let mut connection = dial(&url::options(&self.url)?).await?;
        connection.execute(NO_LIMITS).await?;
        Ok(connection)
    }

    async fn take_hold(&mut self) -> Result<String, CopyError> {
        let mut connection = self.connect().await?;
        let here = here(&mut connection).await?;
        locks::backing_up(&mut connection).await?;
        let tables = tables(&mut connection).await?;
        if tables.iter().any(|table| table == RESTORING) {
            return Err(OpenError::RestoreUnfinished.into());
        }
        if tables.iter().any(|table| table == COPYING) {
            return Err(OpenError::CopyUnfinished.into());
        }
        if !tables.iter().any(|table| table == NEEDED) {
            return Err(CopyError::Useless("the database holds no tables of buzon".to_owned()));
        }
        let program = programs::find(&self.programs, "pg_dump", here.server).await?;
        self.reader = Some(programs::find(&self.programs, "pg_restore", program.major).await?);
        self.program = Some(program);
        let id = sqlx::query_scalar!("SELECT database_id FROM installation").fetch_one(&mut connection).await;
        self.held = Some(connection);
        Ok(id.map_err(StoreError::from)?)
    }
}

#[async_trait]
impl Copies for PostgresCopies {
    async fn hold(&mut self) -> Result<String, CopyError> {
        match self.take_hold().await {
            Err(CopyError::Open(error)) => {
                let options = url::options(&self.url).map_err(StoreError::from)?;
                Ok(locks::named(&options, Err(error)).await?)
            }
            outcome => outcome,
        }
    }

    async fn copy(&mut self, to: &Path, written: &(dyn Fn(u64) + Send + Sync)) -> Result<Copied, CopyError> {
        let (program, reader) = (held(self.program.as_ref())?, held(self.reader.as_ref())?);
        let mut connection = self.connect().await?;
        let here = here(&mut connection).await?;
        connection.close().await.map_err(StoreError::from)?;
        let origin = Origin { schema: here.schema, server: here.server, pg_dump: program.major };
        let mut command = program.command(&self.url)?;
        command.args(["--format=custom", "--no-password"]);
        command.arg(format!("--lock-wait-timeout={LOCK_WAIT}s"));
        // This is a pattern, in which characters within quotes have no special meaning.
        command.arg(format!("--schema=\"{}\"", origin.schema.replace('"', "\"\"")));
        // Whoever finds a copy finds no session, and a restored database has none.
        command.arg("--exclude-table-data=*.sessions");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        receive(program, child, to, written).await?;
        contents::read(reader, &self.url, to, origin).await
    }

    async fn take_place(&mut self, contents: &Contents) -> Result<(), CopyError> {
        let Some(origin) = contents.postgres.as_ref().filter(|_| contents.kind == DatabaseKind::Postgres) else {
            return Err(CopyError::other_kind(contents.kind, DatabaseKind::Postgres));
        };
        known(contents.schema_version, MIGRATIONS.iter().map(|migration| migration.version).max())?;
        let mut connection = self.connect().await?;
        locks::backing_up(&mut connection).await?;
        let found = tables(&mut connection).await?;
        if !found.is_empty() && !restore::is_unfinished(&mut connection).await? {
            return Err(CopyError::not_empty(&format!("the database ({})", found.join(", "))));
        }
        let here = here(&mut connection).await?;
        if here.server < origin.server {
            let (of, here) = (origin.server, here.server);
            return Err(CopyError::Useless(format!(
                "the backup is of PostgreSQL {of}, and this server is {here}, older"
            )));
        }
        if here.schema != origin.schema {
            let (of, here) = (&origin.schema, &here.schema);
            return Err(CopyError::Useless(format!(
                "the backup's tables are in the schema {of}, and here they would be in {here}; set search_path"
            )));
        }
        self.held = Some(connection);
        self.program = Some(programs::find(&self.programs, "pg_restore", origin.pg_dump).await?);
        Ok(())
    }

    /// Restores a copy. `pg_restore` commits the original's id, so a mark is set before its transaction and removed
    /// with the new id. A process that opens the database in between, or after a crash there, gets an error.
    async fn restore(&mut self, mut from: File, contents: &Contents, database_id: &str) -> Result<(), CopyError> {
        let mut connection = self.connect().await?;
        restore::begin(&mut connection).await?;
        let program = held(self.program.as_ref())?;
        let schema = contents.postgres.as_ref().map(|origin| origin.schema.as_str()).unwrap_or_default();
        from.rewind()?;
        let mut command = program.command(&self.url)?;
        command.args(["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-password"]);
        command.arg(format!("--schema={schema}")).arg(programs::dbname(&self.url)?);
        let output = command.stdin(from).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?.wait_with_output();
        let output = output.await?;
        if let Err(refusal) = program.judge(output.status, &output.stderr) {
            restore::abandon(&mut connection).await?;
            return Err(refusal);
        }
        restore::end(&mut connection, database_id).await?;
        connection.execute("ANALYZE").await.map_err(StoreError::from)?;
        connection.close().await.map_err(StoreError::from)?;
        Ok(())
    }
}

fn held(program: Option<&Program>) -> Result<&Program, CopyError> {
    program.ok_or_else(|| CopyError::Failed("the database is not held".to_owned()))
}

/// The server and schema that a connection finds.
struct Here {
    schema: String,
    server: i32,
}

async fn here(connection: &mut PgConnection) -> Result<Here, StoreError> {
    Ok(sqlx::query_as!(
        Here,
        r#"
        SELECT
            coalesce(current_schema()::text, '') AS "schema!",
            current_setting('server_version_num')::int4 / 10000 AS "server!"
        "#
    )
    .fetch_one(connection)
    .await?)
}

/// Reads the output of `pg_dump`.
async fn receive(
    program: &Program,
    mut child: Child,
    to: &Path,
    written: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), CopyError> {
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(CopyError::Failed("pg_dump has no pipes".to_owned()));
    };
    // The task ends with the pipe, so that a full disk ends the program too.
    let writing = async move {
        let mut file = tokio::fs::File::create_new(to).await?;
        let (mut piece, mut bytes) = (vec![0; PIECE], 0);
        loop {
            let read = stdout.read(&mut piece).await?;
            if read == 0 {
                break;
            }
            file.write_all(&piece[..read]).await?;
            bytes += read as u64;
            written(bytes);
        }
        file.flush().await?;
        file.sync_all().await
    };
    let mut said = Vec::new();
    let (wrote, heard): (io::Result<()>, _) = tokio::join!(writing, stderr.read_to_end(&mut said));
    let status = child.wait().await?;
    wrote?;
    heard?;
    program.judge(status, &said)
}
