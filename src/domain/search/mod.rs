//! Full-text search without regard to case and accents. Stored text and searched text are folded by the same function,
//! so that *menu* finds *Menú* on both databases without an extension.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};

pub mod entry;
pub mod query;
pub mod texts;
pub mod week;
mod words;

pub use entry::{Facet, SearchEntry, SearchPlace};
pub use query::{SearchFilter, SearchPhrase, SearchQuery, SearchQueryError};
pub use texts::{MAX_URL_BYTES, SearchedTexts};
pub use week::Week;
pub use words::MAX_UNFOLDED_BYTES;

/// The scripts that are written without spaces between words.
const UNSPACED: [Script; 7] =
    [Script::Han, Script::Hiragana, Script::Katakana, Script::Thai, Script::Lao, Script::Khmer, Script::Myanmar];

/// Returns the text without case and accents. Folding the result again changes nothing.
pub fn fold(text: &str) -> String {
    folded(text).collect()
}

/// Folds characters. Compatibility forms are unified (`ﬁ` becomes `fi`, `²` becomes `2`), case and accents are removed,
/// and letters that have no decomposition are written as on a keyboard without them (`ß` as `ss`, `ø` as `o`, the
/// dotless `ı` as `i`). Letters that Arabic and Persian keyboards write differently become one, and so do the digits of
/// all scripts. Syllables of Hangul and voiced kana are each one character in the end.
fn folded(text: &str) -> impl Iterator<Item = char> {
    // ASCII at the beginning needs none of the tables of Unicode. A mark after it changes none of its letters.
    let (ascii, rest) = text.split_at(text.find(|character: char| !character.is_ascii()).unwrap_or(text.len()));
    let lower = rest.chars().flat_map(char::to_lowercase);
    let bare = lower.nfkd().filter(|character| !is_left_out(*character));
    // Decomposition can give a capital: `Ⓐ` and `㎎` have no lower case of their own.
    let bare = bare.flat_map(char::to_lowercase).filter(|character| !is_left_out(*character));
    let plain = bare.flat_map(plain).nfc();
    ascii.chars().map(|character| character.to_ascii_lowercase()).chain(plain)
}

/// Returns whether the character makes no difference to a word: an accent, the stretching line of Arabic, or a joiner,
/// such as the half space of Persian.
fn is_left_out(character: char) -> bool {
    is_accent(character) || matches!(character, '\u{640}' | '\u{200C}' | '\u{200D}')
}

/// Returns whether the character is an accent, a mark that belongs to a letter. The vowel signs of Indian scripts and
/// of Thai are marks in Unicode too, but readers treat them as letters, and the sound marks of kana make other letters.
fn is_accent(character: char) -> bool {
    if character.is_ascii() || !is_combining_mark(character) || matches!(character, '\u{3099}' | '\u{309A}') {
        return false;
    }
    let is_vowel = || character.is_alphanumeric();
    match canonical_combining_class(character) {
        0 => !is_vowel(),
        _ => !(is_vowel() && is_unspaced(character)),
    }
}

/// Returns whether the character belongs to a script that is written without spaces.
fn is_unspaced(character: char) -> bool {
    let scripts = character.script_extension();
    let has_scripts = !character.is_ascii() && !scripts.is_common() && !scripts.is_inherited();
    has_scripts && UNSPACED.iter().any(|script| scripts.contains_script(*script))
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
        'ک' => ('ك', None),
        'ی' | 'ى' => ('ي', None),
        // The last one is what remains of `ۀ` without its accent.
        'ة' | 'ە' => ('ه', None),
        letter => (ascii_digit(letter).unwrap_or(letter), None),
    };
    std::iter::once(first).chain(second)
}

/// Returns the digit of any script as an ASCII digit.
fn ascii_digit(character: char) -> Option<char> {
    let is_digit = |character: char| character.general_category() == GeneralCategory::DecimalNumber;
    if character.is_ascii() || !character.is_numeric() || !is_digit(character) {
        return None;
    }
    // Unicode has the digits of each script in a row, from zero to nine, and some of these rows side by side.
    let is_before = |distance: &u32| char::from_u32(u32::from(character) - distance).is_some_and(is_digit);
    let before = (1..=u32::from(character)).take_while(is_before).count();
    char::from_digit((before % 10) as u32, 10)
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
            ("مُحَمَّد محــمد أحمد", "محمد محمد احمد"),
            ("می‌خواهم", "ميخواهم"),
            ("کتاب یکی علی على", "كتاب يكي علي علي"),
            ("مدرسة مدرسه خانۀ ﻛﺔ", "مدرسه مدرسه خانه كه"),
            ("١٢٣ ۱۲۳ १२३ ๑๒๓ ４２ 𝟗 𑛓𑛣", "123 123 123 123 42 9 39"),
            ("שָׁלוֹם שּׁלום", "שלום שלום"),
            ("हिन्दी", "हिनदी"),
            ("ガ ｶﾞ が か\u{3099} ハ ﾊﾟ", "ガ ガ が が ハ パ"),
            ("한국 \u{1112}\u{1161}\u{11AB}국", "한국 한국"),
            ("น้ำ ขุด", "น\u{E4D}า ขุด"),
            ("မြန်မာ ខ្មែរ ລາວ", "မြနမာ ខមែរ ລາວ"),
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
