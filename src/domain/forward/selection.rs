//! The choice of the events that a forward sends.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{ERASED, RESERVED_TYPES};
use crate::event::defect::Defect;
use crate::event::{ACK_UPDATE, EventState};
use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

/// The time for which an ack without an instance waits for its message, which says whose it is.
pub const OWNER_WAIT: Duration = Duration::from_secs(60);

/// A choice of events. An empty set lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardFilter {
    pub instances: BTreeSet<InstanceId>,
    pub event_types: BTreeSet<String>,
    /// True if events without a signature are sent as well, without one.
    pub unsigned: bool,
    /// True if quarantined events are sent as well.
    pub quarantined: bool,
}

/// An event of the ledger without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerHead {
    pub seq: i64,
    pub instance_id: InstanceId,
    pub event_type: Option<String>,
    pub message_id: Option<String>,
    /// The conversation of the message that the event is about, or else the one that the event states.
    pub chat_id: Option<String>,
    pub body_sha256: Vec<u8>,
    /// The length of the body in bytes; `None` if the body was erased.
    pub size: Option<i64>,
    pub received_at: Timestamp,
    pub signed: bool,
    /// True if another buzon has handed the event on.
    pub forwarded: bool,
    pub state: String,
    pub reason: Option<String>,
}

/// The decision about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    Send,
    Skip,
    /// It is not known yet whose ack it is.
    AwaitOwner,
}

impl LedgerHead {
    /// Returns the id of the message that says whose event this is, for an ack without an instance.
    pub fn owned_by_message(&self) -> Option<&str> {
        let is_ack = self.instance_id.is_unstated() && self.event_type.as_deref() == Some(ACK_UPDATE);
        self.message_id.as_deref().filter(|_| is_ack)
    }
}

