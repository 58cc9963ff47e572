//! Counts what a replay would send, without sending anything.

use std::collections::HashSet;

use crate::config::ForwardConfig;
use domain::event::Interpretation;
use domain::forward::kind;
use domain::forward::max_age::event_time;
use domain::forward::selection::{LedgerHead, Selection};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;
use store::{Store, StoreError};

/// The number of events that are read at once.
const PAGE: u32 = 256;

/// The events that a replay would send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehearsal {
    pub events: u64,
    /// The incoming messages among them, which a bot answers.
    pub incoming: u64,
    /// The number of conversations of these messages.
    pub people: usize,
    /// The time of the oldest event.
    pub oldest: Option<Timestamp>,
    /// The events that are too old, which are sent only if the replay says so.
    pub stale: u64,
}

/// Walks over the events after one number and up to another one. `even_old` counts those among the sent ones that are too
/// old.
pub async fn rehearse(
    store: &dyn Store,
    config: &ForwardConfig,
    after: i64,
    until: i64,
    even_old: bool,
    now: Timestamp,
) -> Result<Rehearsal, StoreError> {
    let (mut rehearsal, mut people, mut after) = (Rehearsal::default(), HashSet::new(), after);
    loop {
        let heads = store.ledger_heads(after, until, PAGE).await?;
        let Some(last) = heads.last() else { break };
        after = last.seq;
        let ids = Vec::from_iter(heads.iter().filter_map(|head| head.owned_by_message().map(str::to_owned)));
        let owners = if ids.is_empty() { vec![] } else { store.ack_owners(&ids).await? };
        for head in heads {
            let own = owners.iter().filter(|owner| Some(owner.message_id.as_str()) == head.owned_by_message());
            if config.filter.select(&head, own.map(|owner| &owner.instance_id), now) == Selection::Send {
                // Bodies are read one at a time, because one can be as large as all that a session reads ahead.
                if let Some((_, body)) = store.ledger_bodies(&[head.seq]).await?.pop() {
                    rehearsal.add(config, head, &body, &mut people, even_old, now);
                }
            }
        }
    }
    rehearsal.people = people.len();
    Ok(rehearsal)
}

impl Rehearsal {
    fn add(
        &mut self,
        config: &ForwardConfig,
        head: LedgerHead,
        body: &[u8],
        people: &mut HashSet<(InstanceId, Option<String>)>,
        even_old: bool,
        now: Timestamp,
    ) {
        let at = event_time(&Interpretation::of_ledger(body, &head.instance_id, head.received_at), head.received_at);
        if config.max_age.is_over(kind(head.event_type.as_deref()), at, now) {
            self.stale += 1;
            if !even_old {
                return;
            }
        }
        self.events += 1;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        if head.event_type.as_deref() == Some("message_received") {
            self.incoming += 1;
            people.insert((head.instance_id, head.chat_id));
        }
    }
}
