//! Faults that the tests must find. A build with the feature `broken`, which is none for anybody's events, has the one that
//! `BUZON_TEST_BROKEN` names; in every other build the questions have constant answers, and nothing of this is left.

#[cfg(all(feature = "broken", not(debug_assertions)))]
compile_error!("a broken build is for tests alone, and no release");

/// What a build may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SQLite commits without a word from the disk: `synchronous = NORMAL`.
    SqliteNormal,
    /// PostgreSQL does: `synchronous_commit = off`.
    AsynchronousCommit,
    /// Events are acknowledged when they are about to be committed.
    EarlyAnswer,
    /// Repeats are known by what this process remembers of what it was sent.
    MemoryDeduplication,
    /// A message's ack is the last that was stated, and not the highest.
    LastAck,
    /// Handlers, which a client can cancel, write for themselves, and a connection goes on whatever became of its transaction.
    WriteBesideWriter,
}

impl Fault {
    pub const ALL: [Self; 6] = [
        Self::SqliteNormal,
        Self::AsynchronousCommit,
        Self::EarlyAnswer,
        Self::MemoryDeduplication,
        Self::LastAck,
        Self::WriteBesideWriter,
    ];
}

#[cfg(feature = "broken")]
pub use chosen::{is, later, seen};
#[cfg(not(feature = "broken"))]
pub use whole::{is, later, seen};

#[cfg(not(feature = "broken"))]
mod whole {
    use super::Fault;

    /// Whether this build has the fault.
    pub const fn is(_: Fault) -> bool {
        false
    }

    /// A rank above all that were given before.
    pub const fn later() -> i16 {
        0
    }

    /// Whether this process was asked about this hash before.
    pub const fn seen(_: &[u8; 32]) -> bool {
        false
    }
}

#[cfg(feature = "broken")]
mod chosen {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicI16, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};

    use super::Fault;

    static CHOSEN: LazyLock<Option<Fault>> = LazyLock::new(|| {
        let name = std::env::var("BUZON_TEST_BROKEN").ok()?;
        let named = Fault::ALL.into_iter().find(|fault| format!("{fault:?}") == name);
        Some(named.expect("BUZON_TEST_BROKEN names a fault"))
    });
    static LATEST: AtomicI16 = AtomicI16::new(0);
    static SEEN: Mutex<Option<HashSet<[u8; 32]>>> = Mutex::new(None);

    pub fn is(fault: Fault) -> bool {
        *CHOSEN == Some(fault)
    }

    pub fn later() -> i16 {
        LATEST.fetch_add(1, Ordering::Relaxed)
    }

    pub fn seen(hash: &[u8; 32]) -> bool {
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        !seen.get_or_insert_default().insert(*hash)
    }
}
