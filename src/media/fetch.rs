//! One download, from a URL that anybody could have written, to a file of ours.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use url::Url;

use super::capacity::MediaCapacity;
use super::guard::{Guard, Refusal};
use super::resolver::{GuardedResolver, Lookup};
use super::source;
use super::spool::{Spool, Spooled};
use crate::blob::is_disk_full;
use domain::media::MediaFailure;
use domain::media::file_name;
use domain::time::retry_after::retry_after;
use platform::clock::Clock;
use platform::outbound;

const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// The time for which a server may send nothing.
const READ_WAIT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
/// The number of bytes that are written between two checks of the disk.
const CHECK_DISK_EVERY: u64 = 4 * 1024 * 1024;

/// A client for downloads under the rules of the guard.
pub(super) struct Fetcher {
    client: Client,
    guard: Arc<Guard>,
    gateway_url: Option<Url>,
    max_size: u64,
    timeout: Duration,
    spool: PathBuf,
    capacity: Arc<MediaCapacity>,
    clock: Arc<dyn Clock>,
    one_event: Semaphore,
}

/// A complete file, and the name and the type that its server gave it.
pub(super) struct Fetched {
    pub(super) spooled: Spooled,
    pub(super) file_name: Option<String>,
    pub(super) stated_type: Option<String>,
}

impl Fetcher {
    pub(super) fn new(
        settings: super::MediaSettings,
        capacity: Arc<MediaCapacity>,
        lookup: Arc<dyn Lookup>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, reqwest::Error> {
        let guard = Arc::new(settings.guard);
        Ok(Self {
            client: client(GuardedResolver { guard: guard.clone(), lookup })?,
            guard,
            gateway_url: settings.gateway_url,
            max_size: settings.max_size,
            timeout: settings.timeout,
            spool: settings.spool,
            capacity,
            clock,
            one_event: Semaphore::new(1),
        })
    }

    pub(super) async fn fetch(&self, source_url: &str) -> Result<Fetched, MediaFailure> {
        let limit = self.timeout.as_secs();
        timeout(self.timeout, self.download(source_url))
            .await
            .unwrap_or_else(|_| Err(MediaFailure::transient(format!("the download took longer than {limit} seconds"))))
    }

    async fn download(&self, source_url: &str) -> Result<Fetched, MediaFailure> {
        let url = source::resolve(source_url, self.gateway_url.as_ref()).map_err(refused)?;
        let (url, response) = self.follow(url).await?;
        let header = |name| response.headers().get(name).map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
        let (disposition, stated_type) = (header(CONTENT_DISPOSITION), header(CONTENT_TYPE));
        let file_name = file_name::original(disposition.as_deref(), url.path());
        Ok(Fetched { spooled: self.save(response).await?, file_name, stated_type })
    }

    /// Saves a file that is in memory.
    pub(super) async fn keep(&self, file: &[u8]) -> Result<Spooled, MediaFailure> {
        self.capacity.fits(file.len() as u64).map_err(|_| MediaFailure::DiskFull)?;
        let mut spool = Spool::create(&self.spool).map_err(unwritten)?;
        spool.write(file).await.map_err(unwritten)?;
        spool.finish().await.map_err(unwritten)
    }

    /// Returns the maximum size of a file, in bytes.
    pub(super) fn max_size(&self) -> u64 {
        self.max_size
    }

    /// Returns the right to have the event of a file in memory. There is one, because an event is large, and exists
    /// several times while it is read.
    pub(super) async fn one_event(&self) -> SemaphorePermit<'_> {
        self.one_event.acquire().await.expect("it is never closed")
    }

    /// Requests the file and follows redirects. The guard checks the URL of each hop.
    async fn follow(&self, mut url: Url) -> Result<(Url, Response), MediaFailure> {
        for _ in 0..=MAX_REDIRECTS {
            self.guard.check(&url).map_err(refused)?;
            // If a server compresses nevertheless, its bytes are kept as they are.
            let request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
            let response = request.send().await.map_err(unanswered)?;
            match redirect(&response, &url)? {
                Some(next) => url = next,
                None => return self.answered(response).map(|response| (url, response)),
            }
        }
        Err(MediaFailure::Denied(format!("the server redirected more than {MAX_REDIRECTS} times")))
    }

    fn answered(&self, response: Response) -> Result<Response, MediaFailure> {
        let status = response.status();
        match status {
            StatusCode::OK => Ok(response),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(MediaFailure::NotFound { status: status.as_u16() }),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Err(self.busy(&response))
            }
            _ if status.is_server_error() => Err(self.busy(&response)),
            _ => Err(MediaFailure::Denied(format!("the server answered {status}"))),
        }
    }

    fn busy(&self, response: &Response) -> MediaFailure {
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = asked.and_then(|value| retry_after(value, self.clock.now()));
        MediaFailure::Transient { reason: format!("the server answered {}", response.status()), retry_after }
    }

    async fn save(&self, mut response: Response) -> Result<Spooled, MediaFailure> {
        let length = response.content_length().unwrap_or_default();
        if length > self.max_size {
            return Err(self.too_large());
        }
        self.capacity.fits(length).map_err(|_| MediaFailure::DiskFull)?;
        let mut spool = Spool::create(&self.spool).map_err(unwritten)?;
        let mut next_check = CHECK_DISK_EVERY;
        while let Some(chunk) = response.chunk().await.map_err(broken_off)? {
            if spool.size() + chunk.len() as u64 > self.max_size {
                return Err(self.too_large());
            }
            spool.write(&chunk).await.map_err(unwritten)?;
            if spool.size() >= next_check {
                self.capacity.check_disks().map_err(|_| MediaFailure::DiskFull)?;
                next_check = spool.size() + CHECK_DISK_EVERY;
            }
        }
        match spool.size() {
            0 => Err(MediaFailure::Denied("the server sent an empty file".to_owned())),
            _ => spool.finish().await.map_err(unwritten),
        }
    }

    pub(super) fn too_large(&self) -> MediaFailure {
        MediaFailure::TooLarge(format!("the file is larger than media_max_size, which is {} bytes", self.max_size))
    }
}

fn client(resolver: GuardedResolver) -> Result<Client, reqwest::Error> {
    outbound::client()?.connect_timeout(CONNECT_WAIT).read_timeout(READ_WAIT).dns_resolver(Arc::new(resolver)).build()
}

/// Returns the URL that the response redirects to, or `None` if it does not redirect.
fn redirect(response: &Response, url: &Url) -> Result<Option<Url>, MediaFailure> {
    let unusable =
        || MediaFailure::Denied(format!("the server answered {} without a usable address", response.status()));
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).ok_or_else(unusable)?;
    url.join(location).map(Some).map_err(|_| unusable())
}

fn refused(refusal: Refusal) -> MediaFailure {
    MediaFailure::Refused(refusal.to_string())
}

/// Returns why there was no answer. Either the guard forbade every address, or the reason may pass.
fn unanswered(error: reqwest::Error) -> MediaFailure {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return refused(refusal.clone());
        }
        source = cause.source();
    }
    MediaFailure::transient(outbound::unanswered(&error))
}

fn broken_off(error: reqwest::Error) -> MediaFailure {
    MediaFailure::transient(match error.is_timeout() {
        true => "the server stopped sending in the middle of the file",
        false => "the connection broke off before the file was whole",
    })
}

fn unwritten(error: io::Error) -> MediaFailure {
    match is_disk_full(&error) {
        true => MediaFailure::DiskFull,
        false => MediaFailure::transient(format!("buzon cannot write a temporary file into its data folder: {error}")),
    }
}
