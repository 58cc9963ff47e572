//! Which texts of a message a search finds, in which scripts, and by which part of a word.

use std::sync::Arc;

use buzon::domain::event::Event;
use buzon::domain::search::SearchQuery;
use buzon::store::{self, Aim, Difference, MessageFilter, Options, Pending, Store};
use serde_json::json;

use super::search::{found_by, said};
use crate::support::clock::later;
use crate::support::database::world::{on_both, record};
use crate::support::events::{event, received};

async fn found(store: &Arc<dyn Store>, text: &str) -> Vec<String> {
    let search = Some(SearchQuery::parse(text).expect("it is a query"));
    let found = found_by(store, MessageFilter { search, ..MessageFilter::default() }, 200).await;
    found.into_iter().map(|it| it.trim_start_matches("7 ").to_owned()).collect()
}

/// Asserts which messages each query finds, in the order of their ids.
async fn assert_found(store: &Arc<dyn Store>, cases: &[(&str, &[&str])]) {
    for (query, expected) in cases {
        let mut found = found(store, query).await;
        found.sort();
        assert_eq!(found, *expected, "{query}");
    }
}

fn bodies(bodies: &[(&str, &str)]) -> Vec<Event> {
    bodies.iter().map(|(id, body)| said("7", id, json!({"body": body}))).collect()
}

#[test]
async fn words_within_a_sentence_of_a_script_without_spaces_are_found() {
    on_both(async |world| {
        let store = world.open().await;
        let events = bodies(&[
            ("z1", "我的爸爸肚子很餓"),
            ("z2", "昨日は誕生日おめでとうと言われた"),
            ("z3", "สวัสดีครับขอสั่งอาหารหน่อย"),
            ("z4", "대한민국에서 주문했어요"),
            ("z5", "铁路12306"),
            ("z6", "ｶﾞﾗｽ とか\u{3099}"),
        ]);
        record(&store, &events).await;
        let cases: [(&str, &[&str]); 22] = [
            ("爸爸", &["z1"]),
            ("肚子很餓", &["z1"]),
            ("餓", &["z1"]),
            ("我", &["z1"]),
            ("爸", &["z1"]),
            ("爸肚", &["z1"]),
            ("肚爸", &[]),
            ("誕生日", &["z2"]),
            ("おめでとう", &["z2"]),
            ("日", &["z2"]),
            ("日 と", &["z2"]),
            ("สวัสดี", &["z3"]),
            ("อาหาร", &["z3"]),
            ("อาหารเช้า", &[]),
            ("대한민국에서", &["z4"]),
            ("대한민국", &[]),
            ("대한민국*", &["z4"]),
            ("주*", &["z4"]),
            ("铁路 12306", &["z5"]),
            ("\"铁路12306\"", &["z5"]),
            ("ガラス", &["z6"]),
            ("カラス", &[]),
        ];
        assert_found(&store, &cases).await;
        assert_found(&store, &[("とが", &["z6"]), ("路铁", &[]), (&"爸".repeat(1_000), &[])]).await;
    })
    .await;
}

#[test]
async fn letters_of_arabic_and_persian_keyboards_points_and_digits_make_no_difference() {
    on_both(async |world| {
        let store = world.open().await;
        let events = bodies(&[
            ("r0", "كتاب جديد"),
            ("r1", "محــمد وصل"),
            ("r2", "مُحَمَّد"),
            ("r3", "می‌خواهم"),
            ("r4", "أحمد"),
            ("r5", "\u{FB2A}\u{5B8}ל\u{FB4B}ם"),
            ("r6", "שָׁלוֹם"),
            ("r7", "قیمت"),
            ("r8", "١٢٣"),
            ("r9", "مدرسة"),
        ]);
        record(&store, &events).await;
        let cases: [(&str, &[&str]); 10] = [
            ("کتاب", &["r0"]),
            ("جدید", &["r0"]),
            ("محمد", &["r1", "r2"]),
            ("میخواهم", &["r3"]),
            ("مي‌خواهم", &["r3"]),
            ("احمد", &["r4"]),
            ("שלום", &["r5", "r6"]),
            ("قيمت", &["r7"]),
            ("123", &["r8"]),
            ("۱۲۳ ", &["r8"]),
        ];
        assert_found(&store, &cases).await;
        assert_found(&store, &[("مدرسه", &["r9"])]).await;
    })
    .await;
}

