//! A receiver with a certificate of its own.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::{caught_up, start, stopped};
use crate::support::database::world::{Backend, World};
use crate::support::events::received;

/// Makes a certificate authority, and a certificate for 127.0.0.1 that it signs.
const CERTIFICATES: &str = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 && \
     openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=receiver && \
     printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > server.ext && \
     openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile server.ext -out server.pem -days 2";

const SERVER: &str = r#"
import http.server, ssl
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

async fn certificates(folder: &Path) {
    let output = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(folder).output().await;
    let output = output.expect("openssl is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test(flavor = "multi_thread")]
async fn an_unknown_certificate_is_refused_and_the_remedy_works() {
    let world = World::new(Backend::Sqlite).await;
    let folder = world.folder.path().to_owned();
    certificates(&folder).await;
    let mut server = Command::new("python3");
    server.args(["-c", SERVER]).current_dir(&folder).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut server = server.spawn().expect("python3 is there");
    let mut lines = BufReader::new(server.stdout.take().expect("it is piped")).lines();
    let port = lines.next_line().await.expect("it can be read").expect("it says its port");
    let settings = format!("[[forwards]]\nname = \"bot\"\nurl = \"https://127.0.0.1:{port}/\"\nmax_age = \"none\"\n");
    let service = start(&world, &settings).await;
    service.deliver("/webhook/7", received("A", json!({}))).await.accepted();
    stopped(&world, true).await;
    assert_eq!(world.value("SELECT stopped_reason, position FROM forwards").await, "tls|0");
    service.stop().await;
    let tested = crate::support::program::process::run(&folder, &["forward", "test", "bot"], &[]).await;
    let said = String::from_utf8_lossy(&tested.stderr).into_owned();
    assert!(said.contains("ca_file") && said.contains("certificate"), "{said}");
    let trusting = format!("{settings}ca_file = \"{}\"\n", folder.join("ca.pem").display());
    let service = start(&world, &trusting).await;
    caught_up(&world, "bot").await;
    stopped(&world, false).await;
    assert_eq!(world.value("SELECT delivered FROM forwards").await, "1");
    service.stop().await;
}
