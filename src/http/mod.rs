//! The HTTP server, the only place with actix. This file has every URL.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, VARY, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::{Compress, DefaultHeaders, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource, Route, guard};

pub mod api;
pub mod auth;
pub mod conditional;
pub mod dashboard;
pub mod json;
pub mod limits;
pub mod openapi;
pub mod peer;
pub mod problem;
pub mod server;
pub mod store_handle;
pub mod stream;
pub mod webhook;

use api::credentials::{session, tickets};
use api::operations::{backups, forwards};
use api::time::LocalTime;
use api::{acks, chats, events, exports, instances, media, media_files, messages, reactions, statistics};
use auth::access::{self, Access};
use limits::response_memory::ResponseMemory;
use problem::Problem;
use server::landing::LandingPage;
use server::{cors, health, landing, scrape};
use store_handle::StoreHandle;
use stream::streams::Streams;
use webhook::identity;

use crate::backup::BackupWatch;
use crate::config::ConfiguredInstance;
use crate::export::jobs::ExportJobs;
use platform::meters::Meters;

/// The `Cache-Control` of a response that is for one caller, and may be different next time.
const REVALIDATE: &str = "private, no-cache";

/// The state of a listener. By default one listener serves both the webhook and the API.
#[derive(Clone)]
pub struct AppState {
    pub readiness: Arc<health::Readiness>,
    pub meters: Arc<Meters>,
    pub webhook: Option<Arc<webhook::Receiver>>,
    /// The proof of identity for the owner, at the webhook.
    pub identity: Arc<identity::Identity>,
    pub api: Option<Arc<ApiState>>,
    /// The URL to register, for the hint in a 404.
    pub webhook_url: Arc<WebhookUrl>,
}

/// The state of the read API.
pub struct ApiState {
    pub access: Arc<Access>,
    pub memory: Arc<ResponseMemory>,
    pub store: StoreHandle,
    pub files: media_files::MediaFiles,
    pub exports: Arc<ExportJobs>,
    pub local_time: LocalTime,
    /// The origins of the pages that may read.
    pub cors_origins: Vec<String>,
    pub streams: Arc<Streams>,
    pub configured_instances: Vec<ConfiguredInstance>,
    pub backups: BackupWatch,
    /// True if the page is served at `/`.
    pub dashboard: bool,
    pub scrape: scrape::Scrape,
}

/// The URL to register at the gateway, with `{instance_id}` for the instance.
pub struct WebhookUrl(pub String);

/// Adds the routes of a listener.
pub fn routes(config: &mut ServiceConfig, state: &AppState) {
    config.app_data(Data::from(state.readiness.clone())).app_data(Data::from(state.webhook_url.clone()));
    config.app_data(Data::from(state.meters.clone()));
    let root = if state.api.is_some() { &landing::ROOT } else { &landing::WEBHOOK };
    match state.api.as_ref().filter(|api| api.dashboard) {
        Some(_) => dashboard_routes(config, root),
        None => _ = config.service(landing_page(&["/"], root)),
    }
    config.service(landing_page(&["/health", "/health/"], &landing::HEALTH));
    config.service(web::resource("/health/live").route(read().to(health::live)));
    config.service(web::resource("/health/ready").route(read().to(health::ready)));
    if let Some(receiver) = &state.webhook {
        config.app_data(Data::from(receiver.clone())).app_data(Data::from(state.identity.clone()));
        for path in ["/webhook", "/webhook/", "/webhook/{instance_id}", "/webhook/{instance_id}/"] {
            let receive = web::resource(path).route(web::post().to(webhook::receive));
            let receive = receive.route(web::get().to(identity::prove));
            config.service(receive.default_service(web::to(|| async { Err::<HttpResponse, _>(WEBHOOK_TAKES_POSTS) })));
        }
    }
    if let Some(api) = &state.api {
        api_routes(config, api);
    }
    config.default_service(web::to(not_found));
}

/// Adds the page, which other clients than browsers are shown as text, and its files.
fn dashboard_routes(config: &mut ServiceConfig, text: &'static LandingPage) {
    let show = move |request: HttpRequest| async move {
        if dashboard::is_for_browser(&request) { dashboard::page(&request) } else { text.respond(&request) }
    };
    config.service(web::resource("/").route(read().to(show)).default_service(web::to(not_found)));
    let assets = web::resource("/assets/{build}/{file}").route(read().to(dashboard::asset));
    config.service(assets);
}

