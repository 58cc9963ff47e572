//! Finds PostgreSQL's own programs, and passes them the place of the database. A password is never among the arguments,
//! which every user of the machine can read.

use std::borrow::Cow;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use ::url::Url;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgSslMode;
use tokio::process::Command;

use super::restore::APPLICATION;
use crate::StoreError;
use crate::admin::copies::{CopyError, Programs};
use crate::postgres::url;

/// The folders in which distributions put each version, and the path from an entry to its programs.
const FOLDERS: [(&str, &str, &str); 2] = [("/usr/lib/postgresql", "", "bin"), ("/usr", "pgsql-", "bin")];

/// The first version that can use the roots of the system's store.
const SYSTEM_ROOTS_FROM: i32 = 16;

/// The limit on a program's message, in characters.
const LONGEST: usize = 300;

/// A program, and its major version.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    pub(crate) major: i32,
}

/// Returns the oldest program of at least this version. A newer one may write what an older server does not understand.
///
/// # Errors
/// [`CopyError::Useless`] if there is none.
pub(crate) async fn find(programs: &Programs, name: &str, at_least: i32) -> Result<Program, CopyError> {
    let mut found = Vec::new();
    for path in candidates(programs, name) {
        if let Some(major) = version(&path).await {
            found.push(Program { path, major });
        }
    }
    let newest = found.iter().map(|program| program.major).max();
    let fitting = found.into_iter().filter(|program| program.major >= at_least).min_by_key(|program| program.major);
    fitting.ok_or_else(|| CopyError::Useless(missing(programs, name, at_least, newest)))
}

fn missing(programs: &Programs, name: &str, at_least: i32, newest: Option<i32>) -> String {
    let place = match &programs.folder {
        Some(folder) => format!("in {}", folder.display()),
        None => "on PATH and in /usr/lib/postgresql".to_owned(),
    };
    let found = match newest {
        Some(newest) => format!("the newest {name} {place} is of version {newest}, and {at_least} is needed"),
        None => format!("there is no {name} {place}"),
    };
    format!(
        "{found}; install PostgreSQL's client programs of version {at_least} or later (Debian: postgresql-client-{at_least}), \
         or name their folder with --pg-bin"
    )
}

fn candidates(programs: &Programs, name: &str) -> Vec<PathBuf> {
    let folders = match &programs.folder {
        Some(folder) => vec![folder.clone()],
        None => {
            let path = env::var_os("PATH").unwrap_or_default();
            env::split_paths(&path).chain(FOLDERS.into_iter().flat_map(versions)).collect()
        }
    };
    folders.into_iter().map(|folder| folder.join(name)).filter(|path| path.is_file()).collect()
}

fn versions((folder, beginning, end): (&str, &str, &str)) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(Path::new(folder)) else { return Vec::new() };
    let ours =
        |name: &str| name.strip_prefix(beginning).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let entries = entries.filter_map(Result::ok).filter(|entry| entry.file_name().to_str().is_some_and(ours));
    entries.map(|entry| entry.path().join(end)).collect()
}

/// Returns `15` for `pg_dump (PostgreSQL) 15.4 (Debian …)`.
async fn version(path: &Path) -> Option<i32> {
    let output = Command::new(path).arg("--version").output().await.ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let number = said.split_once("(PostgreSQL) ")?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit()).map_or(number, |end| &number[..end]);
    digits.parse().ok()
}

impl Program {
    /// Returns the command, with the server in its environment as the driver would find it.
    pub(crate) fn command(&self, url: &SecretString) -> Result<Command, CopyError> {
        let options = url::options(url).map_err(StoreError::from)?;
        let stated = UrlExtras::of(url)?;
        let mut command = Command::new(&self.path);
        command.kill_on_drop(true);
        let host =
            options.get_socket().map_or_else(|| Cow::from(options.get_host()), |socket| socket.to_string_lossy());
        command.env("PGHOST", &*host).env("PGPORT", options.get_port().to_string());
        command.env("PGUSER", options.get_username()).env("PGDATABASE", database(&options));
        command.env("PGSSLMODE", ssl_mode(options.get_ssl_mode())).env("PGAPPNAME", APPLICATION);
        // These would take precedence over the host.
        command.env_remove("PGSERVICE").env_remove("PGHOSTADDR");
        if let Some(options) = options.get_options() {
            command.env("PGOPTIONS", options);
        }
        for (key, value) in &stated.files {
            command.env(key, value);
        }
        // The driver has roots built in; the program takes them from the system.
        let names_roots = stated.files.iter().any(|(key, _)| *key == "PGSSLROOTCERT");
        let verifies = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
        if verifies && !names_roots && self.major >= SYSTEM_ROOTS_FROM && env::var_os("PGSSLROOTCERT").is_none() {
            command.env("PGSSLROOTCERT", "system");
        }
        if let Some(password) = &stated.password {
            command.env("PGPASSWORD", password.expose_secret());
        }
        Ok(command)
    }

