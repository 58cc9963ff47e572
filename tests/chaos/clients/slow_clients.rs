//! Clients that send slowly and never finish.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, is_long, rounds, seed};
use crate::support::clients::raw_http::request;
use crate::support::database::world::{Backend, World};
use crate::support::events::received;
use crate::support::program::open_files;
use crate::support::program::process::Buzon;
use crate::support::{client, eventually};

const CLIENTS: usize = 500;
const MAX_MEMORY: u64 = 150_000_000;
/// Longer than the service keeps any connection on which it sends nothing.
const LONG_PATIENCE: Duration = Duration::from_secs(150);

/// A slow client: its first bytes, the bytes that it then sends every second, and the answers that it gets before it is
/// disconnected.
struct Slow {
    beginning: Vec<u8>,
    then: &'static [u8],
    told: &'static [&'static str],
}

/// Returns the kinds of slow clients. The first three are disconnected within 10 seconds, the others after more than a
/// minute.
fn kinds() -> Vec<Slow> {
    let whole = request(&received("slow", json!({"body": "x".repeat(2_000)})));
    let chunked = |path: &str| {
        let (digits, encoding) = ("0".repeat(64), "Transfer-Encoding: chunked");
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nX-Whapi-Signature: {digits}\r\n{encoding}\r\n\r\n").into_bytes()
    };
    let live = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let slow = |beginning: &[u8], then, told| Slow { beginning: beginning.to_vec(), then, told };
    let soon = vec![
        slow(&whole[..whole.len() - 1_500], b"x", &["408"]),
        slow(b"POST /webhook/7 HTTP/1.1\r\nX-Name: ", b"x", &["408"]),
        slow(b"", b"", &["408"]),
    ];
    let late = vec![
        slow(&chunked("/webhook/7"), b"1\r\nx\r\n", &["408"]),
        slow(&chunked("/nowhere"), b"1\r\nx\r\n", &["404"]),
        slow(&chunked("/nowhere"), b"", &["404"]),
        slow(format!("{live}{live}POST /webhook/7 HTTP/1.1\r\nX-Name: ").as_bytes(), b"x", &["200", "200"]),
        slow(format!("{live}GET").as_bytes(), b"", &["200"]),
    ];
    if is_long() { soon.into_iter().chain(late).collect() } else { soon }
}

#[test(flavor = "multi_thread")]
async fn slow_clients_harm_nobody_and_are_disconnected() {
    open_files::allow_open_files(CLIENTS as u64);
    let world = World::new(Backend::Sqlite).await;
    let rounds = rounds(1);
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let loader = Loader::start(seed(), buzon.address);
    loader.wait_for_acks(100).await;
    for _ in 0..rounds {
        let files_before = buzon.open_files();
        let kinds = kinds();
        let slow = kinds.iter().cycle().take(CLIENTS).map(|kind| trickle(buzon.address, kind));
        let given_up = async {
            for (told, kind) in join_all(slow).await.into_iter().zip(kinds.iter().cycle()) {
                assert_eq!(told, kind.told, "{}", String::from_utf8_lossy(&kind.beginning));
            }
        };
        let others = async {
            eventually("all of them are connected", async || buzon.open_files() >= files_before + CLIENTS).await;
            loader.wait_for_acks(200).await;
            let live = client().get(format!("http://{}/health/live", buzon.address)).send().await;
            assert_eq!(live.expect("it answers").status(), 200);
        };
        tokio::join!(given_up, others);
        eventually("their files are closed", async || buzon.open_files() <= files_before + 10).await;
    }
    assert_eq!(loader.failed(), 0, "no event was refused");
    assert_nothing_lost(&world, &loader.end().await, rounds).await;
    let peak = buzon.peak_memory();
    assert!(peak < MAX_MEMORY, "{peak}");
    buzon.kill().await;
}

/// Returns the statuses that the client got until the server closed the connection.
async fn trickle(address: SocketAddr, kind: &Slow) -> Vec<String> {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(&kind.beginning).await.expect("the server reads");
    let (mut from, mut to) = stream.split();
    let mut answers = Vec::new();
    let sends = async {
        // A failed write tells the client that the server has closed the connection.
        while to.write_all(kind.then).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let reads = from.read_to_end(&mut answers);
    let ended = timeout(LONG_PATIENCE, async {
        tokio::select! {
            // The way in which the connection was closed does not matter: the answers came before.
            _ = reads => {}
            () = sends => {}
        }
    });
    ended.await.expect("the server closes");
    let answers = String::from_utf8_lossy(&answers).into_owned();
    answers.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].to_owned()).collect()
}
