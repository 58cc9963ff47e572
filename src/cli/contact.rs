//! `buzon contact`.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{CommonArgs, WrongUse, block_on, open_beside};
use domain::chat::chat_id;
use domain::chat::person::aliases::Persons;
use domain::instance::InstanceId;
use platform::terminal::{self, escaped};
use store::{OwnerWord, Store};

#[derive(Subcommand)]
pub(super) enum ContactCommand {
    /// Say that two ids belong to one person, whose messages are then in one conversation
    #[command(after_help = "Example:\n  buzon contact link 123 176369157804064@lid 573001112233")]
    Link {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        pair: PairArgs,
    },
    /// Say that two ids belong to different persons, whatever events say
    #[command(after_help = "Example:\n  buzon contact unlink 123 176369157804064@lid 573001112233")]
    Unlink {
        #[command(flatten)]
        settings: CommonArgs,
        #[command(flatten)]
        pair: PairArgs,
    },
    /// Show the persons with several ids, and contradictions
    #[command(after_help = "Example:\n  buzon contact list 123")]
    List {
        #[command(flatten)]
        settings: CommonArgs,
        #[arg(value_parser = InstanceId::new)]
        instance: InstanceId,
    },
}

/// Two ids of persons of an instance.
#[derive(Args)]
pub(super) struct PairArgs {
    #[arg(value_parser = InstanceId::new)]
    instance: InstanceId,
    /// A phone number, or an id such as 573001112233@c.us or 176369157804064@lid
    #[arg(value_parser = person)]
    a: String,
    /// The other one
    #[arg(value_parser = person)]
    b: String,
}

/// Reads the id of a person, or a phone number as people write it.
fn person(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let is_number = !digits.is_empty() && text.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
    let id = if is_number { chat_id::of_number(&digits) } else { chat_id::canonical(text.to_owned()) };
    let expected = || "expected a phone number, or an id that ends in @c.us or @lid".to_owned();
    Some(id).filter(|id| chat_id::is_person(id)).ok_or_else(expected)
}

/// Runs a command in short transactions, beside a running service.
pub(super) fn run(command: ContactCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            ContactCommand::Link { settings, pair } => say(&*open_beside(&settings.start()?).await?, pair, true).await,
            ContactCommand::Unlink { settings, pair } => {
                say(&*open_beside(&settings.start()?).await?, pair, false).await
            }
            ContactCommand::List { settings, instance } => {
                list(&*open_beside(&settings.start()?).await?, &instance).await
            }
        }
    })
}

async fn say(store: &dyn Store, PairArgs { instance, a, b }: PairArgs, linked: bool) -> anyhow::Result<()> {
    if a == b {
        return Err(WrongUse("the two ids are the same".to_owned()).into());
    }
    let word = OwnerWord { instance_id: instance, one: a, other: b, linked };
    store.link_persons(&word).await?;
    let said = if linked { "one person" } else { "two persons" };
    terminal::tell(&format!("{} and {} are {said} now", escaped(&word.one), escaped(&word.other)));
    if store.is_moving().await? {
        terminal::tell("the service moves their messages; without a service, the next one does");
    }
    Ok(())
}

async fn list(store: &dyn Store, instance: &InstanceId) -> anyhow::Result<()> {
    let known = store.persons(instance).await?;
    let mut out = terminal::stdout();
    for (alias, chat) in &known.aliases {
        writeln!(out, "{} is {}", escaped(alias), escaped(chat))?;
    }
    for (lid, numbers) in Persons::new(&known.links, &known.owner).contradictions() {
        let numbers: Vec<String> = numbers.into_iter().map(|number| escaped(number).to_string()).collect();
        writeln!(out, "contradiction: {} is said to be {}", escaped(lid), numbers.join(" and "))?;
    }
    Ok(())
}
