//! `buzon sql-role`.

use std::io::Write;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::{CommonArgs, block_on};
use platform::random;
use platform::terminal;
use store::{RoleName, RoleOrder, RoleOutcome};

#[derive(Args)]
pub(super) struct SqlRoleArgs {
    #[command(flatten)]
    settings: CommonArgs,
    /// The name of the role; one that this command made before gets a new password
    #[arg(value_name = "NAME")]
    name: String,
    /// Remove the role
    #[arg(long)]
    drop: bool,
    /// Change nothing, but print the statements for an administrator to run
    #[arg(long)]
    print: bool,
}

const PASSWORD_BYTES: usize = 24;

/// The message about the statements that only a superuser can run.
const SUPERUSER_ONLY: &str =
    "only a superuser can keep the role from filling the disk with large objects and temporary files";

pub(super) fn run(arguments: SqlRoleArgs) -> anyhow::Result<()> {
    let config = arguments.settings.config()?;
    let name = RoleName::parse(&arguments.name)?;
    let order = if arguments.drop { RoleOrder::Drop } else { RoleOrder::Make { password: password()? } };
    let readers = store::readers(&config.database)?;
    let done = block_on(async { Ok(readers.order(&name, &order, arguments.print).await?) })?;
    let said = if arguments.print { statements(&done) } else { outcome(&name, &done) };
    if !arguments.print && !done.left.is_empty() {
        terminal::tell(&format!("buzon: {SUPERUSER_ONLY}; let one run, in this database: {}", done.left.join("; ")));
    }
    Ok(terminal::stdout().write_all(said.as_bytes())?)
}

fn password() -> anyhow::Result<SecretString> {
    Ok(hex::encode(random::bytes::<PASSWORD_BYTES>()?).into())
}

fn statements(done: &RoleOutcome) -> String {
    let lines = |statements: &[String]| -> String { statements.iter().map(|it| format!("{it};\n")).collect() };
    let (statements, left) = (lines(&done.statements), lines(&done.left));
    let left = if left.is_empty() { left } else { format!("-- {SUPERUSER_ONLY}:\n{left}") };
    let url = done.url.as_ref().map(|url| format!("-- It then connects with: {}\n", url.expose_secret()));
    format!("BEGIN;\n{statements}COMMIT;\n{left}{}", url.unwrap_or_default())
}

fn outcome(name: &RoleName, done: &RoleOutcome) -> String {
    match &done.url {
        Some(url) => format!(
            "the role {name} reads all views and tables and writes nothing; its password is shown this once\n{}\n",
            url.expose_secret()
        ),
        None => format!("the role {name} is gone\n"),
    }
}
