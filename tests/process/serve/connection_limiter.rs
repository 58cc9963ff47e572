//! The limit on connections per address, in a network namespace where peers have public addresses.

use std::process::Stdio;

use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::database::world::{Backend, World};
use crate::support::program::mount_namespace::namespace;
use crate::support::program::process::Buzon;

/// A script that prints the status line of an answer on each of its connections, or `closed`.
const CLIENT: &str = r#"
    trap '' PIPE
    ask() {
        printf 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n' >&"$1"
        if IFS= read -r line <&"$1"; then echo "${line%$'\r'}"; else echo closed; fi
    } 2>/dev/null
    exec 3<>/dev/tcp/203.0.113.9/$1; ask 3
    exec 4<>/dev/tcp/203.0.113.9/$1; ask 4
    exec 5<>/dev/tcp/203.0.113.9/$1; ask 5
    exec 6<>/dev/tcp/127.0.0.1/$1; ask 6
    exec 3>&-
    until exec 7<>/dev/tcp/203.0.113.9/$1; [ "$(ask 7)" != closed ]; do :; done
    echo again
"#;

async fn statuses(proxies: &str) -> Vec<String> {
    let world = World::empty(Backend::Sqlite).await;
    let network = "ip link set lo up && ip address add 203.0.113.9/32 dev lo && exec \"$@\"";
    let wrapper = [namespace(), &["--net", "sh", "-c", network, "sh"]].concat();
    let settings =
        [("BUZON_LISTEN", "0.0.0.0:0"), ("BUZON_MAX_CONNECTIONS_PER_ADDRESS", "2"), ("BUZON_TRUSTED_PROXIES", proxies)];
    let mut buzon = Buzon::serve_under("unshare", &wrapper, &world, &settings).await;
    let of_process = buzon.root().parent().expect("it is a folder of the process").join("ns");
    let mut client = Command::new("nsenter");
    if namespace().contains(&"--user") {
        client.arg(format!("--user={}", of_process.join("user").display())).arg("--preserve-credentials");
    }
    client.arg(format!("--net={}", of_process.join("net").display()));
    client.args(["bash", "-c", CLIENT, "bash", &buzon.address.port().to_string()]);
    let output = client.stderr(Stdio::inherit()).kill_on_drop(true).output();
    let output = timeout(PATIENCE, output).await.expect("it ends").expect("it can be started");
    buzon.signal(Signal::TERM);
    assert!(buzon.wait().await.success());
    let logged = Buzon::log(&world).await.contains("connections were closed at once");
    assert_eq!(logged, proxies.is_empty(), "the owner is told");
    String::from_utf8(output.stdout).expect("it is text").lines().map(str::to_owned).collect()
}

#[test]
async fn an_address_has_as_many_connections_as_it_may_and_this_machine_is_not_counted() {
    let ok = "HTTP/1.1 200 OK";
    assert_eq!(statuses("").await, [ok, ok, "closed", ok, "again"]);
}

#[test]
async fn a_trusted_proxy_has_as_many_as_it_wants() {
    let ok = "HTTP/1.1 200 OK";
    assert_eq!(statuses("203.0.113.0/24").await, [ok, ok, ok, ok, "again"]);
}
