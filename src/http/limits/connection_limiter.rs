//! A limit on the open connections of one address. Otherwise somebody who opens all of them would keep out the gateway.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use tracing::warn;

use super::throttled_warning::ThrottledWarning;
use crate::http::peer;
use platform::clock::Clock;

/// A limiter of open connections per address.
pub struct ConnectionLimiter {
    /// Proxies forward the connections of many clients, so they are not limited.
    trusted_proxies: Vec<IpNet>,
    max_per_address: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
    warning: ThrottledWarning,
    clock: Arc<dyn Clock>,
}

/// A permit that a connection holds as long as it is open.
pub struct ConnectionPermit {
    counted: Option<(Arc<ConnectionLimiter>, IpAddr)>,
}

impl ConnectionLimiter {
    pub fn new(trusted_proxies: Vec<IpNet>, max_per_address: usize, clock: Arc<dyn Clock>) -> Self {
        Self { trusted_proxies, max_per_address, open: Mutex::default(), warning: ThrottledWarning::default(), clock }
    }

    /// Returns `None` if the peer has the maximum number of connections. This machine and trusted proxies are not counted.
    pub fn admit(self: &Arc<Self>, peer: Option<SocketAddr>) -> Option<ConnectionPermit> {
        let Some(peer) = peer.map(|peer| peer.ip().to_canonical()) else {
            return Some(ConnectionPermit { counted: None });
        };
        if peer.is_loopback() || peer::contain(&self.trusted_proxies, peer) {
            return Some(ConnectionPermit { counted: None });
        }
        let key = peer::rate_limit_key(peer);
        let admitted = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(key).or_default();
            let admitted = *count < self.max_per_address;
            *count += usize::from(admitted);
            admitted
        };
        if !admitted {
            self.warn(peer);
        }
        admitted.then(|| ConnectionPermit { counted: Some((self.clone(), key)) })
    }

    fn warn(&self, peer: IpAddr) {
        let Some(count) = self.warning.due(self.clock.now()) else { return };
        warn!(
            refused.count = count,
            client.address = %peer,
            "connections were closed at once: their address has {} open. If it is a proxy, name it in trusted_proxies; \
             otherwise raise max_connections_per_address",
            self.max_per_address
        );
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let Some((limiter, key)) = &self.counted else { return };
        let mut open = limiter.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                open.remove(key);
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
        let limiter = Arc::new(ConnectionLimiter::new(vec!["10.0.0.0/8".parse().unwrap()], 2, Arc::new(SystemClock)));
        let first = limiter.admit(peer("203.0.113.9")).expect("there is room");
        let _second = limiter.admit(peer("::ffff:203.0.113.9")).expect("there is room");
        assert!(limiter.admit(peer("203.0.113.9")).is_none());
        let _another = limiter.admit(peer("203.0.113.10")).expect("another address has room of its own");
        drop(first);
        let _third = limiter.admit(peer("203.0.113.9")).expect("one has ended");
        assert!(limiter.admit(peer("203.0.113.9")).is_none());
    }

    #[test]
    fn this_machine_and_trusted_proxies_have_as_many_as_they_want() {
        let limiter = Arc::new(ConnectionLimiter::new(vec!["10.0.0.0/8".parse().unwrap()], 1, Arc::new(SystemClock)));
        for address in ["127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.2.3"] {
            let permits: Vec<_> = (0..10).map(|_| limiter.admit(peer(address)).expect("it is not counted")).collect();
            assert_eq!(permits.len(), 10);
        }
        assert!(limiter.open.lock().unwrap().is_empty());
    }

    #[test]
    fn an_address_whose_connections_have_ended_is_forgotten() {
        let limiter = Arc::new(ConnectionLimiter::new(vec![], 2, Arc::new(SystemClock)));
        drop((limiter.admit(peer("2001:db8::1")), limiter.admit(peer("2001:db8::2"))));
        assert!(limiter.open.lock().unwrap().is_empty());
    }
}
