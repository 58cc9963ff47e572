//! The split of a text into the words that a search finds.

use unicode_normalization::char::is_combining_mark;

use super::folded;

/// An iterator over the words of a folded text. Words are runs of letters and digits, and single emojis and other
/// symbols (a flag is one word of two characters). Characters that join or vary emojis are left out, and punctuation
/// separates words. A word has neither ASCII punctuation nor capitals.
pub(super) struct FoldedWords<I: Iterator<Item = char>> {
    characters: std::iter::Peekable<I>,
}

/// The limit for a word; a longer one is cut. PostgreSQL allows 2,046 bytes.
const MAX_WORD_BYTES: usize = 255;

/// The limit on the number of words. It is the greatest position of a word in PostgreSQL, which finds no phrases beyond
/// it.
const MAX_WORDS: usize = 16_383;

/// The number of bytes of a folded text that are indexed.
const MAX_BYTES: usize = 64 * 1024;

/// The number of bytes of a text that are folded for that. Only a text that is almost all accents gives fewer indexed
/// bytes than the limit.
pub const MAX_UNFOLDED_BYTES: usize = 8 * MAX_BYTES;

pub(super) fn words(text: &str) -> FoldedWords<impl Iterator<Item = char>> {
    FoldedWords { characters: folded(text).peekable() }
}

/// Returns the words of a text that are indexed, separated by spaces. They are from its beginning, and the last one is
/// whole. The rest of the text costs no time.
pub fn first_words(text: &str) -> String {
    let beginning = beginning(&text[..text.floor_char_boundary(MAX_UNFOLDED_BYTES)]);
    FoldedWords { characters: beginning.chars().peekable() }.take(MAX_WORDS).collect::<Vec<String>>().join(" ")
}

fn beginning(text: &str) -> String {
    let mut beginning = String::new();
    for character in folded(text) {
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

impl<I: Iterator<Item = char>> Iterator for FoldedWords<I> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            let first = self.characters.next()?;
            match CharClass::of(first) {
                CharClass::Nothing => {}
                CharClass::Letter if is_combining_mark(first) => {}
                CharClass::Letter => return Some(self.run_from(first)),
                CharClass::Flag => {
                    return Some([Some(first), self.next_of(CharClass::Flag)].into_iter().flatten().collect());
                }
                CharClass::Symbol => return Some(first.into()),
            }
        }
    }
}

impl<I: Iterator<Item = char>> FoldedWords<I> {
    /// Reads the rest of a run of letters and digits. Letters beyond the limit are skipped.
    fn run_from(&mut self, first: char) -> String {
        let mut word = String::from(first);
        let mut full = false;
        while let Some(letter) = self.next_of(CharClass::Letter) {
            full |= word.len() + letter.len_utf8() > MAX_WORD_BYTES;
            if !full {
                word.push(letter);
            }
        }
        word
    }

    fn next_of(&mut self, kind: CharClass) -> Option<char> {
        self.characters.next_if(|character| CharClass::of(*character) == kind)
    }
}

/// The class of a folded character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CharClass {
    Letter,
    /// A regional indicator. Two of them make a flag.
    Flag,
    Symbol,
    Nothing,
}

impl CharClass {
    fn of(character: char) -> Self {
        match character {
            _ if character.is_alphanumeric() => Self::Letter,
            _ if character.is_ascii() || character.is_control() || character.is_whitespace() => Self::Nothing,
            '\u{1F1E6}'..='\u{1F1FF}' => Self::Flag,
            _ if is_punctuation(character) || is_combining_mark(character) => Self::Nothing,
            _ => Self::Symbol,
        }
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
            ("हिन्दी, หนังสือ。中文", &["हिनदी", "หนังสือ", "中文"]),
            ("3.50€", &["3", "50", "€"]),
            ("\u{0} \t\n\u{301}\u{200D}\u{FE0F}\u{FEFF}", &[]),
            ("", &[]),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
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
                prop_assert_eq!(split(&word), [word.clone()]);
            }
        }
    }
}
