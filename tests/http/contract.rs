//! The contract: `/openapi.json` describes exactly the API that exists.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use buzon::http::openapi;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::clients::browser;
use crate::support::database::world::{Backend, World, on_both};
use crate::support::events::{ack, reaction, received, sent};
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::service::{Service, answer};
use crate::support::{PATIENCE, eventually_within};

const METHODS: [&str; 2] = ["get", "post"];

fn contract() -> Value {
    serde_json::from_str(&openapi::contract()).expect("the value is JSON")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns each operation with its path and method.
fn operations(contract: &Value) -> Vec<(String, Value)> {
    let paths = contract["paths"].as_object().expect("there are paths");
    let all = paths.iter().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| Some((format!("{method} {path}"), item.get(method)?.clone())))
    });
    all.collect()
}

#[test]
fn the_committed_contract_is_up_to_date() {
    let kept = std::fs::read_to_string(root().join("docs/openapi.json")).expect("the committed contract exists");
    assert!(kept == openapi::contract(), "docs/openapi.json is stale; run: cargo run -- openapi > docs/openapi.json");
}

#[test]
fn the_contract_has_exactly_the_urls_of_the_api() {
    let source = include_str!("../../src/http/mod.rs");
    let named = |call: &str, method: &str| {
        let calls = source.split(call).skip(1).filter_map(|rest| rest.split('"').next());
        let api =
            calls.filter(|path| !["/docs", "/openapi.json", "/metrics"].iter().any(|other| path.starts_with(other)));
        api.map(|path| format!("{method} /api/v1{path}")).collect::<BTreeSet<_>>()
    };
    // A session is read, begun and ended at one place.
    let session = ["get", "post"].map(|method| format!("{method} /api/v1/session"));
    let (reads, posts) = (named("reading(\"", "get"), named("posting(\"", "post"));
    let both = named("reading_and_posting(\"", "get");
    let routes: BTreeSet<String> = reads.into_iter().chain(posts).chain(both).chain(session).collect();
    let described: BTreeSet<String> = operations(&contract()).into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(routes, described);
}

#[test]
fn everything_in_the_contract_is_described_with_an_example() {
    let contract = contract();
    assert!(contract["openapi"].as_str().expect("the contract has a version").starts_with("3.1"));
    let mut ids = BTreeSet::new();
    for (operation, item) in operations(&contract) {
        assert!(
            ids.insert(item["operationId"].as_str().map(str::to_owned)),
            "{operation}: another operation has the same id"
        );
        assert!(item["summary"].is_string(), "{operation}");
        assert!(!item["security"].as_array().expect("the operation needs a token").is_empty(), "{operation}");
        for parameter in item["parameters"].as_array().into_iter().flatten() {
            let said = parameter["description"].as_str().or(parameter["schema"]["description"].as_str());
            let name = &parameter["name"];
            assert!(said.is_some(), "{operation}: {name} has no description");
            let example =
                if parameter["required"] == true { &parameter["example"] } else { &parameter["schema"]["examples"][0] };
            assert!(!example.is_null() || name == "cursor" || name == "ticket", "{operation}: {name} has no example");
        }
        let responses = item["responses"].as_object().expect("the operation has responses");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|it| !it.is_empty()), "{operation} {status}");
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                assert!(is_shown(&contract, kind, content), "{operation} {status}: {content}");
            }
        }
        for status in ["400", "401", "503"] {
            assert!(responses.contains_key(status), "{operation} {status}");
        }
    }
}

/// Returns whether there is an example, of the whole or of each field of the schema. Bytes have none.
fn is_shown(contract: &Value, kind: &str, content: &Value) -> bool {
    !content["example"].is_null()
        || !matches!(kind, "application/json" | "application/problem+json")
        || has_examples(contract, &content["schema"])
}

fn has_examples(contract: &Value, schema: &Value) -> bool {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().expect("a reference has a name");
        return has_examples(contract, &contract["components"]["schemas"][name]);
    }
    let parts = ["allOf", "oneOf"].iter().flat_map(|key| schema[*key].as_array().into_iter().flatten());
    let parts: Vec<&Value> = parts.filter(|part| part["type"] != "null").collect();
    let fields: Vec<&Value> = schema["properties"].as_object().into_iter().flat_map(|it| it.values()).collect();
    let inner = [parts, fields].concat();
    let known = schema.get("example").is_some() || !schema["enum"].is_null();
    known
        || (!inner.is_empty() && inner.into_iter().all(|part| has_examples(contract, part)))
        || (!schema["items"].is_null() && has_examples(contract, &schema["items"]))
}

#[test]
async fn the_documentation_page_shows_every_part_and_requests_nothing_from_others() {
    let world = World::new(Backend::Sqlite).await;
    let service = Service::start(&world).await;
    let to_page = service.get("/docs").send().await.expect("the server answers");
    assert!(to_page.url().path().ends_with("/docs/"), "{}", to_page.url());
    let policy = to_page.headers()["content-security-policy"].to_str().expect("the value is text").to_owned();
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("http"), "{policy}");
    let page =
        browser::open(&format!("http://{}/docs/", service.api_address)).await.expect("the browser shows the page");
    for part in ["Messages", "Chats", "Media", "Tickets", "/api/v1/chats/{instance_id}/{chat_id}/messages"] {
        let shown = page.replace("<wbr>", "").replace('\u{200b}', "");
        assert!(shown.contains(part), "{part}: {shown}");
    }
    service.stop().await;
}

