//! A move that nothing interrupts.

use super::*;

#[test(flavor = "multi_thread")]
async fn a_shop_moves_to_postgres_with_everything_that_it_has_and_goes_on_there() {
    let shop = Shop::new().await;
    for (table, _, rows) in shop.tables().await {
        let may_be_empty = ["chat_moves", "media_object_locks", "media_removals", "erasure_ids"];
        assert!(!rows.is_empty() || may_be_empty.contains(&table.as_str()), "the shop has something in {table}");
    }
    let (positions, events) = (shop.world.position(5).await, shop.world.event_ids().await);
    let clock = shop.world.value("SELECT seq FROM ledger_clock").await;
    let target = World::empty(Backend::Postgres).await;
    let said = shop.copied(&target).await;
    assert!(said.contains("has taken its place") && said.contains("is retired"), "{said}");
    let lines = |side: &str| said.lines().filter(|line| line.contains(&format!("| {side}"))).count();
    assert_eq!((lines("both"), lines("source"), lines("copy ")), (26, 0, 0), "{said}");
    assert!(said.contains(&format!(" {} |", events.len())), "{said}");

    shop.assert_at(&target).await;
    assert_eq!(target.value("SELECT paused, pause_reason FROM forwards").await, "1|copied");
    let check = shop.run_on(&target, &["rebuild", "--check"]).await;
    assert!(check.status.success(), "{check:?}");
    assert_eq!(target.position(5).await, positions, "readers of the feed go on");

    let buzon = shop.serve(&target).await;
    let get = |path: &str| {
        let url = format!("http://{}/api/v1/{path}", buzon.api_address);
        let request = crate::support::client().get(url).bearer_auth(&shop.token);
        async { request.send().await.expect("it answers") }
    };
    let chats = get("chats").await;
    assert_eq!(chats.status(), 200);
    assert!(chats.text().await.expect("it is text").contains("Eva (mayorista)"));
    assert_eq!(get(&format!("events?after={positions}")).await.status(), 200);
    buzon.deliver(received("after", json!({}))).await.accepted();
    let newest = target.value("SELECT max(seq) FROM events").await;
    assert!(newest.parse::<i64>().expect("it is a number") > clock.parse().expect("it is one"), "{newest}");
    for arguments in [
        &["token", "create", "--name", "another"][..],
        &["export", "messages", "again.csv"],
        &["login", "--no-qr"],
        &["retention", "--yes"],
        &["media", "sweep"],
    ] {
        let done = shop.run_on(&target, arguments).await;
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }
    buzon.kill().await;
}

#[test(flavor = "multi_thread")]
async fn a_source_that_has_moved_says_where_to_and_nothing_opens_it_any_more() {
    let shop = Shop::new().await;
    let target = World::empty(Backend::Postgres).await;
    shop.copied(&target).await;
    let before = std::fs::read(shop.world.folder.path().join("buzon.db")).expect("it is there");
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["migrate"],
        &["rebuild"],
        &["rebuild", "--check"],
        &["token", "list"],
        &["token", "create", "--name", "late"],
        &["sql", "SELECT 1"],
        &["media", "sweep"],
        &["export", "messages", "late.csv"],
        &["backup", "backups"],
        &["retention", "--yes"],
        &["audit"],
    ] {
        let said = text(&shop.run_on(&shop.world, arguments).await.stderr);
        let place = format!("was copied to {}", shown(&target));
        assert!(said.contains(&place) && said.contains(" at 20"), "{arguments:?}: {said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
    let doctor = shop.run_on(&shop.world, &["doctor"]).await;
    assert_eq!(doctor.status.code(), Some(2));
    assert!(text(&doctor.stdout).contains("was copied to") && text(&doctor.stdout).contains("set database_url"));
    assert_eq!(std::fs::read(shop.world.folder.path().join("buzon.db")).expect("it is there"), before);

    let again = shop.copied(&target).await;
    assert!(again.contains("it is done already"), "{again}");
    let elsewhere = World::empty(Backend::Postgres).await;
    assert!(shop.not_copied(&elsewhere, 2).await.contains("was copied to"));
}

/// Returns the URL without what is secret or a parameter.
fn shown(world: &World) -> String {
    let url = url::Url::parse(&world.url).expect("it is a URL");
    format!("postgres://{}:{}{}", url.host_str().unwrap_or_default(), url.port().unwrap_or_default(), url.path())
}
