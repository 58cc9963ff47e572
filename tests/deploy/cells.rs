//! Two cells behind one host name, with the shipped files and the lines that `docs/deploy.md` adds to them.

use serde_json::json;

use super::reverse_proxy::{Proxy, RunningProxy, Upstreams};
use crate::support::database::world::{Backend, World};
use crate::support::events::{SECRET, received};
use crate::support::program::process::Buzon;
use crate::support::program::service::answer;

const SETTINGS: [(&str, &str); 3] =
    [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_TRUSTED_PROXIES", "127.0.0.1"), ("BUZON_API_LISTEN", "127.0.0.2:0")];

#[test(flavor = "multi_thread")]
async fn each_instances_events_arrive_in_its_cell() {
    for proxy in [Proxy::Nginx, Proxy::Caddy] {
        println!("behind {proxy:?}");
        let cells = [World::empty(Backend::Sqlite).await, World::empty(Backend::Sqlite).await];
        let services = [Buzon::serve(&cells[0], &SETTINGS).await, Buzon::serve(&cells[1], &SETTINGS).await];
        let [a, b] = [services[0].address, services[1].address];
        let upstreams = Upstreams { webhook: a, api: services[0].api_address, cell_b: Some(b), open: false };
        let front = RunningProxy::start(proxy, upstreams).await;
        for path in ["", "/", "/123", "/123/", "/124", "/124/", "/125", "/1245", "/a%2F124"] {
            let post = front.post(&format!("/webhook{path}"), received(&format!("of {path}"), json!({})));
            assert!(!answer(post).await.accepted(), "{path}");
        }
        let ids = "SELECT id FROM messages ORDER BY id";
        let of_a = ["of ", "of /", "of /123", "of /123/", "of /1245", "of /a%2F124"];
        assert_eq!(cells[0].rows(ids).await, of_a, "{proxy:?}");
        assert_eq!(cells[1].rows(ids).await, ["of /124", "of /124/", "of /125"], "{proxy:?}");
        for service in services {
            service.kill().await;
        }
    }
}
