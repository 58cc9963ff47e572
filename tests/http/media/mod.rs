//! Stored files as the API serves them, from a folder and from a bucket.

mod answers;
mod browser;
mod conditions;
mod ids;
mod names;
mod ranges;
mod redirect;
mod trouble;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};

use crate::media::{all_end, deliver_as, key, service};
use crate::support::client;
use crate::support::database::world::{Backend, World, on_both};
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::service::Service;
use crate::support::s3::S3Server;

/// A service with files.
struct MediaService {
    world: World,
    gateway: FileServer,
    service: Service,
    /// The bucket of the files, if they are not in a folder.
    s3: Option<S3Server>,
}

/// An answer that need not be JSON.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Given {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("the value is text"))
    }
}

impl MediaService {
    async fn in_folder(world: World) -> Self {
        let gateway = FileServer::start().await;
        let service = service(&world, &gateway, &[]).await;
        Self { world, gateway, service, s3: None }
    }

    async fn in_bucket(world: World, settings: &[(&str, &str)]) -> Self {
        let (gateway, s3) = (FileServer::start().await, S3Server::start().await);
        let of_s3 = s3.settings();
        let of_s3 = crate::support::borrowed(&of_s3);
        let service = service(&world, &gateway, &[&of_s3, settings].concat()).await;
        Self { world, gateway, service, s3: Some(s3) }
    }

    /// Starts a service on SQLite with files in a folder.
    async fn simple() -> Self {
        Self::in_folder(World::new(Backend::Sqlite).await).await
    }

    /// Stores the file of message `id` through the gateway, which has it at `path`.
    async fn put(&self, id: &str, path: &str, content: &[u8]) {
        self.put_as(id, path, Reply::file(content)).await;
    }

    async fn put_as(&self, id: &str, path: &str, reply: Reply) {
        self.gateway.reply(path, reply);
        // What comes instead of a picture is not stored, but a document may be anything.
        deliver_as(&self.service, id, "document", path).await;
        all_end(&self.world).await;
    }

    /// Makes a request with the token.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.service.api_address);
        client().request(method, url).bearer_auth(self.service.token())
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    async fn stop(self) {
        self.service.stop().await;
    }
}

pub(super) async fn given(request: RequestBuilder) -> Given {
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("the answer is complete").to_vec();
    Given { status, headers, body }
}

/// Returns the URL of a content.
fn by_hash(content: &[u8]) -> String {
    format!("/api/v1/media/{}", key(content))
}

/// Returns the URL of the file of a message whose id needs no escaping.
fn of_message(id: &str) -> String {
    format!("/api/v1/messages/7/{id}/media")
}

/// Runs `test` with a folder and with a bucket, on SQLite.
async fn in_both(mut test: impl AsyncFnMut(MediaService)) {
    println!("in a folder");
    test(MediaService::simple().await).await;
    println!("in a bucket");
    test(MediaService::in_bucket(World::new(Backend::Sqlite).await, &[]).await).await;
}

/// Runs `test` with each database and both stores.
async fn everywhere(mut test: impl AsyncFnMut(MediaService)) {
    on_both(async |world| test(MediaService::in_folder(world).await).await).await;
    println!("in a bucket");
    on_both(async |world| test(MediaService::in_bucket(world, &[]).await).await).await;
}