/// Swagger UI sends these values if the user does not change them.
#[test]
fn no_optional_parameter_is_filled_in_on_the_documentation_page() {
    for (operation, item) in operations(&contract()) {
        let parameters = item["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|parameter| parameter["required"] != true) {
            let schemas = ["oneOf", "anyOf"].iter().filter_map(|key| parameter["schema"][*key].as_array()).flatten();
            for place in schemas.chain([parameter, &parameter["schema"]]) {
                assert!(place["example"].is_null() && place["default"].is_null(), "{operation}: {parameter}");
            }
            assert!(parameter["examples"].is_null(), "{operation}: {parameter}");
        }
    }
}

/// Opens the page in a real browser, with a script that presses the button, against a server that records the
/// requests.
#[test(flavor = "multi_thread")]
async fn execute_on_the_documentation_page_requests_the_whole_list_without_a_cookie() {
    // The script tries again and again, because the page is not ready at first.
    const PRESS: &str = "<script>setInterval(() => document.querySelector('.execute')?.click(), 100);</script>";
    let world = World::new(Backend::Sqlite).await;
    let (service, stand_in) = (Service::start(&world).await, FileServer::start().await);
    let index =
        service.get("/docs/").send().await.expect("the server answers").text().await.expect("the value is text");
    let parts = index.split('"').filter_map(|part| part.strip_prefix("./")).filter(|part| !part.ends_with(".png"));
    for path in parts.map(|part| format!("/docs/{part}")).chain(["/openapi.json".to_owned()]) {
        let part = service.get(&path).send().await.expect("the server answers");
        assert_eq!(part.status(), 200, "{path}");
        let kind = format!("Content-Type: {}\r\n", part.headers()["content-type"].to_str().expect("the value is text"));
        stand_in.reply(&path, Reply::with_headers(&kind, &part.bytes().await.expect("the body arrives")));
    }
    let page = format!("{index}{PRESS}");
    let headers =
        "Content-Type: text/html; charset=utf-8\r\nSet-Cookie: session=1; Path=/; HttpOnly; SameSite=Strict\r\n";
    stand_in.reply("/docs/", Reply::with_headers(headers, page.as_bytes()));
    let list = Reply::with_headers("Content-Type: application/json\r\n", br#"{"data":["all of them"]}"#);
    stand_in.reply("/api/v1/messages", list);
    // On a busy machine the browser may stop before the page is ready.
    eventually_within(4 * PATIENCE, "the page shows the answer", async || {
        let shown = browser::open(&stand_in.url("/docs/#/Messages/list_messages")).await;
        shown.expect("the browser shows the page").contains("all of them")
    })
    .await;
    // The cookie of a session is sent for the parts of the page, and for no question that somebody tries out.
    let with_cookie = |beginning: &str| {
        let heads = stand_in.requests().into_iter().filter(|head| head.starts_with(&format!("GET {beginning}")));
        heads.filter(|head| head.to_ascii_lowercase().contains("\ncookie: session=1")).count()
    };
    assert!(with_cookie("/docs/swagger") > 0 && with_cookie("/api/") == 0, "{:?}", stand_in.requests());
    let asked = stand_in.requests().into_iter().filter_map(|head| Some(head.split(' ').nth(1)?.to_owned()));
    let asked: Vec<String> = asked.filter(|target| target.starts_with("/api/")).collect();
    assert!(asked.iter().all(|target| target == "/api/v1/messages"), "{asked:?}");
    service.stop().await;
}

/// The page has to say where to get the token that it asks for.
#[test]
fn the_documentation_page_says_where_a_token_comes_from() {
    let contract = contract();
    for said in [&contract["info"]["description"], &contract["components"]["securitySchemes"]["token"]["description"]] {
        let said = said.as_str().expect("there is a description");
        assert!(said.contains("`cat data/api-token`") && said.contains("`buzon token create"), "{said}");
    }
}

#[test]
async fn whatever_the_contract_allows_is_answered_as_it_says() {
    on_both(async |world| {
        let service = Service::start(&world).await;
        fill(&service).await;
        let output = Command::new(root().join("scripts/schemathesis"))
            .args(["--config-file", "tests/http/schemathesis.toml", "run"])
            .arg(format!("http://{}/openapi.json", service.api_address))
            .args(["--header", &format!("Authorization: Bearer {}", service.token())])
            .args(["--checks", "all", "--max-examples", "15", "--seed", "1", "--no-color", "--workers", "1"])
            // A stream has no end. It is tested in tests/http/stream.rs.
            .args(["--generation-database", "none", "--exclude-path", "/api/v1/stream"])
            .current_dir(root())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the program can be started");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("Test cases:"), "{said}");
        service.stop().await;
    })
    .await;
}

/// Delivers events with the ids that the examples of the contract name.
async fn fill(service: &Service) {
    for body in [
        received("ABCD1234", json!({"body": "Hola"})),
        sent("ABCD1235", json!({"quoted_message_id": "ABCD1234", "media_url": "/menu.jpg"})),
        ack("ABCD1235", "read"),
        reaction("ABCD1234", "573001112233@c.us", json!("👍"), json!(1_724_717_000)),
        b"not an event".to_vec(),
    ] {
        service.deliver("/webhook/123", body).await.accepted();
    }
    assert_eq!(answer(service.get("/openapi.json")).await.body["info"]["title"], "buzon");
}
