//! The command line: one file for each command, with its arguments, its help and its output.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use futures_util::FutureExt;
use indicatif::{ProgressBar, ProgressStyle};

use buzon::config::exposure::{self, Exposure};
use buzon::config::{Config, ConfigError, Flags, SettingSources};
use buzon::telemetry;
use exit::WrongUse;
use platform::terminal::{self, escaped};
use store::{OpenMode, Options, Pending, Store};

mod audit;
mod backup;
mod cell;
mod check_config;
mod completions;
mod contact;
mod copy;
mod doctor;
pub(crate) mod erase;
mod exit;
mod export;
mod forward;
mod gateway;
mod healthcheck;
mod login;
mod man;
mod media;
mod migrate;
mod openapi;
mod rebuild;
mod retention;
mod send;
mod serve;
mod session;
mod simulate;
mod sql;
mod sql_role;
mod token;

/// Stores every WhatsApp event that the gateway sends, safe on disk before it is answered.
///
/// Start it with `buzon serve`, register the URL that it prints at the gateway, and query the database with SQL.
/// Settings come from flags, from the environment (BUZON_LISTEN and so on), and from buzon.toml, in this order.
#[derive(Parser)]
#[command(name = "buzon", version, max_term_width = 100, after_help = "Example:\n  buzon serve")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receive events and store them, until stopped with Ctrl-C or SIGTERM
    #[command(after_help = "Example:\n  buzon serve --public-url https://buzon.example.com")]
    Serve {
        #[command(flatten)]
        settings: CommonArgs,
        /// Refuse to start if the database has an older schema, instead of migrating it
        #[arg(long)]
        no_migrate: bool,
    },
    /// Migrate the database's schema to this version, and exit
    #[command(after_help = "Example:\n  buzon migrate --config /etc/buzon/buzon.toml")]
    Migrate {
        #[command(flatten)]
        settings: CommonArgs,
    },
    /// Rebuild every table from the ledger, which has the events as they came, while no service runs
    #[command(after_help = "Example:\n  buzon rebuild --check")]
    Rebuild {
        #[command(flatten)]
        settings: CommonArgs,
        /// Only compare and change nothing, even beside a running service; the exit code is 1 if something differs
        #[arg(long)]
        check: bool,
    },
    /// Copy the database and the media files to a folder or a bucket, beside a running service, or check such copies
    #[command(after_help = "Example:\n  buzon backup /mnt/backup/buzon --keep 14")]
    Backup(backup::BackupArgs),
    /// Restore a database and its media files from a backup into an empty place
    #[command(after_help = "Example:\n  buzon restore /mnt/backup/buzon")]
    Restore(backup::RestoreArgs),
    /// Move the database from SQLite to PostgreSQL for good, while no service runs
    #[command(after_help = "Example:\n  buzon copy --to-file /run/secrets/postgres-url")]
    Copy(copy::CopyArgs),
    /// List, retry and clean up the files that came with messages
    #[command(after_help = "Example:\n  buzon media list --state expired")]
    Media {
        #[command(subcommand)]
        command: media::MediaCommand,
    },
    /// Register the webhook at the gateway, and list and replay what it could not deliver
    #[command(after_help = "Example:\n  buzon gateway register 123")]
    Gateway {
        #[command(subcommand)]
        command: gateway::GatewayCommand,
    },
    /// Manage the forwards, which hand events on to a bot or another receiver
    #[command(after_help = "Example:\n  buzon forward list")]
    Forward {
        #[command(subcommand)]
        command: forward::ForwardCommand,
    },
    /// Say which ids belong to one person, and show what events say about that
    #[command(after_help = "Example:\n  buzon contact link 123 176369157804064@lid 573001112233")]
    Contact {
        #[command(subcommand)]
        command: contact::ContactCommand,
    },
    /// Erase a person, list erasures, and remove what is left of them in the files of the database
    #[command(after_help = "Example:\n  buzon erase person 573001112233")]
    Erase {
        #[command(subcommand)]
        command: erase::EraseCommand,
    },
    /// Show what is older than what is kept, and remove it
    #[command(after_help = "Example:\n  buzon retention")]
    Retention(retention::RetentionArgs),
    /// Make a cell, which is one of several databases of buzon, for more than one writer
    #[command(after_help = "Example:\n  buzon cell init sales")]
    Cell {
        #[command(subcommand)]
        command: cell::CellCommand,
    },
    /// Make, list and revoke tokens of the read API
    #[command(after_help = "Example:\n  buzon token create --name panel --instance 123 --expires 30d")]
    Token {
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Print a link that logs a browser in to the page, as text and as a QR code for a phone; it works once, for five minutes
    #[command(after_help = "Example:\n  buzon login --token panel")]
    Login(login::LoginArgs),
    /// List and end the sessions of browsers that are logged in to the page
    #[command(after_help = "Example:\n  buzon session list")]
    Session {
        #[command(subcommand)]
        command: session::SessionCommand,
    },
    /// Export rows, a conversation, or everything about a person, beside a running service
    #[command(after_help = "Example:\n  buzon export messages messages.csv --since 2026-01-01")]
    Export {
        #[command(subcommand)]
        command: export::ExportCommand,
    },
    /// Show who exported or erased what, and when
    #[command(after_help = "Example:\n  buzon audit --about 573001112233")]
    Audit(audit::AuditArgs),
    /// Print the contract of the read API (OpenAPI 3.1), from which programs can generate clients
    #[command(after_help = "Example:\n  buzon openapi > openapi.json")]
    Openapi,
    /// Query the database with SQL, beside a running service; without a query, list the views
    #[command(after_help = "Example:\n  buzon sql \"SELECT * FROM v_unanswered\" --format csv")]
    Sql(sql::SqlArgs),
    /// Make a PostgreSQL role that reads everything and writes nothing, for psql, DBeaver, Metabase or Grafana
    #[command(after_help = "Example:\n  buzon sql-role reader")]
    SqlRole(sql_role::SqlRoleArgs),
    /// Sign one event like the gateway, send it to a running buzon, and show the answer
    #[command(after_help = "Example:\n  buzon send event.json --instance 123")]
    Send(send::SendArgs),
    /// Simulate the gateway of a busy shop, and send signed traffic to a running buzon
    #[command(after_help = "Example:\n  buzon simulate --rate 50 --duration 2m --no-files")]
    Simulate(simulate::SimulateArgs),
    /// Check whether everything is set up correctly, even beside a running service, and say what to do if not
    ///
    /// The exit code is 0 if everything is fine, 1 with warnings, 2 with failures.
    #[command(after_help = "Example:\n  buzon doctor --config /etc/buzon/buzon.toml")]
    Doctor(doctor::DoctorArgs),
    /// Ask the service that runs here whether it takes events; the exit code is 0 or 1, for Docker
    #[command(after_help = "Example:\n  buzon healthcheck --live")]
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Show the settings in force and where each value comes from, with secrets hidden
    #[command(after_help = "Example:\n  buzon check-config --config /etc/buzon/buzon.toml")]
    CheckConfig {
        #[command(flatten)]
        settings: CommonArgs,
    },
    /// Print a script that completes buzon's command line in a shell
    #[command(after_help = "Example:\n  buzon completions bash > /usr/share/bash-completion/completions/buzon")]
    Completions(completions::CompletionsArgs),
    /// Write the man pages, one for each command
    #[command(after_help = "Example:\n  buzon man /usr/local/share/man/man1")]
    Man(man::ManArgs),
}

