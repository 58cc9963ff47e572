//! `buzon gateway failed`.

use std::io::{self, Write};

use super::AccountClient;
use crate::cli::sql::{AnswerWriter, TextTable};
use buzon::gateway::{FailedDelivery, oldest_first};
use platform::terminal::{self, EscapeForm};
use store::Value;

const COLUMNS: [&str; 7] = ["id", "created_at", "attempts", "next_retry_at", "status", "last_error", "endpoint"];

pub(super) async fn run(client: AccountClient, limit: u32, json: bool) -> anyhow::Result<()> {
    let mut failed = client.gateway.failed(&client.account, limit as usize).await?;
    oldest_first(&mut failed);
    let is_cut = failed.len() >= limit as usize;
    if json {
        writeln!(terminal::data(EscapeForm::Json), "{}", serde_json::to_string_pretty(&failed)?)?;
    } else {
        table(failed)?;
    }
    if is_cut {
        terminal::tell("there may be more; --limit NUMBER asks for them");
    }
    Ok(())
}

fn table(failed: Vec<FailedDelivery>) -> io::Result<()> {
    let text = |text: Option<String>| text.map_or(Value::Null, Value::Text);
    let mut table = TextTable::new();
    table.columns(COLUMNS.map(str::to_owned).to_vec())?;
    for delivery in failed {
        let attempts = delivery.attempts.and_then(|attempts| i64::try_from(attempts).ok());
        table.row(vec![
            Value::Text(delivery.id),
            text(delivery.created_at),
            attempts.map_or(Value::Null, Value::Integer),
            text(delivery.next_retry_at),
            text(delivery.status),
            text(delivery.last_error),
            text(delivery.endpoint),
        ])?;
    }
    table.end()
}
