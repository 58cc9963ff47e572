//! A semaphore whose permits the tokens of the read API share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use domain::access::token::TokenId;

/// A semaphore that no token can empty for the others. A token has at most a quarter of the permits, and a quarter is
/// reserved for the owner's token, which is configured or was written at the first start.
pub struct FairSemaphore {
    quarter: u32,
    owner: Arc<Semaphore>,
    others: Arc<Semaphore>,
    /// The quarters of the tokens.
    tokens: SemaphoresByKey<TokenId>,
}

/// A semaphore for each key. It is kept while somebody holds permits of it or waits for some.
pub struct SemaphoresByKey<K> {
    permits: usize,
    semaphores: Mutex<HashMap<K, Weak<Semaphore>>>,
}

impl<K: Eq + Hash> SemaphoresByKey<K> {
    pub fn new(permits: u32) -> Self {
        Self { permits: permits as usize, semaphores: Mutex::default() }
    }

    /// Returns the semaphore of a key.
    pub fn of(&self, key: K) -> Arc<Semaphore> {
        let mut semaphores = self.semaphores.lock().unwrap_or_else(PoisonError::into_inner);
        semaphores.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let own = Arc::new(Semaphore::new(self.permits));
            semaphores.retain(|_, semaphore| semaphore.strong_count() > 0);
            semaphores.insert(key, Arc::downgrade(&own));
            own
        })
    }
}

/// Permits of a [`FairSemaphore`]. Dropping this gives them back.
#[derive(Debug)]
pub struct FairPermit {
    permits: OwnedSemaphorePermit,
    /// The same number of permits of the token's own quarter. `None` for the owner, whose semaphore nobody shares.
    of_token: Option<OwnedSemaphorePermit>,
}

impl FairSemaphore {
    pub fn new(permits: u32) -> Self {
        let quarter = (permits / 4).max(1);
        let others = permits.saturating_sub(quarter);
        Self {
            quarter,
            owner: Arc::new(Semaphore::new(quarter as usize)),
            others: Arc::new(Semaphore::new(others as usize)),
            tokens: SemaphoresByKey::new(quarter),
        }
    }

    /// The maximum number of permits of one token.
    pub fn quarter(&self) -> u32 {
        self.quarter
    }

    /// Waits for permits for a token; `None` is the owner's. More than a quarter are never available.
    pub async fn acquire(&self, token: Option<TokenId>, permits: u32) -> Option<FairPermit> {
        let (all, own) = self.semaphores(token);
        let of_token = match own {
            Some(own) => Some(own.acquire_many_owned(permits).await.ok()?),
            None => None,
        };
        Some(FairPermit { permits: all.acquire_many_owned(permits).await.ok()?, of_token })
    }

    /// Takes permits for a token if they are available now.
    pub fn try_acquire(&self, token: Option<TokenId>, permits: u32) -> Option<FairPermit> {
        let (all, own) = self.semaphores(token);
        let of_token = match own {
            Some(own) => Some(own.try_acquire_many_owned(permits).ok()?),
            None => None,
        };
        Some(FairPermit { permits: all.try_acquire_many_owned(permits).ok()?, of_token })
    }

    /// Returns the semaphores that a token takes its permits from: the shared one, and its own quarter of that.
    fn semaphores(&self, token: Option<TokenId>) -> (Arc<Semaphore>, Option<Arc<Semaphore>>) {
        let Some(token) = token else { return (self.owner.clone(), None) };
        (self.others.clone(), Some(self.tokens.of(token)))
    }
}

impl FairPermit {
    pub fn count(&self) -> usize {
        self.permits.num_permits()
    }

    /// Gives back all permits but this number.
    pub fn keep(&mut self, permits: usize) {
        let surplus = self.count().saturating_sub(permits);
        drop(self.permits.split(surplus));
        drop(self.of_token.as_mut().and_then(|of_token| of_token.split(surplus)));
    }

    /// Takes over the permits of another value of the same token.
    pub fn merge(&mut self, other: Self) {
        self.permits.merge(other.permits);
        if let Some((of_token, others)) = self.of_token.as_mut().zip(other.of_token) {
            of_token.merge(others);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_immediate;

    use super::*;

    const OWNER: Option<TokenId> = None;

    fn token(id: i64) -> Option<TokenId> {
        Some(TokenId(id))
    }

    #[test]
    fn a_token_has_a_quarter_and_the_owners_quarter_is_kept() {
        let semaphore = FairSemaphore::new(16);
        let quarters: Vec<_> =
            (1..=3).map(|id| semaphore.try_acquire(token(id), 4).expect("its quarter is free")).collect();
        assert!(semaphore.try_acquire(token(1), 1).is_none(), "it has its quarter");
        assert!(semaphore.try_acquire(token(4), 1).is_none(), "the rest is the owner's");
        let owners: Vec<_> = (0..4).map(|_| semaphore.try_acquire(OWNER, 1).expect("it is kept for them")).collect();
        assert!(semaphore.try_acquire(OWNER, 1).is_none());
        drop(quarters);
        assert!(semaphore.try_acquire(OWNER, 1).is_none(), "the owner has a quarter like everybody");
        drop(owners);
        assert!(semaphore.try_acquire(OWNER, 4).is_some());
    }

    #[test]
    fn what_is_given_back_can_be_had_again_by_the_same_token_and_by_others() {
        let semaphore = FairSemaphore::new(16);
        let mut permit = semaphore.try_acquire(token(1), 4).expect("it is free");
        permit.keep(1);
        assert_eq!(permit.count(), 1);
        permit.merge(semaphore.try_acquire(token(1), 3).expect("three were given back"));
        assert_eq!(permit.count(), 4);
        assert!(semaphore.try_acquire(token(1), 1).is_none());
        let others: Vec<_> = (2..4).map(|id| semaphore.try_acquire(token(id), 4).expect("it is free")).collect();
        assert!(semaphore.try_acquire(token(5), 1).is_none());
        permit.keep(0);
        assert!(semaphore.try_acquire(token(5), 4).is_some());
        drop(others);
    }

    #[test]
    async fn a_waiting_caller_gets_the_permits_when_they_are_given_back() {
        let semaphore = FairSemaphore::new(16);
        let permit = semaphore.acquire(token(1), 4).await.expect("it is free");
        let mut waiting = Box::pin(semaphore.acquire(token(1), 2));
        assert!(poll_immediate(&mut waiting).await.is_none());
        drop(permit);
        assert_eq!(waiting.await.expect("it is free again").count(), 2);
    }

    #[test]
    fn tokens_that_hold_nothing_are_forgotten() {
        let semaphore = FairSemaphore::new(16);
        for id in 0..100 {
            drop(semaphore.try_acquire(token(id), 1));
        }
        assert_eq!(semaphore.tokens.semaphores.lock().unwrap().len(), 1);
    }
}
