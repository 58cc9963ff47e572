//! The only place with actix. Every URL is on this screen.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, VARY, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::{Compress, DefaultHeaders, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource, Route, guard};

pub mod api;
pub mod auth;
pub mod limits;
pub mod openapi;
pub mod problem;
pub mod server;
pub mod stream;
pub mod webhook;

use api::{acks, chats, events, media, media_lists, messages, reactions, statistics, store_handle};
use auth::{access, tickets};
use limits::answers;
use problem::Problem;
use server::landing::LandingPage;
use server::{cors, health, landing, scrape};
use stream::streams;
use webhook::{identity, instances};

use platform::meters::Meters;

/// Of an answer that is for one reader, and may be another next time.
const ASK_AGAIN: &str = "private, no-cache";

/// What a listener serves. One address for both is the default.
#[derive(Clone)]
pub struct AppState {
    pub readiness: Arc<health::Readiness>,
    pub meters: Arc<Meters>,
    pub webhook: Option<Arc<webhook::Receiver>>,
    /// What is told to the owner who asks at the webhook.
    pub identity: Arc<identity::Identity>,
    pub api: Option<Api>,
    /// The URL to register, for those who mistyped it.
    pub webhook_url: Arc<WebhookUrl>,
}

/// The read API, and what it reads.
#[derive(Clone)]
pub struct Api {
    pub access: Arc<access::Access>,
    pub answers: Arc<answers::Answers>,
    pub archive: store_handle::StoreHandle,
    pub files: Arc<media::MediaFiles>,
    pub local_time: Arc<statistics::LocalTime>,
    /// The origins of the pages that may read.
    pub cors_origins: Vec<String>,
    pub streams: Arc<streams::Streams>,
    pub roster: Arc<instances::ConfiguredInstances>,
    pub scrape: Arc<scrape::Scrape>,
}

/// The URL to register at the gateway, with `{instance_id}` for the instance.
pub struct WebhookUrl(pub String);

/// Adds the routes of `surface`.
pub fn routes(config: &mut ServiceConfig, surface: &AppState) {
    config.app_data(Data::from(surface.readiness.clone())).app_data(Data::from(surface.webhook_url.clone()));
    config.app_data(Data::from(surface.meters.clone()));
    let root = if surface.api.is_some() { &landing::ROOT } else { &landing::WEBHOOK };
    config.service(landing_page(&["/"], root));
    config.service(landing_page(&["/health", "/health/"], &landing::HEALTH));
    config.service(web::resource("/health/live").route(read().to(health::live)));
    config.service(web::resource("/health/ready").route(read().to(health::ready)));
    if let Some(receiver) = &surface.webhook {
        config.app_data(Data::from(receiver.clone())).app_data(Data::from(surface.identity.clone()));
        for path in ["/webhook", "/webhook/", "/webhook/{instance_id}", "/webhook/{instance_id}/"] {
            let receive = web::resource(path).route(web::post().to(webhook::receive));
            let receive = receive.route(web::get().to(identity::tell));
            config.service(receive.default_service(web::to(webhook_takes_posts)));
        }
    }
    if let Some(api) = &surface.api {
        reading_routes(config, api);
    }
    config.default_service(web::to(not_found));
}

