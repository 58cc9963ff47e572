use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Asks a service a fixed list of questions, and returns its answers.
async fn answers(buzon: &Buzon, pictures: usize) -> Vec<Vec<u8>> {
    let lists =
        ["messages", "messages?q=menu", "chats", "acks", "reactions", "media", "events", "chats?unanswered=true"];
    let files = (0..pictures).map(|n| format!("messages/7/P{n}/media"));
    let mut answers = Vec::new();
    for path in lists.into_iter().map(str::to_owned).chain(files) {
        let get = crate::support::client().get(format!("http://{}/api/v1/{path}", buzon.address));
        let response = get.bearer_auth(TOKEN).send().await.expect("it answers");
        assert_eq!(response.status(), 200, "{path}");
        answers.push(response.bytes().await.expect("it can be read").to_vec());
    }
    answers
}

#[test(flavor = "multi_thread")]
async fn a_backup_under_load_has_every_event_that_was_acknowledged_before_it_began() {
    on_all(async |site| {
        let (_gateway, origin) = gateway(3).await;
        let buzon = site.serve(&origin).await;
        deliver_some(&site, &buzon, 0..3).await;
        let load = BackgroundLoad::start(&buzon);
        eventually("there is load", async || load.acknowledged().len() > 100).await;
        let before = load.acknowledged();
        let said = site.backup().await;
        let after = load.acknowledged().len();
        assert!(after > before.len(), "events were stored while it was made");
        load.stop().await;
        assert!(said.contains("3 media files, of which 3 are new"), "{said}");
        site.said(&["backup", "verify", &site.dest]).await;

        let twin = site.empty_twin().await;
        let said = twin.said(&["restore", &twin.dest]).await;
        assert!(said.contains("is restored into") && said.contains("3 media files"), "{said}");
        let check = twin.said(&["rebuild", "--check"]).await;
        assert!(check.contains("every table is what the ledger says"), "{check}");
        let restored: HashSet<String> = twin.world.rows("SELECT id FROM messages").await.into_iter().collect();
        let lost: Vec<&String> = before.iter().filter(|id| !restored.contains(*id)).collect();
        assert!(lost.is_empty(), "{lost:?}");
        buzon.kill().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_restored_service_gives_the_same_answers_and_files_byte_for_byte_and_goes_on() {
    on_all(async |site| {
        let (_gateway, origin) = gateway(5).await;
        let buzon = site.serve(&origin).await;
        deliver_some(&site, &buzon, 0..4).await;
        site.backup().await;
        let expected = (answers(&buzon, 4).await, site.world.dump().await);
        assert_eq!(expected.0.last(), Some(&picture(3)));

        let twin = site.empty_twin().await;
        let said = twin.said(&["restore", &twin.dest]).await;
        assert!(said.contains("It is a copy with a name of its own"), "{said}");
        let restored = twin.serve(&origin).await;
        assert_eq!((answers(&restored, 4).await, twin.world.dump().await), expected);
        // Under its own name, the copy leaves the original's files and backups alone.
        let id = "SELECT database_id FROM installation";
        assert_ne!(twin.world.value(id).await, site.world.value(id).await);
        twin.said(&["media", "sweep"]).await;
        let said = twin.refused(2, &["backup", &twin.dest]).await;
        assert!(said.contains("the backups of another database"), "{said}");
        deliver_some(&twin, &restored, 4..5).await;
        assert_eq!(twin.world.value("SELECT count(*) FROM messages").await, "6");
        restored.kill().await;
        buzon.kill().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn what_takes_the_originals_place_uses_its_media_store_and_goes_on_in_its_backups() {
    on_all(async |site| {
        let (_gateway, origin) = gateway(2).await;
        let buzon = site.serve(&origin).await;
        deliver_some(&site, &buzon, 0..2).await;
        site.said(&["media", "sweep"]).await;
        site.backup().await;
        buzon.kill().await;
        let mut twin = site.empty_twin().await;
        // The twin uses the original's media store.
        twin.settings = site.settings.clone();
        if twin.settings.is_empty() {
            let folder = site.world.data_dir().join("media");
            twin.settings = vec![("BUZON_MEDIA_STORE", format!("file://{}", folder.display()))];
        }
        let said = twin.refused(2, &["restore", &twin.dest]).await;
        assert!(said.contains("the media store is the original's") && said.contains("--take-over"), "{said}");
        let said = twin.said(&["restore", &twin.dest, "--take-over"]).await;
        assert!(said.contains("It takes the original's place"), "{said}");
        let id = "SELECT database_id FROM installation";
        assert_eq!(twin.world.value(id).await, site.world.value(id).await);
        // The numbers after those of the backup are assigned again, to other events.
        assert_ne!(twin.world.position(1).await, site.world.position(1).await);
        let said = twin.backup().await;
        assert!(said.contains("2 media files, of which 0 are new (0 bytes)"), "{said}");
        assert_eq!(site.backups().len(), 2);
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn nobody_else_can_read_a_backup_or_what_is_restored() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let site = Site::in_folders(backend).await;
        let (_gateway, origin) = gateway(1).await;
        let buzon = site.serve(&origin).await;
        deliver_some(&site, &buzon, 0..1).await;
        site.backup().await;
        let twin = site.empty_twin().await;
        twin.said(&["restore", &twin.dest]).await;
        let mut kept = files_below(&site.files);
        assert_eq!(kept.len(), 5, "a copy, its manifest, a file, whose it is, and who was erased: {kept:?}");
        kept.extend(files_below(&twin.world.data_dir().join("media")));
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        for path in kept {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            assert_eq!(mode(path.parent().expect("it has one")), 0o700, "{}", path.display());
        }
        if backend == Backend::Sqlite {
            assert_eq!(mode(&twin.world.folder.path().join("buzon.db")), 0o600);
        }
        buzon.kill().await;
    }
}

/// The document whose manual steps are followed.
const DOCUMENT: &str = include_str!("../../docs/backup.md");

#[test(flavor = "multi_thread")]
async fn a_backup_is_of_use_without_buzon_as_its_document_says() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let site = Site::in_folders(backend).await;
        let (_gateway, origin) = gateway(1).await;
        let buzon = site.serve(&origin).await;
        deliver_some(&site, &buzon, 0..1).await;
        site.backup().await;
        let copy = site.copy(&site.backups()[0]);
        let twin = site.empty_twin().await;
        let script = match backend {
            Backend::Sqlite => format!("cp {} buzon.db && sqlite3 buzon.db .tables", copy.display()),
            Backend::Postgres => {
                let bin = site.world.value("SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
                let line = DOCUMENT.lines().find(|line| line.starts_with("pg_restore ")).expect("it is shown");
                let line = line.replace("--dbname=buzon", &format!("--dbname='{}'", twin.world.url));
                format!("{bin}/{}", line.replace("database.pgdump", &copy.display().to_string()))
            }
        };
        let mut shell = tokio::process::Command::new("sh");
        let output = shell.args(["-c", &script]).current_dir(twin.world.folder.path()).output().await;
        let output = output.expect("there is a shell");
        assert!(output.status.success(), "{script}: {output:?}");
        twin.said(&["migrate"]).await;
        twin.said(&["rebuild", "--check"]).await;
        assert_eq!(twin.world.dump().await, site.world.dump().await);
        buzon.kill().await;
    }
}
