use super::*;

#[test(flavor = "multi_thread")]
async fn a_second_backup_copies_only_the_files_that_are_new() {
    on_all(async |site| {
        let (_gateway, origin) = gateway(5).await;
        let buzon = site.serve(&origin).await;
        deliver_some(&site, &buzon, 0..3).await;
        let said = site.backup().await;
        assert!(said.contains("3 media files, of which 3 are new"), "{said}");
        let first = site.objects();
        deliver_some(&site, &buzon, 3..5).await;
        let said = site.backup().await;
        let bytes = picture(3).len() + picture(4).len();
        assert!(said.contains(&format!("5 media files, of which 2 are new ({bytes} bytes)")), "{said}");
        assert_eq!((first.len(), site.objects().len(), site.backups().len()), (3, 5, 2));
        let list = site.said(&["backup", "list", &site.dest]).await;
        let lines: Vec<&str> = list.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("; 3 media files") && lines[1].contains("; 5 media files"), "{list}");
        // Each backup is complete.
        for (name, files) in site.backups().iter().zip([3, 5]) {
            let said = site.said(&["backup", "verify", &site.dest, "--backup", name]).await;
            assert_eq!(said, format!("{name} is as it was written: the database and {files} media files\n"));
        }
        let twin = site.empty_twin().await;
        twin.said(&["restore", &twin.dest, "--backup", &site.backups()[0]]).await;
        assert_eq!(twin.world.value("SELECT count(*) FROM media").await, "3");
        buzon.kill().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn older_backups_go_and_with_them_the_files_that_no_other_needs() {
    on_all(async |site| {
        let (_gateway, origin) = gateway(3).await;
        let buzon = site.serve(&origin).await;
        deliver_some(&site, &buzon, 0..2).await;
        site.backup().await;
        deliver_some(&site, &buzon, 2..3).await;
        site.backup().await;
        // Only the first backup has this file.
        site.world.execute("DELETE FROM media WHERE message_id = 'P0'").await;
        site.backup().await;
        let names = site.backups();
        assert_eq!((names.len(), site.objects().len()), (3, 3));
        let said = site.said(&["backup", &site.dest, "--keep", "3"]).await;
        assert!(said.ends_with(&format!("removed {}\n", names[0])), "{said}");
        assert_eq!((site.backups().len(), site.objects().len()), (3, 3), "the second needs it too");
        let said = site.said(&["backup", &site.dest, "--keep", "1"]).await;
        assert!(said.ends_with("removed 1 media files that no backup needs any more\n"), "{said}");
        assert_eq!((site.backups().len(), site.objects().len()), (1, 2));
        site.said(&["backup", "verify", &site.dest]).await;
        buzon.kill().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn nothing_goes_when_the_new_one_fails_or_an_old_one_cannot_be_read() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let site = Site::in_folders(backend).await;
        let (_gateway, origin) = gateway(2).await;
        let buzon = site.serve(&origin).await;
        deliver_some(&site, &buzon, 0..2).await;
        site.backup().await;
        site.backup().await;
        let (names, objects) = (site.backups(), site.objects());
        // The new backup fails because its database no longer exists.
        let elsewhere = ["backup", &site.dest, "--keep", "1", "--database-url"];
        let nowhere = match backend {
            Backend::Sqlite => "sqlite://nowhere.db".to_owned(),
            Backend::Postgres => format!("{}_gone", site.world.url),
        };
        assert!(!site.run(&[&elsewhere[..], &[&nowhere]].concat()).await.status.success());
        assert_eq!((site.backups(), site.objects()), (names.clone(), objects.clone()));
        damage(&site.files.join(&names[0]).join("manifest.json"));
        let output = site.run(&["backup", &site.dest, "--keep", "1"]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stdout).contains("is complete"), "{output:?}");
        assert!(said.contains(&names[0]) && said.contains("no older backup was removed"), "{said}");
        assert_eq!((site.backups().len(), site.objects()), (3, objects));
        buzon.kill().await;
    }
}

#[test(flavor = "multi_thread")]
async fn a_file_that_the_media_store_has_lost_is_told_of_and_the_backup_is_made() {
    on_all(async |site| {
        let (_gateway, origin) = gateway(2).await;
        let buzon = site.serve(&origin).await;
        deliver_some(&site, &buzon, 0..2).await;
        let keys = site.world.rows("SELECT object_key FROM media ORDER BY message_id").await;
        let saved = match site.dest.contains("://") {
            true => site.files.with_file_name("saved"),
            false => site.world.data_dir().join("media"),
        };
        let stored = |key: &str| saved.join(&key[..2]).join(key);
        std::fs::remove_file(stored(&keys[0])).expect("it is there");
        damage(&stored(&keys[1]));
        let output = site.run(&["backup", &site.dest]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{output:?}");
        assert!(said.contains("warning: the media store does not have") && said.contains(": 2 files"), "{said}");
        assert!(said.contains(&format!("{} is not there", keys[0])), "{said}");
        assert!(said.contains(&format!("{} has another content", keys[1])), "{said}");
        let verified = site.run(&["backup", "verify", &site.dest]).await;
        assert!(verified.status.success());
        assert!(String::from_utf8_lossy(&verified.stderr).contains(&keys[0]), "{verified:?}");
        buzon.kill().await;
    })
    .await;
}
