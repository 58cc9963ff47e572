//! The remains of events whose content is gone, and the event that says that a person was erased.

use sha2::{Digest, Sha256};

use super::{Effect, Event, EventState, EventSubject, Interpretation};
use crate::forward::ERASED;
use crate::instance::InstanceId;
use crate::time::timestamp::Timestamp;

impl Event {
    /// Makes the event with which buzon says that a person was erased. It names nobody.
    pub fn erasure_notice(erasure: &str, instance_id: Option<&InstanceId>, at: Timestamp) -> Self {
        let body = serde_json::json!({
            "event_type": ERASED,
            "instance_id": instance_id.map(InstanceId::as_str),
            "erasure": erasure,
        });
        let body = body.to_string().into_bytes();
        let subject = EventSubject { event_type: Some(ERASED.to_owned()), ..EventSubject::default() };
        Self {
            instance_id: instance_id.cloned().unwrap_or_else(InstanceId::unstated),
            mismatched_instance: None,
            body_sha256: Sha256::digest(&body).into(),
            body,
            received_at: at,
            signed: true,
            forwarded: false,
            interpretation: Interpretation {
                subject,
                state: EventState::Applied,
                reason: None,
                effect: Effect::Nothing,
            },
        }
    }

    /// Returns what is left of the event of an erased person: `row` stands for the SHA-256 of its body.
    pub fn erased(&self, row: [u8; 32]) -> Self {
        Self { body_sha256: row, ..self.without_content(EventState::Erased) }
    }

    /// Returns what is left of an event that is older than what is kept.
    pub fn expired(&self) -> Self {
        self.without_content(EventState::Expired)
    }

    fn without_content(&self, state: EventState) -> Self {
        let subject = EventSubject::default();
        Self {
            instance_id: self.instance_id.clone(),
            mismatched_instance: None,
            body: vec![],
            body_sha256: self.body_sha256,
            received_at: self.received_at,
            signed: self.signed,
            forwarded: self.forwarded,
            interpretation: Interpretation { subject, state, reason: None, effect: Effect::Nothing },
        }
    }

    /// Returns the body, or `None` if only the arrival of the event is left.
    pub fn kept_body(&self) -> Option<&[u8]> {
        let is_left = !matches!(self.interpretation.state, EventState::Erased | EventState::Expired);
        is_left.then_some(&self.body)
    }
}
