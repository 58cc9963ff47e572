//! The audit of exports and erasures.

use buzon::domain::audit::{AuditActor, AuditedDeed, KEPT};
use buzon::domain::time::timestamp::Timestamp;
use serde_json::json;

use crate::support::clock::ARRIVAL;
use crate::support::database::world::on_both;

fn deed(at: Timestamp, action: &str, subject_hmac: Option<String>) -> AuditedDeed {
    let actor = AuditActor::Token("panel".to_owned());
    AuditedDeed { at, actor, action: action.to_owned(), subject_hmac, detail: json!({"rows": 3}) }
}

#[test]
async fn deeds_are_listed_from_the_latest_on_and_forgotten_after_two_years() {
    on_both(async |world| {
        let store = world.open().await;
        store.audit(&deed(ARRIVAL, "old", None)).await.expect("it is kept");
        let ana = store.audit_pseudonym("573001112233@c.us").await.expect("there is a key");
        assert!(!ana.contains("573001112233") && ana.len() == 64, "{ana}");
        store.audit(&deed(ARRIVAL + KEPT, "export person", Some(ana.clone()))).await.expect("it is kept");
        let list = async |before, limit| store.audit_entries(before, limit).await.expect("it answers");
        let all = list(None, 10).await;
        let shown: Vec<_> = all.iter().map(|it| (it.actor.as_str(), it.action.as_str(), &it.subject_hmac)).collect();
        assert_eq!(shown, [("token:panel", "export person", &Some(ana)), ("token:panel", "old", &None)]);
        assert_eq!(all[0].detail.as_deref(), Some(r#"{"rows":3}"#));
        assert_eq!(list(None, 1).await, all[..1]);
        assert_eq!(list(Some(all[0].seq), 10).await, all[1..]);
        let later = Timestamp::from_millis((ARRIVAL + KEPT).millis() + 1);
        store.audit(&deed(later, "new", None)).await.expect("it is kept");
        let actions: Vec<String> = list(None, 10).await.into_iter().map(|it| it.action).collect();
        assert_eq!(actions, ["new", "export person"]);
    })
    .await;
}

#[test]
async fn every_database_has_a_key_of_its_own() {
    on_both(async |world| {
        world.open().await.close().await;
        assert_eq!(world.value("SELECT length(secret) FROM pseudonym_keys WHERE purpose = 'audit'").await, "32");
    })
    .await;
}
