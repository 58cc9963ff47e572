use std::os::unix::fs::PermissionsExt;

use super::*;

/// Returns a site with a backup, on which nothing runs.
async fn backed_up(site: Site) -> Site {
    let (_gateway, origin) = gateway(2).await;
    let buzon = site.serve(&origin).await;
    deliver_some(&site, &buzon, 0..2).await;
    site.backup().await;
    buzon.kill().await;
    site
}

#[test(flavor = "multi_thread")]
async fn a_damaged_copy_of_the_database_is_found_and_nothing_is_restored_of_it() {
    on_all(async |site| {
        let site = backed_up(site).await;
        let copy = site.copy(&site.backups()[0]);
        damage(&copy);
        let output = site.run(&["backup", "verify", &site.dest]).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stdout).contains("has another content"), "{output:?}");
        let twin = site.empty_twin().await;
        let said = twin.refused(1, &["restore", &twin.dest]).await;
        assert!(said.contains("is damaged"), "{said}");
        assert!(!twin.world.folder.path().join("buzon.db").exists());
        assert_eq!(files_below(&twin.world.data_dir().join("media")), Vec::<PathBuf>::new());
        std::fs::remove_file(&copy).expect("it is there");
        let output = site.run(&["backup", "verify", &site.dest]).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stdout).contains("is missing"), "{output:?}");
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_damaged_or_missing_file_is_found_and_left_out_only_when_told_so() {
    on_all(async |site| {
        let site = backed_up(site).await;
        let objects = site.objects();
        damage(&objects[0]);
        std::fs::remove_file(&objects[1]).expect("it is there");
        let output = site.run(&["backup", "verify", &site.dest]).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1));
        for (path, flaw) in objects.iter().zip(["has another content", "is not there"]) {
            let key = path.file_name().and_then(|name| name.to_str()).expect("it has a name");
            assert!(said.contains(&format!("media file {key} {flaw}\n")), "{said}");
        }
        let twin = site.empty_twin().await;
        let said = twin.refused(1, &["restore", &twin.dest]).await;
        assert!(said.contains("2 files of the backup are not as they were"), "{said}");
        let output = twin.run(&["restore", &twin.dest, "--skip-damaged"]).await;
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("left out"), "{output:?}");
        assert_eq!(twin.world.dump().await, site.world.dump().await);
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_place_that_is_not_empty_is_left_as_it_is() {
    on_all(async |site| {
        let site = backed_up(site).await;
        let said = site.refused(2, &["restore", &site.dest, "--take-over"]).await;
        assert!(said.contains("is not empty"), "{said}");
        let twin = site.empty_twin().await;
        // The new file has the same name and other content.
        let key = site.world.value("SELECT object_key FROM media WHERE message_id = 'P0'").await;
        let folder = match site.dest.contains("://") {
            true => site.files.with_file_name("restored"),
            false => twin.world.data_dir().join("media"),
        };
        let path = folder.join(&key[..2]).join(&key);
        buzon::platform::private_folder::make(&twin.world.data_dir()).expect("it can be made");
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        std::fs::write(&path, "something else").expect("it can be written");
        let said = twin.refused(2, &["restore", &twin.dest]).await;
        assert!(said.contains(&key) && said.contains("restore into an empty place"), "{said}");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"something else");
        // The marker says that the files belong to another database.
        std::fs::write(folder.join("buzon-database"), "somebody else").expect("it can be written");
        let said = twin.refused(2, &["restore", &twin.dest]).await;
        assert!(said.contains("the files of another database"), "{said}");
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn a_log_without_its_database_or_a_running_service_is_no_empty_place() {
    let site = backed_up(Site::in_folders(Backend::Sqlite).await).await;
    let twin = site.empty_twin().await;
    let log = twin.world.folder.path().join("buzon.db-wal");
    std::fs::write(&log, "a log").expect("it can be written");
    let said = twin.refused(2, &["restore", &twin.dest]).await;
    assert!(said.contains("buzon.db-wal is not empty"), "{said}");
    std::fs::remove_file(&log).expect("it is there");
    let buzon = twin.serve(&[]).await;
    let said = twin.refused(2, &["restore", &twin.dest]).await;
    assert!(said.contains("another buzon (process "), "{said}");
    buzon.kill().await;
}

#[test(flavor = "multi_thread")]
async fn a_backup_of_one_kind_of_database_is_not_restored_into_the_other() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let site = backed_up(Site::in_folders(backend).await).await;
        let other = if backend == Backend::Sqlite { Backend::Postgres } else { Backend::Sqlite };
        let mut twin = site.empty_twin().await;
        twin.world = World::empty(other).await;
        let said = twin.refused(2, &["restore", &twin.dest]).await;
        assert!(said.contains("the backup is of") && said.contains("BUZON_DATABASE_URL"), "{said}");
    }
}

