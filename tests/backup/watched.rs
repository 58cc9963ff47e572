use serde_json::Value;

use super::*;
use crate::support::database::tokens::token;

/// Starts the service, and returns what a token is told of its backups.
async fn told(site: &Site, token: &str) -> Value {
    let place = if site.dest.contains("://") { site.dest.clone() } else { site.files.display().to_string() };
    let buzon = site.serve(&[("BUZON_BACKUP_TO", place)]).await;
    let get = crate::support::client().get(format!("http://{}/api/v1/backups", buzon.address)).bearer_auth(token);
    let said = get.send().await.expect("it answers").json().await.expect("it is JSON");
    buzon.kill().await;
    said
}

#[test(flavor = "multi_thread")]
async fn the_owner_is_told_of_the_latest_backup_and_of_its_last_check_and_nobody_else_is() {
    on_all(async |site| {
        let nothing = told(&site, TOKEN).await;
        assert_eq!(nothing["data"].as_array().map(Vec::len), Some(1), "{nothing}");
        assert!(nothing["data"][0]["latest"].is_null() && nothing["data"][0]["check"].is_null(), "{nothing}");
        let is_folder = !site.dest.contains("://");
        assert_eq!(nothing["data"][0]["problem"].is_string(), is_folder && !site.files.exists(), "{nothing}");

        let folder = site.files.display().to_string();
        let place = if is_folder { &folder } else { &site.dest };
        assert_eq!(&nothing["data"][0]["place"], place, "{nothing}");

        site.backup().await;
        let made = told(&site, TOKEN).await;
        let latest = &made["data"][0]["latest"];
        assert_eq!((&latest["name"], &latest["lacking"]), (&json!(site.backups()[0]), &json!(0)), "{made}");
        assert!(latest["bytes"].as_u64() > Some(1_000) && made["data"][0]["check"].is_null(), "{made}");

        site.said(&["backup", "verify", &site.dest]).await;
        site.backup().await;
        let checked = told(&site, TOKEN).await;
        let [first, second] = &site.backups()[..] else { panic!("there are two") };
        assert_eq!(checked["data"][0]["latest"]["name"], json!(second), "{checked}");
        let check = &checked["data"][0]["check"];
        assert_eq!((&check["backup"], &check["problems"]), (&json!(first), &json!(0)), "{checked}");

        damage(&site.copy(second));
        let output = site.run(&["backup", "verify", &site.dest]).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let damaged = told(&site, TOKEN).await;
        let check = &damaged["data"][0]["check"];
        assert_eq!((&check["backup"], &check["problems"]), (&json!(second), &json!(1)), "{damaged}");

        for instances in [&["7"][..], &[]] {
            let known = token(&site.world, instances).await;
            assert_eq!(told(&site, known.text()).await["data"], json!([]), "{instances:?}");
        }
    })
    .await;
}