    /// Returns only the first error of the output, because the lines after it may quote a row.
    pub(crate) fn judge(&self, status: ExitStatus, stderr: &[u8]) -> Result<(), CopyError> {
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(stderr);
        let error = said.lines().find_map(|line| line.split_once("error: ").map(|(_, error)| error));
        let error: String = error.or(said.lines().next()).unwrap_or_default().chars().take(LONGEST).collect();
        Err(CopyError::Failed(format!("{} failed ({status}): {error}", self.path.display())))
    }
}

/// Returns the argument that names the database for `pg_restore`, which does not read its environment for that.
pub(crate) fn dbname(url: &SecretString) -> Result<String, CopyError> {
    let options = url::options(url).map_err(StoreError::from)?;
    let name = database(&options).replace('\\', "\\\\").replace('\'', "\\'");
    Ok(format!("--dbname=dbname='{name}'"))
}

fn database(options: &sqlx::postgres::PgConnectOptions) -> &str {
    options.get_database().unwrap_or_else(|| options.get_username())
}

fn ssl_mode(mode: PgSslMode) -> &'static str {
    match mode {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    }
}

/// The parameters of a URL that the driver does not expose.
struct UrlExtras {
    password: Option<SecretString>,
    files: Vec<(&'static str, String)>,
}

impl UrlExtras {
    fn of(url: &SecretString) -> Result<Self, CopyError> {
        let url = Url::parse(url.expose_secret()).map_err(|error| CopyError::Useless(error.to_string()))?;
        let in_front = url.password().map(|password| percent_decode_str(password).decode_utf8_lossy().into_owned());
        let mut stated = Self { password: in_front.map(SecretString::from), files: Vec::new() };
        for (key, value) in url.query_pairs() {
            let value = Cow::into_owned(value);
            match key.as_ref() {
                "password" => stated.password = Some(value.into()),
                "sslrootcert" => stated.files.push(("PGSSLROOTCERT", value)),
                "sslcert" => stated.files.push(("PGSSLCERT", value)),
                "sslkey" => stated.files.push(("PGSSLKEY", value)),
                _ => {}
            }
        }
        Ok(stated)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn environment(url: &str) -> HashMap<String, String> {
        let program = Program { path: "/bin/pg_dump".into(), major: 17 };
        let command = program.command(&url.to_owned().into()).unwrap();
        assert_eq!(command.as_std().get_args().count(), 0, "nothing is an argument");
        let set = command.as_std().get_envs().filter_map(|(key, value)| Some((key, value?)));
        set.map(|(key, value)| (key.to_str().unwrap().to_owned(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn the_server_of_the_url_is_that_of_the_program_and_the_password_stands_in_its_environment() {
        let of = environment("postgres://me:a%2Fb@db.example.com:5433/mail?sslmode=verify-full&options=-c%20role%3Dx");
        for (key, value) in [
            ("PGHOST", "db.example.com"),
            ("PGPORT", "5433"),
            ("PGUSER", "me"),
            ("PGPASSWORD", "a/b"),
            ("PGDATABASE", "mail"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "system"),
            ("PGOPTIONS", "-c role=x"),
        ] {
            assert_eq!(of.get(key).map(String::as_str), Some(value), "{key}");
        }
        let of =
            environment("postgres:///mail?host=/run/pg&user=me&password=p&sslrootcert=/etc/ca.pem&sslmode=verify-ca");
        for (key, value) in [("PGHOST", "/run/pg"), ("PGPASSWORD", "p"), ("PGSSLROOTCERT", "/etc/ca.pem")] {
            assert_eq!(of.get(key).map(String::as_str), Some(value), "{key}");
        }
    }

    #[test]
    fn a_name_that_would_be_taken_for_settings_is_quoted() {
        let named = dbname(&"postgres://localhost/a%27b%20host%3Dx".to_owned().into()).unwrap();
        assert_eq!(named, r"--dbname=dbname='a\'b host=x'");
    }
}
