//! Search: every text that somebody types is either a query that both databases answer alike, or is refused.

use std::cell::Cell;
use std::sync::Arc;

use buzon::domain::instance::InstanceId;
use buzon::domain::search::{SearchPhrase, SearchQuery, SearchQueryError};
use buzon::store::{MessageFilter, Store};
use proptest::prelude::*;
use serde_json::json;

use super::mutation::mutated_text;
use super::{corpus, hold, hold_slowly};
use crate::store::read::search::{found_by, said};
use crate::support::database::world::{Backend, World, record};

/// Generates texts that somebody might type or paste, including attacks.
fn typed() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => any::<String>(),
        1 => r#"([a-c]|["'\\:*^(){}+,!&|<>-]|NEAR|OR|NOT|AND|<->| ){0,12}"#,
        2 => mutated_text(corpus::lines("search")),
    ]
}

/// Writes a parsed query in the simplest form that means the same. Pairs of letters of a script without spaces would be
/// runs of their own, so the query must have none.
fn printed(query: &SearchQuery) -> String {
    let phrase =
        |phrase: &SearchPhrase| format!("\"{}{}\"", phrase.words.join(" "), if phrase.is_beginning { "*" } else { "" });
    Vec::from_iter(query.phrases().iter().map(phrase)).join(" ")
}

#[test]
fn text_that_is_not_an_operator_for_buzon_is_none_for_a_database() {
    hold(&typed(), |text| {
        let Ok(query) = SearchQuery::parse(&text) else { return Ok(()) };
        let words: Vec<&String> = query.phrases().iter().flat_map(|phrase| &phrase.words).collect();
        prop_assert!((1..=1_000).contains(&words.len()));
        prop_assert!(query.phrases().iter().all(|phrase| !phrase.words.is_empty()));
        for word in &words {
            let odd =
                |c: char| c.is_whitespace() || c.is_control() || c.is_ascii_punctuation() || c.is_ascii_uppercase();
            prop_assert!(!word.is_empty() && word.len() <= 255 && !word.contains(odd), "{:?} of {:?}", word, text);
        }
        let is_whole = |word: &&String| {
            let before_another = SearchQuery::parse(&format!("\"{word} x\""));
            before_another.is_ok_and(|it| it.phrases()[0].words == [word.as_str(), "x"])
        };
        match SearchQuery::parse(&printed(&query)) {
            _ if !words.iter().all(is_whole) => {}
            Err(SearchQueryError::TooLong) => {}
            again => prop_assert_eq!(again, Ok(query), "{:?}", text),
        }
        Ok(())
    });
}

#[test]
fn every_text_is_a_query_that_both_databases_answer_alike_or_is_refused() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    let worlds = runtime.block_on(async { [World::new(Backend::Sqlite).await, World::new(Backend::Postgres).await] });
    let stores = runtime.block_on(async { [worlds[0].open().await, worlds[1].open().await] });
    let instance = prop::sample::select(&[None, Some("7"), Some("\" OR I37"), Some("nobody")][..]);
    let cases = Cell::new(0);
    hold_slowly(300, &(typed(), typed(), instance), |(text, body, instance)| {
        let id = format!("{:05}", cases.replace(cases.get() + 1));
        let events = [said("7", &id, json!({"body": format!("{text} {body}")})), said("8", &id, json!({"body": body}))];
        stores.iter().for_each(|store| drop(runtime.block_on(record(store, &events))));
        let Ok(query) = SearchQuery::parse(&text) else { return Ok(()) };
        let find = |store: &Arc<dyn Store>| {
            let instance_id = instance.map(InstanceId::from_store);
            let filter = MessageFilter { search: Some(query.clone()), instance_id, ..MessageFilter::default() };
            runtime.block_on(found_by(store, filter, 200))
        };
        let found = stores.each_ref().map(find);
        prop_assert_eq!(&found[0], &found[1], "{:?}", query);
        let seen = matches!(instance, None | Some("7"));
        prop_assert_eq!(found[0].contains(&format!("7 {id}")), seen, "{:?}", query);
        Ok(())
    });
}
