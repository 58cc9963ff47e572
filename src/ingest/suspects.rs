//! Events that ran out of time when they were committed alone.

use std::collections::VecDeque;

use domain::event::Event;
use domain::instance::InstanceId;

/// The maximum number of remembered events. The oldest is forgotten first, and must then run out of time twice again.
const MOST: usize = 1_024;

/// Tells an event that is at fault from a slow database: the event runs out of time again although other events were
/// committed in between.
#[derive(Default)]
pub(super) struct Suspects {
    events: VecDeque<Suspect>,
    commits: u64,
}

struct Suspect {
    key: (InstanceId, [u8; 32]),
    /// The number of commits when the event ran out of time.
    commits: u64,
}

impl Suspects {
    /// Counts a commit.
    pub(super) fn note_commit(&mut self) {
        self.commits += 1;
    }

    /// Remembers an event that ran out of time alone. Returns whether it did so before and another event was committed
    /// since then.
    pub(super) fn suspect(&mut self, event: &Event) -> bool {
        let key = (event.instance_id.clone(), event.body_sha256);
        let known = self.events.iter().position(|suspect| suspect.key == key);
        let known = known.and_then(|place| self.events.remove(place));
        if known.as_ref().is_some_and(|suspect| suspect.commits < self.commits) {
            return true;
        }
        if self.events.len() == MOST {
            self.events.pop_front();
        }
        self.events.push_back(known.unwrap_or(Suspect { key, commits: self.commits }));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::access::signature::{Keyring, Signer};
    use domain::time::timestamp::Timestamp;

    fn event(n: usize) -> Event {
        let (body, at) = (n.to_string().into_bytes(), Timestamp::from_millis(0));
        Event::read(&Keyring::default(), None, &Signer::Shared, body, at)
    }

    #[test]
    fn an_event_is_at_fault_only_if_another_was_committed_since_its_first_time() {
        let mut suspects = Suspects::default();
        assert!(!suspects.suspect(&event(1)));
        assert!(!suspects.suspect(&event(1)), "the database may be slow");
        suspects.note_commit();
        assert!(!suspects.suspect(&event(2)));
        assert!(suspects.suspect(&event(1)));
        assert!(!suspects.suspect(&event(1)), "it was reported and forgotten");
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let mut suspects = Suspects::default();
        (0..=MOST).for_each(|n| assert!(!suspects.suspect(&event(n))));
        suspects.note_commit();
        assert!(!suspects.suspect(&event(0)), "it is forgotten");
        assert!(suspects.suspect(&event(MOST)));
    }
}
