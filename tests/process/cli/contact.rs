//! `buzon contact`, as a person uses it beside the running service.

use serde_json::json;

use crate::support::database::world::{World, on_both_at_once};
use crate::support::events::{SECRET, received};
use crate::support::eventually;
use crate::support::program::process::{Buzon, run};

const LID: &str = "176369157804064@lid";

async fn contact(world: &World, arguments: &[&str]) -> (bool, String, String) {
    let settings = [("BUZON_DATABASE_URL", world.url.as_str())];
    let output = run(world.folder.path(), &[&["contact"], arguments].concat(), &settings).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test(flavor = "multi_thread")]
async fn the_owner_says_who_is_who_and_the_service_moves_the_messages() {
    on_both_at_once(async |world| {
        let buzon = Buzon::serve(&world, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
        for n in 0..100 {
            let fields = json!({"instance_id": "7", "chat_id": LID, "from": LID, "timestamp": 1_724_716_800 + n});
            buzon.deliver(received(&format!("A{n}"), fields)).await.accepted();
        }
        let (done, _, said) = contact(&world, &["link", "7", LID, "+57 300 111 2233"]).await;
        assert!(done && said.contains("are one person now") && said.contains("the service moves"), "{said}");
        let chats = "SELECT chat_id, message_count FROM chats";
        eventually("they are moved", async || world.rows(chats).await == ["573001112233@c.us|100"]).await;
        let listed = format!("{LID} is 573001112233@c.us\n");
        assert_eq!(contact(&world, &["list", "7"]).await.1, listed);
        assert!(contact(&world, &["unlink", "7", "573001112233", LID]).await.0);
        eventually("they are moved back", async || world.rows(chats).await == [format!("{LID}|100")]).await;
        assert_eq!(contact(&world, &["list", "7"]).await.1, "");
        for wrong in [["link", "7", LID, "1203@g.us"], ["link", "7", LID, LID]] {
            let (done, _, said) = contact(&world, &wrong).await;
            assert!(!done && !said.is_empty(), "{wrong:?}: {said}");
        }
        let book =
            "BEGIN:VCARD\nFN:Ana\nTEL:+57 300 111 2233\nEND:VCARD\nBEGIN:VCARD\nFN:Eva\nTEL:300 444 5566\nEND:VCARD\n";
        std::fs::write(world.folder.path().join("contacts.vcf"), book).expect("the folder can be written");
        let (done, _, said) = contact(&world, &["import", "contacts.vcf"]).await;
        assert!(done && said.contains("1 numbers have no country code, such as 300 444 5566"), "{said}");
        let (done, _, said) = contact(&world, &["import", "contacts.vcf", "--country", "+57"]).await;
        assert!(done && said.contains("2 numbers have names now, in 1 instances"), "{said}");
        assert!(contact(&world, &["name", "7", LID, "Ana (wholesale)"]).await.0);
        let (_, listed, _) = contact(&world, &["list", "7"]).await;
        let expected = format!(
            "573001112233@c.us is called Ana\n{LID} is called Ana (wholesale)\n573004445566@c.us is called Eva\n"
        );
        assert_eq!(listed, expected);
        assert_eq!(world.rows("SELECT given_name FROM chats").await, ["Ana (wholesale)"]);
        assert!(contact(&world, &["name", "7", LID]).await.0);
        assert_eq!(world.rows("SELECT given_name FROM chats").await, ["NULL"]);
        for wrong in [&["name", "7", "Ana", "Ana"][..], &["name", "7", LID, ""], &["import", "nothing.vcf"]] {
            let (done, _, said) = contact(&world, wrong).await;
            assert!(!done && !said.is_empty(), "{wrong:?}: {said}");
        }
        buzon.kill().await;
    })
    .await;
}
