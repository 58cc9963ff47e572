//! Full-text search without regard to case and accents. Stored text and searched text are folded by the same function,
//! so that *menu* finds *Menú* on both databases without an extension.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

pub mod entry;
pub mod query;
pub mod week;
mod words;

pub use entry::{Facet, SearchEntry, SearchPlace};
pub use query::{SearchFilter, SearchQuery, SearchQueryError};
pub use week::Week;
pub use words::{MAX_UNFOLDED_BYTES, first_words};

/// Returns the text without case and accents. Folding the result again changes nothing.
pub fn fold(text: &str) -> String {
    folded(text).collect()
}

/// Folds characters. Compatibility forms are unified (`ﬁ` becomes `fi`, `²` becomes `2`), case and accents are removed,
/// and letters that have no decomposition are written as on a keyboard without them (`ß` as `ss`, `ø` as `o`, the
/// dotless `ı` as `i`).
fn folded(text: &str) -> impl Iterator<Item = char> {
    let lower = text.chars().flat_map(char::to_lowercase);
    let bare = lower.nfkd().filter(|character| !is_accent(*character));
    // Decomposition can give a capital: `Ⓐ` and `㎎` have no lower case of their own.
    bare.flat_map(char::to_lowercase).filter(|character| !is_accent(*character)).flat_map(plain)
}

/// Returns whether the character is an accent, a mark that belongs to a letter. The vowel signs of Indian scripts and
/// of Thai are marks in Unicode too, but readers treat them as letters.
fn is_accent(character: char) -> bool {
    !character.is_ascii()
        && is_combining_mark(character)
        && (canonical_combining_class(character) != 0 || !character.is_alphanumeric())
}

fn plain(letter: char) -> impl Iterator<Item = char> {
    let (first, second) = match letter {
        'ß' => ('s', Some('s')),
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'ø' => ('o', None),
        'ł' => ('l', None),
        'đ' => ('d', None),
        'ħ' => ('h', None),
        'ı' => ('i', None),
        'ς' => ('σ', None),
        letter => (letter, None),
    };
    std::iter::once(first).chain(second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fold;

    #[test]
    fn case_and_accents_do_not_matter() {
        for (text, folded) in [
            ("Menú", "menu"),
            ("MENÚ del día", "menu del dia"),
            ("Mene\u{301}ndez Pidal", "menendez pidal"),
            ("Año Nuevo, señor", "ano nuevo, senor"),
            ("Straße STRASSE ẞ", "strasse strasse ss"),
            ("İstanbul ISTANBUL ıstanbul", "istanbul istanbul istanbul"),
            ("ΟΔΟΣ οδος", "οδοσ οδοσ"),
            ("Æsop œuvre smørrebrød Łódź", "aesop oeuvre smorrebrod lodz"),
            ("ﬁn ４２ x² ㎎ Ⓐ", "fin 42 x2 mg a"),
            ("Ёлка й", "елка и"),
            ("مُحَمَّد", "محمد"),
            ("हिन्दी", "हिनदी"),
            ("👍🏽", "👍🏽"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_the_same_as_folding_once(text: String) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }

    #[test]
    fn every_single_character_folds_once_and_for_all() {
        for character in '\0'..=char::MAX {
            let once = fold(&character.to_string());
            assert_eq!(fold(&once), once, "{character:?}");
        }
    }
}
