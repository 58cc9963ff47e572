//! Clients that disconnect at any point of a request, many at once, beside others that stay.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::chaos::harness::ledger::{Fate, SentEvents, note};
use crate::chaos::harness::traffic::{SimulatedDelivery, TrafficSource};
use crate::chaos::{Loader, SETTINGS, assert_nothing_lost, rounds, seed};
use crate::support::PATIENCE;
use crate::support::clients::raw_http::request_to;
use crate::support::database::proxy::Proxy;
use crate::support::database::world::{Backend, World, on_both};
use crate::support::program::process::Buzon;
use buzon::simulate::SeededRng;

/// The number of clients that disconnect at the same time.
const CLIENTS: u64 = 24;

/// The point at which a client disconnects.
#[derive(Clone, Copy)]
enum Point {
    InTheHead,
    AfterTheHead,
    InTheBody,
    AfterTheLastByte,
    /// About when the client's batch is committed.
    InTheCommit,
    /// When the first byte of the answer has arrived.
    InTheAnswer,
}

const POINTS: [Point; 6] = [
    Point::InTheHead,
    Point::AfterTheHead,
    Point::InTheBody,
    Point::AfterTheLastByte,
    Point::InTheCommit,
    Point::InTheAnswer,
];

/// A client that is going to disconnect.
struct DisconnectingClient {
    point: Point,
    /// True if the client resets the connection, false if it closes it in order.
    resets: bool,
    request: Vec<u8>,
    /// The number of bytes that the client sends.
    sends: usize,
}

impl DisconnectingClient {
    fn new(delivery: &SimulatedDelivery, rng: &mut SeededRng) -> Self {
        let request = request_to(&delivery.path(), &delivery.body);
        let body = delivery.body.len();
        let head = request.len() - body;
        let (point, resets) = (*rng.pick(&POINTS), rng.in_thousand(500));
        let sends = match point {
            Point::InTheHead => 1 + rng.below(head as u64 - 1) as usize,
            Point::AfterTheHead => head,
            Point::InTheBody => head + rng.below(body as u64) as usize,
            Point::AfterTheLastByte | Point::InTheCommit | Point::InTheAnswer => request.len(),
        };
        Self { point, resets, request, sends }
    }

    async fn go(self, server: SocketAddr, loader: &Loader) {
        let mut stream = TcpStream::connect(server).await.expect("the server listens");
        // The server may refuse the request, and close the connection first.
        let _ = stream.write_all(&self.request[..self.sends]).await;
        match self.point {
            Point::InTheCommit => loader.wait_for_acks(1).await,
            Point::InTheAnswer => {
                let _ = timeout(PATIENCE, stream.readable()).await.expect("it answers");
            }
            _ => {}
        }
        match self.resets {
            true => stream.set_zero_linger().expect("the socket takes it"),
            false => drop(stream.shutdown().await),
        }
    }
}

#[test(flavor = "multi_thread")]
async fn clients_that_vanish_at_any_point_lose_nothing_and_stop_nobody() {
    on_both(async |world| {
        let (seed, rounds) = (seed(), rounds(10));
        let (mut rng, mut source) = (SeededRng::new(seed), TrafficSource::new(seed + 1));
        let buzon = Buzon::serve(&world, SETTINGS).await;
        let loader = Loader::start(seed, buzon.address);
        loader.wait_for_acks(20).await;
        for _ in 0..rounds {
            let events: Vec<SimulatedDelivery> = (0..CLIENTS).map(|_| source.next()).collect();
            join_all(events.iter().map(|event| loader.note(event))).await;
            let clients: Vec<_> = events.iter().map(|event| DisconnectingClient::new(event, &mut rng)).collect();
            join_all(clients.into_iter().map(|client| client.go(buzon.address, &loader))).await;
        }
        loader.wait_for_acks(100).await;
        assert_nothing_lost(&world, &loader.end().await, rounds * CLIENTS).await;
        buzon.kill().await;
    })
    .await;
}

/// sqlx 0.9.0 returns a connection with an open transaction to the pool when the future that waits for it is dropped.
/// Later statements on it are then never committed, or committed together with half of another transaction (sqlx issues
/// 4385 and 4393).
#[test(flavor = "multi_thread")]
async fn a_client_that_vanishes_in_the_middle_of_a_transaction_takes_nobody_with_it() {
    let mut world = World::new(Backend::Postgres).await;
    let direct = world.url.clone();
    let proxy = Proxy::start(&mut world.url).await;
    let (seed, rounds) = (seed(), rounds(10));
    let (mut rng, mut source) = (SeededRng::new(seed), TrafficSource::new(seed));
    let buzon = Buzon::serve(&world, SETTINGS).await;
    let mut sent = SentEvents::new();
    proxy.delay(Duration::from_millis(4));
    for _ in 0..rounds {
        // No other client is connected, so the next transaction is this client's.
        let event = source.next();
        note(&mut sent, &event, Fate::Unknown);
        let mut stream = TcpStream::connect(buzon.address).await.expect("the server listens");
        let statements = proxy.statements_after_begin(rng.below(8));
        stream.write_all(&request_to(&event.path(), &event.body)).await.expect("it reads");
        // An event that cannot be interpreted takes fewer statements.
        let stored = async {
            tokio::select! {
                () = statements => {}
                answered = stream.readable() => answered.expect("it answers"),
            }
        };
        timeout(PATIENCE, stored).await.expect("the event is stored");
        stream.set_zero_linger().expect("the socket takes it");
        drop(stream);
        let others: Vec<SimulatedDelivery> = (0..3).map(|_| source.next()).collect();
        let deliver = async |event: &SimulatedDelivery| buzon.deliver_to(&event.path(), event.body.clone()).await;
        for answer in join_all(others.iter().map(deliver)).await {
            answer.accepted();
        }
        others.iter().for_each(|event| note(&mut sent, event, Fate::Acked));
    }
    world.url = direct;
    assert_nothing_lost(&world, &sent, rounds).await;
    buzon.kill().await;
}
