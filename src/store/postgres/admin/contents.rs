//! The contents of a copy, as `pg_restore` reads them from it. A query beside `pg_dump` would not always see what the copy
//! holds: with Citus, a snapshot of one session does not reach the nodes that have the tables.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::programs::Program;
use crate::admin::copies::{Contents, Copied, CopyError, DatabaseKind, ObjectRow, Origin, known, objects};
use crate::admin::schema::MIGRATIONS_TABLE;
use crate::postgres::MIGRATIONS;

const TABLES: [&str; 4] = [MIGRATIONS_TABLE, "installation", "ledger_clock", "media"];

/// Reads the contents of a copy.
///
/// # Errors
/// [`CopyError::Damaged`] if the copy lacks a row that every database has.
pub(super) async fn read(
    program: &Program,
    url: &SecretString,
    copy: &Path,
    origin: Origin,
) -> Result<Copied, CopyError> {
    let mut command = program.command(url)?;
    command.args(["--data-only", "--file=-"]).arg(format!("--schema={}", origin.schema));
    command.args(TABLES.map(|table| format!("--table={table}"))).arg(copy);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(CopyError::Failed("pg_restore has no pipes".to_owned()));
    };
    let reading = async move {
        let (mut script, mut lines) = (CopyScript::default(), BufReader::new(stdout).lines());
        while let Some(line) = lines.next_line().await? {
            script.read(&line);
        }
        Ok::<_, std::io::Error>(script)
    };
    let mut said = Vec::new();
    let (script, heard) = tokio::join!(reading, stderr.read_to_end(&mut said));
    program.judge(child.wait().await?, &said)?;
    heard?;
    script?.contents(origin)
}

/// The rows of a script in which a line `COPY TABLE (COLUMNS) FROM stdin;` begins a table and `\.` ends it.
#[derive(Default)]
struct CopyScript {
    /// The table whose rows follow, and its columns.
    table: Option<(String, Vec<String>)>,
    schema_version: Option<i64>,
    database_id: Option<String>,
    last_seq: Option<i64>,
    /// The sizes of objects by their keys.
    objects: BTreeMap<String, i64>,
}

impl CopyScript {
    fn read(&mut self, line: &str) {
        let Some((table, columns)) = &self.table else {
            self.table = line.strip_prefix("COPY ").and_then(Self::beginning);
            return;
        };
        if line == "\\." {
            self.table = None;
            return;
        }
        let row: BTreeMap<&str, &str> = columns.iter().map(String::as_str).zip(line.split('\t')).collect();
        let text = |column: &str| row.get(column).filter(|value| **value != "\\N").map(|value| (*value).to_owned());
        let number = |column: &str| text(column)?.parse::<i64>().ok();
        match table.as_str() {
            MIGRATIONS_TABLE if text("success").as_deref() == Some("t") => {
                self.schema_version = self.schema_version.max(number("version"));
            }
            "installation" => self.database_id = text("database_id"),
            "ledger_clock" => self.last_seq = number("seq"),
            "media" => self.objects.extend(text("object_key").zip(number("size"))),
            _ => {}
        }
    }

    /// Reads `SCHEMA.TABLE (COLUMN, …) FROM stdin;`. None of our names needs quotes.
    fn beginning(text: &str) -> Option<(String, Vec<String>)> {
        let (table, rest) = text.split_once(" (")?;
        let (columns, _) = rest.split_once(')')?;
        let table = table.rsplit('.').next()?.to_owned();
        Some((table, columns.split(", ").map(str::to_owned).collect()))
    }

    fn contents(self, origin: Origin) -> Result<Copied, CopyError> {
        let lacking = |table: &str| CopyError::Damaged(format!("it lacks the row of {table}"));
        let schema_version = self.schema_version.ok_or_else(|| lacking(MIGRATIONS_TABLE))?;
        known(schema_version, MIGRATIONS.iter().map(|migration| migration.version).max())?;
        let database_id = self.database_id.ok_or_else(|| lacking("installation"))?;
        let last_seq = self.last_seq.ok_or_else(|| lacking("ledger_clock"))?;
        let kind = DatabaseKind::Postgres;
        let contents = Contents { kind, database_id, schema_version, last_seq, postgres: Some(origin) };
        let rows = self.objects.into_iter().map(|(object_key, size)| ObjectRow { object_key, size });
        Ok(Copied { contents, objects: objects(rows.collect())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_script_are_the_contents_and_a_lacking_one_is_told() {
        let key = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let script = format!(
            "-- A comment\nCOPY cell1._buzon_migrations (version, description, success) FROM stdin;\n1\tschema\tt\n\\.\n\
             COPY cell1.installation (id, database_id, epoch) FROM stdin;\n1\tabc\tx\n\\.\n\
             COPY cell1.ledger_clock (id, seq) FROM stdin;\n1\t4711\n\\.\n\
             COPY cell1.media (message_id, object_key, size) FROM stdin;\nCOPY x (y)\t{key}\t5\nB\t{key}\t5\nC\t\\N\t\\N\n\\.\n"
        );
        let origin = || Origin { schema: "cell1".to_owned(), server: 15, pg_dump: 15 };
        let read = |script: &str| {
            let mut read = CopyScript::default();
            script.lines().for_each(|line| read.read(line));
            read.contents(origin())
        };
        let copied = read(&script).unwrap();
        assert_eq!((copied.contents.database_id.as_str(), copied.contents.last_seq), ("abc", 4711));
        assert_eq!(
            copied.objects.iter().map(|it| (it.key.to_string(), it.size)).collect::<Vec<_>>(),
            [(key.to_owned(), 5)]
        );
        let lacking = read(&script.replace("ledger_clock", "other")).unwrap_err();
        assert!(matches!(lacking, CopyError::Damaged(why) if why == "it lacks the row of ledger_clock"));
    }
}
