//! Requests that are designed to be expensive, many of them at the same time.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::chaos::harness::expected_rows::{ExpectedRows, Table};
use crate::chaos::harness::ledger::{Fate, SentEvents, note};
use crate::chaos::harness::traffic::SimulatedDelivery;
use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, rounds, seed};
use crate::support::PATIENCE;
use crate::support::database::world::on_both;
use crate::support::events::{SECRET, sign};
use crate::support::program::process::Buzon;

/// The largest body that is accepted.
const LIMIT: usize = 4 * 1024 * 1024;
/// The number of copies of each request that are sent at the same time.
const COPIES: usize = 4;
/// 64 MiB of bodies may be arriving and another 64 MiB waiting; each event exists in several copies while it is stored.
const MAX_MEMORY: u64 = 600_000_000;

struct Bomb {
    what: &'static str,
    bytes: Vec<u8>,
    /// The statuses that are allowed.
    answers: &'static [u16],
    /// The event, if it may be stored.
    delivery: Option<SimulatedDelivery>,
}

/// When too many large bodies arrive at once, any event may be told to try again later, whatever else is wrong with it.
const COME_AGAIN: u16 = 503;
/// On a busy machine, this many bytes may not all arrive within 10 seconds.
const TOO_SLOW: u16 = 408;
/// The answer can be lost when the connection is cut under a client that is still sending.
const CUT: u16 = 0;

