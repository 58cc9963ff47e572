//! S3: files that strangers sent cannot run in a real browser, nor send requests from it, and harmless files are
//! shown.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{MediaService, by_hash};
use crate::support::clients::browser;
use crate::support::eventually;
use crate::support::gateway::file_server::{FileServer, Reply};
use crate::support::program::service::Service;

const DISPOSITION: &str = "content-disposition";
const POLICY: &str = "content-security-policy";

/// Forwards requests to the API with the token, which a browser that opens a page cannot send, and returns the answers
/// unchanged except for one header.
struct RecordingProxy {
    address: SocketAddr,
    opened: Arc<Mutex<Vec<String>>>,
}

impl RecordingProxy {
    async fn start(service: &Service, without: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let opened = Arc::new(Mutex::new(vec![]));
        let (api, token, paths) = (service.api_address, service.token(), opened.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, api, token.clone(), without, paths.clone()));
            }
        });
        Self { address, opened }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn opened(&self, path: &str) -> bool {
        self.opened.lock().expect("the lock is not poisoned").iter().any(|opened| opened == path)
    }
}

async fn pass(
    client: TcpStream,
    api: SocketAddr,
    token: String,
    without: Option<&'static str>,
    opened: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let mut client = BufReader::new(client);
    let path = head(&mut client).await?.first()?.split(' ').nth(1)?.to_owned();
    let mut server = BufReader::new(TcpStream::connect(api).await.ok()?);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    server.write_all(request.as_bytes()).await.ok()?;
    let kept = |line: &String| without.is_none_or(|name| !line.to_ascii_lowercase().starts_with(name));
    let lines: Vec<String> = head(&mut server).await?.into_iter().filter(kept).collect();
    let mut body = Vec::new();
    server.read_to_end(&mut body).await.ok()?;
    opened.lock().expect("the lock is not poisoned").push(path);
    client.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).await.ok()?;
    client.write_all(&body).await.ok()?;
    client.shutdown().await.ok()
}

/// Returns the lines before the first empty one.
async fn head(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => return Some(head),
            line => head.push(line.to_owned()),
        }
    }
}

/// A file that reports to its sender when somebody opens it.
struct Hostile {
    name: &'static str,
    content: Vec<u8>,
    /// The media type that a server would state by the extension of the name.
    natural_type: &'static str,
    /// True if it reaches its sender when served with that type. This shows that the headers of buzon are effective.
    dangerous: bool,
}

/// Returns the hostile files. Each of them requests its own name from its sender.
fn hostile(canary: &FileServer) -> Vec<Hostile> {
    let file = |name: &'static str, natural_type, dangerous, content: &str| {
        let content = content.replace("SCRIPT", "new Image().src='URL';fetch('URL')").replace("URL", &canary.url(name));
        Hostile { name, content: content.into_bytes(), natural_type, dangerous }
    };
    let page = "<!doctype html><title>x</title><script>SCRIPT</script><img src=x onerror=\"SCRIPT\">";
    vec![
        file("/x.svg", "image/svg+xml", true, "<svg xmlns='http://www.w3.org/2000/svg'><script>SCRIPT</script></svg>"),
        file("/onload.svg", "image/svg+xml", true, "<svg xmlns='http://www.w3.org/2000/svg' onload=\"SCRIPT\"/>"),
        file("/x.html", "text/html", true, page),
        file("/html.jpg", "image/jpeg", false, page),
        file("/image.html", "text/html", true, "<!doctype html><img src='URL'>"),
        file("/refresh.html", "text/html", true, "<!doctype html><meta http-equiv=refresh content='0;url=URL'>"),
        file("/polyglot.gif", "image/gif", false, "GIF89a/*<script>SCRIPT</script>*/=1;SCRIPT"),
        file("/polyglot.html", "text/html", true, "GIF89a/*<script>SCRIPT</script>*/=1;SCRIPT"),
        file(
            "/x.xhtml",
            "application/xhtml+xml",
            true,
            "<html xmlns='http://www.w3.org/1999/xhtml'><script>SCRIPT</script></html>",
        ),
        file(
            "/script.xml",
            "text/xml",
            true,
            "<?xml version='1.0'?><a><b:script xmlns:b='http://www.w3.org/1999/xhtml'>SCRIPT</b:script></a>",
        ),
        file("/style.xml", "text/xml", true, "<?xml version='1.0'?><?xml-stylesheet type='text/css' href='URL'?><a/>"),
        file(
            "/x.mhtml",
            "multipart/related; boundary=b",
            false,
            "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\
             \r\n<script>SCRIPT</script>\r\n--b--\r\n",
        ),
        file(
            "/x.pdf",
            "application/pdf",
            false,
            "%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R /OpenAction <</S /JavaScript /JS (app.launchURL('URL'))>>>> \
             endobj\n2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj\n3 0 obj <</Type /Page /Parent 2 0 R \
             /MediaBox [0 0 9 9] /AA <</O <</S /URI /URI (URL)>>>>>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF",
        ),
        file("/x.js", "text/plain", true, "SCRIPT"),
    ]
}

