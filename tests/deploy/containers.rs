//! The image and the services around it. No Docker is available to run them, so the files are checked against the
//! program and the project.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};
use tokio::process::Command;

use super::{project, text, yaml};
use crate::support::database::postgres::{self, Server};
use crate::support::program::process::run;

const COMPOSE: &str = "deploy/compose.yaml";

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn list(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Runs the guide's commands that create the secrets, in a folder.
async fn make_secrets(folder: &Path) {
    let guide = text("docs/deploy.md");
    let block = guide.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = block.filter(|block| block.contains("secrets/")).collect::<Vec<_>>();
    assert_eq!(block.len(), 1);
    std::fs::create_dir(folder.join("deploy")).expect("it can be made");
    let made = Command::new("bash").args(["-euo", "pipefail", "-c", block[0]]).current_dir(folder).status().await;
    assert!(made.expect("bash is there").success());
}

#[test]
async fn every_service_is_confined_health_checked_and_restarted() {
    let compose = yaml(COMPOSE).await;
    let services: Vec<_> = entries(&compose["services"]).collect();
    assert_eq!(
        services.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["buzon", "garage", "postgres", "prometheus"]
    );
    for (name, service) in services {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert_eq!(list(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(list(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        // The health check of buzon is part of its image.
        assert!(name == "buzon" || !list(&service["healthcheck"]["test"]).is_empty(), "{name}");
        for port in list(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} is on this machine alone: {port}");
        }
        let image = service["image"].as_str().expect("it has an image");
        assert!(image.rsplit_once(':').is_some_and(|(_, version)| version.contains('.')), "{image} has a version");
    }
    assert_eq!(compose["services"]["buzon"]["image"], concat!("buzon:", env!("CARGO_PKG_VERSION")));
    let wait = compose["services"]["buzon"]["stop_grace_period"].as_str().and_then(|wait| wait.strip_suffix('s'));
    assert!(wait.and_then(|wait| wait.parse::<u64>().ok()).is_some_and(|wait| wait > 8));
}

/// In any other folder of a container, a secret file would cause the warning about files that everybody can read.
#[test]
fn secrets_are_where_containers_have_them() {
    for (file, least) in [(COMPOSE, 5), ("docs/deploy.md", 1)] {
        let text = text(file);
        let named: Vec<&str> = text
            .split("BUZON_")
            .filter_map(|rest| rest.split_once("_FILE: ").or_else(|| rest.split_once("_FILE=")))
            .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            .map(|(_, path)| path)
            .collect();
        assert!(named.len() >= least, "{file}: {named:?}");
        assert!(named.iter().all(|path| path.starts_with("/run/secrets/")), "{file}: {named:?}");
    }
}

#[test]
async fn every_file_and_secret_that_the_services_name_is_there() {
    let compose = yaml(COMPOSE).await;
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    make_secrets(folder.path()).await;
    let deploy = folder.path().join("deploy");
    let named: BTreeMap<&str, &str> = entries(&compose["secrets"])
        .map(|(name, secret)| (name, secret["file"].as_str().expect("it is a file")))
        .collect();
    for (name, file) in &named {
        let secret = std::fs::read_to_string(deploy.join(file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(secret.trim().len() >= 16, "{name}");
    }
    for (service, of) in entries(&compose["services"]) {
        assert!(list(&of["secrets"]).iter().all(|secret| named.contains_key(secret)), "{service}");
        for (variable, value) in entries(&of["environment"]) {
            let secret = value.as_str().and_then(|value| value.strip_prefix("/run/secrets/"));
            assert!(secret.is_none_or(|secret| list(&of["secrets"]).contains(&secret)), "{service}: {variable}");
        }
        for volume in list(&of["volumes"]) {
            let source = volume.split(':').next().expect("it has a source");
            let there = match source.strip_prefix("./") {
                Some(file) => project("deploy").join(file).exists(),
                None => compose["volumes"].get(source).is_some(),
            };
            assert!(there, "{service}: {volume}");
        }
        assert!(list(&of["env_file"]).iter().all(|file| deploy.join(file).exists()), "{service}");
    }
    let said = text("deploy/prometheus/compose.yml");
    assert!(said.contains("/run/secrets/api_token") && said.contains("buzon:8081"), "{said}");
}

/// The secrets are those of the guide, in the places where the containers have them.
#[test]
async fn buzon_takes_the_settings_that_the_image_and_the_services_give_it() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    make_secrets(folder.path()).await;
    let deploy = folder.path().join("deploy");
    let answers = std::fs::read_to_string(deploy.join(".env")).expect("the guide makes it");
    let answers = answers.replace("YOUR-HOST", "buzon.example.com").replace("YOUR-GATEWAY", "gateway.example.com");
    let answers: BTreeMap<&str, &str> = answers.lines().filter_map(|line| line.split_once('=')).collect();
    let secrets = deploy.join("secrets").display().to_string();
    let mut settings = image_settings();
    for (name, value) in entries(&yaml(COMPOSE).await["services"]["buzon"]["environment"]) {
        let value = value.as_str().expect("it is text").to_owned();
        let asked = value.strip_prefix("${").and_then(|value| value.split(":?").next());
        let value = match asked {
            Some(asked) => answers.get(asked).unwrap_or_else(|| panic!("{asked} is asked for")).to_string(),
            None => value.replace("/run/secrets", &secrets),
        };
        settings.insert(name.to_owned(), value);
    }
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let output = run(folder.path(), &["check-config"], &settings).await;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("s3://media") && said.contains("postgres://") && said.contains("0.0.0.0:8080"), "{said}");
}

/// Runs the script for the PostgreSQL image on a server whose superuser has the same name as there.
#[test]
async fn the_database_is_buzons_own_and_its_user_may_do_nothing_else() {
    let server = Server::start("");
    postgres::execute(&server.url, "CREATE ROLE postgres LOGIN SUPERUSER; CREATE ROLE stranger LOGIN").await;
    let of = |user: &str, database: &str| {
        let mut url = url::Url::parse(&server.url).expect("it is a URL");
        url.set_username(user).expect("it takes one");
        url.set_path(database);
        String::from(url)
    };
    postgres::execute(&of("postgres", "postgres"), "ALTER ROLE buzon RENAME TO somebody").await;
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    make_secrets(folder.path()).await;
    let service = yaml(COMPOSE).await["services"]["postgres"].clone();
    let script = list(&service["volumes"])
        .into_iter()
        .find_map(|it| it.strip_suffix(":/docker-entrypoint-initdb.d/buzon.sh:ro"));
    let script = project("deploy").join(script.expect("it is where the image looks for such"));
    let secrets = folder.path().join("deploy/secrets").display().to_string();
    let settings = entries(&service["environment"]).filter_map(|(name, value)| Some((name, value.as_str()?)));
    let settings = settings.map(|(name, value)| (name, value.replace("/run/secrets", &secrets)));
    let port = url::Url::parse(&server.url).ok().and_then(|url| url.port()).expect("it has a port").to_string();
    let made = Command::new(&script).envs(settings).env("PGHOST", "127.0.0.1").env("PGPORT", port).output().await;
    let made = made.expect("it can be run");
    assert!(made.status.success(), "{made:?}");

    let buzon = of("buzon", "buzon");
    let migrated = run(folder.path(), &["migrate"], &[("BUZON_DATABASE_URL", &buzon)]).await;
    assert!(migrated.status.success(), "{migrated:?}");
    let stated = std::fs::read_to_string(format!("{secrets}/database_url")).expect("the guide makes it");
    let password = std::fs::read_to_string(format!("{secrets}/database_password")).expect("the guide makes it");
    assert_eq!(stated.trim(), format!("postgres://buzon:{}@postgres/buzon", password.trim()));
    let mut owner = PgConnection::connect(&buzon).await.expect("it may connect");
    for forbidden in [
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "ALTER SYSTEM SET fsync = off",
        "SELECT lo_from_bytea(0, 'x')",
    ] {
        let refused = owner.execute(forbidden).await.expect_err(forbidden);
        assert_eq!(refused.as_database_error().and_then(|it| it.code()).as_deref(), Some("42501"), "{forbidden}");
    }
    let refused = PgConnection::connect(&of("stranger", "buzon")).await.expect_err("it is buzon's own");
    assert!(refused.to_string().contains("permission denied for database"), "{refused}");
    let mut superuser = PgConnection::connect(&of("postgres", "buzon")).await.expect("it may connect");
    let row = "SELECT count(*) FROM pg_authid WHERE rolname = 'buzon' AND rolpassword LIKE 'SCRAM-SHA-256$%' AND NOT rolsuper";
    let rows: i64 = sqlx::query_scalar(row).fetch_one(&mut superuser).await.expect("it may see it");
    assert_eq!(rows, 1);

    let printed = run(folder.path(), &["sql-role", "reader", "--print"], &[("BUZON_DATABASE_URL", &buzon)]).await;
    assert!(printed.status.success(), "{printed:?}");
    let printed = String::from_utf8(printed.stdout).expect("it is text");
    postgres::execute(&of("postgres", "buzon"), &printed).await;
    let mut reader = PgConnection::connect(&of("reader", "buzon")).await.expect("it may connect");
    reader.execute("SELECT * FROM v_messages").await.expect("it reads");
}

/// Returns the variables that the image sets.
fn image_settings() -> BTreeMap<String, String> {
    let dockerfile = text("Dockerfile");
    let set = dockerfile.lines().filter_map(|line| line.strip_prefix("ENV ")?.split_once('='));
    set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_image_is_what_scripts_dist_makes_and_nothing_else() {
    let (dockerfile, dist) = (text("Dockerfile"), text("scripts/dist"));
    let target = dist.lines().find_map(|line| line.strip_prefix("target=")).expect("it names its target");
    let (_, image) = dockerfile.split_once("\nFROM scratch\n").expect("nothing is below it");
    assert!(dockerfile.contains("\nRUN ") && dockerfile.contains("scripts/dist"), "{dockerfile}");
    assert!(image.contains(&format!("COPY --from=build /src/dist/buzon-{target} /buzon\n")), "{image}");
    for line in [
        "USER 65532:65532\n",
        "ENTRYPOINT [\"/buzon\"]\n",
        "CMD [\"serve\"]\n",
        "CMD [\"/buzon\", \"healthcheck\"]\n",
        "VOLUME /data\n",
        "WORKDIR /data\n",
    ] {
        assert!(image.contains(line), "{line}");
    }
    assert_eq!(image_settings().get("BUZON_DATA_DIR").map(String::as_str), Some("/data"));
    // The image is built from the files of the project alone, whatever else lies in the folder.
    let ignored = text(".dockerignore");
    for name in ["target", "data", "dist", "buzon.toml", "deploy/secrets", ".git"] {
        assert!(ignored.lines().any(|line| line == name), "{name}");
    }
}
