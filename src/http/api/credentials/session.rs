//! The session of a browser: `POST`, `GET` and `DELETE /api/v1/session`.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::api::parameters::{NoParameters, Query};
use crate::http::api::request::ApiRequest;
use crate::http::auth::access::Caller;
use crate::http::auth::cookie;
use crate::http::auth::sessions::{LoginProof, OpenedSession};
use crate::http::dashboard;
use crate::http::json::json;
use crate::http::openapi::problems::{ItemProblems, LoginProblems};
use crate::http::problem::Problem;
use crate::http::{ApiState, WebhookUrl};
use domain::access::scope::Scope;
use domain::instance::InstanceId;

/// The maximum size of a login, in bytes.
const MAX_LOGIN: usize = 4 * 1024;
const CLEAR_SITE_DATA: (&str, &str) = ("Clear-Site-Data", "\"cache\"");

/// A token, or the code of a link that `buzon login` printed; one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The token that the session will read with.
    #[schema(example = "buzon_1f0c…")]
    token: Option<String>,
    /// The code of a link that `buzon login` printed.
    #[schema(example = json!(null))]
    code: Option<String>,
}

/// The rights of the caller, and what the page must know of the service.
#[derive(Serialize, ToSchema)]
pub struct SessionReport {
    /// The instances that the caller sees; null for everything.
    #[schema(example = json!(["123"]))]
    pub instances: Option<Vec<String>>,
    /// True for the owner's token.
    #[schema(example = false)]
    pub is_owner: bool,
    /// True if the caller may export.
    #[schema(example = false)]
    pub can_export: bool,
    /// The version of buzon.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// The build of the page that this buzon serves. A page of another build is to be loaded again.
    #[schema(example = "5f3c9a1b2d4e6f70")]
    pub build: String,
    /// The time zone of days and hours.
    #[schema(example = "America/Bogota")]
    pub time_zone: String,
    /// The URL to register at the gateway, with a placeholder for the instance.
    #[schema(example = "https://buzon.example.com/webhook/{instance_id}")]
    pub webhook_url: String,
}

impl SessionReport {
    fn new(api: &ApiState, caller: &Caller, webhook_url: &WebhookUrl) -> Self {
        let instances = match &caller.scope {
            Scope::All => None,
            Scope::Instances(ids) => Some(ids.iter().map(InstanceId::to_string).collect()),
        };
        Self {
            instances,
            is_owner: caller.token.is_none(),
            can_export: caller.can_export,
            version: env!("CARGO_PKG_VERSION"),
            build: dashboard::build().to_owned(),
            time_zone: api.local_time.zone.name().to_owned(),
            webhook_url: webhook_url.0.clone(),
        }
    }
}

/// `POST /api/v1/session`
#[utoipa::path(
    operation_id = "log_in",
    post, path = "/api/v1/session", tag = "Tickets", security(()),
    summary = "Log a browser in, for the page at /",
    description = "Answers with a cookie that only buzon's own pages send, and that is good for GET and HEAD, and \
                   for `POST /api/v1/exports` of buzon's own pages. The session ends with its token, after 30 days without use, and after 90 days. The request needs the \
                   `Origin` of a page of buzon itself; over plain HTTP it works on the machine of buzon only. Programs send \
                   the token with each request instead.",
    request_body = Login,
    responses((status = 201, description = "The session has begun", body = SessionReport), LoginProblems),
)]
pub async fn begin(
    api: Data<ApiState>,
    webhook_url: Data<WebhookUrl>,
    _: Query<NoParameters>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, Problem> {
    let opened = log_in(&api, &request, body).await;
    let (opened, transport) = opened.map_err(|problem| api.access.refused(&request, problem))?;
    let report = SessionReport::new(&api, &opened.caller, &webhook_url);
    let mut response = HttpResponse::Created();
    response.insert_header((CACHE_CONTROL, "no-store")).cookie(cookie::made(&opened.secret, transport));
    Ok(json(&mut response, &report))
}

async fn log_in(
    api: &ApiState,
    request: &HttpRequest,
    body: Payload,
) -> Result<(OpenedSession, cookie::Transport), Problem> {
    let transport = cookie::transport(request, api.access.public_url())?;
    if !cookie::is_json(request) {
        return Err(Problem::LoginUnreadable("send Content-Type: application/json"));
    }
    let body = body.to_bytes_limited(MAX_LOGIN).await.map_err(|_| Problem::LoginUnreadable("the body is too large"))?;
    let body = body.map_err(|_| Problem::BodyUnreadable)?;
    let expected = "expected {\"token\": \"…\"} or {\"code\": \"…\"}";
    let login: Login = serde_json::from_slice(&body).map_err(|_| Problem::LoginUnreadable(expected))?;
    let proof = match (login.token, login.code) {
        (Some(token), None) => LoginProof::Token(token),
        (None, Some(code)) => LoginProof::Code(code),
        _ => return Err(Problem::LoginUnreadable(expected)),
    };
    Ok((api.access.log_in(request, proof).await?, transport))
}

/// `GET /api/v1/session`
#[utoipa::path(
    operation_id = "get_session",
    get, path = "/api/v1/session", tag = "Tickets", security(("token" = []), ("session" = [])),
    summary = "What the caller may see, and what a page must know of the service",
    responses((status = 200, description = "The caller", body = SessionReport), ItemProblems),
)]
pub async fn show(request: ApiRequest, webhook_url: Data<WebhookUrl>) -> Result<HttpResponse, Problem> {
    let report = SessionReport::new(&request.api, &request.caller, &webhook_url);
    request.item(&report)
}

/// `DELETE /api/v1/session`
#[utoipa::path(
    operation_id = "log_out",
    delete, path = "/api/v1/session", tag = "Tickets", security((), ("session" = [])),
    summary = "Log this browser out",
    description = "Ends the session of the cookie and empties the browser's cache of buzon. Without a session, it does nothing.",
    responses((status = 204, description = "There is no session any more"), LoginProblems),
)]
pub async fn end(api: Data<ApiState>, _: Query<NoParameters>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    api.access.log_out(&request).await?;
    let mut response = HttpResponse::NoContent();
    response.insert_header(CLEAR_SITE_DATA).insert_header((CACHE_CONTROL, "no-store"));
    for cookie in cookie::removed() {
        response.cookie(cookie);
    }
    Ok(response.finish())
}
