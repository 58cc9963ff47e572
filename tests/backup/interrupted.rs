use super::*;
use crate::support::s3::Operation;

/// Returns a site whose media store can be held, with one complete backup and new files to be backed up.
async fn prepared(backend: Backend, dest_in_bucket: bool, s3: &S3Server) -> (Site, Buzon, FileServer) {
    let mut site = Site::in_bucket(backend, s3).await;
    if !dest_in_bucket {
        site.dest = "backups".to_owned();
        site.files = site.world.folder.path().join("backups");
    }
    let (gateway, origin) = gateway(3).await;
    let buzon = site.serve(&origin).await;
    deliver_some(&site, &buzon, 0..1).await;
    site.backup().await;
    deliver_some(&site, &buzon, 1..3).await;
    (site, buzon, gateway)
}

#[test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_in_the_middle_never_counts_and_the_next_one_removes_it() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        for dest_in_bucket in [false, true] {
            println!("on {backend:?}, in a bucket: {dest_in_bucket}");
            let s3 = S3Server::start().await;
            let (site, buzon, _gateway) = prepared(backend, dest_in_bucket, &s3).await;
            let whole = site.backups().remove(0);
            // The copy of the database is made before the first of the new files is requested.
            let key = site.world.value("SELECT object_key FROM media WHERE message_id = 'P1'").await;
            let asked = s3.arrived(Operation::Head);
            let gate = s3.hold(Operation::Head, asked + 1);
            let backup = started(&site, &["backup", &site.dest]);
            eventually("files are being copied", async || s3.arrived(Operation::Head) > asked).await;
            let broken_off = site.backups().pop().expect("there are two");
            assert_ne!(broken_off, whole);
            assert!(site.copy(&broken_off).exists());
            kill(backup).await;
            gate.open();

            let said = site.refused(1, &["backup", "verify", &site.dest, "--backup", &broken_off]).await;
            assert!(said.contains("is not complete"), "{said}");
            let list = site.said(&["backup", "list", &site.dest]).await;
            assert!(list.contains(&format!("{broken_off}  not complete\n")), "{list}");
            let said = site.said(&["backup", "verify", &site.dest]).await;
            assert!(said.starts_with(&whole), "{said}");
            let twin = site.empty_twin().await;
            let said = twin.refused(1, &["restore", &twin.dest, "--backup", &broken_off]).await;
            assert!(said.contains("is not complete"), "{said}");
            let said = twin.said(&["restore", &twin.dest]).await;
            assert!(said.starts_with(&whole), "{said}");

            let said = site.backup().await;
            assert!(said.starts_with(&format!("removed {broken_off}, which was broken off\n")), "{said}");
            assert!(said.contains("3 media files, of which 2 are new"), "{said}");
            let names = site.backups();
            assert!(names.len() == 2 && !names.contains(&broken_off), "{names:?}");
            assert!(site.objects().iter().any(|path| path.ends_with(&key)));
            assert!(!site.world.data_dir().join("backup-in-progress").exists());
            buzon.kill().await;
        }
    }
}

#[test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_in_the_middle_leaves_no_database_and_can_be_done_again() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let s3 = S3Server::start().await;
        let (site, buzon, _gateway) = prepared(backend, true, &s3).await;
        site.backup().await;
        let twin = site.empty_twin().await;
        let put = s3.arrived(Operation::Put);
        let gate = s3.hold(Operation::Put, put + 1);
        let restore = started(&twin, &["restore", &twin.dest]);
        eventually("files are being restored", async || s3.arrived(Operation::Put) > put).await;
        kill(restore).await;
        gate.open();
        twin.said(&["restore", &twin.dest]).await;
        assert_eq!(twin.world.dump().await, site.world.dump().await);
        buzon.kill().await;
    }
}

#[test(flavor = "multi_thread")]
async fn a_second_backup_at_the_same_time_is_refused_and_the_first_ends_well() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let s3 = S3Server::start().await;
        let (site, buzon, _gateway) = prepared(backend, false, &s3).await;
        let asked = s3.arrived(Operation::Head);
        let gate = s3.hold(Operation::Head, asked + 1);
        let mut first = started(&site, &["backup", &site.dest]);
        eventually("files are being copied", async || s3.arrived(Operation::Head) > asked).await;
        let said = site.refused(2, &["backup", &site.dest]).await;
        assert!(said.contains("another backup or restore of this database is under way"), "{said}");
        assert_eq!(
            said.contains("of the server (role \"buzon\", application \"buzon\", since"),
            backend == Backend::Postgres
        );
        gate.open();
        assert!(first.wait().await.expect("it can be waited for").success());
        site.said(&["backup", "verify", &site.dest]).await;
        buzon.kill().await;
    }
}
