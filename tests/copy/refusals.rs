//! Moves that are refused, or that end with a difference.

use super::*;

#[test(flavor = "multi_thread")]
async fn a_place_that_is_not_empty_is_left_alone() {
    let shop = Shop::new().await;
    let occupied = World::new(Backend::Postgres).await;
    let buzon = Buzon::serve(&occupied, &[("BUZON_WEBHOOK_SECRET", SECRET)]).await;
    buzon.deliver(received("theirs", json!({}))).await.accepted();
    let before = occupied.dump().await;
    let said = shop.not_copied(&occupied, 2).await;
    assert!(said.contains("is not empty (events, chat_links, ledger_clock, messages"), "{said}");
    assert_eq!(occupied.dump().await, before);
    buzon.kill().await;

    let with_a_token = World::new(Backend::Postgres).await;
    let made = shop.run_on(&with_a_token, &["token", "create", "--name", "theirs"]).await;
    assert!(made.status.success(), "{made:?}");
    assert!(shop.not_copied(&with_a_token, 2).await.contains("is not empty (api_tokens)"));

    let foreign = World::empty(Backend::Postgres).await;
    foreign.execute("CREATE TABLE customers (id INT)").await;
    assert!(shop.not_copied(&foreign, 2).await.contains("tables of another program (customers)"));

    let begun = World::new(Backend::Postgres).await;
    begun.execute("CREATE TABLE _buzon_copying (source TEXT NOT NULL, ledger TEXT NOT NULL)").await;
    begun.execute("INSERT INTO _buzon_copying VALUES ('somebody else', '')").await;
    assert!(shop.not_copied(&begun, 2).await.contains("an unfinished copy of another database"));

    shop.said(&["token", "list"]).await;
}

#[test(flavor = "multi_thread")]
async fn a_wrong_use_is_named_and_no_password_is_repeated() {
    let shop = Shop::new().await;
    let target = World::empty(Backend::Postgres).await;
    let wrong = format!("postgres://u:{PASSWORD}/x@127.0.0.1/d");
    let secret = format!("postgres://u:{PASSWORD}@127.0.0.1:1/d");
    for (arguments, code, said) in [
        (&["copy"][..], 2, "--to"),
        (&["copy", "--to", "sqlite:///tmp/x.db"], 2, "moves from SQLite to PostgreSQL"),
        (&["copy", "--to", &wrong], 2, "written with %"),
        (&["copy", "--to", &secret], 1, "cannot connect to PostgreSQL at 127.0.0.1:1"),
        (&["copy", "--to-file", "nowhere"], 2, "--to-file: nowhere"),
    ] {
        let output = shop.run_on(&shop.world, arguments).await;
        let all = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {all}");
        assert!(all.contains(said) && !all.contains(PASSWORD), "{arguments:?}: {all}");
        let warned = all.contains("the password in --to is in the list of processes");
        assert_eq!(warned, arguments.contains(&secret.as_str()), "{all}");
    }
    let other = shop.run_on(&World::new(Backend::Postgres).await, &["copy", "--to", &target.url]).await;
    assert!(refused(&other, 2).contains("is no SQLite database"));

    let buzon = shop.serve(&shop.world).await;
    assert!(shop.not_copied(&target, 2).await.contains("another buzon"), "its service runs");
    buzon.kill().await;
}

/// A trigger stands for whatever may go wrong on the way.
#[test(flavor = "multi_thread")]
async fn a_difference_ends_the_copy_with_an_error_and_the_source_goes_on() {
    let shop = Shop::new().await;
    let target = World::new(Backend::Postgres).await;
    target
        .execute(
            "CREATE FUNCTION garble() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.detail = 'garbled'; RETURN NEW; END $$; \
             CREATE TRIGGER garble BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION garble()",
        )
        .await;
    let output = shop.copy(&target).await;
    assert!(refused(&output, 1).contains("differs from sqlite://"), "{output:?}");
    let printed = text(&output.stdout);
    let differing: Vec<&str> =
        printed.lines().filter(|line| !line.contains("| both")).filter(|line| line.contains("| audit")).collect();
    assert_eq!(differing.len(), 2, "{printed}");
    let serving = shop.run_on(&target, &["serve", "--listen", "127.0.0.1:0"]).await;
    assert!(refused(&serving, 2).contains("a copy into this database did not end"));
    shop.serve(&shop.world).await.kill().await;

    target.execute("DROP TRIGGER garble ON audit").await;
    shop.copied(&target).await;
    shop.assert_at(&target).await;
}
