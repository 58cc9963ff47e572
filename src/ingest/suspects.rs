//! Which events ran out of time alone.

use std::collections::VecDeque;

use domain::event::Event;
use domain::instance::InstanceId;

/// So many are remembered; an older one is forgotten, and must run out of time twice again.
const MOST: usize = 1_024;

/// Tells an event that is at fault from a database that is slow: the event runs out of time again, though another was
/// committed meanwhile.
#[derive(Default)]
pub(super) struct Suspects {
    events: VecDeque<Suspect>,
    commits: u64,
}

struct Suspect {
    key: (InstanceId, [u8; 32]),
    /// The number of the commits when it ran out of time.
    commits: u64,
}

impl Suspects {
    /// Notes that something was committed.
    pub(super) fn note_commit(&mut self) {
        self.commits += 1;
    }

    /// Notes that an event ran out of time alone, and says whether it did before, and another was committed since.
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
        assert!(!suspects.suspect(&event(1)), "it was told of, and forgotten");
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
