//! The columns of each list, which all formats have in common.

use std::string::FromUtf8Error;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::chat::chat_id;
use domain::chat::chat_kind::ChatKind;
use domain::message::reaction::MessageReaction;
use domain::time::timestamp::Timestamp;
use store::{AckReport, ChatReport, EventReport, JobReport, MessageReport};

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum ExportValue {
    Empty,
    Text(String),
    Number(i64),
    Real(f64),
    Flag(bool),
    Time(Timestamp),
}

/// A row, with a value for each column of its list.
pub type ExportRow = Vec<ExportValue>;

impl From<String> for ExportValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for ExportValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for ExportValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<f64> for ExportValue {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for ExportValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Timestamp> for ExportValue {
    fn from(at: Timestamp) -> Self {
        Self::Time(at)
    }
}

impl<V: Into<Self>> From<Option<V>> for ExportValue {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Empty, V::into)
    }
}

/// Defines the columns of a list and the values of a row at once, so that neither lacks one of the other.
macro_rules! columns {
    ($(#[$about:meta])* $columns:ident, $row:ident($value:ident: $type:ty), {$($name:literal: $cell:expr,)*}) => {
        $(#[$about])*
        pub const $columns: &[&str] = &[$($name),*];

        pub fn $row($value: $type) -> ExportRow {
            vec![$(ExportValue::from($cell)),*]
        }
    };
}

columns!(MESSAGES, message(it: MessageReport), {
    "instance_id": it.instance_id.as_str(),
    "id": it.id,
    "chat_id": it.fields.chat_id.clone(),
    "from": it.fields.from_id.clone(),
    "to": it.fields.to_id,
    "author": it.fields.group_sender.clone().or(it.fields.from_id),
    "contact": it.fields.chat_id.as_deref().and_then(chat_id::contact),
    "from_me": it.fields.from_me,
    "sender_name": it.fields.sender_name,
    "body": it.fields.body,
    "type": it.fields.kind,
    "sent_at": it.fields.sent_at,
    "occurred_at": it.occurred_at,
    "received_at": it.received_at,
    "kind": it.chat_kind.as_str(),
    "is_group": it.is_group,
    "group_sender": it.fields.group_sender,
    "quoted_message_id": it.fields.quoted_message_id,
    "reaction": it.fields.reaction,
    "latitude": it.fields.location.as_ref().map(|at| at.latitude),
    "longitude": it.fields.location.as_ref().map(|at| at.longitude),
    "vcard": it.fields.vcard,
    "status": it.fields.status,
    "ack": it.ack,
    "delivered_at": it.delivered_at,
    "read_at": it.read_at,
    "edited_at": it.edited_at,
    "revoked_at": it.revoked_at,
    "is_service": it.is_service,
    "media_state": it.media.as_ref().map(|job| job.state.as_str()),
    "media_sha256": it.media.as_ref().and_then(|job| job.file.as_ref()).map(|file| file.object_key.as_str()),
    "media_type": it.media.as_ref().and_then(|job| job.file.as_ref()).map(|file| file.content_type.as_str()),
    "media_size": it.media.as_ref().and_then(|job| job.file.as_ref()).map(|file| bytes(file.size)),
    "media_name": it.media.as_ref().and_then(|job| job.file.as_ref()).and_then(|file| file.file_name.clone()),
});

columns!(CHATS, chat(it: ChatReport), {
    "instance_id": it.instance_id.as_str(),
    "chat_id": it.chat_id,
    "name": it.name,
    "contact": it.contact,
    "kind": it.kind.as_str(),
    "is_group": it.kind == ChatKind::Group,
    "message_count": it.message_count,
    "last_message_at": it.last_message_at,
    "last_message_id": it.last_message_id,
    "last_incoming_at": it.last_incoming_at,
    "last_outgoing_at": it.last_outgoing_at,
    "unanswered_since": it.waiting_since,
});

columns!(REACTIONS, reaction(it: MessageReaction), {
    "instance_id": it.instance_id.as_str(),
    "message_id": it.message_id,
    "from_number": it.from_number,
    "reaction": it.reaction,
    "reacted_at": it.reacted_at,
    "received_at": it.received_at,
    "last_received_at": it.last_received_at,
});

columns!(ACKS, ack(it: AckReport), {
    "instance_id": it.instance_id.as_str(),
    "message_id": it.message_id,
    "ack": it.stated.ack,
    "received_at": it.stated.received_at,
    "last_received_at": it.stated.last_received_at,
});

columns!(MEDIA, media(it: JobReport), {
    "instance_id": it.instance_id,
    "message_id": it.message_id,
    "state": it.state.as_str(),
    "reason": it.reason,
    "attempts": i64::from(it.attempts),
    "occurred_at": it.occurred_at,
    "stored_at": it.stored_at,
    "source_sha256": hex::encode(it.source_sha256),
    "sha256": it.file.as_ref().map(|file| file.object_key.as_str()),
    "content_type": it.file.as_ref().map(|file| file.content_type.as_str()),
    "size": it.file.as_ref().map(|file| bytes(file.size)),
    "file_name": it.file.and_then(|file| file.file_name),
});

/// An event with its whole body: as text, or in Base64 if it is none.
pub struct ExportedEvent {
    pub report: EventReport,
    pub body: Option<Vec<u8>>,
}

columns!(EVENTS, event(it: ExportedEvent), {
    "id": it.report.id().to_string(),
    "instance_id": it.report.instance_id.as_str(),
    "event_type": it.report.event_type,
    "message_id": it.report.message_id,
    "chat_id": it.report.chat_id,
    "received_at": it.report.received_at,
    "last_received_at": it.report.last_received_at,
    "deliveries": it.report.deliveries,
    "signed": it.report.signed,
    "state": it.report.state,
    "reason": it.report.reason,
    "size": it.report.size,
    "body_sha256": hex::encode(it.report.body_sha256),
    "body_is_base64": it.body.as_ref().is_some_and(|body| std::str::from_utf8(body).is_err()),
    "body": it.body.map(text_of),
});

fn text_of(body: Vec<u8>) -> String {
    String::from_utf8(body).map_err(FromUtf8Error::into_bytes).unwrap_or_else(|bytes| BASE64_STANDARD.encode(bytes))
}

fn bytes(size: u64) -> i64 {
    size.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_columns_of_a_list_have_different_names() {
        for columns in [MESSAGES, CHATS, REACTIONS, ACKS, MEDIA, EVENTS] {
            assert_eq!(columns.iter().collect::<HashSet<_>>().len(), columns.len(), "{columns:?}");
        }
    }
}
