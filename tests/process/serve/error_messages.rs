//! An error names what cannot be reached or accepted, and the remedy. The tests compare the whole line.

use std::os::unix::fs::chown;
use std::process::Output;

use crate::support::database::pgbouncer::PgBouncer;
use crate::support::database::postgres::{self, Server};
use crate::support::database::world::{Backend, World};
use crate::support::gateway::file_server::StoppedFileServer;
use crate::support::program::process::run;
use crate::support::s3::S3Server;

/// Returns the only line of a command that fails.
#[track_caller]
fn line(output: &Output, code: i32) -> String {
    let said = String::from_utf8(output.stderr.clone()).expect("it is text");
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let line = said.strip_prefix("buzon: ").and_then(|line| line.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("it is no line of ours: {said}"));
    assert!(!line.contains('\n'), "{said}");
    line.to_owned()
}

async fn migrate(url: &str) -> Output {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    run(folder.path(), &["migrate"], &[("BUZON_DATABASE_URL", url)]).await
}

/// Returns the system user who runs the tests.
fn system_user() -> String {
    let output = std::process::Command::new("id").arg("-un").output().expect("it runs");
    String::from_utf8(output.stdout).expect("it is text").trim().to_owned()
}

#[test]
async fn a_postgres_that_does_not_answer_is_named_with_host_and_port_or_socket() {
    let away = StoppedFileServer::new();
    let place = away.address();
    let said = line(&migrate(&format!("postgres://buzon@{place}/buzon")).await, 1);
    let refused = "Connection refused (os error 111)";
    assert_eq!(said, format!("the database is not available: cannot connect to PostgreSQL at {place}: {refused}"));
    let said = line(&migrate("postgres:///buzon?host=/nowhere&port=5433").await, 1);
    let missing = "No such file or directory (os error 2)";
    let socket = "/nowhere/.s.PGSQL.5433";
    assert_eq!(said, format!("the database is not available: cannot connect to PostgreSQL at {socket}: {missing}"));
}

#[test]
async fn a_database_and_a_user_that_are_missing_are_told_with_what_makes_them() {
    let server = url::Url::parse(postgres::server()).expect("it is a URL");
    let place = format!("{}:{}", server.host_str().expect("a host"), server.port().expect("a port"));
    let mut url = server.clone();
    url.set_path("not there");
    let user = server.username();
    assert_eq!(
        line(&migrate(url.as_str()).await, 1),
        format!(
            "the database is not available: {place}: database \"not there\" does not exist; make it: \
             createdb --owner={user} 'not there'"
        )
    );
    let mut url = server.clone();
    url.set_username("nobody.here").expect("it takes one");
    assert_eq!(
        line(&migrate(url.as_str()).await, 1),
        format!(
            "the database is not available: {place}: role \"nobody.here\" does not exist; make it: \
             createuser --pwprompt nobody.here"
        )
    );
}

