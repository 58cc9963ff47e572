//! The page at `/` in a real browser. The steps are in tests/browser/.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::clients::steps::Browsing;
use crate::support::database::tokens::token;
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{SECRET, received, sent};
use crate::support::program::service::Service;

mod pictures;
mod robust;

const LANGUAGES: [&str; 3] = ["es", "en", "pt"];
/// The messages of the long conversation, many more than the page holds at a time.
const LONG: usize = 900;
/// Texts that would do harm on a page that takes them for markup.
const HOSTILE: [&str; 14] = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "https://example.com/\"onmouseover=\"alert(1)",
    "hola https://example.com/<b>x</b>",
    "*bold* _italic_ ~strike~ `code` hola",
    "\u{202e}cod.exe\u{202c}",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)}",
    "<svg><animate onbegin=alert(1) attributeName=x>",
    "</textarea></title><iframe src=javascript:alert(1)>",
    "\u{627}\u{644}\u{639}\u{631}\u{628}\u{64a}\u{629}",
    "*_~`*_~`*_~`",
    "&lt;b&gt; &amp;",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

async fn deliver(service: &Service, instance: &str, body: Vec<u8>) {
    assert!(!service.deliver(&format!("/webhook/{instance}"), body).await.accepted());
}

/// Delivers a long conversation, one of hostile texts, and one of another instance.
async fn fill(service: &Service) {
    let long = "573000000001@c.us";
    for n in 1..=LONG {
        // Three messages have the same second, as in a hurry.
        let at = 1_724_716_800 + n / 3 * 1_800;
        let fields = json!({ "chat_id": long, "from": long, "body": format!("mensaje {n}"), "timestamp": at });
        deliver(service, "7", received(&format!("L{n}"), fields)).await;
    }
    let mallory = "573000000666@c.us";
    let hostile = |n: usize, fields: Value| {
        let mut all = json!({ "chat_id": mallory, "from": mallory, "sender_name": "<b>Mallory</b>\u{202e} \"'" });
        all["timestamp"] = (1_724_716_800 + n).into();
        for (name, value) in fields.as_object().expect("fields are an object") {
            all[name] = value.clone();
        }
        received(&format!("H{n}"), all)
    };
    for (n, text) in HOSTILE.iter().enumerate() {
        deliver(service, "7", hostile(n, json!({ "body": text }))).await;
    }
    for (n, fields) in [
        json!({ "body": "x".repeat(3_000) }),
        json!({ "body": "*".repeat(2_000) }),
        json!({ "body": "z\u{301}".repeat(500) }),
        json!({ "type": "vcard", "body": "", "vcard": "BEGIN:VCARD\nFN:<img src=x>\nTEL:<b>+57\nEND:VCARD" }),
        json!({ "type": "location", "body": "", "location": { "latitude": 4.6, "longitude": -74.08 } }),
        json!({ "type": "<b>odd</b>", "body": null }),
        json!({ "body": "a quote", "quoted_message_id": "H0" }),
        json!({ "body": "a quote of nothing", "quoted_message_id": "../../x?y=1#\"" }),
        json!({ "type": "e2e_notification", "body": null }),
    ]
    .into_iter()
    .enumerate()
    {
        deliver(service, "7", hostile(100 + n, fields)).await;
    }
    deliver(service, "7", sent("S1", json!({ "timestamp": 1_724_716_900 }))).await;
    let second = json!({ "chat_id": "573000000002@c.us", "from": "573000000002@c.us", "body": "hola" });
    deliver(service, "7", received("T0", second)).await;
    let foreign = json!({ "chat_id": "573000000008@c.us", "from": "573000000008@c.us", "body": "hola de otra línea" });
    deliver(service, "8", received("F1", foreign)).await;
    deliver(service, "8", b"{\"event_type\":\"message_received\"}".to_vec()).await;
}

/// Runs the steps of the page whose names contain `step`, or all.
async fn browse(service: &Service, token: &str, step: &str) {
    let (page, webhook) = (format!("http://{}/", service.api_address), format!("http://{}", service.address));
    let mut browsing = Browsing::start("page", (&page, &webhook), token, &[("STEP", step)]);
    assert_eq!(browsing.asked().await, None);
}

#[test(flavor = "multi_thread")]
async fn a_person_reads_everything_in_a_browser() {
    on_both(async |world: World| {
        let service = Service::start(&world).await;
        fill(&service).await;
        browse(&service, &service.token(), "!every view").await;
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn every_view_is_accessible_and_fits_any_screen() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    fill(&service).await;
    browse(&service, &service.token(), "every view").await;
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_token_for_an_instance_shows_nothing_of_another_in_any_view() {
    on_both(async |world: World| {
        let service = Service::start(&world).await;
        for instance in ["7", "8"] {
            let person = format!("57300000000{instance}@c.us");
            let fields =
                json!({ "chat_id": person, "from": person, "body": format!("hola https://x.example/{instance}") });
            deliver(&service, instance, received("A", fields)).await;
        }
        let known = token(&world, &["7"]).await;
        browse(&service, known.text(), "scoped").await;
        service.stop().await;
    })
    .await;
}

#[test]
async fn the_types_that_the_scripts_of_the_page_state_are_right() {
    let output = Command::new("scripts/browser-tests").arg("--types").current_dir(root()).output().await;
    let output = output.expect("the script can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn each_text_of_the_page_is_there_in_three_languages_with_the_same_values_in_it() {
    let all = std::fs::read_to_string(root().join("src/http/dashboard/page/texts.js")).expect("it is there");
    let texts = LANGUAGES.map(|language| {
        let text = all.split("export const ").find(|part| part.starts_with(language)).expect("it is there");
        // The quoted texts alternate between a key and its text, which have no quote in them.
        let quoted: Vec<String> = text.split('\'').skip(1).step_by(2).map(str::to_owned).collect();
        quoted.chunks_exact(2).map(|pair| (pair[0].clone(), values(&pair[1]))).collect::<Vec<_>>()
    });
    assert!(texts[0].len() > 150, "{}", texts[0].len());
    let keys = |n: usize| texts[n].iter().collect::<std::collections::BTreeSet<_>>();
    for (n, language) in LANGUAGES.iter().enumerate() {
        let differing: Vec<_> = keys(0).symmetric_difference(&keys(n)).copied().collect();
        assert!(differing.is_empty(), "{language}: {differing:?}");
    }
}

/// Returns the names in braces of a text, and the number of its forms.
fn values(text: &str) -> (std::collections::BTreeSet<String>, usize) {
    let names = text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(str::to_owned);
    (names.collect(), text.split('|').count())
}
