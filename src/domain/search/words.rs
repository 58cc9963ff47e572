//! The split of a text into the words that a search finds.

use std::collections::HashMap;
use std::iter::Peekable;

use unicode_normalization::char::is_combining_mark;

use super::{folded, is_unspaced};

/// A part of a folded text without a separator in it. It has neither ASCII punctuation nor capitals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// Letters and digits.
    Word {
        word: String,
        /// True if a `*` stands at its end.
        starred: bool,
    },
    /// An emoji or another symbol. A flag is one of two characters.
    Symbol(String),
    /// Letters of scripts that are written without spaces, each with its marks. There is at least one.
    Unspaced(Vec<String>),
}

/// An iterator over the runs of a folded text. Characters that join or vary emojis are left out, and punctuation
/// separates runs.
struct Runs<I: Iterator<Item = char>> {
    characters: Peekable<I>,
}

/// The limit for a word; a longer one is cut. PostgreSQL allows 2,046 bytes.
const MAX_WORD_BYTES: usize = 255;

/// The limit for a letter with its marks. A pair of them is a word.
const MAX_LETTER_BYTES: usize = MAX_WORD_BYTES / 2;

/// The limit on the number of words. It is the greatest position of a word in PostgreSQL, which finds no phrases beyond
/// it.
const MAX_WORDS: usize = 16_383;

/// The number of places that PostgreSQL keeps of one word. Further ones are left out on both databases.
const MAX_PLACES: usize = 255;

/// The number of bytes of folded texts that are indexed.
const MAX_BYTES: usize = 64 * 1024;

/// The number of bytes of a text that are folded for that. Only a text that is almost all accents gives fewer indexed
/// bytes than the limit.
pub const MAX_UNFOLDED_BYTES: usize = 8 * MAX_BYTES;

pub(super) fn runs(text: &str) -> impl Iterator<Item = Run> {
    Runs { characters: folded(text).peekable() }
}

/// Returns the words of a text, as they are indexed.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    runs(text).flat_map(Run::words)
}

/// Returns the words of these texts that are indexed, separated by spaces. They are from the beginning of all texts
/// together, and the last one is whole. The rest costs no time.
pub(super) fn first_words(texts: &[&str]) -> String {
    let beginning = beginning(texts);
    let all: Vec<String> = Runs { characters: beginning.chars().peekable() }.flat_map(Run::words).collect();
    if all.len() <= MAX_PLACES {
        return all.join(" ");
    }
    let (mut places, mut kept) = (HashMap::<&str, usize>::new(), Vec::new());
    for word in &all {
        let count = places.entry(word).or_default();
        *count += 1;
        if *count <= MAX_PLACES {
            kept.push(word.as_str());
        }
    }
    kept.truncate(MAX_WORDS);
    kept.join(" ")
}

fn beginning(texts: &[&str]) -> String {
    let mut beginning = String::new();
    let cut = texts.iter().map(|text| &text[..text.floor_char_boundary(MAX_UNFOLDED_BYTES)]);
    for character in cut.flat_map(|text| folded(text).chain(['\n'])) {
        if beginning.len() + character.len_utf8() > MAX_BYTES {
            let whole = beginning.trim_end_matches(char::is_alphanumeric).len();
            // A longer word is cut in any case.
            if beginning.len() - whole <= MAX_WORD_BYTES {
                beginning.truncate(whole);
            }
            break;
        }
        beginning.push(character);
    }
    beginning
}

impl Run {
    /// Returns the words that the run is indexed as. Of a script without spaces, these are the pairs of neighbouring
    /// letters and the last letter, so that each letter begins one word.
    pub(super) fn words(self) -> impl Iterator<Item = String> {
        let (pairs, last) = match self {
            Self::Word { word, .. } | Self::Symbol(word) => (vec![], Some(word)),
            Self::Unspaced(mut letters) => (pairs(&letters).collect(), letters.pop()),
        };
        pairs.into_iter().chain(last)
    }
}

pub(super) fn pairs(letters: &[String]) -> impl Iterator<Item = String> {
    letters.windows(2).map(|pair| pair.concat())
}