/// psql uses the same user. The driver by itself would use the name "anonymous".
#[test]
async fn a_url_without_a_user_means_that_of_the_system() {
    let world = World::empty(Backend::Postgres).await;
    let folder = world.value("SHOW unix_socket_directories").await;
    let server = url::Url::parse(&world.url).expect("it is a URL");
    let port = server.port().expect("a port");
    let url = format!("postgres:///{}?host={folder}&port={port}", postgres::name(&world.url));
    let user = system_user();
    let role = world.value(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{user}'")).await;
    let output = migrate(&url).await;
    if role == "0" {
        let said = format!(
            "the database is not available: {folder}/.s.PGSQL.{port}: role \"{user}\" does not exist; make it: \
             createuser --pwprompt {user}"
        );
        assert_eq!(line(&output, 1), said);
    } else {
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
async fn a_password_that_is_wrong_is_told_with_whose_it_is() {
    let server = Server::start("");
    let control = postgres::ServerControl::of(&server.url).await;
    control.ask_for_passwords();
    postgres::execute(&server.url, "ALTER ROLE buzon PASSWORD 'right'").await;
    postgres::execute(&server.url, "SELECT pg_reload_conf()").await;
    let mut url = url::Url::parse(&server.url).expect("it is a URL");
    let place = format!("127.0.0.1:{}", url.port().expect("a port"));
    url.set_password(Some("wrong")).expect("it takes one");
    let asks = async || migrate(url.as_str()).await.status.code() == Some(1);
    crate::support::eventually("it asks for passwords", asks).await;
    let said = line(&migrate(url.as_str()).await, 1);
    assert_eq!(
        said,
        format!(
            "the database is not available: {place}: password authentication failed for user \"buzon\"; is buzon the user \
             that you mean, and the password in database_url its own? Another password: ALTER ROLE … PASSWORD …; a user \
             that is not there: createuser --pwprompt buzon"
        )
    );
}

#[test]
async fn a_pooler_in_transaction_mode_is_named_with_the_remedy() {
    let world = World::empty(Backend::Postgres).await;
    let pooler = PgBouncer::start(&world.url, "pool_mode = transaction").await;
    assert_eq!(
        line(&migrate(&pooler.url(&world.url)).await, 1),
        format!(
            "the database is not available: 127.0.0.1:{}: unsupported startup parameter: extra_float_digits; a connection \
             pooler stands before the server: connect to the server itself, or let the pooler work in session mode and take \
             this parameter (PgBouncer: ignore_startup_parameters = extra_float_digits)",
            pooler.port
        )
    );
    let pooler =
        PgBouncer::start(&world.url, "pool_mode = transaction\nignore_startup_parameters = extra_float_digits").await;
    let said = line(&migrate(&pooler.url(&world.url)).await, 2);
    let remedy = "the database is not safe: a connection pooler in transaction mode stands before it, which mixes up statements \
                  and settings; use session mode, or connect to the server itself";
    assert_eq!(said, remedy);
    let session = "pool_mode = session\nignore_startup_parameters = extra_float_digits";
    let pooler = PgBouncer::start(&world.url, session).await;
    let output = migrate(&pooler.url(&world.url)).await;
    assert!(output.status.success(), "{output:?}");
}

/// Citus creates such a certificate for itself.
#[test]
async fn a_certificate_of_version_1_is_named_as_one() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let script = "cd \"$0\" && openssl req -new -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out r.csr && \
                  openssl x509 -req -in r.csr -signkey server.key -days 30 -out server.crt";
    let made = std::process::Command::new("sh").args(["-c", script]).arg(folder.path()).output().expect("sh is there");
    assert!(made.status.success(), "{made:?}");
    let data = std::process::Command::new("sh").args(["-c", "id -u postgres || id -u nobody"]).output();
    let owner: u32 = String::from_utf8_lossy(&data.expect("it runs").stdout).trim().parse().expect("it is a number");
    for file in [folder.path().to_owned(), folder.path().join("server.key"), folder.path().join("server.crt")] {
        if rustix::process::getuid().is_root() {
            chown(file, Some(owner), None).expect("root may");
        }
    }
    let at = folder.path().display();
    let server = Server::start(&format!("-c ssl=on -c ssl_cert_file={at}/server.crt -c ssl_key_file={at}/server.key"));
    let port = url::Url::parse(&server.url).expect("it is a URL").port().expect("a port");
    let said = line(&migrate(&format!("{}?sslmode=require", server.url)).await, 1);
    let begin = format!("the database is not available: cannot connect to PostgreSQL at 127.0.0.1:{port}: ");
    let end = "; its certificate is X.509 version 1, which cannot be checked: give the server one of version 3, or, on a \
               network that is safe, add sslmode=disable to database_url";
    assert!(said.starts_with(&begin) && said.ends_with(end), "{said}");
    assert!(migrate(&format!("{}?sslmode=disable", server.url)).await.status.success());
}

#[test]
async fn the_destination_of_a_backup_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    world.open().await.close().await;
    let folder = world.folder.path();
    std::fs::write(folder.join("file"), "").expect("it can be written");
    let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
    let place = folder.join("file").join("backups");
    let output = run(folder, &["backup", place.to_str().expect("it is text")], &settings).await;
    let said = line(&output, 2);
    assert!(said.starts_with(&format!("file://{} cannot be used: ", place.display())), "{said}");
    assert!(!said.contains("media store"), "{said}");

    let away = StoppedFileServer::new();
    let endpoint = format!("http://{}", away.address());
    let s3 = S3Server::start().await;
    let mut settings: Vec<(&str, String)> = s3.settings();
    settings.retain(|(name, _)| !["BUZON_S3_ENDPOINT", "BUZON_MEDIA_STORE"].contains(name));
    settings.extend([
        ("BUZON_S3_ENDPOINT", endpoint.clone()),
        ("BUZON_DATABASE_URL", world.url.clone()),
        ("BUZON_LOG", "off".to_owned()),
    ]);
    let output = run(folder, &["backup", "list", "s3://media/backups"], &crate::support::borrowed(&settings)).await;
    let said = line(&output, 1);
    assert!(said.starts_with(&format!("s3://media/backups does not work: GET {endpoint}/")), "{said}");
    assert!(said.ends_with("Connection refused (os error 111)"), "{said}");
}

#[test]
async fn an_address_that_is_taken_is_named() {
    let world = World::empty(Backend::Sqlite).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it has one").to_string();
    let settings =
        [("BUZON_DATABASE_URL", world.url.as_str()), ("BUZON_LISTEN", address.as_str()), ("BUZON_LOG", "off")];
    let said = line(&run(world.folder.path(), &["serve"], &settings).await, 1);
    assert_eq!(said, format!("cannot listen on {address}: Address already in use (os error 98)"));
}

#[test]
async fn a_password_that_tears_a_url_apart_and_a_value_without_quotes_are_told_what_they_lack() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    for password in ["p@ss:w/rd", "p#ss", "p?ss", "100%"] {
        let url = format!("postgres://buzon:{password}@127.0.0.1/buzon");
        let output = run(folder.path(), &["check-config"], &[("BUZON_DATABASE_URL", &url)]).await;
        assert_eq!(
            line(&output, 2),
            "BUZON_DATABASE_URL: a user or password with other characters than letters and digits is written with %: \
             / is %2F, @ is %40, # is %23, ? is %3F, : is %3A, % is %25",
            "{password}"
        );
    }
    for text in [
        "webhook_secret = abcdef",
        "listen = 127.0.0.1:8080",
        "data_dir = ./data",
        "public_url = https://example.com",
        "time_zone = America/Bogota",
        "webhook_secret = 12-ab",
        "webhook_secret = no",
        "listen =",
        "api_token = 3f2b # mine",
        "media_origins = [https://example.com]",
        "[[instances]]\nid = 7\nname = Ventas",
    ] {
        std::fs::write(folder.path().join("buzon.toml"), text).expect("it can be written");
        let number = text.lines().count();
        let said = line(&run(folder.path(), &["check-config"], &[]).await, 2);
        let hint = r#"text stands in quotes, as in: listen = "127.0.0.1:8080""#;
        assert!(said.ends_with(&format!("buzon.toml: line {number}: {hint}")), "{text}: {said}");
    }
    for text in ["listen = \"127.0.0.1:8080", "listen = 'a\n", "listen = \"a\" b"] {
        std::fs::write(folder.path().join("buzon.toml"), text).expect("it can be written");
        let said = line(&run(folder.path(), &["check-config"], &[]).await, 2);
        assert!(!said.contains("text stands in quotes"), "{text}: {said}");
    }
}
