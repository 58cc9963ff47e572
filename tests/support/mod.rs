//! The environment of a test, set up in one line.

pub mod clients;
pub mod clock;
pub mod database;
pub mod events;
pub mod gate;
pub mod gateway;
pub mod hostile;
pub mod program;
pub mod receiver;
pub mod s3;

use std::time::Duration;

use buzon::platform::tls;

/// The time after which a test gives up waiting. It is never spent in full when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
pub async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    eventually_within(PATIENCE, what, condition).await;
}

/// Waits until `condition` holds, at most this long.
pub async fn eventually_within(patience: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let mut again = tokio::time::interval(Duration::from_millis(10));
    let waited = tokio::time::timeout(patience, async {
        while !condition().await {
            again.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain for: {what}"));
}

/// Borrows settings for a process.
pub fn borrowed<'s>(settings: &'s [(&'static str, String)]) -> Vec<(&'s str, &'s str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Returns an HTTP client for one test. It knows no certificates, because reading the system's takes longer than most
/// requests, and the tests' own servers need none.
pub fn client() -> reqwest::Client {
    tls::install_provider();
    reqwest::Client::builder().tls_certs_only([]).build().expect("a client can be made")
}
