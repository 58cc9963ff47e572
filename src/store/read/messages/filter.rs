//! The filter of lists of messages.

use std::collections::HashMap;

use super::super::Queries;
use super::super::index::AUTHOR;
use super::super::listing::{Condition, places};
use super::super::persons::{Person, persons};
use crate::StoreError;
use domain::chat::chat_kind::{ChatKind, ChatKinds};
use domain::instance::InstanceId;
use domain::search::SearchQuery;

/// A filter of messages. A field that is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    pub instance_id: Option<InstanceId>,
    /// The number of the person in the chat, in digits.
    pub contact: Option<String>,
    pub chat_id: Option<String>,
    pub from_id: Option<String>,
    pub to_id: Option<String>,
    /// The person who wrote the message: in a group the sender, elsewhere the one whom it is from.
    pub author: Option<String>,
    pub from_me: Option<bool>,
    pub kind: Option<String>,
    pub ack: Option<String>,
    pub status: Option<String>,
    pub kinds: Option<ChatKinds>,
    pub has_media: Option<bool>,
    pub quoted_message_id: Option<String>,
    /// Words that the messages contain. The list is then in the order of sending.
    pub search: Option<SearchQuery>,
    /// The list is ordered and bounded by the arrival of the messages instead of their sending.
    pub by_arrival: bool,
    /// Only messages whose first copy has at most this number in the ledger.
    pub until_seq: Option<i64>,
}

/// The sender, the recipient and the author that are asked for.
pub(super) type People = [Option<String>; 3];

impl MessageFilter {
    pub(super) async fn places(
        &self,
        queries: &mut dyn Queries,
        instances: Vec<InstanceId>,
    ) -> Result<Vec<(InstanceId, Option<String>)>, StoreError> {
        places(queries, instances, self.contact.as_deref(), self.chat_id.as_deref(), self.kinds.as_ref()).await
    }

    /// Returns the conditions besides the instance and the chat.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let texts = Condition::each([
            ("from_id", &self.from_id),
            ("to_id", &self.to_id),
            (AUTHOR, &self.author),
            ("type", &self.kind),
            ("ack", &self.ack),
            ("status", &self.status),
            ("quoted_message_id", &self.quoted_message_id),
        ]);
        let media = self.has_media.map(|has_media| match has_media {
            true => Condition::NotNull("media_url"),
            false => Condition::Null("media_url"),
        });
        let from_me = self.from_me.map(|from_me| Condition::Flag("from_me", from_me));
        let kinds = self.kinds.as_ref().map(Condition::kinds);
        let until_seq = self.until_seq.map(|seq| Condition::AtMost("seq", seq));
        texts.chain(media).chain(from_me).chain(kinds).chain(until_seq).collect()
    }

    /// Returns whether the filter lets messages of a chat of this kind through.
    pub(crate) fn allows_chat(&self, chat_id: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(ChatKind::of(chat_id)))
    }

    /// Returns the persons to ask for in each instance, each by all ids.
    pub(super) async fn people(
        &self,
        queries: &mut dyn Queries,
        instances: &[InstanceId],
    ) -> Result<HashMap<InstanceId, Vec<People>>, StoreError> {
        let mut people: HashMap<InstanceId, Vec<People>> =
            instances.iter().map(|instance| (instance.clone(), vec![People::default()])).collect();
        for (place, id) in [&self.from_id, &self.to_id, &self.author].into_iter().enumerate() {
            let Some(id) = id else { continue };
            for Person { instance_id, ids, .. } in persons(queries, instances, id).await? {
                let known = people.remove(&instance_id).unwrap_or_default();
                let with = |known: &People, id: &String| {
                    let mut with = known.clone();
                    with[place] = Some(id.clone());
                    with
                };
                let all = known.iter().flat_map(|known| ids.iter().map(move |id| with(known, id))).collect();
                people.insert(instance_id, all);
            }
        }
        Ok(people)
    }

    /// Returns the filter for these ids of those who are asked for.
    pub(super) fn by_ids(&self, people: &People) -> Self {
        let [from_id, to_id, author] = people.clone();
        Self { from_id, to_id, author, ..self.clone() }
    }
}