impl<I: Iterator<Item = char>> Iterator for Runs<I> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        loop {
            let first = self.characters.next()?;
            match CharClass::of(first) {
                CharClass::Nothing => {}
                CharClass::Letter | CharClass::Unspaced if is_combining_mark(first) => {}
                CharClass::Letter => return Some(self.word_from(first)),
                CharClass::Unspaced => return Some(self.unspaced_from(first)),
                CharClass::Flag => {
                    let flag = [Some(first), self.next_of(CharClass::Flag)].into_iter().flatten().collect();
                    return Some(Run::Symbol(flag));
                }
                CharClass::Symbol => return Some(Run::Symbol(first.into())),
            }
        }
    }
}

impl<I: Iterator<Item = char>> Runs<I> {
    /// Reads the rest of a word. Letters beyond the limit are skipped.
    fn word_from(&mut self, first: char) -> Run {
        let mut word = String::from(first);
        let mut full = false;
        while let Some(letter) = self.next_of(CharClass::Letter) {
            full |= word.len() + letter.len_utf8() > MAX_WORD_BYTES;
            if !full {
                word.push(letter);
            }
        }
        let has_star = self.characters.next_if_eq(&'*').is_some();
        let goes_on = self.characters.peek().is_some_and(|next| CharClass::of(*next).is_letter());
        Run::Word { word, starred: has_star && !goes_on }
    }

    fn unspaced_from(&mut self, first: char) -> Run {
        let mut letters = vec![self.letter_from(first)];
        while let Some(next) = self.next_of(CharClass::Unspaced) {
            letters.push(self.letter_from(next));
        }
        Run::Unspaced(letters)
    }

    /// Reads the marks of a letter. Marks beyond the limit are skipped.
    fn letter_from(&mut self, first: char) -> String {
        let mut letter = String::from(first);
        let is_mark = |next: &char| is_combining_mark(*next) && CharClass::of(*next) == CharClass::Unspaced;
        while let Some(mark) = self.characters.next_if(is_mark) {
            if letter.len() + mark.len_utf8() <= MAX_LETTER_BYTES {
                letter.push(mark);
            }
        }
        letter
    }

    fn next_of(&mut self, kind: CharClass) -> Option<char> {
        self.characters.next_if(|character| CharClass::of(*character) == kind)
    }
}

/// The class of a folded character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CharClass {
    Letter,
    /// A letter of a script without spaces, or one of its marks.
    Unspaced,
    /// A regional indicator. Two of them make a flag.
    Flag,
    Symbol,
    Nothing,
}

impl CharClass {
    fn of(character: char) -> Self {
        match character {
            _ if character.is_ascii_alphanumeric() => Self::Letter,
            _ if character.is_ascii() || character.is_control() || character.is_whitespace() => Self::Nothing,
            _ if character.is_alphanumeric() || is_combining_mark(character) => match is_unspaced(character) {
                true => Self::Unspaced,
                false if character.is_alphanumeric() => Self::Letter,
                false => Self::Nothing,
            },
            '\u{1F1E6}'..='\u{1F1FF}' => Self::Flag,
            _ if is_punctuation(character) => Self::Nothing,
            _ => Self::Symbol,
        }
    }

    fn is_letter(self) -> bool {
        matches!(self, Self::Letter | Self::Unspaced)
    }
}

