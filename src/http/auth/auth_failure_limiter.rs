//! Requests that did not show who they are, counted for each client's address.
//!
//! What is rightly signed, or comes with a good token, is never counted and never refused: the limit is asked when a
//! request has failed already. Anybody could otherwise keep out the gateway, or a dashboard, that shares their address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, ResponseError};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;

use crate::http::limits::peer;
use crate::http::problem::Problem;

/// As many are told what is wrong at once; from then on, one in a second.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(60).expect("it is not 0");
const A_SECOND: NonZeroU32 = NonZeroU32::MIN;
/// Refusals between two looks at which addresses can be forgotten, so that their number is bounded.
const SWEEP_AFTER: usize = 10_000;

/// The addresses from which refused requests came lately.
pub struct AuthFailureLimiter {
    trusted_proxies: Vec<IpNet>,
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    counted: AtomicUsize,
}

impl AuthFailureLimiter {
    pub fn new(trusted_proxies: Vec<IpNet>) -> Self {
        Self::with_quota(trusted_proxies, Quota::per_second(A_SECOND).allow_burst(AT_ONCE))
    }

    fn with_quota(trusted_proxies: Vec<IpNet>, quota: Quota) -> Self {
        Self { trusted_proxies, limiter: RateLimiter::keyed(quota), counted: AtomicUsize::new(0) }
    }

    /// Counts a request that is refused, and says with what: with 429 in the place of a 401 when there were too many. A
    /// program on this machine that speaks for itself is not counted.
    pub fn refuse(&self, request: &HttpRequest, problem: Problem) -> Problem {
        if problem.status_code() != StatusCode::UNAUTHORIZED || peer::is_local(request) {
            return problem;
        }
        let Some(client) = peer::client_address(request, &self.trusted_proxies) else { return problem };
        if self.counted.fetch_add(1, Ordering::Relaxed) % SWEEP_AFTER == SWEEP_AFTER - 1 {
            self.limiter.retain_recent();
        }
        match self.limiter.check_key(&peer::rate_limit_key(client)) {
            Ok(()) => problem,
            Err(until) => Problem::TooManyRefused(whole_seconds(until.wait_time_from(DefaultClock::default().now()))),
        }
    }
}

/// Rounded up: who comes earlier is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn from(n: usize) -> HttpRequest {
        let peer = format!("10.{}.{}.{}:4000", n >> 16, (n >> 8) & 0xff, n & 0xff);
        TestRequest::default().peer_addr(peer.parse().unwrap()).to_http_request()
    }

    #[test]
    fn an_address_that_is_refused_too_often_is_told_to_wait_and_no_other_is() {
        let strangers = AuthFailureLimiter::new(vec![]);
        let told = |request: &HttpRequest| strangers.refuse(request, Problem::SignatureMismatch).code();
        let codes: Vec<_> = (0..200).map(|_| told(&from(1))).collect();
        assert_eq!(codes[..AT_ONCE.get() as usize], ["signature_mismatch"; AT_ONCE.get() as usize]);
        assert!(codes.contains(&"too_many_refused"), "{codes:?}");
        assert_eq!(told(&from(2)), "signature_mismatch");
    }

    #[test]
    fn addresses_that_have_waited_long_enough_are_forgotten() {
        let at_once = Quota::with_period(Duration::from_nanos(1)).expect("it is some time");
        let strangers = AuthFailureLimiter::with_quota(vec![], at_once);
        for n in 0..2 * SWEEP_AFTER {
            strangers.refuse(&from(n), Problem::SignatureMismatch);
        }
        assert!(strangers.limiter.len() < SWEEP_AFTER, "{}", strangers.limiter.len());
    }

    #[test]
    fn what_was_not_refused_for_want_of_a_proof_is_not_counted() {
        let strangers = AuthFailureLimiter::new(vec![]);
        for _ in 0..200 {
            assert_eq!(strangers.refuse(&from(1), Problem::TokenInQuery).code(), "token_in_query");
        }
        assert!(strangers.limiter.is_empty());
    }
}
