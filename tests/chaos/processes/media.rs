//! R14: files are saved while the processes that save them die and freeze. `tests/media/exactly_once.rs` tries each
//! step by itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::chaos::{Loader, assert_nothing_lost, events_until_fault, rounds, seed};
use crate::media::exactly_once::LEASES_END;
use crate::media::{all_end, key};
use crate::support::borrowed;
use crate::support::database::world::{Backend, World};
use crate::support::events::SECRET;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::process::Buzon;
use crate::support::s3::S3Server;
use buzon::simulate::SeededRng;

/// Returns the content that the gateway has at this path: some bytes, or some hundred thousand.
fn content(path: &str) -> Vec<u8> {
    let hash = Sha256::digest(path);
    let times = if hash[0].is_multiple_of(4) { 10_000 } else { 3 };
    hash.repeat(times)
}

/// The place where the files are saved.
#[derive(Clone, Copy, Debug)]
enum Place {
    Folder,
    Bucket,
}

/// Returns the objects without those that an unfinished upload left behind.
fn objects(root: &Path) -> Vec<PathBuf> {
    let entries =
        |path: &Path| std::fs::read_dir(path).map_or_else(|_| vec![], |entries| Vec::from_iter(entries.flatten()));
    let shards = entries(root).into_iter().map(|entry| entry.path()).filter(|path| path.is_dir());
    let files = shards.flat_map(|shard| entries(&shard)).map(|entry| entry.path());
    files.filter(|path| !name(path).contains('#')).collect()
}

fn name(path: &Path) -> String {
    path.file_name().expect("it has a name").to_string_lossy().into_owned()
}

/// Asserts that every job ended with the right bytes, and that every object belongs to a job. Returns the number of
/// jobs.
async fn assert_saved(world: &World, root: &Path) -> usize {
    let rows = world.rows("SELECT DISTINCT source_url, state, object_key FROM media").await;
    let mut wanted = BTreeSet::new();
    for row in &rows {
        let url = row.split('|').next().expect("it has columns");
        let hash = key(&content(url)).to_string();
        assert_eq!(*row, format!("{url}|stored|{hash}"));
        wanted.insert(hash);
    }
    let mut found = BTreeSet::new();
    for path in objects(root) {
        let bytes = std::fs::read(&path).expect("it can be read");
        assert_eq!(key(&bytes).to_string(), name(&path), "an object is what its name says");
        found.insert(name(&path));
    }
    assert_eq!(found, wanted);
    let held = "SELECT count(*) FROM media WHERE lease_until IS NOT NULL";
    assert_eq!(world.value(held).await, "0", "jobs that are still leased");
    rows.len()
}

/// Kills one of the processes, or freezes it until its leases have expired and others have done its work.
async fn kill_or_freeze(
    world: &World,
    processes: &mut Vec<Buzon>,
    settings: &[(&str, &str)],
    loader: &Loader,
    rng: &mut SeededRng,
) {
    let victim = processes.swap_remove(rng.below(processes.len() as u64) as usize);
    if processes.is_empty() || rng.in_thousand(500) {
        victim.kill().await;
        world.execute(LEASES_END).await;
        processes.push(Buzon::serve(world, settings).await);
    } else {
        loader.send_to(processes.iter().map(|buzon| buzon.address).collect());
        victim.signal(Signal::STOP);
        world.execute(LEASES_END).await;
        loader.wait_for_acks(20).await;
        victim.signal(Signal::CONT);
        processes.push(victim);
    }
    loader.send_to(processes.iter().map(|buzon| buzon.address).collect());
}

#[test(flavor = "multi_thread")]
async fn every_file_is_saved_once_and_whole_whoever_dies_or_stands_still() {
    for (backend, place, many) in [(Backend::Sqlite, Place::Folder, 1), (Backend::Postgres, Place::Bucket, 3)] {
        println!("on {backend:?}, into a {place:?}");
        let (seed, rounds) = (seed(), rounds(4));
        let mut rng = SeededRng::new(seed);
        let world = World::new(backend).await;
        let (gateway, s3) = (FileServer::start().await, S3Server::start().await);
        gateway.reply_to_all(|path| Reply::file(&content(path)));
        let mut settings = match place {
            Place::Folder => vec![],
            Place::Bucket => s3.settings(),
        };
        settings.extend([("BUZON_WEBHOOK_SECRET", SECRET.to_owned()), ("BUZON_GATEWAY_URL", gateway.url(""))]);
        let settings = borrowed(&settings);
        let mut processes = join_all((0..many).map(|_| Buzon::serve(&world, &settings))).await;
        let loader = Loader::start_on(seed, processes.iter().map(|buzon| buzon.address).collect());
        for _ in 0..rounds {
            loader.wait_for_acks(events_until_fault(&mut rng, 40, 120)).await;
            kill_or_freeze(&world, &mut processes, &settings, &loader, &mut rng).await;
        }
        loader.wait_for_acks(50).await;
        let sent = loader.end().await;
        world.execute(LEASES_END).await;
        all_end(&world).await;
        let root = match place {
            Place::Folder => world.data_dir().join("media"),
            Place::Bucket => s3.bucket().join("saved"),
        };
        println!("{} files are saved", assert_saved(&world, &root).await);
        assert_nothing_lost(&world, &sent, rounds).await;
        join_all(processes.into_iter().map(Buzon::kill)).await;
    }
}
