use std::sync::Arc;

use super::{JPEG, all_end, deliver, files, service};
use crate::support::clock::PanickingClock;
use crate::support::database::world::{Backend, World, on_both_at_once};
use crate::support::events::SECRET;
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::gateway::file_server::{FileServer, Reply, StoppedFileServer};
use crate::support::program::service::Service;

/// The files fail permanently, each in another way, and each job gets the state and reason of its failure.
#[test(flavor = "multi_thread")]
async fn every_kind_of_failure_has_a_state_and_a_reason_that_a_person_understands() {
    on_both_at_once(async |world| {
        let gateway = FileServer::start().await;
        let moved = Reply::redirect(&gateway.url("/moved"));
        let hour = "Retry-After: 3600\r\n";
        for (path, reply) in [
            ("/404", Reply::status(404)),
            ("/410", Reply::status(410)),
            ("/403", Reply::status(403)),
            ("/204", Reply::status(204)),
            ("/empty", Reply::file(b"")),
            ("/moved", moved),
            ("/nowhere", Reply::status(302)),
            ("/503", Reply::status(503)),
            ("/408", Reply::status(408)),
            ("/425", Reply::status(425)),
            ("/429", Reply::status_with(429, hour)),
            ("/short", Reply::lying(100, JPEG)),
            ("/cut-off", Reply::cut_off()),
            ("/reset", Reply::reset()),
            ("/silent", Reply::file(JPEG).held(&Gate::closed())),
            ("/stalled", Reply::halved(JPEG, &Gate::closed())),
            ("/large", Reply::lying(200_001, JPEG)),
            ("/endless", Reply::endless()),
        ] {
            gateway.reply(path, reply);
        }
        let settings =
            [("BUZON_MEDIA_ATTEMPTS", "4"), ("BUZON_MEDIA_TIMEOUT", "1"), ("BUZON_MEDIA_MAX_SIZE", "200000")];
        let service = service(&world, &gateway, &settings).await;
        let gone = "the gateway no longer has the file (it answered";
        let used_up = "given up after 4 attempts; the last time";
        let broken = "the connection broke off before the file was whole";
        let late = "the download took longer than 1 seconds";
        let large = "the file is larger than media_max_size, which is 200000 bytes";
        let expected = [
            ("/404", format!("expired|1|{gone} 404)")),
            ("/410", format!("expired|1|{gone} 410)")),
            ("/403", "failed|4|the server answered 403 Forbidden".to_owned()),
            ("/204", "failed|4|the server answered 204 No Content".to_owned()),
            ("/empty", "failed|4|the server sent an empty file".to_owned()),
            ("/moved", "failed|4|the server redirected more than 5 times".to_owned()),
            ("/nowhere", "failed|4|the server answered 302 Found without a usable address".to_owned()),
            ("/503", format!("failed|4|{used_up} the server answered 503 Service Unavailable")),
            ("/408", format!("failed|4|{used_up} the server answered 408 Request Timeout")),
            ("/425", format!("failed|4|{used_up} the server answered 425 Too Early")),
            ("/short", format!("failed|4|{used_up} {broken}")),
            ("/cut-off", format!("failed|4|{used_up} {broken}")),
            ("/silent", format!("failed|4|{used_up} {late}")),
            ("/stalled", format!("failed|4|{used_up} {late}")),
            ("/large", format!("too_large|1|{large}")),
            ("/endless", format!("too_large|1|{large}")),
        ];
        for (path, _) in &expected {
            deliver(&service, path, path).await;
        }
        deliver(&service, "/reset", "/reset").await;
        deliver(&service, "/429", "/429").await;
        eventually("all but one end", async || {
            world.value("SELECT count(*) FROM media WHERE state = 'pending'").await == "1"
        })
        .await;
        let row = async |path: &str| {
            let query = format!("SELECT state, attempts, reason FROM media WHERE message_id = '{path}'");
            world.value(&query).await
        };
        for (path, end) in &expected {
            assert_eq!(&row(path).await, end, "{path}");
        }
        assert!(row("/reset").await.starts_with("failed|4|given up after 4 attempts"), "{}", row("/reset").await);
        assert_eq!(row("/429").await, "pending|1|the server answered 429 Too Many Requests");
        let asked = gateway.asked("/429");
        assert_eq!(asked, 1, "it is left alone for the hour that it asked for");
        assert_eq!(files(&world), [""; 0]);
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn when_the_gateway_comes_back_its_files_are_stored_without_any_action() {
    on_both_at_once(async |world| {
        let away = StoppedFileServer::new();
        let origin = format!("http://{}", away.address());
        let settings = [("BUZON_WEBHOOK_SECRET", crate::support::events::SECRET), ("BUZON_GATEWAY_URL", &origin)];
        let service = crate::support::program::service::Service::start_with(&world, &settings).await;
        deliver(&service, "A", "/a.jpg").await;
        let reason = "SELECT coalesce(reason, '') FROM media";
        eventually("it has failed", async || world.value(reason).await.contains("cannot be reached")).await;
        let gateway = away.come_back();
        gateway.reply("/a.jpg", Reply::file(JPEG));
        all_end(&world).await;
        assert_eq!(world.value("SELECT state FROM media").await, "stored");
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn an_exact_repeat_of_the_event_fetches_an_expired_file_again() {
    on_both_at_once(async |world| {
        let gateway = FileServer::start().await;
        let service = service(&world, &gateway, &[]).await;
        deliver(&service, "A", "/a.jpg").await;
        all_end(&world).await;
        assert_eq!(world.value("SELECT state FROM media").await, "expired");
        gateway.reply("/a.jpg", Reply::file(JPEG));
        deliver(&service, "A", "/a.jpg").await;
        all_end(&world).await;
        assert_eq!(world.value("SELECT state, attempts, reason FROM media").await, "stored|1|NULL");
        service.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_server_that_sends_more_than_it_says_ends_where_it_said() {
    let world = World::new(Backend::Sqlite).await;
    let gateway = FileServer::start().await;
    gateway.reply("/long", Reply::lying(JPEG.len(), &[JPEG, b"and more"].concat()));
    let service = service(&world, &gateway, &[]).await;
    deliver(&service, "A", "/long").await;
    all_end(&world).await;
    assert_eq!(files(&world), [super::key(JPEG).to_string()]);
    service.stop().await;
}

#[test(flavor = "multi_thread")]
async fn a_bucket_that_is_away_loses_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let (gateway, s3) = (FileServer::start().await, crate::support::s3::S3Server::start().await);
    gateway.reply("/a.jpg", Reply::file(JPEG));
    let settings = s3.settings();
    let settings = crate::support::borrowed(&settings);
    let service = service(&world, &gateway, &settings).await;
    s3.fail(|_| true);
    deliver(&service, "A", "/a.jpg").await;
    let reason = "SELECT coalesce(reason, '') FROM media";
    eventually("it has failed", async || world.value(reason).await.starts_with("the file could not be stored")).await;
    s3.recover();
    all_end(&world).await;
    assert_eq!(world.value("SELECT state FROM media").await, "stored");
    service.stop().await;
}

/// The owner may have added a trigger, for example. Other files in the same statement are stored.
#[test(flavor = "multi_thread")]
async fn a_file_that_the_database_refuses_harms_no_other() {
    on_both_at_once(async |world| {
        world.open().await.close().await;
        let trigger = match world.backend {
            Backend::Sqlite => {
                "CREATE TRIGGER no BEFORE UPDATE ON media WHEN new.file_name = 'poison.jpg'
                 BEGIN SELECT raise(ABORT, 'no'); END"
            }
            Backend::Postgres => {
                "CREATE FUNCTION no() RETURNS trigger AS $$ BEGIN
                     IF new.file_name = 'poison.jpg' THEN RAISE EXCEPTION 'no'; END IF; RETURN new;
                 END $$ LANGUAGE plpgsql;
                 CREATE TRIGGER no BEFORE UPDATE ON media FOR EACH ROW EXECUTE FUNCTION no()"
            }
        };
        world.execute(trigger).await;
        let gateway = FileServer::start().await;
        let gate = Gate::closed();
        let service = service(&world, &gateway, &[]).await;
        for name in ["a.jpg", "poison.jpg", "b.jpg"] {
            gateway.reply(&format!("/{name}"), Reply::file(JPEG).held(&gate));
            deliver(&service, name, &format!("/{name}")).await;
        }
        eventually("all are under way", async || gateway.requests().len() == 3).await;
        gate.open();
        all_end(&world).await;
        let rows = world.rows("SELECT message_id, state, reason FROM media ORDER BY message_id").await;
        let refused = "poison.jpg|failed|the database refused what was known of the file";
        assert_eq!(rows, ["a.jpg|stored|NULL", "b.jpg|stored|NULL", refused]);
        service.stop().await;
    })
    .await;
}

/// A panic delays files for a moment, and the service continues.
#[test(flavor = "multi_thread")]
async fn a_worker_that_panics_is_started_again_and_files_are_saved() {
    on_both_at_once(async |world| {
        let gateway = FileServer::start().await;
        gateway.reply("/a.jpg", Reply::file(JPEG));
        let (clock, origin) = (Arc::new(PanickingClock::default()), gateway.url(""));
        clock.arm(true);
        let settings = [("BUZON_WEBHOOK_SECRET", SECRET), ("BUZON_GATEWAY_URL", origin.as_str())];
        let service = Service::start_clocked(&world, clock.clone(), &settings).await;
        eventually("the worker panics", async || clock.panics() > 0).await;
        clock.arm(false);
        deliver(&service, "A", "/a.jpg").await;
        all_end(&world).await;
        assert_eq!(world.value("SELECT state FROM media").await, "stored");
        service.stop().await;
    })
    .await;
}
