//! Which messages a list shows, and by which indexes they are found.

use super::listing::{Condition, KeyRange, ListSource};
use super::message_reports::BY_TIME;
use domain::instance::InstanceId;
use domain::search::SearchQuery;

/// Which messages are wanted; what is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    pub instance_id: Option<InstanceId>,
    /// In a chat with the person of this number, in digits.
    pub contact: Option<String>,
    pub chat_id: Option<String>,
    pub from_id: Option<String>,
    pub to_id: Option<String>,
    pub from_me: Option<bool>,
    pub kind: Option<String>,
    pub ack: Option<String>,
    pub status: Option<String>,
    pub is_group: Option<bool>,
    pub has_media: Option<bool>,
    pub quoted_message_id: Option<String>,
    /// In whose bodies this is found; in the order of when they were sent.
    pub search: Option<SearchQuery>,
    /// Ordered and bounded by when they arrived, instead of when they were sent.
    pub by_arrival: bool,
}

/// The ack of incoming messages, which the index of acks is without.
const COMMON_ACK: &str = "pending";

/// Messages of a list that one index has in its order.
pub(crate) struct ListPart {
    pub(crate) targets: Vec<KeyRange>,
    /// What the targets do not say.
    pub(crate) conditions: Vec<Condition>,
}

impl MessageFilter {
    /// The list in parts that have no message in common, each of which an index has in order.
    pub(crate) fn parts(&self, listing: &ListSource, targets: Vec<KeyRange>) -> Vec<ListPart> {
        let in_chats = targets.iter().any(|target| target.chat_id.is_some());
        if listing.at != BY_TIME.at || self.quoted_message_id.is_some() || in_chats {
            return vec![self.part(targets, Some("quoted_message_id"))];
        }
        if let Some((column, person)) = self.person() {
            let in_chat = |target: &KeyRange| KeyRange { chat_id: Some(person.clone()), ..target.clone() };
            let in_chats = targets.iter().map(in_chat).collect();
            return vec![self.part(in_chats, None), self.part(targets, Some(column))];
        }
        match self.ack.as_deref() {
            _ if self.has_media == Some(true) => vec![self.part(targets, None)],
            None => vec![self.worded_or_directed(listing, targets)],
            Some(COMMON_ACK) => self.pending(listing, targets),
            Some(_) => vec![self.directed(targets, Some("ack"))],
        }
    }

    /// Incoming messages stay pending for ever, so the index of acks is without those.
    fn pending(&self, listing: &ListSource, targets: Vec<KeyRange>) -> Vec<ListPart> {
        let one_way = |from_me| Self { from_me: Some(from_me), ..self.clone() };
        let mut parts = vec![];
        if self.from_me != Some(false) {
            parts.push(one_way(true).directed(targets.clone(), Some("ack")));
        }
        if self.from_me != Some(true) {
            parts.push(one_way(false).worded_or_directed(listing, targets));
        }
        parts
    }

    fn worded_or_directed(&self, listing: &ListSource, targets: Vec<KeyRange>) -> ListPart {
        let rare = |column, word: &Option<String>| word.as_ref().is_some_and(|word| listing.is_rare(column, word));
        if rare("type", &self.kind) {
            self.part(targets, Some("type"))
        } else if rare("status", &self.status) {
            self.part(targets, Some("status"))
        } else if self.from_me.is_some() || self.is_group.is_some() {
            self.directed(targets, None)
        } else {
            self.part(targets, None)
        }
    }

    /// The person that is asked for besides the chat. What is between them and the instance is in their chat; the index
    /// is without that.
    fn person(&self) -> Option<(&'static str, &String)> {
        let from = self.from_id.as_ref().map(|person| ("from_id", person));
        from.or_else(|| self.to_id.as_ref().map(|person| ("to_id", person)))
    }

    /// By the index that begins with the targets and this column.
    fn part(&self, targets: Vec<KeyRange>, led_by: Option<&'static str>) -> ListPart {
        ListPart { targets, conditions: [self.fields(led_by), self.flags()].concat() }
    }

    /// An index has the messages of a direction in order if it is said whether they were in a group; so both are asked.
    fn directed(&self, targets: Vec<KeyRange>, led_by: Option<&'static str>) -> ListPart {
        let either = |flag: Option<bool>| flag.map_or_else(|| vec![false, true], |flag| vec![flag]);
        let pairs = either(self.from_me).into_iter().flat_map(|from_me| {
            let groups = either(self.is_group).into_iter();
            groups.map(move |is_group| Some((from_me, is_group)))
        });
        let pairs: Vec<Option<(bool, bool)>> = pairs.collect();
        let of =
            |target: KeyRange| pairs.iter().map(move |direction| KeyRange { direction: *direction, ..target.clone() });
        ListPart { targets: targets.into_iter().flat_map(of).collect(), conditions: self.fields(led_by) }
    }

    pub(crate) fn flags(&self) -> Vec<Condition> {
        let flags = [("from_me", self.from_me), ("is_group", self.is_group)];
        flags.into_iter().filter_map(|(column, flag)| Some(Condition::Flag(column, flag?))).collect()
    }

    /// What they say besides, with what the index that is read begins with.
    pub(crate) fn fields(&self, led_by: Option<&'static str>) -> Vec<Condition> {
        let texts = [
            ("from_id", &self.from_id),
            ("to_id", &self.to_id),
            ("type", &self.kind),
            ("ack", &self.ack),
            ("status", &self.status),
            ("quoted_message_id", &self.quoted_message_id),
        ];
        let texts = texts.into_iter().filter_map(|(column, text)| {
            let text = text.clone()?;
            Some(if led_by == Some(column) { Condition::Is(column, text) } else { Condition::Has(column, text) })
        });
        let media = self.has_media.map(|has_media| match has_media {
            true => Condition::NotNull("media_url"),
            false => Condition::Null("media_url"),
        });
        texts.chain(media).collect()
    }
}