/// The common settings. All others, and secrets, come from the environment or the file.
#[derive(Args)]
struct CommonArgs {
    /// The file with settings [default: buzon.toml, if it exists]
    #[arg(long, help_heading = "Settings", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for the database, the API token and the media [default: ./data]
    #[arg(long, help_heading = "Settings", value_name = "FOLDER")]
    data_dir: Option<String>,
    /// sqlite://PATH or postgres://USER@HOST/DATABASE; set a URL with a password as BUZON_DATABASE_URL [default:
    /// buzon.db in the data folder]
    #[arg(long, help_heading = "Settings", value_name = "URL")]
    database_url: Option<String>,
    /// The address to receive events on [default: 127.0.0.1:8080]
    #[arg(long, help_heading = "Settings", value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The address to serve the read API on, if it is another one
    #[arg(long, help_heading = "Settings", value_name = "ADDRESS:PORT")]
    api_listen: Option<String>,
    /// The address at which the gateway reaches this server, for the URL to register, such as
    /// `https://buzon.example.com`
    #[arg(long, help_heading = "Settings", value_name = "URL")]
    public_url: Option<String>,
    /// The log level: error, warn, info, debug, trace, or directives such as buzon=debug,info
    #[arg(long, help_heading = "Settings", value_name = "LEVEL")]
    log: Option<String>,
}

impl CommonArgs {
    fn sources(self) -> Result<SettingSources, ConfigError> {
        let flags: Flags = vec![
            ("data_dir", self.data_dir),
            ("database_url", self.database_url),
            ("listen", self.listen),
            ("api_listen", self.api_listen),
            ("public_url", self.public_url),
            ("log", self.log),
        ];
        SettingSources::gather(self.config, flags, std::env::vars_os())
    }

    /// Reads the settings, for a command that reports exposed secrets by itself.
    fn read(self) -> Result<Config, ConfigError> {
        Config::new(&self.sources()?)
    }

    /// Reads the settings, and warns about a password on the command line.
    fn config(self) -> Result<Config, ConfigError> {
        let config = self.read()?;
        if config.secret_places.command_line {
            let Exposure { detail, remedy, .. } =
                exposure::on_the_command_line("--database-url", exposure::OTHER_PLACES);
            terminal::tell(&format!("buzon: warning: {detail}; {remedy}"));
        }
        Ok(config)
    }

    /// Reads the settings like [`CommonArgs::config`], and starts the log.
    fn start(self) -> Result<Config, ConfigError> {
        let config = self.config()?;
        telemetry::init(&config.log);
        Ok(config)
    }
}

