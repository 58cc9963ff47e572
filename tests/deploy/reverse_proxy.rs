//! nginx and Caddy in front of a buzon, with the shipped files, in which only addresses and certificates are replaced.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use buzon::platform::tls;
use reqwest::{Certificate, Client, RequestBuilder};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::text;
use crate::support::events::{SECRET, sign};
use crate::support::eventually;

/// The host name in the shipped files.
pub const HOST: &str = "buzon.example.com";
/// The certificate that clients trust, in the proxy's folder.
const AUTHORITY: &str = "authority.pem";
/// An address that may not use the read API.
pub const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// An address that may use the read API.
pub const OWNER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    Nginx,
    Caddy,
}

/// The two listeners that a proxy passes requests on to.
#[derive(Clone, Copy)]
pub struct Upstreams {
    pub webhook: SocketAddr,
    pub api: SocketAddr,
    /// The webhook of a second cell, which has the instances that the documentation names.
    pub cell_b: Option<SocketAddr>,
    /// True for the variant in which everybody may open the page and use the read API, as the files explain.
    pub open: bool,
}

impl Upstreams {
    pub fn of(webhook: SocketAddr, api: SocketAddr) -> Self {
        Self { webhook, api, cell_b: None, open: false }
    }
}

/// A running proxy, which is killed when it is dropped.
pub struct RunningProxy {
    http: u16,
    https: u16,
    authority: Certificate,
    process: Child,
    folder: TempDir,
}

impl RunningProxy {
    /// Starts a proxy on two free ports. Another process can take a port between the choice and the start; the proxy
    /// then starts on two others.
    pub async fn start(proxy: Proxy, upstreams: Upstreams) -> Self {
        for _ in 0..3 {
            if let Some(front) = Self::start_once(proxy, upstreams).await {
                return front;
            }
        }
        panic!("{proxy:?} ends at each start");
    }

    /// Returns `None` if the proxy ended.
    async fn start_once(proxy: Proxy, upstreams: Upstreams) -> Option<Self> {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let (http, https) = (free_port(), free_port());
        let log = std::fs::File::create(folder.path().join("log")).expect("it can be written");
        let (mut command, authority) = match proxy {
            Proxy::Nginx => nginx(folder.path(), (http, https), upstreams),
            Proxy::Caddy => caddy(folder.path(), (http, https), upstreams),
        };
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn();
        let process = process.unwrap_or_else(|error| panic!("{proxy:?} is not here, scripts/test --install: {error}"));
        // Caddy creates the file before it writes the content.
        let end = "-----END CERTIFICATE-----";
        let written = async || std::fs::read_to_string(&authority).is_ok_and(|pem| pem.contains(end));
        eventually("there is a certificate", written).await;
        let pem = std::fs::read_to_string(&authority).expect("it can be read");
        std::fs::write(folder.path().join(AUTHORITY), &pem).expect("it can be written");
        let authority = Certificate::from_pem(pem.as_bytes()).expect("it is one");
        let mut front = Self { http, https, authority, process, folder };
        let mut ended = false;
        eventually("the proxy answers", async || {
            ended = front.process.try_wait().expect("it can be asked").is_some();
            let (plain, secured) = (front.plain("/"), front.client(OWNER).get(front.url("/")));
            ended || (plain.send().await.is_ok() && secured.send().await.is_ok())
        })
        .await;
        (!ended).then_some(front)
    }

    /// Returns the port with TLS on this machine.
    pub fn port(&self) -> u16 {
        self.https
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.https)
    }

    /// Returns a client with TLS that connects from this address.
    pub fn client(&self, from: IpAddr) -> Client {
        tls::install_provider();
        let client = Client::builder().tls_certs_only([self.authority.clone()]).local_address(from).no_proxy();
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, self.https));
        client.resolve(HOST, here).build().expect("it can be made")
    }

    /// Prepares a GET from the owner's address.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client(OWNER).get(self.url(path))
    }

    /// Prepares a POST from a stranger's address, signed with [`SECRET`].
    pub fn post(&self, path: &str, body: Vec<u8>) -> RequestBuilder {
        let post = self.client(STRANGER).post(self.url(path));
        post.header("X-Whapi-Signature", sign(SECRET, &body)).body(body)
    }

    /// Requests each of these paths without changing it: an HTTP library would normalise them.
    pub async fn ask_verbatim(&self, from: IpAddr, version: &str, paths: &[String]) {
        let port = self.https;
        let request = |path: &String| {
            let quoted = path.replace('\\', "\\\\");
            format!("url = \"https://{HOST}:{port}/\"\nrequest-target = \"{quoted}\"\noutput = \"/dev/null\"\n")
        };
        let common = format!(
            "{version}\ninterface = \"{from}\"\nresolve = \"{HOST}:{port}:127.0.0.1\"\ncacert = \"{}\"\nsilent\n",
            self.folder.path().join(AUTHORITY).display()
        );
        let requests: Vec<String> = paths.iter().map(|path| common.clone() + &request(path)).collect();
        let settings = self.folder.path().join("requests");
        std::fs::write(&settings, requests.join("next\n")).expect("it can be written");
        let asked = Command::new("curl").arg("--disable").arg("--config").arg(settings).status().await;
        assert!(asked.expect("curl is there").success(), "every request is answered");
    }

    /// Prepares a GET from the owner's address, without TLS.
    pub fn plain(&self, path: &str) -> RequestBuilder {
        self.plainly(reqwest::Method::GET, path)
    }

    pub fn plainly(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        tls::install_provider();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let client = client.resolve(HOST, SocketAddr::from((Ipv4Addr::LOCALHOST, self.http)));
        client.build().expect("it can be made").request(method, format!("http://{HOST}:{}{path}", self.http))
    }
}

