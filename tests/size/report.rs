//! Further output of a run at full size: latency while events arrive, bytes on disk, and the plans of slow questions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use buzon::platform::clock::{Clock, SystemClock};
use futures_util::future::join_all;
use serde_json::json;

use super::measure::{HEAD, Times, measure};
use super::plans;
use super::questions::Question;
use crate::support::database::world::{Backend, World};
use crate::support::events::received;
use crate::support::program::service::Service;

/// The questions of a dashboard while events arrive.
const MEANWHILE: [&str; 12] = [
    "a message by its id",
    "a page of a chat",
    "the chat list",
    "unanswered chats",
    "the first page of all messages",
    "the 10,000th page of all messages",
    "type",
    "has_media=true",
    "the feed",
    "messages by day",
    "search: a common word",
    "search: a rare word",
];
/// Senders, each of which sends a fixed number of events per second.
const SENDERS: u64 = 10;
const EACH: u64 = 20;

pub async fn report(world: &World, service: &Service, questions: &[Question<'_>], answered: &[Times]) {
    print_sizes(world).await;
    print_plans(world, service, answered).await;
    let began = Instant::now();
    let sent = AtomicU64::new(0);
    println!("While events arrive:\n{HEAD}");
    let chosen: Vec<&Question<'_>> = questions.iter().filter(|it| MEANWHILE.contains(&it.name)).collect();
    tokio::select! {
        _ = join_all((0..SENDERS).map(|sender| send(service, sender, &sent))) => {}
        _ = measure(service, chosen, 200) => {}
    }
    println!("{:.0} events a second", sent.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64());
}

/// Delivers messages for ever.
async fn send(service: &Service, sender: u64, sent: &AtomicU64) {
    let mut again = tokio::time::interval(Duration::from_secs(1) / EACH as u32);
    let run = SystemClock.now().millis();
    for number in 0u64.. {
        again.tick().await;
        let chat_id = format!("{}@c.us", 573_000_000_000 + (number * SENDERS + sender) % 1_000 * 17);
        let fields = json!({"chat_id": chat_id, "from": chat_id, "timestamp": super::history::END.millis() / 1_000});
        let id = format!("NEW{run}-{sender}-{number}");
        assert!(!service.deliver("/webhook/1001", received(&id, fields)).await.accepted());
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// Prints the size of each table and index, in megabytes.
async fn print_sizes(world: &World) {
    let sizes = match world.backend {
        Backend::Sqlite => {
            "SELECT name, sum(pgsize) / 1000000 FROM dbstat GROUP BY name HAVING sum(pgsize) >= 1000000 \
                            ORDER BY 2 DESC"
        }
        Backend::Postgres => {
            "SELECT oid::regclass::text, pg_table_size(oid) / 1000000 FROM pg_class \
                              WHERE relkind IN ('r', 'i') AND pg_table_size(oid) >= 1000000 ORDER BY 2 DESC"
        }
    };
    println!("Megabytes on disk:");
    world.rows(sizes).await.iter().for_each(|line| println!("  {line}"));
}

/// Repeats the questions that took too long, and prints PostgreSQL's plans for them.
async fn print_plans(world: &World, service: &Service, answered: &[Times]) {
    for over in answered.iter().filter(|times| times.is_over()) {
        println!("over its limit: {}: {}", over.name, over.slowest);
        if world.backend == Backend::Postgres {
            println!("{}", plans::of(world, service, &over.slowest).await);
        }
    }
}
