//! `buzon cell`: several cells in one database, each with its own buzon.

use serde_json::json;

use crate::support::database::postgres;
use crate::support::database::world::{Backend, World};
use crate::support::events::{received, sent};
use crate::support::program::process::{Buzon, run};

const TOKEN: &str = "0123456789abcdef-token-of-the-owner";

/// Makes a cell in the world's database, and returns the world of the cell.
async fn cell(world: &World, name: &str) -> World {
    let made = run(world.folder.path(), &["cell", "init", name], &[("BUZON_DATABASE_URL", &world.url)]).await;
    assert!(made.status.success(), "{made:?}");
    let said = String::from_utf8(made.stdout).expect("it is text");
    let url = said.lines().find_map(|line| line.strip_prefix("BUZON_DATABASE_URL=")).expect("it has a URL");
    assert!(said.contains(&format!("BUZON_CELL={name}\n")), "{said}");
    World::at(url.to_owned())
}

#[test(flavor = "multi_thread")]
async fn two_cells_of_one_database_have_nothing_in_common() {
    let world = World::empty(Backend::Postgres).await;
    let cells = [cell(&world, "a").await, cell(&world, "b").await];
    let mut services = Vec::new();
    for (cell, name) in cells.iter().zip(["a", "b"]) {
        services.push(Buzon::serve(cell, &[("BUZON_CELL", name), ("BUZON_API_TOKEN", TOKEN)]).await);
    }
    let client = crate::support::client();
    for (service, body) in services.iter().zip([received("A", json!({})), sent("B", json!({}))]) {
        let answer = client.post(format!("http://{}/webhook/7", service.address)).body(body).send().await;
        assert_eq!(answer.expect("it answers").status(), 200);
    }
    for (cell, id) in cells.iter().zip(["A", "B"]) {
        assert_eq!(cell.rows("SELECT id FROM messages").await, [id]);
        assert_eq!(cell.value("SELECT seq FROM ledger_clock").await, "1");
    }
    let histories = [cells[0].position(1).await, cells[1].position(1).await];
    assert_ne!(histories[0], histories[1]);
    for (service, position) in services.iter().zip([&histories[1], &histories[0]]) {
        let feed = client.get(format!("http://{}/api/v1/events?after={position}", service.address));
        let refused = feed.bearer_auth(TOKEN).send().await.expect("it answers");
        assert_eq!(refused.status(), 400, "the position is of the other cell");
    }
    let metrics = client.get(format!("http://{}/metrics", services[0].address)).bearer_auth(TOKEN).send().await;
    let metrics = metrics.expect("it answers").text().await.expect("it is text");
    let samples = metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for sample in samples {
        assert!(sample.contains("cell=\"a\""), "{sample}");
    }
    for service in services {
        service.kill().await;
    }
    let again = cell(&world, "a").await;
    assert_eq!(again.rows("SELECT id FROM messages").await, ["A"], "the command can be repeated");
}

#[test]
async fn a_cell_needs_a_usable_name_and_a_database_that_can_have_it() {
    let world = World::empty(Backend::Postgres).await;
    postgres::execute(&world.url, "CREATE SCHEMA taken; CREATE TABLE taken.events (id INT)").await;
    let sqlite = World::in_folder("buzon.db");
    for (url, arguments, why) in [
        (&world.url, ["cell", "init", "Sales"].as_slice(), "a cell's name is 1 to 32 small letters"),
        (&world.url, &["cell", "init", "taken"], "the database holds tables of another program (events)"),
        (&world.url, &["cell", "init", "sales", "--citus"], "this database has no Citus"),
        (&sqlite.url, &["cell", "init", "sales"], "is a file, which holds one cell"),
    ] {
        let refused = run(world.folder.path(), arguments, &[("BUZON_DATABASE_URL", url)]).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!((refused.status.code(), said.contains(why)), (Some(2), true), "{arguments:?}: {said}");
    }
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('Sales', 'sales')";
    assert_eq!(world.value(schemas).await, "0", "what is refused leaves nothing");
}
