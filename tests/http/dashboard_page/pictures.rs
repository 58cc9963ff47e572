//! The pictures of the documents, which `BUZON_TEST_PICTURES=$PWD/docs` takes anew. Without it they are taken and thrown away.

use super::*;
use crate::support::program::process::{Buzon, run};

const TOKEN: &str = "0123456789abcdef-token-of-the-owner";
/// A conversation of the simulator's first instance.
const CHAT: &str = "sim-1/573000000030%40c.us";
const PICTURES: [(&str, [u32; 2]); 2] = [("dashboard.png", [1100, 640]), ("dashboard-phone.png", [720, 1280])];

/// Returns the width and the height of a PNG, which follow its signature and the head of its first part.
fn size(png: &[u8]) -> [u32; 2] {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    [16, 20].map(|at| u32::from_be_bytes(png[at..at + 4].try_into().expect("it has four bytes")))
}

#[test(flavor = "multi_thread")]
async fn the_pictures_of_the_documents_show_what_the_simulator_sends() {
    let world = World::new(Backend::Sqlite).await;
    let files = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port is free");
    let gateway = format!("http://{files}");
    let settings = [
        ("BUZON_WEBHOOK_SECRET", SECRET),
        ("BUZON_API_TOKEN", TOKEN),
        ("BUZON_TIME_ZONE", "America/Bogota"),
        ("BUZON_GATEWAY_URL", gateway.as_str()),
    ];
    let buzon = Buzon::serve(&world, &settings).await;
    let (to, files) = (format!("http://{}", buzon.address), files.to_string());
    let arguments = ["--rate", "100", "--duration", "8s", "--seed", "7", "--start", "2026-11-24"];
    let arguments = [&["simulate", "--to", &to, "--files", &files], &arguments[..]].concat();
    let sent = run(world.folder.path(), &arguments, &settings).await;
    assert!(sent.status.success(), "{sent:?}");
    let taken = world.folder.path().join("pictures");
    std::fs::create_dir(&taken).expect("it can be made");
    let asked = std::env::var("BUZON_TEST_PICTURES").unwrap_or_else(|_| taken.display().to_string());
    let page = format!("http://{}/", buzon.api_address);
    let steps = [("CHAT", CHAT), ("BUZON_TEST_PICTURES", asked.as_str())];
    let mut browsing = Browsing::start("pictures", (&page, &to), TOKEN, &steps);
    assert_eq!(browsing.asked().await, None);
    for (name, expected) in PICTURES {
        for folder in [Path::new(&asked), &root().join("docs")] {
            let picture = std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(size(&picture), expected, "{name} in {}", folder.display());
        }
    }
    buzon.kill().await;
}
