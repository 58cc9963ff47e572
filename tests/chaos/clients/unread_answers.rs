//! Readers who ask for the largest answers and read nothing of them.

use std::net::SocketAddr;

use buzon::simulate::SeededRng;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::chaos::harness::expected_rows::{ExpectedRows, Table};
use crate::chaos::harness::ledger::{Fate, SentEvents, note};
use crate::chaos::harness::traffic::SimulatedDelivery;
use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, rounds, seed};
use crate::support::database::tokens::token;
use crate::support::database::world::on_both;
use crate::support::program::process::Buzon;
use crate::support::{PATIENCE, client};

const OWNER: &str = "0123456789abcdef0123456789abcdef";
const READERS: usize = 120;
/// The instance of these messages alone; the loader uses others.
const INSTANCE: &str = "long";
const MESSAGES: usize = 200;
const LETTERS: usize = 32_768;
/// The maximum memory of the whole process in bytes, including the loader's events.
const MAX_MEMORY: u64 = 200_000_000;

/// Sends the request, and reads no more of the answer than its status.
async fn ask(address: SocketAddr, token: String, encoding: &'static str) -> (u16, TcpStream) {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.set_recv_buffer_size(1_024).expect("the socket takes it");
    let mut stream = socket.connect(address).await.expect("it listens");
    let head = format!(
        "GET /api/v1/messages?limit=200 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Accept-Encoding: {encoding}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut line = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut line)).await.expect("it answers").expect("it answers");
    let status = std::str::from_utf8(&line[9..]).ok().and_then(|status| status.parse().ok());
    (status.expect("it is a status"), stream)
}

/// Returns a message whose letters hardly compress, so that compression does not hide how many bytes are under way.
fn message(n: usize) -> SimulatedDelivery {
    let mut rng = SeededRng::new(n as u64);
    let letters: String = (0..LETTERS).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
    let id = format!("LONG-{n}");
    let mut meaning = ExpectedRows::default();
    meaning.row(Table::Messages, format!("{INSTANCE}|{id}"));
    meaning.row(Table::Contents, format!("{INSTANCE}|{id}|NULL|{LETTERS}"));
    let body = json!({"event_type": "message_received", "id": id, "body": letters, "timestamp": 1_724_716_800 + n});
    SimulatedDelivery { instance: Some(INSTANCE), body: body.to_string().into_bytes(), meaning }
}

#[test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_take_a_bounded_memory_and_keep_out_neither_events_nor_the_owner() {
    on_both(async |world| {
        let (seed, rounds) = (seed(), rounds(1));
        let settings = [SETTINGS, &[("BUZON_API_TOKEN", OWNER)]].concat();
        let buzon = Buzon::serve(&world, &settings).await;
        let mut sent = SentEvents::new();
        for n in 0..MESSAGES {
            let message = message(n);
            let answer = buzon.deliver_to(&format!("/webhook/{INSTANCE}"), message.body.clone()).await;
            assert!(!answer.accepted());
            note(&mut sent, &message, Fate::Acked);
        }
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(token(&world, &[INSTANCE]).await.text().to_owned());
        }
        let loader = Loader::start(seed, buzon.address);
        for _ in 0..rounds {
            // The readers share one token at first, and then four.
            let mut open = Vec::new();
            for tokens in [&tokens[..1], &tokens] {
                let ask = |n: usize| {
                    let (token, encoding) = (tokens[n % tokens.len()].clone(), ["identity", "gzip"][n / 4 % 2]);
                    ask(buzon.address, token, encoding)
                };
                let readers: JoinSet<_> = (0..READERS).map(ask).collect();
                let (answers, ()) = tokio::join!(readers.join_all(), loader.wait_for_acks(100));
                assert!(answers.iter().all(|(status, _)| [200, 503].contains(status)));
                let answered = answers.iter().filter(|(status, _)| *status == 200).count();
                println!("{answered} of {READERS} with {} tokens were answered", tokens.len());
                assert!((1..READERS).contains(&answered), "some are answered, and some asked to come again");
                open.extend(answers);
                let owner =
                    client().get(format!("http://{}/api/v1/messages?limit=200", buzon.address)).bearer_auth(OWNER);
                let owner = owner.send().await.expect("it answers");
                assert_eq!(owner.status(), 200);
                owner.bytes().await.expect("the owner's answer is whole");
                loader.wait_for_acks(100).await;
            }
        }
        assert_eq!(loader.failed(), 0, "no event was refused");
        sent.extend(loader.end().await);
        let peak = buzon.peak_memory();
        println!("at most {} MB of memory", peak / 1_000_000);
        assert!(peak < MAX_MEMORY, "{peak}");
        assert_nothing_lost(&world, &sent, rounds).await;
        buzon.kill().await;
    })
    .await;
}
