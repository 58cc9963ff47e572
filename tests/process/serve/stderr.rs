//! Whatever happens to the log, events are stored and answered, and the process stops when it is told to.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::database::world::{Backend, World, on_both_empty};
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::program::mount_namespace::namespace;
use crate::support::program::process::Buzon;

/// At this level, more is logged than a pipe holds.
const SETTINGS: [(&str, &str); 2] = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_LOG", "trace")];
const END: Duration = Duration::from_secs(8);

async fn status(buzon: &Buzon, path: &str) -> u16 {
    let get = crate::support::client().get(format!("http://{}{path}", buzon.address));
    get.send().await.expect("it answers").status().as_u16()
}

/// Delivers events of the gateway and of strangers, stops the program in order, and asserts that everything was stored.
async fn assert_works_to_its_end(mut buzon: Buzon, world: &World) {
    for n in 0..50 {
        buzon.deliver(received(&format!("A{n}"), json!({}))).await.accepted();
        let unsigned = crate::support::client().post(format!("http://{}/webhook/7", buzon.address)).body("{}");
        assert_eq!(unsigned.send().await.expect("it answers").status(), 401);
        assert_eq!(status(&buzon, "/health/live").await, 200);
    }
    buzon.signal(Signal::TERM);
    let ended = timeout(END, buzon.wait()).await.expect("it ends within 8 seconds");
    assert!(ended.success(), "{ended}");
    assert_eq!(world.value("SELECT count(*) FROM messages").await, "50");
}

#[test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_costs_its_lines_and_nothing_else() {
    on_both_empty(async |world| {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let buzon = Buzon::serve_logging_to(full, &world, &SETTINGS).await;
        assert_works_to_its_end(buzon, &world).await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_reader_that_has_gone_ends_nothing() {
    on_both_empty(async |world| {
        let (reader, writer) = std::io::pipe().expect("there are pipes");
        let buzon = Buzon::serve_logging_to(writer, &world, &SETTINGS).await;
        drop(reader);
        assert_works_to_its_end(buzon, &world).await;
    })
    .await;
}

/// Fills a pipe to its last byte, and restores its flags.
fn fill(mut writer: &PipeWriter) {
    let flags = fcntl_getfl(writer).expect("it is open");
    fcntl_setfl(writer, flags | OFlags::NONBLOCK).expect("it can be set");
    while writer.write(b"\n").is_ok() {}
    fcntl_setfl(writer, flags).expect("it can be set");
}

#[test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_holds_up_nothing() {
    on_both_empty(async |world| {
        let (reader, writer) = std::io::pipe().expect("there are pipes");
        fill(&writer);
        let buzon = Buzon::serve_logging_to(writer, &world, &SETTINGS).await;
        assert_works_to_its_end(buzon, &world).await;
        drop(reader);
    })
    .await;
}

/// Returns a terminal, and the end from which its output can be read.
fn terminal() -> (OwnedFd, File) {
    let shown = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&shown).and_then(|()| unlockpt(&shown)).expect("it can be used");
    let name = ptsname(&shown, vec![]).expect("it has a name");
    let terminal = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it can be opened");
    (terminal, shown.into())
}

#[test(flavor = "multi_thread")]
async fn a_terminal_that_is_closed_ends_nothing() {
    on_both_empty(async |world| {
        let (terminal, shown) = terminal();
        let buzon = Buzon::serve_logging_to(terminal, &world, &SETTINGS).await;
        drop(shown);
        assert_works_to_its_end(buzon, &world).await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn at_a_terminal_a_line_has_its_message_first_and_what_was_stored_is_counted() {
    let world = World::empty(Backend::Sqlite).await;
    let (terminal, shown) = terminal();
    let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("NO_COLOR", "1")];
    let buzon = Buzon::serve_logging_to(terminal, &world, &settings).await;
    buzon.deliver(br#"{"event_type":"test_webhook"}"#.to_vec()).await.accepted();
    let lines = tokio::task::spawn_blocking(|| {
        BufReader::new(shown)
            .lines()
            .map(|line| line.expect("it is text").trim_end().to_owned())
            // The first line says that a database was created.
            .skip(1)
            .take(2)
            .collect::<Vec<_>>()
    });
    let lines = lines.await.expect("they can be read");
    let after_the_time: Vec<&str> = lines.iter().map(|line| line.split_once(' ').expect("there is more").1).collect();
    let test =
        " INFO a test webhook has arrived and is stored (signature valid) instance.id=7 client.address=127.0.0.1 ";
    assert!(after_the_time[0].starts_with(test), "{lines:?}");
    assert_eq!(after_the_time[1], " INFO events were stored others=1");
    buzon.kill().await;
}

/// Starts the program with a small disk for its log. Returns it with that disk as it sees it.
async fn serve_with_a_small_disk_for_the_log(world: &World) -> (Buzon, PathBuf) {
    let mounted = world.folder.path().join("small");
    std::fs::create_dir(&mounted).expect("it can be made");
    let script = format!("mount -t tmpfs -o size=256k none {0} && exec \"$@\" 2>{0}/log", mounted.display());
    let wrapper = [namespace(), &["sh", "-c", script.as_str(), "sh"]].concat();
    let buzon = Buzon::serve_under("unshare", &wrapper, world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    let inside = buzon.root().join(mounted.strip_prefix("/").expect("it is absolute"));
    (buzon, inside)
}

#[test(flavor = "multi_thread")]
async fn what_a_full_disk_cost_the_log_is_counted_and_said_when_there_is_room() {
    on_both_empty(async |world| {
        let (buzon, inside) = serve_with_a_small_disk_for_the_log(&world).await;
        let filler = inside.join("filler");
        let written = std::fs::write(&filler, vec![0; 1024 * 1024]);
        assert!(written.is_err(), "the disk is full");
        let mut sent = 0;
        let mut test = async || {
            sent += 1;
            buzon.deliver(format!(r#"{{"event_type":"test_webhook","n":{sent}}}"#).into_bytes()).await.accepted();
        };
        let lost = async || {
            let answer = crate::support::client().get(format!("http://{}/metrics", buzon.address)).send().await;
            let text = answer.expect("it answers").text().await.expect("it is whole");
            text.lines().any(|line| line.starts_with("buzon_log_lines_lost_total ") && !line.ends_with(" 0"))
        };
        eventually("a line is lost", async || {
            test().await;
            lost().await
        })
        .await;
        std::fs::remove_file(&filler).expect("it is there");
        test().await;
        let log = || {
            let mut log = String::new();
            File::open(inside.join("log")).and_then(|mut file| file.read_to_string(&mut log)).expect("it can be read");
            log
        };
        eventually("it is said", async || log().contains("log lines were lost")).await;
        let log = log();
        let lines: Vec<&str> = log.lines().collect();
        let said = lines.iter().position(|line| line.contains("log lines were lost")).expect("it is said");
        // A line that was cut off is followed by a line break.
        let whole = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line} in {log}"));
        assert_eq!((&whole(lines[said])["level"], &whole(lines[said - 1])["level"]), (&json!("WARN"), &json!("INFO")));
        buzon.kill().await;
    })
    .await;
}