/// Returns a free port below the range for outgoing connections. The system could give away a port of that range
/// between the choice and the start.
fn free_port() -> u16 {
    let candidates = std::iter::repeat_with(|| 20_000 + (uuid::Uuid::now_v7().as_u64_pair().1 % 12_000) as u16);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    candidates.take(1_000).find(free).expect("a port is free")
}

/// Returns the text with these replacements, each of which must apply.
fn changed(text: String, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "it has {from}");
        text.replace(from, to)
    })
}

/// Returns the block of this language in `docs/deploy.md` that begins with these words.
fn documented(language: &str, beginning: &str) -> String {
    let (page, fence) = (text("docs/deploy.md"), format!("```{language}\n"));
    let mut blocks = page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.trim_start().starts_with(beginning)).expect("it is documented").to_owned()
}

/// Returns nginx's file, or that for two cells.
fn nginx_site(upstreams: Upstreams) -> String {
    let mut shipped = text("deploy/nginx.conf");
    if upstreams.open {
        shipped = changed(shipped, &[("    default 0;\n", "    default 1;\n")]);
    }
    let Some(cell_b) = upstreams.cell_b else { return shipped };
    let cells = documented("nginx", "upstream buzon_cell_a").replace("127.0.0.1:8090", &cell_b.to_string());
    let replaced = "upstream buzon_webhook {\n    server 127.0.0.1:8080;\n    keepalive 32;\n}\n";
    changed(shipped, &[(replaced, &cells), ("http://buzon_webhook;", "http://$buzon_cell;")])
}

/// Returns Caddy's file, or that for two cells.
fn caddy_site(upstreams: Upstreams) -> String {
    let mut shipped = text("deploy/Caddyfile");
    if upstreams.open {
        let own = "remote_ip 127.0.0.1 ::1 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7";
        shipped = changed(shipped, &[(own, "remote_ip 0.0.0.0/0 ::/0")]);
    }
    let Some(cell_b) = upstreams.cell_b else { return shipped };
    let cells = documented("caddyfile", "map").replace("127.0.0.1:8090", &cell_b.to_string());
    let cells = cells.replace("127.0.0.1:8080", &upstreams.webhook.to_string());
    let site = "\nbuzon.example.com {\n";
    changed(shipped, &[(site, &format!("{site}{cells}\n")), ("reverse_proxy 127.0.0.1:8080", "reverse_proxy {cell}")])
}

/// Prepares nginx as one process, which needs no root and writes nothing outside its folder.
fn nginx(folder: &Path, (http, https): (u16, u16), upstreams: Upstreams) -> (Command, std::path::PathBuf) {
    let at = folder.display();
    let certificate = self_signed(folder);
    let site = changed(
        nginx_site(upstreams),
        &[
            ("listen 80;", &format!("listen 127.0.0.1:{http};")),
            ("listen 443 ssl", &format!("listen 127.0.0.1:{https} ssl")),
            ("    listen [::]:80;\n", ""),
            ("    listen [::]:443 ssl http2;\n", ""),
            ("server 127.0.0.1:8080;", &format!("server {};", upstreams.webhook)),
            ("server 127.0.0.1:8081;", &format!("server {};", upstreams.api)),
            ("/etc/letsencrypt/live/buzon.example.com/", &format!("{at}/")),
        ],
    );
    let around = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
         access_log {at}/access.log;\nclient_body_temp_path {at}/bodies;\nproxy_temp_path {at}/proxied;\n\
         fastcgi_temp_path {at}/unused;\nuwsgi_temp_path {at}/unused;\nscgi_temp_path {at}/unused;\n\
         include {at}/site;\n}}\n"
    );
    std::fs::write(folder.join("site"), site).expect("it can be written");
    std::fs::write(folder.join("nginx.conf"), around).expect("it can be written");
    // Debian's nginx is not in the path of ordinary users.
    let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].into_iter().find(|path| Path::new(path).exists());
    let mut command = Command::new(program.unwrap_or("nginx"));
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    (command, certificate)
}

fn self_signed(folder: &Path) -> std::path::PathBuf {
    let (certificate, key) = (folder.join("fullchain.pem"), folder.join("privkey.pem"));
    let mut command = std::process::Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-subj", &format!("/CN={HOST}"), "-addext", &format!("subjectAltName=DNS:{HOST}")]);
    // The certificate is its own authority.
    command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(key).arg("-out").arg(&certificate);
    let made = command.stderr(Stdio::null()).status().expect("openssl is there");
    assert!(made.success(), "the certificate is made");
    certificate
}

/// Prepares Caddy with its own certificate authority instead of one on the internet.
fn caddy(folder: &Path, (http, https): (u16, u16), upstreams: Upstreams) -> (Command, std::path::PathBuf) {
    let at = folder.display();
    let site = caddy_site(upstreams).replace("127.0.0.1:8080", &upstreams.webhook.to_string());
    let site = changed(site, &[("reverse_proxy 127.0.0.1:8081", &format!("reverse_proxy {}", upstreams.api))]);
    let options = format!(
        "{{\n\tadmin off\n\thttp_port {http}\n\thttps_port {https}\n\tdefault_bind 127.0.0.1\n\tlocal_certs\n\
         \tskip_install_trust\n\tstorage file_system {at}/storage\n}}\n"
    );
    let file = folder.join("Caddyfile");
    std::fs::write(&file, options + &site).expect("it can be written");
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command.env("HOME", folder).env("XDG_CONFIG_HOME", folder).env("XDG_DATA_HOME", folder);
    (command, folder.join("storage/pki/authorities/local/root.crt"))
}
