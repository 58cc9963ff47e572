//! `buzon sql`, as a person uses it.

use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::clock::ARRIVAL;
use crate::support::database::world::{Backend, World, on_both_empty, record};
use crate::support::events::{event, received};
use crate::support::program::process::{Buzon, command, run};

async fn sql(world: &World, arguments: &[&str]) -> Output {
    let arguments = [&["sql"], arguments].concat();
    run(world.folder.path(), &arguments, &[("BUZON_DATABASE_URL", &world.url)]).await
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

#[track_caller]
fn refusal(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).expect("it is text");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
async fn a_query_is_answered_in_each_format_beside_a_running_service() {
    on_both_empty(async |world| {
        let buzon = Buzon::serve(&world, &[("BUZON_TIME_ZONE", "America/Bogota")]).await;
        let body = received("A", json!({"body": "=1+1, \"hola\"\nadiós", "sender_name": null}));
        let post = crate::support::client().post(format!("http://{}/webhook/7", buzon.address)).body(body);
        assert_eq!(post.send().await.expect("it answers").status(), 200);
        let query = "SELECT id, local_time, contact_name, local_hour, body FROM v_messages";
        assert_eq!(
            stdout(&sql(&world, &[query]).await),
            "| id | local_time              | contact_name | local_hour | body               |\n\
             |----|-------------------------|--------------|------------|--------------------|\n\
             | A  | 2024-08-26T19:00:00.000 |              |         19 | =1+1, \"hola\"↵adiós |\n\
             (1 row)\n"
        );
        assert_eq!(
            stdout(&sql(&world, &[query, "--format", "csv"]).await),
            "id,local_time,contact_name,local_hour,body\n\
             A,2024-08-26T19:00:00.000,,19,\"'=1+1, \"\"hola\"\"\nadiós\"\n"
        );
        let object = json!({"id": "A", "local_time": "2024-08-26T19:00:00.000", "contact_name": null,
                            "local_hour": 19, "body": "=1+1, \"hola\"\nadiós"});
        let array: Value =
            serde_json::from_str(&stdout(&sql(&world, &[query, "--format", "json"]).await)).expect("it is JSON");
        assert_eq!(array, json!([object]));
        let lines = stdout(&sql(&world, &[query, "--format", "ndjson"]).await);
        assert_eq!(serde_json::from_str::<Value>(lines.trim_end()).expect("it is JSON"), object);
        assert_eq!(lines.lines().count(), 1);
        buzon.kill().await;
    })
    .await;
}

#[test]
async fn a_query_is_taken_from_a_file_and_from_standard_input_and_without_one_the_views_are_listed() {
    on_both_empty(async |world| {
        world.open().await.close().await;
        std::fs::write(world.folder.path().join("q.sql"), "SELECT 1 AS one;\n").expect("it can be written");
        assert!(stdout(&sql(&world, &["--file", "q.sql", "--format", "csv"]).await).starts_with("one\n1\n"));
        for arguments in [&["sql", "-", "--format", "csv"][..], &["sql", "--format", "csv"]] {
            let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
            let mut command = command(world.folder.path(), arguments, &settings);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
            let mut stdin = child.stdin.take().expect("it is piped");
            stdin.write_all(b"SELECT 2 AS two").await.expect("it reads");
            drop(stdin);
            let output = child.wait_with_output().await.expect("it ends");
            assert_eq!(stdout(&output), "two\n2\n");
        }
        let listed = stdout(&sql(&world, &[]).await);
        let mut names: Vec<&str> = listed
            .lines()
            .filter_map(|line| line.strip_prefix("  v_").map(|_| line.trim_start()))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        names.sort();
        let views = match world.backend {
            Backend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name",
            Backend::Postgres => {
                "SELECT table_name::text FROM information_schema.views WHERE table_schema = current_schema() ORDER BY 1"
            }
        };
        assert_eq!(names, world.rows(views).await);
    })
    .await;
}

#[test]
async fn what_is_wrong_is_said_in_one_line() {
    on_both_empty(async |world| {
        world.open().await.close().await;
        for (arguments, code, said) in [
            (&["DELETE FROM messages"][..], 2, "this reads only"),
            (&[""], 2, "there is no query"),
            (&["SELECT nothing FROM v_messages"], 1, "nothing"),
            (&["SELECT 1 FROM"], 1, "buzon: "),
            (&["--file", "none.sql"], 1, "none.sql"),
        ] {
            let refused = refusal(&sql(&world, arguments).await, code);
            assert!(refused.contains(said), "{arguments:?} {refused}");
        }
        for arguments in [&["SELECT 1", "--file", "x"][..], &["SELECT 1", "--timeout", "0"], &["--format", "xml"]] {
            assert_eq!(sql(&world, arguments).await.status.code(), Some(2), "{arguments:?}");
        }
    })
    .await;
    let none = World::in_folder("none/buzon.db");
    assert!(refusal(&sql(&none, &["SELECT 1"]).await, 2).contains("there is no database at"));
}

/// Returns a query with an endless number of rows.
fn endless(world: &World) -> &'static str {
    match world.backend {
        Backend::Sqlite => "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT n FROM n",
        Backend::Postgres => "SELECT generate_series(1, 1000000000000) AS n",
    }
}

#[test]
async fn the_time_limit_and_ctrl_c_end_a_query() {
    on_both_empty(async |world| {
        world.open().await.close().await;
        let counted = format!("SELECT count(*) FROM ({}) AS endless", endless(&world));
        let late = sql(&world, &[&counted, "--timeout", "1"]).await;
        assert!(refusal(&late, 1).contains("longer than 1 seconds"));
        // The first of its rows shows that the query is running.
        let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
        let arguments = ["sql", endless(&world), "--format", "csv"];
        let mut command = command(world.folder.path(), &arguments, &settings);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut first = [0; 4];
        child.stdout.as_mut().expect("it is piped").read_exact(&mut first).await.expect("it prints");
        assert_eq!(&first, b"n\n1\n");
        let process = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");
        // The reader has stopped reading. The program must end although it cannot print.
        kill_process(process, Signal::INT).expect("it can be signalled");
        let status = tokio::time::timeout(crate::support::PATIENCE, child.wait()).await.expect("it ends");
        assert_eq!(status.expect("it ends").code(), Some(130));
        if world.backend == Backend::Postgres {
            let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                         AND pid <> pg_backend_pid() AND query LIKE '%generate_series%'";
            crate::support::eventually("the server has given it up", async || world.value(query).await == "0").await;
        }
    })
    .await;
}

#[test]
async fn a_reader_that_stops_after_the_first_lines_is_no_failure() {
    on_both_empty(async |world| {
        let store = world.open().await;
        record(&store, &[event("7", received("A", json!({})), ARRIVAL)]).await;
        store.close().await;
        let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
        let arguments = ["sql", endless(&world), "--format", "ndjson"];
        let mut command = command(world.folder.path(), &arguments, &settings);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut stdout = child.stdout.take().expect("it is piped");
        let mut first = [0; 8];
        stdout.read_exact(&mut first).await.expect("it prints");
        drop(stdout);
        let output = child.wait_with_output().await.expect("it ends");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    })
    .await;
}