/// Events that cannot be stored, or only with some of their fields.
fn events(n: usize) -> Vec<(&'static str, SimulatedDelivery)> {
    let message = |name: &str, letters: Option<usize>, fields: &str| {
        let mut meaning = ExpectedRows::default();
        meaning.row(Table::Messages, format!("7|{name}-{n}"));
        let letters = letters.map_or("NULL".to_owned(), |letters| letters.to_string());
        meaning.row(Table::Contents, format!("7|{name}-{n}|NULL|{letters}"));
        let body = format!(r#"{{"event_type":"message_received","n":{n},"id":"{name}-{n}"{fields}}}"#).into_bytes();
        SimulatedDelivery { instance: Some("7"), body, meaning }
    };
    let keys: String = (0..300_000).map(|key| format!(r#","{key}":0"#)).collect();
    let (digits, escapes) = ("9".repeat(LIMIT - 100), LIMIT / 6 - 20);
    let deep = |levels: usize| format!(r#","body":{}{}"#, "[".repeat(levels), "]".repeat(levels));
    let zipped = [PACKED.as_slice(), &n.to_be_bytes()].concat();
    vec![
        (
            "100,000 levels",
            message("deep", None, &format!(r#"{},"x":"{}""#, deep(100_000), "x".repeat(LIMIT - 200_200))),
        ),
        ("two million levels", message("deeper", None, &deep(LIMIT / 2 - 50))),
        ("300,000 keys", message("keys", None, &keys)),
        ("a number of 4 MiB", message("digits", None, &format!(r#","timestamp":{digits}"#))),
        ("4 MiB of escapes", message("escapes", Some(escapes), &format!(r#","body":"{}""#, r"\u0041".repeat(escapes)))),
        (
            "gzip that is declared as nothing else",
            SimulatedDelivery { instance: Some("7"), body: zipped, meaning: ExpectedRows::default() },
        ),
    ]
}

/// 200 MB of spaces.
static PACKED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    (0..200).for_each(|_| encoder.write_all(&[b' '; 1_000_000]).expect("memory takes it"));
    encoder.finish().expect("memory takes it")
});

fn bombs(n: usize) -> Vec<Bomb> {
    let post = "POST /webhook/7 HTTP/1.1\r\nHost: x\r\n";
    let head = |fields: &str| format!("{post}X-Whapi-Signature: {}\r\n{fields}\r\n", "a".repeat(64));
    let bomb = |what, bytes, answers| Bomb { what, bytes, answers, delivery: None };
    let mut bombs = vec![
        bomb("a head of 1 MB", head(&format!("X-Long: {}\r\n", "x".repeat(1_000_000))).into_bytes(), &[431, CUT]),
        bomb("10,000 headers", head(&"X-Many: x\r\n".repeat(10_000)).into_bytes(), &[400, 431, CUT]),
        bomb("both lengths", head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n").into_bytes(), &[400]),
        bomb("two lengths", head("Content-Length: 5\r\nContent-Length: 6\r\n").into_bytes(), &[400]),
        bomb("2^63 bytes", head("Content-Length: 9223372036854775808\r\n").into_bytes(), &[413, COME_AGAIN]),
        bomb("2^64 bytes", head("Content-Length: 18446744073709551616\r\n").into_bytes(), &[400]),
        bomb("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), &[400]),
        bomb(
            "chunks without an end",
            endless(&head("Transfer-Encoding: chunked\r\n")),
            &[413, COME_AGAIN, TOO_SLOW, CUT],
        ),
    ];
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, gzip"] {
        let fields = format!("Content-Encoding: {encoding}\r\nContent-Length: {}\r\n", PACKED.len());
        let signed = head(&fields).replace(&"a".repeat(64), &sign(SECRET, &PACKED));
        bombs.push(bomb("a packed body", [signed.as_bytes(), &PACKED].concat(), &[415, COME_AGAIN]));
    }
    for (what, delivery) in events(n) {
        let body = delivery.body.clone();
        let signed = |signature: &str| {
            let fields = format!("X-Whapi-Signature: {signature}\r\nContent-Length: {}\r\n\r\n", body.len());
            [post.as_bytes(), fields.as_bytes(), &body].concat()
        };
        let bytes = signed(&sign(SECRET, &body));
        bombs.push(Bomb { what, bytes, answers: &[200, COME_AGAIN, TOO_SLOW], delivery: Some(delivery) });
        bombs.push(bomb(what, signed(&"a".repeat(64)), &[401, COME_AGAIN, TOO_SLOW]));
    }
    bombs
}

/// Returns 16 MiB in chunks, without a last chunk.
fn endless(head: &str) -> Vec<u8> {
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
    [head.as_bytes(), chunk.repeat(256).as_bytes()].concat()
}

/// Returns the status of the answer, or [`CUT`].
async fn throw(address: SocketAddr, bytes: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut from, mut to) = stream.split();
    let mut line = [0; 12];
    let answered = timeout(PATIENCE, async {
        // The request may be refused before all of it was sent.
        tokio::join!(to.write_all(bytes), from.read_exact(&mut line)).1
    });
    let status = answered.await.expect("there is an end").ok().and_then(|_| std::str::from_utf8(&line[9..]).ok());
    status.map_or(CUT, |status| status.parse().expect("it is a status"))
}

#[test(flavor = "multi_thread")]
async fn bombs_get_their_answers_and_take_a_bounded_memory() {
    on_both(async |world| {
        let (rounds, mut sent) = (rounds(1), SentEvents::new());
        let buzon = Buzon::serve(&world, SETTINGS).await;
        let loader = Loader::start(seed(), buzon.address);
        for round in 0..rounds {
            let copies = (0..COPIES).flat_map(|copy| bombs(round as usize * COPIES + copy));
            let address = buzon.address;
            let thrown: JoinSet<_> =
                copies.map(|bomb| async move { (throw(address, &bomb.bytes).await, bomb) }).collect();
            let (thrown, ()) = tokio::join!(thrown.join_all(), loader.wait_for_acks(100));
            for (status, bomb) in thrown {
                assert!(bomb.answers.contains(&status), "{}: {status}", bomb.what);
                if let Some(delivery) = &bomb.delivery {
                    note(&mut sent, delivery, if status == 200 { Fate::Acked } else { Fate::Failed });
                }
            }
        }
        sent.extend(loader.end().await);
        let peak = buzon.peak_memory();
        println!("at most {} MB of memory", peak / 1_000_000);
        assert!(peak < MAX_MEMORY, "{peak}");
        assert_nothing_lost(&world, &sent, rounds).await;
        buzon.kill().await;
    })
    .await;
}