#[test]
async fn a_star_finds_the_beginning_of_a_word_and_without_it_words_are_whole() {
    on_both(async |world| {
        let store = world.open().await;
        record(&store, &bodies(&[("A", "Los menús del día"), ("B", "El menú, por favor"), ("C", "mensaje")])).await;
        let cases: [(&str, &[&str]); 7] = [
            ("menu", &["B"]),
            ("MENÚ*", &["A", "B"]),
            ("men*", &["A", "B", "C"]),
            ("men* día", &["A"]),
            ("\"los men*\"", &["A"]),
            ("\"el men*\"", &["B"]),
            ("menus*", &["A"]),
        ];
        assert_found(&store, &cases).await;
    })
    .await;
}

#[test]
async fn captions_file_names_and_contacts_are_found() {
    on_both(async |world| {
        let store = world.open().await;
        let card = |name: &str, number: &str| {
            format!("BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL;type=CELL;waid={number}:+{number}\nEND:VCARD")
        };
        let both = format!("{}\n{}", card("Luis Mora", "573005550001"), card("Eva Paz", "573005550002"));
        let url = "http://127.0.0.1:42295/uploads/whatsapp/foto%20del%20men%C3%BA.jpg?token=secreto";
        record(
            &store,
            &[
                said("7", "A", json!({"body": "Mira", "type": "image", "media_url": url})),
                said("7", "B", json!({"body": "", "media_url": "/uploads/8f3a", "filename": "Informe final.pdf"})),
                said("7", "C", json!({"body": "", "type": "vcard", "vcard": both})),
                said("7", "D", json!({"body": "", "media_url": "data:image/jpeg;base64,informe"})),
            ],
        )
        .await;
        let cases: [(&str, &[&str]); 10] = [
            ("mira", &["A"]),
            ("\"foto del menu\"", &["A"]),
            ("secreto", &[]),
            ("informe", &["B"]),
            ("pdf", &["B"]),
            ("8f3a", &[]),
            ("\"luis mora\"", &["C"]),
            ("EVA", &["C"]),
            ("573005550002", &["C"]),
            ("vcard", &[]),
        ];
        assert_found(&store, &cases).await;
        assert_eq!(world.value("SELECT count(*) FROM message_search").await, "3");
    })
    .await;
}

#[test]
async fn later_copies_add_and_replace_texts_and_a_rebuild_finds_the_same() {
    on_both(async |world| {
        let store = world.open().await;
        let copies = [
            json!({"body": "hola", "timestamp": 1724716800}),
            json!({"body": "", "media_url": "/u/menu.pdf", "timestamp": 1724716801}),
            json!({"body": "", "vcard": "FN:Eva", "timestamp": 1724716802}),
            json!({"body": "adios", "timestamp": 1724716803}),
        ];
        for (copy, n) in copies.iter().zip(0..) {
            record(&store, &[event("7", received("A", copy.clone()), later(n))]).await;
        }
        let early = json!({"body": "primero", "filename": "Carta.docx", "timestamp": 1724716700});
        record(&store, &[event("7", received("A", early), later(9))]).await;
        let words = "SELECT words FROM v_words";
        assert_eq!(world.value(words).await, "adios carta docx eva");
        assert_found(&store, &[("adios eva", &["A"]), ("hola", &[]), ("menu", &[]), ("carta", &["A"])]).await;
        let options = Options { pending: Pending::Refuse, ..world.options() };
        let differences = store::rebuild(&options, Aim::Check, &|_| ()).await.expect("the ledger can be read");
        assert!(differences.iter().all(Difference::is_none), "{differences:?}");
    })
    .await;
}

#[test]
async fn both_databases_keep_the_same_places_of_words() {
    on_both(async |world| {
        let store = world.open().await;
        let often = "de ".repeat(300) + "la casa";
        let long = Vec::from_iter((0..20_000).map(|n| format!("{n:x}"))).join(" ");
        let pairs = String::from_iter((0..16_000).filter_map(|n| char::from_u32(0x4E00 + n)));
        record(&store, &bodies(&[("often", &often), ("long", &long), ("pairs", &pairs)])).await;
        let count = |id: &str| {
            format!("SELECT length(words) - length(replace(words, ' ', '')) + 1 FROM v_words WHERE id = '{id}'")
        };
        assert_eq!(world.value(&count("often")).await, "257");
        assert_eq!(world.value(&count("long")).await, "13980");
        assert_eq!(world.value(&count("pairs")).await, "16000");
        assert_found(&store, &[("\"de la casa\"", &["often"]), ("\"0 1 2\"", &["long"])]).await;
        let end = pairs.chars().skip(15_990).collect::<String>();
        assert_found(&store, &[(&end, &["pairs"])]).await;
    })
    .await;
}