/// Adds the routes of the read API.
fn reading_routes(config: &mut ServiceConfig, api: &Api) {
    config.app_data(Data::from(api.access.clone())).app_data(Data::new(api.archive.clone()));
    config.app_data(Data::from(api.files.clone())).app_data(Data::from(api.local_time.clone()));
    config.app_data(Data::from(api.streams.clone())).app_data(Data::from(api.roster.clone()));
    config.app_data(Data::from(api.scrape.clone())).app_data(Data::from(api.answers.clone()));
    config.service(landing_page(&["/api/v1", "/api/v1/"], &landing::API));
    let scope = web::scope("/api/v1")
        .wrap(from_fn(access::require))
        .wrap(DefaultHeaders::new().add((CACHE_CONTROL, ASK_AGAIN)).add((X_CONTENT_TYPE_OPTIONS, "nosniff")))
        .wrap(cors::allow(&api.cors_origins))
        .wrap(from_fn(cors::explain))
        .service(reading("/stream").route(read().to(stream::follow)))
        .service(reading("/media/{sha256}").route(read().to(media::by_key)))
        .service(reading("/messages/{instance_id}/{id}/media").route(read().to(media::of_message)));
    // JSON is compressed. Of files and streams every byte goes out as it is, and at once.
    let json = web::scope("")
        .wrap(Compress::default())
        .wrap(DefaultHeaders::new().add((VARY, "Accept-Encoding")))
        .service(reading("/messages").route(read().to(messages::list)))
        .service(reading("/messages/{instance_id}/{id}").route(read().to(messages::one)))
        .service(reading("/chats").route(read().to(chats::list)))
        .service(reading("/chats/{instance_id}/{chat_id}").route(read().to(chats::one)))
        .service(reading("/chats/{instance_id}/{chat_id}/messages").route(read().to(chats::messages)))
        .service(reading("/acks").route(read().to(acks::list)))
        .service(reading("/reactions").route(read().to(reactions::list)))
        .service(reading("/events").route(read().to(events::list)))
        .service(reading("/events/{seq}").route(read().to(events::one)))
        .service(reading("/instances").route(read().to(instances::list)))
        .service(reading("/stats/messages").route(read().to(statistics::messages)))
        .service(reading("/stats/delivery").route(read().to(statistics::delivery)))
        .service(reading("/stats/responses").route(read().to(statistics::responses)))
        .service(reading("/stats/hours").route(read().to(statistics::hours)))
        .service(reading("/media").route(read().to(media_lists::list)))
        .service(posting("/tickets").route(web::post().to(tickets::issue)));
    config.service(scope.service(json.default_service(web::to(not_found))));
    let contract = reading("/openapi.json").route(read().to(openapi::document));
    config.service(contract.wrap(cors::allow(&api.cors_origins)).wrap(from_fn(cors::explain)));
    config.service(reading("/metrics").route(read().to(scrape::metrics)).wrap(Compress::default()));
    config.service(reading("/docs").route(read().to(openapi::to_page)));
    config.service(reading("/docs/{file:.*}").route(read().to(openapi::page)));
}

/// A GET, or the HEAD that stands for it.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A page that says what is here.
fn landing_page(paths: &[&str], page: &'static LandingPage) -> Resource {
    let show = move |request: HttpRequest| async move { page.answer(&request) };
    web::resource(paths.to_vec()).route(read().to(show)).default_service(web::to(not_found))
}

/// A resource of the API that has something made.
fn posting(path: &str) -> Resource {
    web::resource(path).default_service(web::to(this_takes_posts))
}

/// A resource of the API, which is read-only.
fn reading(path: &str) -> Resource {
    web::resource(path).default_service(web::to(api_is_read_only))
}

async fn api_is_read_only() -> Result<HttpResponse, Problem> {
    Err(Problem::MethodNotAllowed { allowed: "GET, HEAD", detail: "the API is read-only" })
}

async fn this_takes_posts() -> Result<HttpResponse, Problem> {
    Err(Problem::MethodNotAllowed { allowed: "POST", detail: "this takes a POST" })
}

const WEBHOOK_TAKES_POSTS: Problem =
    Problem::MethodNotAllowed { allowed: "POST", detail: "this receives POSTs; it is running" };

async fn webhook_takes_posts() -> Result<HttpResponse, Problem> {
    Err(WEBHOOK_TAKES_POSTS)
}

async fn not_found(request: HttpRequest, webhook_url: Data<WebhookUrl>) -> Result<HttpResponse, Problem> {
    Err(Problem::NotFound(match *request.method() {
        Method::POST => format!("there is nothing here; register {} at the gateway", webhook_url.0),
        _ => "there is nothing here".to_owned(),
    }))
}
