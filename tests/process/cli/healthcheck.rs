//! `buzon healthcheck`, as Docker runs it.

use crate::support::database::proxy::Proxy;
use crate::support::database::world::{Backend, World};
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, StoppedFileServer};
use crate::support::program::process::{Buzon, run};

/// Returns the exit code and the only line.
async fn check(world: &World, arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = run(world.folder.path(), &[&["healthcheck"], arguments].concat(), settings).await;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("it is text");
    assert_eq!(said.lines().count(), 1, "{said}");
    (output.status.code(), said)
}

#[test]
async fn a_service_that_takes_events_is_healthy_also_where_it_listens_on_all_addresses() {
    let world = World::empty(Backend::Sqlite).await;
    let buzon = Buzon::serve(&world, &[]).await;
    for listen in [buzon.address.to_string(), format!("0.0.0.0:{}", buzon.address.port())] {
        assert_eq!(check(&world, &[], &[("BUZON_LISTEN", &listen)]).await, (Some(0), "ready\n".to_owned()));
    }
    let listen = buzon.address.to_string();
    assert_eq!(check(&world, &["--live"], &[("BUZON_LISTEN", &listen)]).await, (Some(0), "live\n".to_owned()));
    buzon.kill().await;
}

#[test]
async fn without_its_database_it_is_alive_and_not_healthy() {
    let mut world = World::empty(Backend::Postgres).await;
    let proxy = Proxy::start(&mut world.url).await;
    let buzon = Buzon::serve(&world, &[]).await;
    let listen = buzon.address.to_string();
    let settings = [("BUZON_LISTEN", listen.as_str())];
    proxy.stop();
    eventually("it notices", async || check(&world, &[], &settings).await.0 == Some(1)).await;
    let (code, said) = check(&world, &[], &settings).await;
    assert_eq!((code, said.as_str()), (Some(1), "buzon: buzon is not ready: the database does not answer\n"));
    assert_eq!(check(&world, &["--live"], &settings).await.0, Some(0));
    buzon.kill().await;
}

#[test]
async fn no_service_another_service_and_wrong_settings_exit_with_1() {
    let world = World::empty(Backend::Sqlite).await;
    let (nobody, other) = (StoppedFileServer::new(), FileServer::start().await);
    for (listen, word) in [
        (nobody.address().to_string(), "cannot be reached"),
        (other.address.to_string(), "is not buzon (HTTP 404)"),
        ("nonsense".to_owned(), "BUZON_LISTEN"),
    ] {
        let (code, said) = check(&world, &[], &[("BUZON_LISTEN", &listen)]).await;
        assert!(code == Some(1) && said.contains(word), "{code:?} {said}");
    }
}
