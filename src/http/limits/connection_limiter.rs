//! How many connections one address may have open: somebody who opens them all would keep out the gateway.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use tracing::warn;

use super::peer;
use super::throttled_warning::ThrottledWarning;
use platform::clock::Clock;

/// The addresses at the other end of open connections.
pub struct ConnectionLimiter {
    /// Through these come the connections of many.
    trusted_proxies: Vec<IpNet>,
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
    refusals: ThrottledWarning,
    clock: Arc<dyn Clock>,
}

/// Held by a connection as long as it is open.
pub struct ConnectionPermit {
    counted: Option<(Arc<ConnectionLimiter>, IpAddr)>,
}

impl ConnectionLimiter {
    /// `most` connections for each address.
    pub fn new(trusted_proxies: Vec<IpNet>, most: usize, clock: Arc<dyn Clock>) -> Self {
        Self { trusted_proxies, most, open: Mutex::default(), refusals: ThrottledWarning::default(), clock }
    }

    /// `None` where the peer has as many as it may. This machine and trusted proxies are not counted.
    pub fn admit(self: &Arc<Self>, peer: Option<SocketAddr>) -> Option<ConnectionPermit> {
        let Some(peer) = peer.map(|peer| peer.ip().to_canonical()) else {
            return Some(ConnectionPermit { counted: None });
        };
        if peer.is_loopback() || peer::contain(&self.trusted_proxies, peer) {
            return Some(ConnectionPermit { counted: None });
        }
        let guest = peer::rate_limit_key(peer);
        let admitted = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(guest).or_default();
            let admitted = *count < self.most;
            *count += usize::from(admitted);
            admitted
        };
        if !admitted {
            self.note(peer);
        }
        admitted.then(|| ConnectionPermit { counted: Some((self.clone(), guest)) })
    }

    fn note(&self, peer: IpAddr) {
        let Some(count) = self.refusals.due(self.clock.now()) else { return };
        warn!(
            refused.count = count,
            client.address = %peer,
            "connections were closed at once: their address has {} open. If it is a proxy, name it in trusted_proxies; \
             else raise max_connections_per_address",
            self.most
        );
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let Some((guests, guest)) = &self.counted else { return };
        let mut open = guests.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(guest) {
            *count -= 1;
            if *count == 0 {
                open.remove(guest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::clock::SystemClock;

    fn peer(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().unwrap(), 4000))
    }

    #[test]
    fn an_address_has_as_many_connections_as_it_may_and_those_that_end_make_room() {
        let guests = Arc::new(ConnectionLimiter::new(vec!["10.0.0.0/8".parse().unwrap()], 2, Arc::new(SystemClock)));
        let first = guests.admit(peer("203.0.113.9")).expect("there is room");
        let _second = guests.admit(peer("::ffff:203.0.113.9")).expect("there is room");
        assert!(guests.admit(peer("203.0.113.9")).is_none());
        let _another = guests.admit(peer("203.0.113.10")).expect("another address has room of its own");
        drop(first);
        let _third = guests.admit(peer("203.0.113.9")).expect("one has ended");
        assert!(guests.admit(peer("203.0.113.9")).is_none());
    }

    #[test]
    fn this_machine_and_trusted_proxies_have_as_many_as_they_want() {
        let guests = Arc::new(ConnectionLimiter::new(vec!["10.0.0.0/8".parse().unwrap()], 1, Arc::new(SystemClock)));
        for address in ["127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.2.3"] {
            let places: Vec<_> = (0..10).map(|_| guests.admit(peer(address)).expect("it is not counted")).collect();
            assert_eq!(places.len(), 10);
        }
        assert!(guests.open.lock().unwrap().is_empty());
    }

    #[test]
    fn an_address_whose_connections_have_ended_is_forgotten() {
        let guests = Arc::new(ConnectionLimiter::new(vec![], 2, Arc::new(SystemClock)));
        drop((guests.admit(peer("2001:db8::1")), guests.admit(peer("2001:db8::2"))));
        assert!(guests.open.lock().unwrap().is_empty());
    }
}
