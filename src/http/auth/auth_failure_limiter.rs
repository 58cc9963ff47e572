//! A limit on failed authentication per client address.
//!
//! A request with a correct signature or a valid token is never counted and never refused: the limit applies only to a
//! request that has already failed. Otherwise anybody could keep out the gateway, or a dashboard, that shares their
//! address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, ResponseError};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;

use crate::http::peer;
use crate::http::problem::Problem;

/// The number of failures that are answered with their cause at once. After that it is one per second.
const BURST: NonZeroU32 = NonZeroU32::new(60).expect("it is not 0");
const PER_SECOND: NonZeroU32 = NonZeroU32::MIN;
/// The number of failures after which old addresses are forgotten, so that memory is bounded.
const SWEEP_AFTER: usize = 10_000;

/// A limiter of failed authentication per client address.
pub struct AuthFailureLimiter {
    trusted_proxies: Vec<IpNet>,
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    counted: AtomicUsize,
}

impl AuthFailureLimiter {
    pub fn new(trusted_proxies: Vec<IpNet>) -> Self {
        Self::with_quota(trusted_proxies, Quota::per_second(PER_SECOND).allow_burst(BURST))
    }

    fn with_quota(trusted_proxies: Vec<IpNet>, quota: Quota) -> Self {
        Self { trusted_proxies, limiter: RateLimiter::keyed(quota), counted: AtomicUsize::new(0) }
    }

    /// Counts a refused request and returns the problem to answer with: 429 in place of 401 if there were too many. Local
    /// programs are not counted (see [`peer::is_local`]).
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

/// Rounds up: a request that comes earlier is refused again.
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
        let limiter = AuthFailureLimiter::new(vec![]);
        let code = |request: &HttpRequest| limiter.refuse(request, Problem::SignatureMismatch).code();
        let codes: Vec<_> = (0..200).map(|_| code(&from(1))).collect();
        assert_eq!(codes[..BURST.get() as usize], ["signature_mismatch"; BURST.get() as usize]);
        assert!(codes.contains(&"too_many_refused"), "{codes:?}");
        assert_eq!(code(&from(2)), "signature_mismatch");
    }

    #[test]
    fn addresses_that_have_waited_long_enough_are_forgotten() {
        let quota = Quota::with_period(Duration::from_nanos(1)).expect("it is some time");
        let limiter = AuthFailureLimiter::with_quota(vec![], quota);
        for n in 0..2 * SWEEP_AFTER {
            limiter.refuse(&from(n), Problem::SignatureMismatch);
        }
        assert!(limiter.limiter.len() < SWEEP_AFTER, "{}", limiter.limiter.len());
    }

    #[test]
    fn problems_other_than_failed_authentication_are_not_counted() {
        let limiter = AuthFailureLimiter::new(vec![]);
        for _ in 0..200 {
            assert_eq!(limiter.refuse(&from(1), Problem::TokenInQuery).code(), "token_in_query");
        }
        assert!(limiter.limiter.is_empty());
    }
}