#[test(flavor = "multi_thread")]
async fn places_that_make_no_sense_are_refused_in_one_line() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let site = backed_up(Site::in_folders(backend).await).await;
        // The service keeps its own files in this folder.
        let said = site.refused(2, &["backup", "data"]).await;
        assert!(said.contains("where the service has its own files"), "{said}");
        for arguments in
            [["restore", "nowhere"].as_slice(), &["backup", "verify", "nowhere"], &["backup", "list", "nowhere"]]
        {
            let said = site.refused(2, arguments).await;
            assert!(said.contains("there is no folder"), "{said}");
        }
        assert!(!site.world.folder.path().join("nowhere").exists());
        std::fs::create_dir(site.world.folder.path().join("bare")).expect("it can be made");
        let said = site.refused(2, &["backup", "verify", "bare"]).await;
        assert!(said.contains("there is no complete backup"), "{said}");
        let said = site.refused(2, &["backup", "verify", &site.dest, "--backup", "2024-08-27T00-00-00.000Z"]).await;
        assert!(said.contains("there is no backup 2024-08-27T00-00-00.000Z"), "{said}");
        let empty = World::empty(backend).await;
        let said = site.refused(2, &["backup", "elsewhere", "--database-url", &empty.url]).await;
        assert!(said.contains("no database") || said.contains("no tables of buzon"), "{said}");
    }
}

#[test(flavor = "multi_thread")]
async fn a_pg_dump_that_is_missing_or_too_old_is_named_with_the_remedy_and_leaves_nothing() {
    let site = backed_up(Site::in_folders(Backend::Postgres).await).await;
    let before = site.backups();
    let bin = site.world.folder.path().join("bin");
    std::fs::create_dir(&bin).expect("it can be made");
    let arguments = ["backup", &site.dest, "--pg-bin", "bin"];
    let said = site.refused(2, &arguments).await;
    assert!(said.contains("there is no pg_dump in bin; install") && said.contains("postgresql-client-"), "{said}");
    let program = bin.join("pg_dump");
    std::fs::write(&program, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n").expect("it can be written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let said = site.refused(2, &arguments).await;
    assert!(said.contains("the newest pg_dump in bin is of version 9, and ") && said.contains("--pg-bin"), "{said}");
    let twin = site.empty_twin().await;
    let said = twin.refused(2, &["restore", &twin.dest, "--pg-bin", bin.to_str().expect("it is text")]).await;
    assert!(said.contains("there is no pg_restore in"), "{said}");
    assert_eq!(site.backups(), before);
}

/// This `pg_dump` fails in the middle of its work, with a message that quotes a row.
#[test(flavor = "multi_thread")]
async fn a_pg_dump_that_fails_makes_no_backup_and_its_error_is_told() {
    let site = backed_up(Site::in_folders(Backend::Postgres).await).await;
    let before = site.backups();
    let bin = site.world.folder.path().join("bin");
    std::fs::create_dir(&bin).expect("it can be made");
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'pg_dump (PostgreSQL) 99.1'; exit; }\n\
        printf half; echo 'pg_dump: error: the line was cut' >&2; echo 'DETAIL: a row' >&2; exit 1\n";
    let program = bin.join("pg_dump");
    std::fs::write(&program, script).expect("it can be written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    std::os::unix::fs::symlink("pg_dump", bin.join("pg_restore")).expect("it can be made");
    let said = site.refused(1, &["backup", &site.dest, "--keep", "1", "--pg-bin", "bin"]).await;
    assert!(said.contains("the line was cut") && !said.contains("a row"), "{said}");
    assert_eq!(site.backups(), before);
}