/// Makes a page with these files as frames and as scripts.
fn embedding(urls: &[String]) -> String {
    urls.iter().map(|url| format!("<iframe src='{url}'></iframe><script src='{url}'></script>")).collect()
}

/// Makes a page that includes the files in the other possible ways.
fn as_objects(urls: &[String]) -> String {
    urls.iter().map(|url| format!("<object data='{url}'></object><img src='{url}'>")).collect()
}

fn html(body: &str) -> Reply {
    let page = format!("<!doctype html><title>a page</title>{body}");
    Reply::with_headers("Content-Type: text/html\r\n", page.as_bytes())
}

/// Stores the hostile files. Returns the service, the sender that they try to reach, a server that states the types that
/// their names suggest, and the files.
async fn setting() -> (MediaService, FileServer, FileServer, Vec<Hostile>) {
    let (media, canary, naive) = (MediaService::simple().await, FileServer::start().await, FileServer::start().await);
    let files = hostile(&canary);
    for file in &files {
        media.put(file.name, file.name, &file.content).await;
        naive.reply(file.name, Reply::with_headers(&format!("Content-Type: {}\r\n", file.natural_type), &file.content));
    }
    (media, canary, naive, files)
}

#[test(flavor = "multi_thread")]
async fn a_hostile_file_within_a_page_reaches_nobody() {
    let (media, canary, naive, files) = setting().await;
    // Two headers protect, and each of them would be enough.
    let proxies = [None, Some(DISPOSITION), Some(POLICY)].map(|without| RecordingProxy::start(&media.service, without));
    let proxies = futures_util::future::join_all(proxies).await;
    let paths: Vec<String> = files.iter().map(|file| by_hash(&file.content)).collect();
    let urls: Vec<String> = proxies.iter().flat_map(|proxy| paths.iter().map(|path| proxy.url(path))).collect();
    naive.reply("/ours", html(&(embedding(&urls) + &as_objects(&urls[..paths.len()]))));
    let page = browser::open(&naive.url("/ours")).await.expect("the browser shows the page");
    assert!(page.contains("<title>a page</title>"), "{page}");
    for (proxy, path) in proxies.iter().flat_map(|proxy| paths.iter().map(move |path| (proxy, path))) {
        assert!(proxy.opened(path), "the browser did not ask for {path}");
    }
    assert_eq!(canary.requests(), [""; 0]);
    let urls: Vec<String> = files.iter().map(|file| naive.url(file.name)).collect();
    naive.reply("/theirs", html(&embedding(&urls)));
    browser::open(&naive.url("/theirs")).await.expect("the browser shows the page");
    for file in files.iter().filter(|file| file.dangerous) {
        eventually(&format!("{} reaches its sender", file.name), async || canary.asked(file.name) > 0).await;
    }
    media.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_hostile_file_that_is_opened_reaches_nobody() {
    let (media, canary, naive, files) = setting().await;
    let proxy = RecordingProxy::start(&media.service, None).await;
    let without_disposition = RecordingProxy::start(&media.service, Some(DISPOSITION)).await;
    let opened = files.iter().filter(|file| matches!(file.name, "/x.svg" | "/x.html"));
    for file in opened.clone() {
        let path = by_hash(&file.content);
        let (download, page) = (proxy.url(&path), without_disposition.url(&path));
        let (download, page) = tokio::join!(browser::open(&download), browser::open(&page));
        assert_eq!(download, None, "{} is a download", file.name);
        assert!(page.expect("the browser shows the page").contains("new Image()"), "{}", file.name);
        assert!(proxy.opened(&path) && without_disposition.opened(&path));
        assert_eq!(canary.requests(), [""; 0], "{}", file.name);
    }
    let naive_urls: Vec<String> = opened.clone().map(|file| naive.url(file.name)).collect();
    futures_util::future::join_all(naive_urls.iter().map(|url| browser::open(url))).await;
    for file in opened {
        eventually(&format!("{} reaches its sender", file.name), async || canary.asked(file.name) > 0).await;
    }
    media.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_picture_is_shown_in_place() {
    let media = MediaService::simple().await;
    let proxy = RecordingProxy::start(&media.service, None).await;
    let pictures: [&[u8]; 2] =
        [include_bytes!("../../fixtures/pictures/3x2.jpg"), include_bytes!("../../fixtures/pictures/3x2.png")];
    for (id, picture) in ["A", "B"].into_iter().zip(pictures) {
        media.put(id, &format!("/f/{id}"), picture).await;
    }
    let [jpeg, png] = pictures.map(|picture| proxy.url(&by_hash(picture)));
    let (jpeg, png) = tokio::join!(browser::open(&jpeg), browser::open(&png));
    for page in [jpeg, png] {
        let page = page.expect("the browser shows the page");
        // The title is from the browser's own page for a picture, and has the picture's size.
        assert!(page.contains("<img ") && page.contains("(3×2)</title>"), "{page}");
    }
    media.stop().await;
}
