//! A server of made-up files.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

use super::picture;
use super::seeded_rng::SeededRng;

/// The folder of files at the gateway, as in its guide.
const FOLDER: &str = "/uploads/whatsapp/";
const LARGEST: u64 = 200 * 1024;
const SMALLEST: u64 = 4 * 1024;
/// The maximum size of the head of a request, and the time within which it must come.
const HEAD: u64 = 8 * 1024;
const WAIT: Duration = Duration::from_secs(10);
const AT_ONCE: usize = 64;

/// The first bytes of each kind of file, by file extension. Those of a picture are all that a browser reads of it.
const KINDS: [(&str, &[u8]); 3] = [
    ("jpg", b""),
    (
        "ogg",
        b"OggS\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x13OpusHead",
    ),
    ("pdf", b"%PDF-1.4\n"),
];

/// A server of files whose contents are derived from their names, so that none is stored.
pub struct FileServer {
    address: SocketAddr,
    served: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl FileServer {
    /// Listens on the address.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (address, served) = (listener.local_addr()?, Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn(accept(listener, served.clone()));
        Ok(Self { address, served, task })
    }

    /// Returns the origin of the URLs.
    pub fn origin(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("an address makes a URL")
    }

    /// Returns how many files were fetched.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the URL of the file with this number.
pub(super) fn url(origin: &Url, number: u64, ending: &str) -> Url {
    origin.join(&format!("{FOLDER}{number:016x}.{ending}")).expect("a path can be joined")
}

async fn accept(listener: TcpListener, served: Arc<AtomicU64>) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let served = served.clone();
        tokio::spawn(async move {
            // A client that goes away or sends nothing has fetched no file.
            if let Ok(Ok(true)) = timeout(WAIT, serve(stream)).await {
                served.fetch_add(1, Ordering::Relaxed);
            }
            drop(permit);
        });
    }
}

/// Answers one request. Returns whether a file was sent.
async fn serve(stream: TcpStream) -> io::Result<bool> {
    let mut stream = BufReader::new(stream);
    let mut path = None;
    let mut head = (&mut stream).take(HEAD);
    loop {
        let mut line = String::new();
        head.read_line(&mut line).await?;
        match (&path, line.trim_end()) {
            (Some(_), "") => break,
            (None, line) => path = Some(line.split(' ').nth(1).unwrap_or_default().to_owned()),
            (Some(_), _) => {}
        }
    }
    let file = path.as_deref().and_then(file);
    let answer = match &file {
        Some((content_type, bytes)) => [head_of("200 OK", content_type, bytes.len()).as_bytes(), bytes].concat(),
        None => head_of("404 Not Found", "text/plain", 0).into_bytes(),
    };
    stream.get_mut().write_all(&answer).await?;
    stream.get_mut().shutdown().await?;
    Ok(file.is_some())
}

fn head_of(status: &str, content_type: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

/// Returns the type and the bytes of the file at a path.
fn file(path: &str) -> Option<(&'static str, Vec<u8>)> {
    let (number, ending) = path.strip_prefix(FOLDER)?.split_once('.')?;
    let number = u64::from_str_radix(number, 16).ok()?;
    let (ending, magic) = KINDS.into_iter().find(|(known, _)| *known == ending)?;
    let content_type = match ending {
        "jpg" => "image/jpeg",
        "ogg" => "audio/ogg",
        _ => "application/pdf",
    };
    let mut rng = SeededRng::new(number);
    let length = SMALLEST + rng.below(LARGEST - SMALLEST);
    let noise = std::iter::repeat_with(|| rng.next_u64().to_le_bytes()).flatten();
    let shown = if ending == "jpg" { picture::jpeg(&mut SeededRng::new(number)) } else { vec![] };
    let beginning = magic.iter().copied().chain(shown);
    Some((content_type, beginning.chain(noise).take(length as usize).collect()))
}
