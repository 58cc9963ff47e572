//! Checks the database, its schema and its triggers.

use super::Finding;
use super::clock::ClockSample;
use crate::config::Config;
use platform::clock::{Clock, SystemClock};
use store::{Examination, OpenError, StoreError, Trigger};

const DATABASE: &str = "database";

/// The examination of a database, with a sample of its server's clock.
pub(super) struct ExaminedDatabase {
    examination: Examination,
    pub(super) sample: Option<ClockSample>,
    pub(super) id: Option<String>,
}

pub(super) async fn check(config: &Config) -> (Finding, Option<ExaminedDatabase>) {
    let asked = SystemClock.now();
    match store::examine(&config.database, config.allow_managed_pg).await {
        Ok(examination) => {
            let sample = examination.server_time.map(|their_time| ClockSample {
                of: "the database's server",
                their_time,
                asked,
                answered: SystemClock.now(),
            });
            let found = ExaminedDatabase { id: examination.id.clone(), examination, sample };
            (finding(config, &found.examination), Some(found))
        }
        Err(_) if is_before_the_first_start(config) => (nothing(config), None),
        Err(error) => (Finding::failure(DATABASE, error.to_string(), remedy(&error)), None),
    }
}

/// Returns whether the data folder of the database does not exist yet. The first start creates it, but no other folder.
fn is_before_the_first_start(config: &Config) -> bool {
    !config.data_dir.exists() && config.database.folder() == Some(&config.data_dir)
}

fn nothing(config: &Config) -> Finding {
    let remedy = "start buzon once, which makes the tables. If there should be messages already, this is the wrong database: see \
                  data_dir and database_url with buzon check-config";
    match store::present(&config.database) {
        Err(absent) => Finding::warning(DATABASE, format!("there is nothing in it yet: {absent}"), remedy),
        Ok(()) => Finding::warning(DATABASE, format!("{}: there is nothing in it yet", config.database), remedy),
    }
}

fn finding(config: &Config, found: &Examination) -> Finding {
    match found.migrations_missing {
        _ if found.is_new => nothing(config),
        0 if !found.triggers.is_empty() => Finding::warning(
            DATABASE,
            format!(
                "{} answers; its tables have triggers that are not buzon's: {}",
                config.database,
                Trigger::list(&found.triggers)
            ),
            "they run within buzon's transactions: events whose rows they drop are answered 503, and events that they \
             refuse are quarantined. Remove the triggers that nobody knows",
        ),
        0 => Finding::ok(
            DATABASE,
            format!("{} answers, keeps what it commits, and has the schema of this version", config.database),
        ),
        missing => Finding::warning(
            DATABASE,
            format!("{}: {missing} migrations have not run", config.database),
            "stop buzon, and run: buzon migrate; or start this version, which does the same",
        ),
    }
}

fn remedy(error: &OpenError) -> &'static str {
    match error {
        OpenError::Store(StoreError::Unsafe(_)) => {
            "change that at the database's server: as it is, an event that was answered 200 can be lost"
        }
        OpenError::Store(StoreError::Damaged(_)) | OpenError::Damaged { .. } => "stop buzon, and restore a backup",
        OpenError::Store(StoreError::Retired { .. }) => {
            "set database_url to the database that the line names. The file is kept for you, and nothing uses it any more"
        }
        OpenError::CopyUnfinished => "run buzon copy again, with the settings of its source",
        OpenError::Store(StoreError::Unreadable { .. }) => "mend the row that the line names, or restore a backup",
        OpenError::Store(_) => {
            "where the line says what to do, do that; else: is the database's server running, and is database_url right?"
        }
        OpenError::ForeignTables { .. } => "make a database for buzon alone, and name it in database_url",
        OpenError::NewerSchema { .. } | OpenError::AlteredMigration { .. } => {
            "use the buzon that worked on it last, or a newer one"
        }
        OpenError::MigrationsPending { .. } | OpenError::Migration(_) => "run: buzon migrate",
        OpenError::Locked { .. } => "stop the other buzon",
        OpenError::Absent { .. } => "run doctor where buzon.toml is, or give --config",
        OpenError::Held { .. } => "wait until that session ends, or end it",
        OpenError::RestoreUnfinished => "run buzon restore again",
        OpenError::File { .. } => {
            "where the line says what to do, do that; else: is the folder there, and may this user read and write in it?"
        }
    }
}
