//! The page under load, over a slow line, and while the service is away. `BUZON_TEST_LOAD=1` makes the deep conversation as long as
//! that of a shop after years.

use super::*;
use crate::support::program::process::Buzon;

const TOKEN: &str = "0123456789abcdef-token-of-the-owner";
const DEEP: &str = "573000000003@c.us";
/// The messages that are on the page when it is opened, and more of them before.
const RECENT: usize = 150;

fn depth() -> usize {
    if std::env::var("BUZON_TEST_LOAD").is_ok_and(|load| load == "1") { 400_000 } else { 20_000 }
}

/// Adds messages to the deep conversation past the program, one a minute, which are copies of one that it stored.
async fn deepen(world: &World, depth: usize) {
    let (columns, time) = match world.backend {
        Backend::Sqlite => (
            "SELECT name FROM pragma_table_info('messages')",
            "strftime('%Y-%m-%dT%H:%M:%S', 1672531200 + (n - 1) * 60, 'unixepoch') || substr(occurred_at, 20)",
        ),
        Backend::Postgres => (
            "SELECT column_name::text FROM information_schema.columns \
             WHERE table_name = 'messages' AND table_schema = current_schema()",
            "to_timestamp(1672531200 + (n - 1) * 60)",
        ),
    };
    let columns = world.rows(columns).await;
    let values = columns.iter().map(|column| match column.as_str() {
        "id" => "'D' || n",
        "body" => "'mensaje ' || n || ' ' || body",
        "occurred_at" | "sent_at" | "last_sent_at" => time,
        other => other,
    });
    let (columns, values) = (columns.join(", "), values.collect::<Vec<_>>().join(", "));
    let statement = format!(
        "INSERT INTO messages ({columns}) WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers \
         WHERE n < {depth}) SELECT {values} FROM messages CROSS JOIN numbers WHERE id = 'TEMPLATE'; \
         DELETE FROM messages WHERE id = 'TEMPLATE'"
    );
    world.execute(&statement).await;
}

#[test(flavor = "multi_thread")]
async fn the_page_bears_load_a_slow_line_and_a_service_that_goes_away() {
    on_both(async |world: World| {
        let listen = ["127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned()];
        let serve = async |[webhook, api]: &[String; 2]| {
            let settings = [
                ("BUZON_LISTEN", webhook.as_str()),
                ("BUZON_API_LISTEN", api),
                ("BUZON_WEBHOOK_SECRET", SECRET),
                ("BUZON_API_TOKEN", TOKEN),
            ];
            Buzon::serve(&world, &settings).await
        };
        let buzon = serve(&listen).await;
        let listen = [buzon.address.to_string(), buzon.api_address.to_string()];
        for n in 1..=RECENT {
            let person = "573000000001@c.us";
            let fields = json!({ "chat_id": person, "from": person, "body": format!("mensaje {n}"), "timestamp": 1_724_716_800 + n * 60 });
            assert!(!buzon.deliver(received(&format!("L{n}"), fields)).await.accepted());
        }
        let fields = json!({ "chat_id": DEEP, "from": DEEP, "body": "sobre el pedido", "timestamp": 1_724_716_800 });
        assert!(!buzon.deliver(received("TEMPLATE", fields)).await.accepted());
        let depth = depth();
        deepen(&world, depth).await;
        let (page, webhook, depth) =
            (format!("http://{}/", listen[1]), format!("http://{}", listen[0]), depth.to_string());
        let mut browsing = Browsing::start("robust", (&page, &webhook), TOKEN, &[("DEPTH", &depth)]);
        let mut running = Some(buzon);
        while let Some(wish) = browsing.asked().await {
            match wish.as_str() {
                "kill" => running.take().expect("it runs").kill().await,
                "start" => running = Some(serve(&listen).await),
                other => panic!("{other}"),
            }
            browsing.done().await;
        }
    })
    .await;
}
