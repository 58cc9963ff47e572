//! `buzon contact`.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{CommonArgs, WrongUse, block_on, open_beside};
use domain::access::scope::Scope;
use domain::chat::ChatKey;
use domain::chat::chat_id;
use domain::chat::person::aliases::Persons;
use domain::chat::person::phone_book::PhoneBook;
use domain::instance::InstanceId;
use platform::clock::{Clock, SystemClock};
use platform::terminal::{self, escaped};
use store::{GivenName, OwnerWord, Store};

/// The size of the largest phone book.
const LARGEST_BOOK: u64 = 64 * 1024 * 1024;

/// The number of characters of the longest name.
const LONGEST_NAME: usize = 256;

/// The number of names that are stored together. Events wait meanwhile.
const NAMED_TOGETHER: usize = 200;

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
    /// Give a chat a name, which counts more than what people call themselves; without NAME, take it back
    #[command(after_help = "Example:\n  buzon contact name 123 573001112233 \"Ana (wholesale)\"")]
    Name {
        #[command(flatten)]
        settings: CommonArgs,
        #[arg(value_parser = InstanceId::new)]
        instance: InstanceId,
        /// A phone number, or the id of a chat, which may be a group
        #[arg(value_parser = chat)]
        chat: String,
        #[arg(value_parser = name)]
        name: Option<String>,
    },
    /// Take the names from a phone book: a file of vCards, as phones and Google Contacts export it
    #[command(after_help = "Example:\n  buzon contact import contacts.vcf --country 57")]
    Import {
        #[command(flatten)]
        settings: CommonArgs,
        file: PathBuf,
        /// The instance whose chats are named; all that have events, if this is not given
        #[arg(long, value_parser = InstanceId::new)]
        instance: Option<InstanceId>,
        /// The country code of numbers that are written without one
        #[arg(long, value_name = "CODE", value_parser = country)]
        country: Option<String>,
    },
    /// Show the persons with several ids, contradictions, and the names that you gave
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
pub(super) fn person(text: &str) -> Result<String, String> {
    let expected = || "expected a phone number, or an id that ends in @c.us or @lid".to_owned();
    chat(text).ok().filter(|id| chat_id::is_person(id)).ok_or_else(expected)
}

/// Reads the id of a chat, or a phone number as people write it.
pub(super) fn chat(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let is_number = !digits.is_empty() && text.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
    let id = if is_number { chat_id::of_number(&digits) } else { chat_id::canonical(text.to_owned()) };
    let expected =
        || "expected a phone number, or an id such as 573001112233@c.us or 120363041234567890@g.us".to_owned();
    Some(id).filter(|id| id.contains('@') && id.len() <= 255).ok_or_else(expected)
}

fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let is_name = !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.contains(char::is_control);
    is_name.then(|| name.to_owned()).ok_or_else(|| format!("expected a name of 1 to {LONGEST_NAME} characters"))
}

fn country(text: &str) -> Result<String, String> {
    let code = text.strip_prefix('+').unwrap_or(text);
    let is_code = (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then(|| code.to_owned()).ok_or_else(|| "expected a country code, such as 57".to_owned())
}

/// Runs a command in short transactions, beside a running service.
pub(super) fn run(command: ContactCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            ContactCommand::Link { settings, pair } => say(&*open_beside(&settings.start()?).await?, pair, true).await,
            ContactCommand::Unlink { settings, pair } => {
                say(&*open_beside(&settings.start()?).await?, pair, false).await
            }
            ContactCommand::Name { settings, instance, chat, name } => {
                give_name(&*open_beside(&settings.start()?).await?, instance, chat, name).await
            }
            ContactCommand::Import { settings, file, instance, country } => {
                let book = PhoneBook::read(&read_book(&file)?, country.as_deref());
                import(&*open_beside(&settings.start()?).await?, book, instance).await
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

async fn give_name(
    store: &dyn Store,
    instance: InstanceId,
    chat_id: String,
    name: Option<String>,
) -> anyhow::Result<()> {
    let said = match &name {
        Some(name) => format!("{} is called {} now", escaped(&chat_id), escaped(name)),
        None => format!("{} has no name of yours now", escaped(&chat_id)),
    };
    store.name_chats(&[GivenName::new(ChatKey { instance_id: instance, chat_id }, name)]).await?;
    terminal::tell(&said);
    Ok(())
}

fn read_book(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let mut bytes = vec![];
    let file = File::open(path).with_context(cannot)?;
    file.take(LARGEST_BOOK + 1).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() as u64 > LARGEST_BOOK {
        return Err(WrongUse(format!("{} has more than {LARGEST_BOOK} bytes", path.display())).into());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn import(store: &dyn Store, book: PhoneBook, instance: Option<InstanceId>) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let instances = match instance {
        Some(instance) => vec![instance],
        None => {
            let known = store.list_instances(&Scope::All, now, now).await?;
            known.into_iter().map(|it| it.instance_id).filter(|instance| !instance.is_unstated()).collect()
        }
    };
    if instances.is_empty() {
        return Err(WrongUse("no instance has events yet; name one by --instance".to_owned()).into());
    }
    let names = instances.iter().flat_map(|instance| {
        book.names.iter().map(|(chat_id, name)| {
            let chat = ChatKey { instance_id: instance.clone(), chat_id: chat_id.clone() };
            GivenName::new(chat, Some(name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()))
        })
    });
    for names in Vec::from_iter(names).chunks(NAMED_TOGETHER) {
        store.name_chats(names).await?;
    }
    terminal::tell(&format!("{} numbers have names now, in {} instances", book.names.len(), instances.len()));
    if let [first, ..] = book.without_country.as_slice() {
        let (count, first) = (book.without_country.len(), escaped(first));
        terminal::tell(&format!("{count} numbers have no country code, such as {first}; give one by --country"));
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
    for (chat, name) in &known.names {
        writeln!(out, "{} is called {}", escaped(chat), escaped(name))?;
    }
    Ok(())
}
