//! The names that the owner gives chats. A conversation has the last one that was given to any id of its person.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::Aliases;
use crate::StoreError;
use crate::error::{all_written, in_table};
use crate::write::events::take_numbers;
use crate::write::record::Rows;
use domain::chat::{Chat, ChatKey};
use domain::instance::InstanceId;

/// A name that the owner gives a chat, or takes back: a row of `chat_names`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GivenName {
    pub instance_id: InstanceId,
    /// The id that the owner names, which may be an alias.
    pub chat_id: String,
    pub name: Option<String>,
    /// The number of the ledger's clock, which the store gives.
    pub seq: i64,
}

impl GivenName {
    pub fn new(chat: ChatKey, name: Option<String>) -> Self {
        Self { instance_id: chat.instance_id, chat_id: chat.chat_id, name, seq: 0 }
    }

    fn key(&self) -> ChatKey {
        ChatKey { instance_id: self.instance_id.clone(), chat_id: self.chat_id.clone() }
    }

    /// Stores names, and gives them to the conversations.
    pub(crate) async fn store(names: &[Self], rows: &mut dyn Rows) -> Result<(), StoreError> {
        let count = i64::try_from(names.len()).expect("it is far smaller than 2^63");
        let last_seq = take_numbers(rows, count).await?;
        let numbered = (last_seq - count + 1..).zip(names).map(|(seq, name)| Self { seq, ..name.clone() });
        let numbered: Vec<Self> = numbered.collect();
        all_written("chat_names", numbered.len(), rows.save_names(&numbered).await?)?;
        let keys: Vec<ChatKey> = numbered.iter().map(Self::key).collect();
        let mut aliases = Aliases::default();
        aliases.load(rows, keys.iter().cloned()).await?;
        let chat = |key: &ChatKey| ChatKey { chat_id: aliases.chat_of(key).to_owned(), ..key.clone() };
        give_names(rows, keys.iter().map(chat).collect()).await
    }
}

/// Gives these conversations the last names of the owner, after those or the ids of their persons have changed.
pub(crate) async fn give_names(rows: &mut dyn Rows, chats: BTreeSet<ChatKey>) -> Result<(), StoreError> {
    let keys = Vec::from_iter(chats);
    let names = rows.given_names(&keys).await.map_err(in_table("chat_names"))?;
    let names: HashMap<ChatKey, String> = names.into_iter().collect();
    let chats = rows.chats(&keys).await.map_err(in_table("chats"))?;
    let renamed = chats.into_iter().filter_map(|chat| {
        let given_name = names.get(&chat.key()).cloned();
        (chat.given_name != given_name).then_some(Chat { given_name, ..chat })
    });
    let renamed: Vec<Chat> = renamed.collect();
    if !renamed.is_empty() {
        all_written("chats", renamed.len(), rows.save_chats(&renamed).await?)?;
    }
    Ok(())
}
