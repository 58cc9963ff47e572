//! Cursors: each is understood again in one form only, and every readable cursor begins a page.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use buzon::domain::instance::InstanceId;
use buzon::domain::page::{Cursor, KeyPart, KeysetBound, Paging, SortKey, SortOrder};
use buzon::domain::time::timestamp::Timestamp;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::mutation::{edited, edits, mutated_text};
use super::{corpus, hold};

const LISTS: [&str; 3] = ["messages", "messages by received_at", "events"];

fn list() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&LISTS[..])
}

/// Generates the key of a row that a database may have.
fn key() -> impl Strategy<Value = SortKey> {
    let id = || prop_oneof!["[0-9A-Z]{1,12}", "[^\0]{1,64}"];
    let at = || (0..253_402_300_799_000_i64).prop_map(Timestamp::from_millis);
    let of_instance = (at(), id(), prop::collection::vec(id(), 0..3))
        .prop_map(|(at, instance, rest)| SortKey::new(at, &InstanceId::from_store(&instance), rest));
    prop_oneof![of_instance, (at(), any::<i64>()).prop_map(|(at, number)| SortKey::numbered(at, number))]
}

fn cursor<K: std::fmt::Debug>(key: impl Strategy<Value = K>) -> impl Strategy<Value = Cursor<K>> {
    (key, any::<bool>()).prop_map(|(key, backwards)| Cursor { key, backwards })
}

/// Generates a text from outside: base64 of something like the JSON of a cursor, changed before or after the encoding.
fn text() -> impl Strategy<Value = String> {
    (mutated_text(corpus::lines("cursors")), edits(), prop::bool::weighted(0.3)).prop_map(|(json, edits, harmed)| {
        let text = BASE64_URL_SAFE_NO_PAD.encode(json).into_bytes();
        let text = if harmed { edited(text.clone(), &edits, &[text]) } else { text };
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// Decodes a text, and checks that no other text has the same meaning and that it is valid for one list only.
fn read<K: Serialize + DeserializeOwned>(text: &str) -> Result<Option<(&'static str, Cursor<K>)>, TestCaseError> {
    let mut readings = LISTS.iter().filter_map(|list| Some((*list, Cursor::decode(list, text).ok()?)));
    let Some((list, cursor)) = readings.next() else { return Ok(None) };
    prop_assert!(readings.next().is_none(), "{} is valid for two lists", text);
    prop_assert_eq!(cursor.encode(list), text);
    Ok(Some((list, cursor)))
}

#[test]
fn an_encoded_cursor_can_be_decoded_for_its_own_list_only() {
    hold(&(cursor(key()), cursor(any::<i64>()), list(), list()), |(by_key, by_number, own, other)| {
        let read = (Cursor::decode(own, &by_key.encode(own)), Cursor::decode(own, &by_number.encode(own)));
        prop_assert_eq!(&read, &(Ok(by_key.clone()), Ok(by_number)));
        prop_assert!(Cursor::<i64>::decode(own, &by_key.encode(own)).is_err());
        prop_assert_eq!(Cursor::<SortKey>::decode(other, &by_key.encode(own)).is_ok(), own == other);
        Ok(())
    });
}

#[test]
fn only_the_exact_encoding_of_a_cursor_is_accepted() {
    hold(&text(), |text| {
        let (by_key, by_number) = (read::<SortKey>(&text)?, read::<i64>(&text)?);
        prop_assert!(by_key.is_none() || by_number.is_none());
        Ok(())
    });
}

/// The store asks the database for the rows between the bounds of a page.
#[test]
fn the_bounds_of_a_page_are_valid_for_a_database_whatever_the_cursor() {
    let order = prop::sample::select(&[SortOrder::NewestFirst, SortOrder::OldestFirst][..]);
    let at = || prop::option::of((0..253_402_300_799_000_i64).prop_map(Timestamp::from_millis));
    let lowest = prop::collection::vec(prop::sample::select(vec![KeyPart::LOWEST_NUMBER, KeyPart::LOWEST_TEXT]), 0..4);
    hold(
        &(mutated_text(corpus::lines("cursors")), order, at(), at(), lowest),
        |(json, order, since, until, lowest)| {
            let text = BASE64_URL_SAFE_NO_PAD.encode(json);
            let Some((_, cursor)) = read::<SortKey>(&text)? else { return Ok(()) };
            let paging = Paging { order, limit: 50, cursor: Some(cursor), since, until };
            let ranges = [paging.range(&InstanceId::from_store("7"), &lowest), paging.span(&lowest)];
            for KeysetBound { at, rest } in ranges.into_iter().flat_map(|range| [range.after, range.before]) {
                prop_assert!((Timestamp::MIN..=Timestamp::MAX).contains(&at), "{:?}", at);
                prop_assert_eq!(rest.len(), lowest.len());
                for (part, lowest) in rest.iter().zip(&lowest) {
                    prop_assert_eq!(std::mem::discriminant(part), std::mem::discriminant(lowest));
                    prop_assert!(!matches!(part, KeyPart::Text(text) if text.contains('\0')), "{:?}", part);
                }
            }
            Ok(())
        },
    );
}