/// Adds the routes of the read API. Those of files and of the stream accept tickets, and the page orders exports.
fn api_routes(config: &mut ServiceConfig, api: &Arc<ApiState>) {
    config.app_data(Data::from(api.clone()));
    config.service(landing_page(&["/api/v1", "/api/v1/"], &landing::API));
    let by_ticket = || from_fn(access::by_token_or_ticket);
    let scope = web::scope("/api/v1")
        .wrap(DefaultHeaders::new().add((CACHE_CONTROL, REVALIDATE)).add((X_CONTENT_TYPE_OPTIONS, "nosniff")))
        .wrap(cors::allow(&api.cors_origins))
        .wrap(from_fn(cors::explain))
        .service(
            web::resource("/session")
                .route(web::post().to(session::begin))
                .route(web::delete().to(session::end))
                .route(read().to(session::show).wrap(from_fn(access::by_token)))
                .default_service(other_methods("GET, HEAD, POST, DELETE", "a session begins with POST")),
        )
        .service(reading("/stream").route(read().to(stream::follow)).wrap(by_ticket()))
        .service(reading("/media/{sha256}").route(read().to(media_files::by_key)).wrap(by_ticket()))
        .service(
            reading("/messages/{instance_id}/{id}/media").route(read().to(media_files::of_message)).wrap(by_ticket()),
        )
        .service(reading("/exports/{id}/file").route(read().to(exports::file)).wrap(by_ticket()))
        .service(
            reading_and_posting("/exports")
                .route(web::post().to(exports::start))
                .route(read().to(exports::list))
                .wrap(from_fn(access::by_token_or_own_page)),
        );
    // JSON is compressed. The bytes of files and streams are sent unchanged, and at once.
    let json = web::scope("")
        .wrap(Compress::default())
        .wrap(DefaultHeaders::new().add((VARY, "Accept-Encoding")))
        .wrap(from_fn(access::by_token))
        .service(reading("/messages").route(read().to(messages::list)))
        .service(reading("/messages/{instance_id}/{id}").route(read().to(messages::one)))
        .service(reading("/chats").route(read().to(chats::list)))
        .service(reading("/chats/{instance_id}/{chat_id}").route(read().to(chats::one)))
        .service(reading("/chats/{instance_id}/{chat_id}/messages").route(read().to(chats::messages)))
        .service(reading("/acks").route(read().to(acks::list)))
        .service(reading("/reactions").route(read().to(reactions::list)))
        .service(reading("/events").route(read().to(events::list)))
        .service(reading("/events/{instance_id}/{id}").route(read().to(events::one)))
        .service(reading("/backups").route(read().to(backups::list)))
        .service(reading("/forwards").route(read().to(forwards::list)))
        .service(reading("/instances").route(read().to(instances::list)))
        .service(reading("/stats/messages").route(read().to(statistics::messages)))
        .service(reading("/stats/delivery").route(read().to(statistics::delivery)))
        .service(reading("/stats/responses").route(read().to(statistics::responses)))
        .service(reading("/stats/hours").route(read().to(statistics::hours)))
        .service(reading("/media").route(read().to(media::list)))
        .service(reading("/exports/{id}").route(read().to(exports::one)))
        .service(posting("/tickets").route(web::post().to(tickets::issue)));
    config.service(scope.service(json.default_service(web::to(not_found))));
    let contract = reading("/openapi.json").route(read().to(openapi::document));
    config.service(contract.wrap(cors::allow(&api.cors_origins)).wrap(from_fn(cors::explain)));
    config.service(reading("/metrics").route(read().to(scrape::metrics)).wrap(Compress::default()));
    config.service(reading("/docs").route(read().to(openapi::to_page)));
    config.service(reading("/docs/{file:.*}").route(read().to(openapi::page)));
}

/// Returns a route for GET and HEAD.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Returns the resource of a landing page.
fn landing_page(paths: &[&str], page: &'static LandingPage) -> Resource {
    let show = move |request: HttpRequest| async move { page.respond(&request) };
    web::resource(paths.to_vec()).route(read().to(show)).default_service(web::to(not_found))
}

/// Returns a resource of the API that creates something.
fn posting(path: &str) -> Resource {
    web::resource(path).default_service(other_methods("POST", "this takes a POST"))
}

/// Returns a resource of the API that lists things and creates more of them.
fn reading_and_posting(path: &str) -> Resource {
    web::resource(path).default_service(other_methods("GET, HEAD, POST", "this takes a GET or a POST"))
}

/// Returns a read-only resource of the API.
fn reading(path: &str) -> Resource {
    web::resource(path).default_service(other_methods("GET, HEAD", "the API is read-only"))
}

/// Returns the route that refuses all methods but the allowed ones.
fn other_methods(allowed: &'static str, detail: &'static str) -> Route {
    web::to(move || async move { Err::<HttpResponse, _>(Problem::MethodNotAllowed { allowed, detail }) })
}

/// The answer of the webhook to other methods.
const WEBHOOK_TAKES_POSTS: Problem =
    Problem::MethodNotAllowed { allowed: "POST", detail: "this receives POSTs; it is running" };

async fn not_found(request: HttpRequest, webhook_url: Data<WebhookUrl>) -> Result<HttpResponse, Problem> {
    Err(Problem::NotFound(match *request.method() {
        Method::POST => format!("there is nothing here; register {} at the gateway", webhook_url.0),
        _ => "there is nothing here".to_owned(),
    }))
}
