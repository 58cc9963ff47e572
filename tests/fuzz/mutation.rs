//! Mutations of seeds.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

/// A change of a range of bytes.
#[derive(Clone, Debug)]
pub struct Edit {
    from: Index,
    length: usize,
    by: By,
}

/// The replacement of the range.
#[derive(Clone, Debug)]
enum By {
    Nothing,
    Itself(usize),
    Token(&'static [u8]),
    Bytes(Vec<u8>),
    /// All of another seed, or the same range of it.
    Seed(Index, bool),
    FlippedBit(u8),
    Brackets(usize),
}

/// Fragments that have broken parsers.
const TOKENS: [&[u8]; 40] = [
    b"\0",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\xFF",
    b"\xC0\xAF",
    b"\xED\xA0\x80",
    b"\xEF\xBB\xBF",
    b"\"",
    b"\\",
    b"\\u",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"false",
    b"-0",
    b"1e400",
    b"1e3",
    b"-1",
    b"0.1",
    b"9223372036854775808",
    b"18446744073709551616",
    b"NaN",
    b"''",
    b"--",
    b"%00",
    b"%",
    b"=",
    b" ",
    b"\t\r\n",
    "\u{202E}".as_bytes(),
    "\u{301}".as_bytes(),
    "👩‍👩‍👧".as_bytes(),
    "ﷺ".as_bytes(),
    "İ".as_bytes(),
];

/// Generates a few changes, most of them small.
pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(edit(), 0..6)
}

fn edit() -> impl Strategy<Value = Edit> {
    let length = prop_oneof![4 => 0..3_usize, 3 => 0..40_usize, 1 => 0..2_000_usize];
    let by = prop_oneof![
        2 => Just(By::Nothing),
        2 => (2..5_usize).prop_map(By::Itself),
        6 => prop::sample::select(&TOKENS[..]).prop_map(By::Token),
        2 => prop::collection::vec(any::<u8>(), 1..8).prop_map(By::Bytes),
        2 => any::<(Index, bool)>().prop_map(|(seed, whole)| By::Seed(seed, whole)),
        3 => (0..8_u8).prop_map(By::FlippedBit),
        1 => prop_oneof![1..4_usize, 120..140_usize, 1_000..2_000_usize].prop_map(By::Brackets),
    ];
    (any::<Index>(), length, by).prop_map(|(from, length, by)| Edit { from, length, by })
}

impl Edit {
    fn apply(&self, text: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let from = self.from.index(text.len() + 1);
        let stretch = from..text.len().min(from + self.length);
        let old = &text[stretch.clone()];
        let new = match &self.by {
            By::Nothing => vec![],
            By::Itself(times) => old.repeat(*times),
            By::Token(token) => token.to_vec(),
            By::Bytes(bytes) => bytes.clone(),
            By::Seed(seed, true) => seed.get(seeds).clone(),
            By::Seed(seed, false) => seed.get(seeds).iter().skip(from).take(self.length).copied().collect(),
            By::FlippedBit(bit) => old.iter().map(|byte| byte ^ (1 << bit)).collect(),
            By::Brackets(levels) => [&b"[".repeat(*levels), old, &b"]".repeat(*levels)].concat(),
        };
        text.splice(stretch, new);
    }
}

pub fn edited(mut text: Vec<u8>, edits: &[Edit], seeds: &[Vec<u8>]) -> Vec<u8> {
    edits.iter().for_each(|edit| edit.apply(&mut text, seeds));
    text
}

/// Generates a mutated seed.
pub fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Bytes> {
    (any::<Index>(), edits()).prop_map(move |(seed, edits)| edited(seed.get(&seeds).clone(), &edits, &seeds).into())
}

/// Generates a mutated seed as text.
pub fn mutated_text(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = String> {
    mutated(seeds).prop_map(|text| String::from_utf8_lossy(&text).into_owned())
}
