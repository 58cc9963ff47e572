//! A client of the gateway's API.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::sleep;
use url::Url;

use super::{Account, FailedDelivery, GatewayError};
use domain::access::signature::Secret;
use domain::instance::InstanceId;
use domain::time::retry_after::retry_after;
use platform::clock::Clock;
use platform::outbound;
use platform::tls;

const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// The time limit of one answer. A replay lasts as long as the delivery that it causes.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// The number of times that a request is repeated after a 429, and the longest wait before that.
const WAITS: u32 = 3;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The first wait if the gateway names none. Each further wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// A callback that is called for every wait that the gateway asks for.
pub type WaitNotice = Arc<dyn Fn(Duration) + Send + Sync>;

/// A client of the gateway's API.
#[derive(Clone)]
pub struct Gateway {
    client: Client,
    base: Url,
    clock: Arc<dyn Clock>,
    on_wait: WaitNotice,
}

/// The subject of a request. It decides the meaning of a 404, and which part of an answer must not be quoted.
enum RequestSubject<'a> {
    Webhook(&'a Secret),
    List,
    Delivery(&'a str),
}

impl Gateway {
    /// Makes a client for the gateway at `base`.
    ///
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn new(base: Url, clock: Arc<dyn Clock>, on_wait: WaitNotice) -> Result<Self, reqwest::Error> {
        tls::install_provider();
        // At debug level, the HTTP/2 library logs parts of the headers. HTTP/1.1 is enough for a handful of requests.
        let client = outbound::client()?.http1_only().connect_timeout(CONNECT_WAIT).timeout(ANSWER_WAIT).build()?;
        Ok(Self { client, base, clock, on_wait })
    }

    /// Sets the URL for the events of an instance, and the secret that signs them (guide, "Endpoint de configuración").
    pub async fn set_webhook(&self, account: &Account, url: &Url, secret: &Secret) -> Result<(), GatewayError> {
        let body = json!({
            "token": account.token.expose_secret(), "url": url.as_str(), "secret": secret.expose(),
        });
        let request = self.client.post(self.url(&["api", "instance", account.instance.as_str(), "webhook"]));
        self.ask(json_body(request, &body), account, RequestSubject::Webhook(secret)).await.map(|_| ())
    }

    /// Returns at most `limit` of the deliveries that failed. The gateway may have a lower limit of its own.
    pub async fn failed(&self, account: &Account, limit: usize) -> Result<Vec<FailedDelivery>, GatewayError> {
        let mut url = self.url(&["api", "webhook-dlq"]);
        url.query_pairs_mut()
            .append_pair("instanceId", account.instance.as_str())
            .append_pair("token", account.token.expose_secret())
            .append_pair("limit", &limit.to_string());
        let answer = self.ask(self.client.get(url), account, RequestSubject::List).await?;
        FailedDelivery::list(&answer).ok_or(GatewayError::UnknownForm)
    }

    /// Has the gateway send a failed delivery again now. Success does not mean that the event has arrived.
    pub async fn replay(&self, account: &Account, id: &str) -> Result<(), GatewayError> {
        let body = json!({"instanceId": instance(&account.instance), "token": account.token.expose_secret()});
        let request = self.client.post(self.url(&["api", "webhook-dlq", id, "replay"]));
        self.ask(json_body(request, &body), account, RequestSubject::Delivery(id)).await.map(|_| ())
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(path);
        url
    }

    /// Sends the request, and repeats it after a wait if the gateway answers 429.
    async fn ask(
        &self,
        request: RequestBuilder,
        account: &Account,
        about: RequestSubject<'_>,
    ) -> Result<Value, GatewayError> {
        for nth in 0..WAITS {
            let again = request.try_clone().expect("a body in memory can be sent again");
            match self.attempt(again, account, &about).await {
                Err(GatewayError::Busy(wait)) => {
                    let wait = if wait.is_zero() { FIRST_WAIT * 2_u32.pow(nth) } else { wait };
                    if wait > LONGEST_WAIT {
                        return Err(GatewayError::Busy(wait));
                    }
                    (self.on_wait)(wait);
                    sleep(wait).await;
                }
                outcome => return outcome,
            }
        }
        self.attempt(request, account, &about).await
    }

    async fn attempt(
        &self,
        request: RequestBuilder,
        account: &Account,
        about: &RequestSubject<'_>,
    ) -> Result<Value, GatewayError> {
        let response = request.send().await.map_err(unanswered)?;
        let status = response.status();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(GatewayError::TokenRefused(account.instance.clone()))
            }
            StatusCode::NOT_FOUND => Err(match about {
                RequestSubject::Delivery(id) => GatewayError::UnknownDelivery((*id).to_owned()),
                RequestSubject::Webhook(_) | RequestSubject::List => {
                    GatewayError::UnknownInstance(account.instance.clone())
                }
            }),
            StatusCode::TOO_MANY_REQUESTS => Err(GatewayError::Busy(self.asked_wait(&response))),
            _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                Err(GatewayError::ServerError(status))
            }
            _ if status.is_redirection() => Err(GatewayError::Redirect(status)),
            _ => answer(status, &body(response).await?, |reason| hide(reason, account, about)),
        }
    }

    /// Returns the wait that the gateway asks for, or zero if it names none.
    fn asked_wait(&self, response: &Response) -> Duration {
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        asked.and_then(|value| retry_after(value, self.clock.now())).unwrap_or_default()
    }
}

/// Returns the id in the form of the provider's samples: a number if the text is one.
fn instance(id: &InstanceId) -> Value {
    let number = id.as_str().parse::<u64>().ok().filter(|number| number.to_string() == id.as_str());
    number.map_or_else(|| id.as_str().into(), Value::from)
}

fn json_body(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(body.to_string())
}

/// The body of an answer and its type.
struct AnswerBody {
    content_type: String,
    bytes: Vec<u8>,
}

async fn body(mut response: Response) -> Result<AnswerBody, GatewayError> {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.and_then(|value| value.split(';').next()).unwrap_or("something").to_owned();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(GatewayError::TooLarge(MAX_ANSWER));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(AnswerBody { content_type, bytes })
}

/// Reads an answer as JSON. An answer can be a refusal whatever its status.
fn answer(status: StatusCode, body: &AnswerBody, hide: impl Fn(&str) -> String) -> Result<Value, GatewayError> {
    if status.is_success() && body.bytes.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    let Ok(answer) = serde_json::from_slice::<Value>(&body.bytes) else {
        return Err(GatewayError::NotJson(body.content_type.clone()));
    };
    let denies = |name: &str| answer.get(name) == Some(&Value::Bool(false));
    if !status.is_success() || denies("ok") || denies("success") {
        let reason = ["error", "message"].iter().find_map(|name| answer.get(name)?.as_str());
        let reason = reason.map(|reason| format!(": {}", hide(reason))).unwrap_or_default();
        return Err(GatewayError::Refused { status, reason });
    }
    Ok(answer)
}

/// Returns the gateway's reason on one line, cut, and with the token and the secret hidden if it repeats them.
fn hide(reason: &str, account: &Account, about: &RequestSubject<'_>) -> String {
    const SHOWN: usize = 200;
    let reason = reason.replace(account.token.expose_secret(), "***");
    let reason = match about {
        RequestSubject::Webhook(secret) => reason.replace(secret.expose(), "***"),
        RequestSubject::List | RequestSubject::Delivery(_) => reason,
    };
    reason.replace(char::is_control, " ").chars().take(SHOWN).collect()
}

fn unanswered(error: reqwest::Error) -> GatewayError {
    GatewayError::Unanswered(outbound::unanswered(&error))
}
