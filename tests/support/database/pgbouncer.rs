//! PgBouncer in front of a PostgreSQL server.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::eventually;

/// A running PgBouncer, which is killed when this is dropped.
pub struct PgBouncer {
    pub port: u16,
    process: Child,
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    /// Starts it in front of the server and database of a URL, with these additional settings.
    pub async fn start(url: &str, settings: &str) -> Self {
        let url = url::Url::parse(url).expect("it is a URL");
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a port is free").port();
        let text = format!(
            "[databases]\n* = user={} host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\n{settings}\n",
            // With `auth_type = any`, PgBouncer uses one user for all connections.
            url.username(),
            url.host_str().expect("it has a host"),
            url.port().expect("it has a port"),
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, text).expect("it can be written");
        let process = Self::command(&file, folder.path()).spawn().expect("pgbouncer can be started");
        let pooler = Self { port, process, _folder: folder };
        let answers = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        eventually("the pooler listens", answers).await;
        pooler
    }

    /// Returns the command that starts PgBouncer, as another user if necessary: it refuses to run as root.
    fn command(file: &Path, folder: &Path) -> Command {
        let mut command = Command::new("/usr/sbin/pgbouncer");
        if rustix::process::getuid().is_root() {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(folder, open).expect("it is ours");
            command.args(["--user", "nobody"]);
        }
        command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Returns the URL of the same database through PgBouncer.
    pub fn url(&self, of: &str) -> String {
        let mut url = url::Url::parse(of).expect("it is a URL");
        url.set_port(Some(self.port)).expect("it takes one");
        url.into()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