impl ForwardFilter {
    /// Decides about an event. `owners` are the instances with an outgoing message that an ack without an instance may be
    /// about.
    pub fn select<'i>(
        &self,
        head: &LedgerHead,
        mut owners: impl Iterator<Item = &'i InstanceId>,
        now: Timestamp,
    ) -> Selection {
        let event_type = head.event_type.as_deref().unwrap_or_default();
        let is_wanted = self.event_types.is_empty() || self.event_types.contains(event_type);
        // Whoever else sends one is quarantined.
        let is_notice = event_type == ERASED && head.state == EventState::Applied.as_str();
        let is_listed = self.event_types.contains(event_type);
        let is_ours = event_type.starts_with(RESERVED_TYPES) && !(is_notice && is_listed);
        let may_go = head.size.is_some() && !head.forwarded && (head.signed || self.unsigned);
        if !is_wanted || is_ours || !may_go || !self.takes_state(head) {
            return Selection::Skip;
        }
        // A person who is erased everywhere may be held by every receiver.
        let is_for_all = is_notice && head.instance_id.is_unstated();
        if self.instances.is_empty() || self.instances.contains(&head.instance_id) || is_for_all {
            return Selection::Send;
        }
        if head.owned_by_message().is_none() {
            return Selection::Skip;
        }
        match owners.next() {
            None if head.received_at + OWNER_WAIT > now => Selection::AwaitOwner,
            None => Selection::Skip,
            Some(owner) if self.instances.contains(owner) || owners.any(|it| self.instances.contains(it)) => {
                Selection::Send
            }
            Some(_) => Selection::Skip,
        }
    }

    /// An event under another instance than it states is nobody's.
    fn takes_state(&self, head: &LedgerHead) -> bool {
        let is_forged = || head.reason.as_deref() == Some(&Defect::InstanceMismatch.reason());
        match EventState::parse(&head.state) {
            Some(EventState::Applied | EventState::Ignored) => true,
            Some(EventState::Quarantined) => self.quarantined && !is_forged(),
            Some(EventState::Erased | EventState::Expired) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVAL: Timestamp = Timestamp::from_seconds(1_724_717_000);

    fn head(instance: &str, event_type: &str) -> LedgerHead {
        LedgerHead {
            seq: 1,
            instance_id: InstanceId::from_store(instance),
            event_type: Some(event_type.to_owned()),
            message_id: Some("A".to_owned()),
            chat_id: None,
            body_sha256: vec![7; 32],
            size: Some(2),
            received_at: ARRIVAL,
            signed: true,
            forwarded: false,
            state: "applied".to_owned(),
            reason: None,
        }
    }

    fn of(instances: &[&str]) -> ForwardFilter {
        let instances = instances.iter().map(|id| InstanceId::from_store(id)).collect();
        ForwardFilter { instances, ..ForwardFilter::default() }
    }

    #[test]
    fn everything_is_sent_but_what_is_unsigned_quarantined_erased_foreign_or_came_from_a_buzon() {
        use Selection::{Send, Skip};
        let plain = head("7", "message_received");
        let (unsigned, forwarded) =
            (LedgerHead { signed: false, ..plain.clone() }, LedgerHead { forwarded: true, ..plain.clone() });
        let erased = LedgerHead { size: None, ..plain.clone() };
        let state = |state: &str, reason: Option<&str>| LedgerHead {
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
            ..plain.clone()
        };
        let unknown_type = LedgerHead { event_type: None, ..plain.clone() };
        let takes_all = ForwardFilter { unsigned: true, quarantined: true, ..ForwardFilter::default() };
        for (name, head, by_default, when_asked_for) in [
            ("plain", &plain, Send, Send),
            ("no type", &unknown_type, Send, Send),
            ("unsigned", &unsigned, Skip, Send),
            ("ignored", &state("ignored", None), Send, Send),
            ("quarantined", &state("quarantined", Some("not_json")), Skip, Send),
            ("mismatch", &state("quarantined", Some("instance_mismatch")), Skip, Skip),
            ("erased", &state("erased", None), Skip, Skip),
            ("without a body", &erased, Skip, Skip),
            ("forwarded", &forwarded, Skip, Skip),
            ("forged erasure", &head("7", "buzon_erased"), Skip, Skip),
            ("check of a secret", &head("7", "buzon_secret_check"), Skip, Skip),
        ] {
            let chosen = |filter: &ForwardFilter| filter.select(head, std::iter::empty(), ARRIVAL);
            assert_eq!(chosen(&ForwardFilter::default()), by_default, "{name}");
            assert_eq!(chosen(&takes_all), when_asked_for, "{name}");
        }
    }

    #[test]
    fn only_the_chosen_types_and_instances_are_sent() {
        let filter = ForwardFilter { event_types: BTreeSet::from(["ack_update".to_owned()]), ..of(&["7"]) };
        let chosen = |head: &LedgerHead| filter.select(head, std::iter::empty(), ARRIVAL);
        assert_eq!(chosen(&head("7", "ack_update")), Selection::Send);
        assert_eq!(chosen(&head("8", "ack_update")), Selection::Skip);
        assert_eq!(chosen(&head("7", "message_sent")), Selection::Skip);
        assert_eq!(chosen(&LedgerHead { event_type: None, ..head("7", "") }), Selection::Skip);
    }

    #[test]
    fn a_notice_goes_where_it_is_listed_and_of_an_erasure_everywhere_to_all_instances() {
        let listed =
            |filter: ForwardFilter| ForwardFilter { event_types: BTreeSet::from([ERASED.to_owned()]), ..filter };
        let notice = |instance: &str| LedgerHead { message_id: None, ..head(instance, ERASED) };
        let chosen =
            |filter: &ForwardFilter, instance: &str| filter.select(&notice(instance), std::iter::empty(), ARRIVAL);
        for (instance, expected) in [("7", Selection::Send), ("8", Selection::Skip), ("-", Selection::Send)] {
            assert_eq!(chosen(&listed(of(&["7"])), instance), expected, "{instance}");
            assert_eq!(chosen(&of(&["7"]), instance), Selection::Skip, "{instance}");
        }
    }

    #[test]
    fn an_ack_without_an_instance_goes_where_its_message_is_from_and_waits_a_minute_for_it() {
        let (seven, eight) = (InstanceId::from_store("7"), InstanceId::from_store("8"));
        let ack = head("-", "ack_update");
        let chosen = |filter: &ForwardFilter, owners: &[&InstanceId], after: u64| {
            filter.select(&ack, owners.iter().copied(), ARRIVAL + Duration::from_secs(after))
        };
        assert_eq!(chosen(&of(&["7"]), &[&seven], 0), Selection::Send);
        assert_eq!(chosen(&of(&["7"]), &[&eight], 0), Selection::Skip);
        assert_eq!(chosen(&of(&["7"]), &[&eight, &seven], 0), Selection::Send);
        assert_eq!(chosen(&of(&["7"]), &[], 59), Selection::AwaitOwner);
        assert_eq!(chosen(&of(&["7"]), &[], 60), Selection::Skip);
        assert_eq!(chosen(&of(&[]), &[], 0), Selection::Send);
        let message = of(&["7"]).select(&head("-", "message_sent"), [&seven].into_iter(), ARRIVAL);
        assert_eq!(message, Selection::Skip);
    }
}
