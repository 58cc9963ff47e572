//! The texts that a message had.

use super::fold::LedgerCopy;
use crate::event::event_id::EventId;
use crate::time::timestamp::Timestamp;

/// A text of a message, with the first copy in a row of copies that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub body: String,
    pub sent_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub event: EventId,
}

/// Returns the texts of a message in the order of its copies, each once where several copies in a row have it. Texts of
/// a service type are left out if there are others.
pub fn versions(mut copies: Vec<LedgerCopy>, event: impl Fn(&LedgerCopy) -> Option<EventId>) -> Vec<Version> {
    copies.sort_by_key(LedgerCopy::order);
    let is_service = copies.last().is_some_and(|last| last.copy.is_service);
    copies.retain(|copy| copy.copy.is_service == is_service && copy.copy.fields.body.is_some());
    copies.dedup_by(|later, earlier| later.copy.fields.body == earlier.copy.fields.body);
    let version = |it: LedgerCopy| {
        let (body, sent_at) = (it.copy.fields.body.clone()?, it.copy.fields.sent_at);
        Some(Version { body, sent_at, received_at: it.received_at, event: event(&it)? })
    };
    copies.into_iter().filter_map(version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceId;

    #[test]
    fn versions_are_the_texts_in_the_order_of_the_copies() {
        let copies = [
            r#""type":"text","timestamp":1724716830,"body":"c""#,
            r#""type":"text","timestamp":1724716800,"body":"a""#,
            r#""type":"text","timestamp":1724716800,"body":"b""#,
            r#""type":"text","timestamp":1724716810,"media_url":"/x.jpg""#,
            r#""type":"text","timestamp":1724716820,"body":"b""#,
            r#""type":"ciphertext","body":"waiting""#,
            r#""type":"revoked","timestamp":1724716840,"body":"gone""#,
        ];
        let copies = copies.iter().zip(1..).map(|(fields, seq)| {
            let body = format!(r#"{{"event_type":"message_received","id":"A",{fields}}}"#);
            let arrival = Timestamp::from_seconds(1_724_717_000 + seq);
            LedgerCopy::of_ledger(InstanceId::unstated(), body.as_bytes(), arrival, seq).unwrap()
        });
        let copies: Vec<LedgerCopy> = copies.collect();
        let shown = |copies: &[LedgerCopy]| {
            let event = |it: &LedgerCopy| Some(EventId::new(InstanceId::unstated(), &[it.seq.try_into().ok()?]));
            let versions = versions(copies.to_vec(), event).into_iter();
            versions.map(|it| (it.body, it.event.hashes().0[0])).collect::<Vec<_>>()
        };
        let expected = [("a", 2_u8), ("b", 3), ("c", 1)].map(|(body, seq)| (body.to_owned(), seq));
        assert_eq!(shown(&copies), expected);
        assert_eq!(shown(&copies[5..6]), [("waiting".to_owned(), 6)]);
        assert_eq!(shown(&[]), []);
    }
}