/// Runs the command that the arguments name. The exit code is 2 for a wrong use or setting, 130 for a query that was
/// stopped with Ctrl-C, and 1 for any other failure.
pub fn run() -> ExitCode {
    let cli = arguments();
    let outcome = match cli.command {
        Command::Serve { settings, no_migrate } => serve::run(settings, no_migrate),
        Command::Migrate { settings } => migrate::run(settings),
        Command::Rebuild { settings, check } => rebuild::run(settings, check),
        Command::Backup(arguments) => backup::run(arguments),
        Command::Restore(arguments) => backup::restore(arguments),
        Command::Copy(arguments) => copy::run(arguments),
        Command::Media { command } => media::run(command),
        Command::Gateway { command } => gateway::run(command),
        Command::Forward { command } => forward::run(command),
        Command::Contact { command } => contact::run(command),
        Command::Erase { command } => erase::run(command),
        Command::Retention(arguments) => retention::run(arguments),
        Command::Cell { command } => cell::run(command),
        Command::Token { command } => token::run(command),
        Command::Login(arguments) => login::run(arguments),
        Command::Session { command } => session::run(command),
        Command::Export { command } => export::run(command),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Openapi => openapi::run(),
        Command::Sql(arguments) => sql::run(arguments),
        Command::SqlRole(arguments) => sql_role::run(arguments),
        Command::Send(arguments) => send::run(arguments),
        Command::Simulate(arguments) => simulate::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Healthcheck(arguments) => healthcheck::run(arguments),
        Command::CheckConfig { settings } => check_config::run(settings),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    let exit_code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::say(&escaped(&one_line(&format!("buzon: {error:#}"))));
            ExitCode::from(exit::code(&error))
        }
    };
    telemetry::finish();
    exit_code
}

/// Parses the command line. The error of clap quotes it, so the text is escaped.
fn arguments() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        // Help and version are no errors, and quote nothing.
        if !error.use_stderr() {
            error.exit();
        }
        error.render().to_string().lines().for_each(terminal::tell);
        std::process::exit(error.exit_code())
    })
}

/// Runs the work of a command that needs only one thread. It is boxed, or the compiler would make the runtime's code anew
/// for each command.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work.boxed_local())
}

/// Returns when Ctrl-C is pressed, or never if its signal cannot be received.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// Makes a progress bar, which is shown only if stderr is a terminal.
fn progress_bar(template: &str) -> anyhow::Result<ProgressBar> {
    Ok(ProgressBar::new(0).with_style(ProgressStyle::with_template(template)?))
}

fn store_options(config: &Config, pending: Pending, access: OpenMode) -> Options {
    let (database, allow_managed_pg) = (config.database.clone(), config.allow_managed_pg);
    Options { database, pending, access, allow_managed_pg }
}

/// Opens the store beside a running service, for a command that works in short transactions.
async fn open_beside(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    Ok(store::open(&store_options(config, Pending::Refuse, OpenMode::Beside)).await?)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    /// A command and those below it, each by the words that call it.
    fn each(command: &Command, words: &str, tell: &mut impl FnMut(&str, &Command)) {
        tell(words, command);
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            each(below, &format!("{words} {}", below.get_name()), tell);
        }
    }

    /// Splits a line into words as a shell does, as far as the examples need it.
    fn words(line: &str) -> Vec<&str> {
        let line = line.split(" > ").next().unwrap();
        let parts = line.split('"').enumerate();
        parts
            .flat_map(|(nth, part)| if nth % 2 == 0 { part.split_whitespace().collect() } else { vec![part] })
            .collect()
    }

    #[test]
    fn every_command_has_an_example_that_is_taken() {
        let mut count = 0;
        each(&Cli::command(), "buzon", &mut |path, command| {
            let help = command.get_after_help().unwrap_or_else(|| panic!("{path} has no example")).to_string();
            let example = help.strip_prefix("Example:\n  ").unwrap_or_else(|| panic!("{path}: {help}"));
            assert!(example.starts_with(path), "{path}: {example}");
            if let Err(error) = Cli::try_parse_from(words(example)) {
                panic!("{example}: {error}");
            }
            count += 1;
        });
        assert!(count > 25, "{count}");
    }

    #[test]
    fn a_commands_own_options_come_before_the_settings_that_all_have() {
        let mut with_settings = 0;
        each(&Cli::command(), "buzon", &mut |path, command| {
            let help = command.clone().render_long_help().to_string();
            let Some((own, settings)) = help.split_once("\nSettings:\n") else {
                assert!(!help.contains("--data-dir"), "{path}: {help}");
                return;
            };
            with_settings += 1;
            for argument in command.get_arguments().filter_map(|argument| argument.get_long()) {
                let is_common = ["config", "data-dir", "database-url", "listen", "api-listen", "public-url", "log"];
                let place = if is_common.contains(&argument) { settings } else { own };
                assert!(place.contains(&format!("--{argument}")), "{path} --{argument}: {help}");
            }
        });
        assert!(with_settings > 15, "{with_settings}");
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(one_line(" a\n\tb  c\u{2028}d\r\n"), "a b c d");
    }
}
