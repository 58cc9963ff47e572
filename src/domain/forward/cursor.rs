//! The place of a forward in the ledger.

use std::collections::BTreeSet;

/// A walk over the ledger whose events may end in another order than they were read in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardCursor {
    /// Everything up to this number was read.
    read_to: i64,
    /// The events that were read and have not ended.
    open: BTreeSet<i64>,
    /// The events above the position that have ended, so that they are not sent again after a restart.
    done: BTreeSet<i64>,
}

impl ForwardCursor {
    /// Returns the cursor at a position above which these events have ended already.
    pub fn new(position: i64, done: impl IntoIterator<Item = i64>) -> Self {
        Self {
            read_to: position,
            open: BTreeSet::new(),
            done: done.into_iter().filter(|seq| *seq > position).collect(),
        }
    }

    /// Notes that an event was read, and returns whether it is to be handled.
    pub fn open(&mut self, seq: i64) -> bool {
        self.read_through(seq);
        !self.done.contains(&seq) && self.open.insert(seq)
    }

    /// Notes that there is nothing else to handle up to this number.
    pub fn read_through(&mut self, seq: i64) {
        self.read_to = self.read_to.max(seq);
    }

    /// Notes that an event has ended.
    pub fn close(&mut self, seq: i64) {
        if self.open.remove(&seq) {
            self.done.insert(seq);
        }
        let position = self.position();
        self.done = self.done.split_off(&(position + 1));
    }

    /// Returns the number up to which everything has ended.
    pub fn position(&self) -> i64 {
        self.open.first().map_or(self.read_to, |lowest| lowest - 1)
    }

    /// Returns the events above the position that have ended.
    pub fn done(&self) -> Vec<i64> {
        let position = self.position();
        self.done.iter().copied().filter(|seq| *seq > position).collect()
    }

    /// Returns the number after which to go on reading.
    pub fn read_to(&self) -> i64 {
        self.read_to
    }

    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_is_below_the_lowest_event_that_has_not_ended() {
        let mut cursor = ForwardCursor::new(10, []);
        assert_eq!(cursor.position(), 10);
        assert!([12, 13, 17].into_iter().all(|seq| cursor.open(seq)));
        cursor.read_through(20);
        assert_eq!((cursor.position(), cursor.read_to()), (11, 20));
        cursor.close(17);
        cursor.close(13);
        assert_eq!((cursor.position(), cursor.done()), (11, vec![13, 17]));
        cursor.close(12);
        assert_eq!((cursor.position(), cursor.done()), (20, vec![]));
        assert!(cursor.is_idle());
    }

    #[test]
    fn after_a_restart_nothing_that_has_ended_is_handled_again() {
        let mut cursor = ForwardCursor::new(11, [13, 17, 5]);
        assert!(cursor.open(12) && !cursor.open(13) && cursor.open(14) && !cursor.open(17));
        assert_eq!((cursor.position(), cursor.done()), (11, vec![13, 17]));
        cursor.close(12);
        assert_eq!((cursor.position(), cursor.done()), (13, vec![17]));
        cursor.close(14);
        assert_eq!((cursor.position(), cursor.done()), (17, vec![]));
    }

    #[test]
    fn an_event_is_opened_once() {
        let mut cursor = ForwardCursor::new(0, []);
        assert!(cursor.open(1) && !cursor.open(1));
    }
}