/// Returns whether the character is non-ASCII punctuation of a script that chats are written in, or one that formats,
/// joins or varies others.
fn is_punctuation(character: char) -> bool {
    matches!(character,
        '¡' | '§' | '«' | '\u{AD}' | '¶' | '·' | '»' | '¿' // Latin
        | '\u{55A}'..='\u{55F}' | '\u{589}' | '\u{58A}' // Armenian
        | '\u{5BE}' | '\u{5C0}' | '\u{5C3}' | '\u{5C6}' | '\u{5F3}' | '\u{5F4}' // Hebrew
        | '\u{600}'..='\u{605}' | '\u{609}'..='\u{60D}' | '\u{61B}'..='\u{61F}' // Arabic
        | '\u{66A}'..='\u{66D}' | '\u{6D4}'
        | '\u{964}' | '\u{965}' | '\u{970}' // Devanagari
        | '\u{E4F}' | '\u{E5A}' | '\u{E5B}' // Thai
        | '\u{180E}' | '\u{2000}'..='\u{206F}' | '\u{2E00}'..='\u{2E7F}' | '\u{3000}'..='\u{3003}'
        | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301F}' | '\u{30FB}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FE10}'..='\u{FE6F}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFF}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<String> {
        words(text).collect()
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        for (text, expected) in [
            ("¡Hola, Juan Pérez! ¿Menú?", &["hola", "juan", "perez", "menu"][..]),
            ("covid-19 a_b x@y.com", &["covid", "19", "a", "b", "x", "y", "com"]),
            ("«Sí…» — dijo “él”", &["si", "dijo", "el"]),
            ("हिन्दी, देवनागरी。", &["हिनदी", "देवनागरी"]),
            ("대한민국에서 주문했어요", &["대한민국에서", "주문했어요"]),
            ("3.50€", &["3", "50", "€"]),
            ("\u{0} \t\n\u{301}\u{200D}\u{FE0F}\u{FEFF}", &[]),
            ("", &[]),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn scripts_without_spaces_are_split_into_pairs_of_letters_and_the_last_letter() {
        for (text, expected) in [
            ("中文", &["中文", "文"][..]),
            ("茶", &["茶"]),
            ("我的。茶", &["我的", "的", "茶"]),
            ("铁路12306站", &["铁路", "路", "12306", "站"]),
            ("日はラーメン", &["日は", "はラ", "ラー", "ーメ", "メン", "ン"]),
            ("ｶﾞｽ がす か\u{3099}す", &["ガス", "ス", "がす", "す", "がす", "す"]),
            ("あ\u{3099}い", &["あ\u{3099}い", "い"]),
            ("หนังสือ", &["หนั", "นัง", "งสื", "สือ", "อ"]),
            ("สวย ๑๒", &["สว", "วย", "ย", "12"]),
            ("ລາວ", &["ລາ", "າວ", "ວ"]),
            ("iPhone手机", &["iphone", "手机", "机"]),
            ("\u{3099}\u{E31}", &[]),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
        let letter = format!("ก{}", "\u{E31}".repeat(200));
        assert!(split(&format!("{letter}{letter}")).iter().all(|word| word.len() <= MAX_WORD_BYTES));
    }

    #[test]
    fn a_star_counts_where_it_ends_a_word() {
        let starred = |text: &str| {
            let starred = |run| matches!(run, Run::Word { starred: true, .. });
            runs(text).map(starred).collect::<Vec<bool>>()
        };
        assert_eq!(starred("men* a*b c *d e** f＊"), [true, false, false, false, false, true, true]);
        assert_eq!(starred("* 👍* 茶*"), [false, false]);
    }

    #[test]
    fn no_word_has_more_places_than_postgresql_keeps() {
        let text = format!("{} y x z", "x ".repeat(300));
        let words = first_words(&[&text]);
        assert_eq!(words.split(' ').filter(|word| *word == "x").count(), 255);
        assert!(words.ends_with("x y z"));
    }

    #[test]
    fn texts_are_split_each_for_itself() {
        assert_eq!(first_words(&["中文", "文件", "a", "b"]), "中文 文 文件 件 a b");
    }

    #[test]
    fn each_emoji_is_a_word_and_joiners_are_not() {
        assert_eq!(split("ok👍👍🏽!"), ["ok", "👍", "👍", "🏽"]);
        assert_eq!(split("👨‍👩‍👧 ❤️"), ["👨", "👩", "👧", "❤"]);
        assert_eq!(split("1\u{FE0F}\u{20E3}"), ["1"]);
        assert_eq!(split("🇨🇴🇪🇸🇫"), ["🇨🇴", "🇪🇸", "🇫"]);
    }

    #[test]
    fn a_lone_mark_is_not_a_word() {
        assert_eq!(split("\u{301} \u{93E} \u{20DD}"), Vec::<String>::new());
    }

    #[test]
    fn a_word_that_is_too_long_is_cut_between_its_letters() {
        assert_eq!(split(&format!("{} x", "я".repeat(200))), ["я".repeat(127), "x".to_owned()]);
        assert_eq!(split(&"a".repeat(256)), ["a".repeat(255)]);
    }

    proptest! {
        /// The syntax for words in both databases relies on this.
        #[test]
        fn a_word_has_at_least_one_character_and_no_capital_space_or_punctuation(text: String) {
            for word in words(&text) {
                let bad = |c: char| c.is_ascii() && !c.is_ascii_lowercase() && !c.is_ascii_digit() || c.is_whitespace();
                prop_assert!(!word.is_empty() && word.len() <= MAX_WORD_BYTES && !word.contains(bad), "{word:?}");
                prop_assert_eq!(words(&word).next(), Some(word));
            }
        }
    }
}
