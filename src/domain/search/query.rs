//! Search queries as people type them, and the filters that narrow a search.

use super::entry::Facet;
use super::words::{Run, pairs, runs};

/// A search query: phrases that must all be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    phrases: Vec<SearchPhrase>,
}

/// Words that follow each other. There is at least one. A word is made of lower-case letters and digits, or is one
/// symbol; it has neither spaces nor ASCII punctuation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPhrase {
    pub words: Vec<String>,
    /// True if the last word may go on in the text.
    pub is_beginning: bool,
}

/// The error for a text that is not a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchQueryError {
    #[error("a search has at most {MAX_CHARACTERS} characters")]
    TooLong,
    #[error("a search has at most {MAX_WORDS} words")]
    TooManyWords,
    #[error("a search needs a word: a letter, a digit or an emoji")]
    NoWords,
    #[error("only one word of a search can end in *")]
    TooManyBeginnings,
    #[error("a * needs at least {MIN_BEGINNING} letters or digits before it, or a syllable of Hangul")]
    ShortBeginning,
    #[error("in a quoted phrase, only the last word can end in *")]
    BeginningInPhrase,
    #[error("a search has at most {MAX_LONE_LETTERS} single letters of scripts that are written without spaces")]
    TooManyLoneLetters,
}

/// A filter by facets. A message passes if it has at least one facet of each group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchFilter {
    groups: Vec<Vec<Facet>>,
}

const MAX_CHARACTERS: usize = 1_000;
/// The limit on the number of words. A run of letters of a script without spaces counts as one.
const MAX_WORDS: usize = 32;
/// The fewest letters of a word whose beginning is asked for. All words that begin so are read in the index.
const MIN_BEGINNING: usize = 3;
/// The limit on letters that are looked for as the beginnings of pairs.
const MAX_LONE_LETTERS: usize = 4;

/// The quotation marks that open and close a phrase, including those of phone keyboards.
const QUOTES: [char; 4] = ['"', '“', '”', '„'];

impl SearchQuery {
    /// Parses a query. All words must be found, and those of a `"quoted phrase"` must follow each other. A quote that
    /// is not closed extends to the end. Words are whole, but for one that ends in `*`, of which any continuation is
    /// found. There is no other syntax: punctuation separates words, as in the texts that are searched. What is written
    /// without spaces in a script that has none is found anywhere in a text.
    pub fn parse(text: &str) -> Result<Self, SearchQueryError> {
        if text.chars().nth(MAX_CHARACTERS).is_some() {
            return Err(SearchQueryError::TooLong);
        }
        let mut groups = Vec::<Vec<Run>>::new();
        for (index, part) in text.split(QUOTES).enumerate() {
            let quoted = index % 2 == 1;
            match quoted {
                true => groups.push(runs(part).collect()),
                false => groups.extend(runs(part).map(|run| vec![run])),
            }
        }
        groups.retain(|runs| !runs.is_empty());
        let is_starred = |run: &&Run| matches!(run, Run::Word { starred: true, .. });
        let is_lone = |runs: &&Vec<Run>| matches!(runs.last(), Some(Run::Unspaced(letters)) if letters.len() == 1);
        if groups.is_empty() {
            return Err(SearchQueryError::NoWords);
        } else if groups.iter().map(Vec::len).sum::<usize>() > MAX_WORDS {
            return Err(SearchQueryError::TooManyWords);
        } else if groups.iter().flatten().filter(is_starred).count() > 1 {
            return Err(SearchQueryError::TooManyBeginnings);
        } else if groups.iter().filter(is_lone).count() > MAX_LONE_LETTERS {
            return Err(SearchQueryError::TooManyLoneLetters);
        }
        Ok(Self { phrases: groups.into_iter().map(SearchPhrase::of).collect::<Result<_, _>>()? })
    }

    /// Returns the phrases. There is at least one.
    pub fn phrases(&self) -> &[SearchPhrase] {
        &self.phrases
    }
}

impl SearchPhrase {
    /// Returns the phrase of runs that follow each other.
    fn of(mut runs: Vec<Run>) -> Result<Self, SearchQueryError> {
        let last = runs.pop();
        if runs.iter().any(|run| matches!(run, Run::Word { starred: true, .. })) {
            return Err(SearchQueryError::BeginningInPhrase);
        }
        let mut phrase = Self { words: runs.into_iter().flat_map(Run::words).collect(), is_beginning: false };
        match last {
            Some(Run::Word { word, starred: true }) if !can_be_beginning(&word) => {
                return Err(SearchQueryError::ShortBeginning);
            }
            Some(Run::Word { word, starred }) => {
                phrase.words.push(word);
                phrase.is_beginning = starred;
            }
            Some(Run::Symbol(symbol)) => phrase.words.push(symbol),
            // The text may go on after the last letter, so a single one is the beginning of a pair, or is the last.
            Some(Run::Unspaced(letters)) if letters.len() == 1 => {
                phrase.words.extend(letters);
                phrase.is_beginning = true;
            }
            Some(Run::Unspaced(letters)) => phrase.words.extend(pairs(&letters)),
            None => {}
        }
        Ok(phrase)
    }
}

fn can_be_beginning(word: &str) -> bool {
    let is_hangul_syllable = |letter| ('가'..='힣').contains(&letter);
    word.chars().count() >= MIN_BEGINNING || word.chars().any(is_hangul_syllable)
}

impl SearchFilter {
    /// Adds a group. If it has no facet, nothing is found.
    pub fn and_any_of(mut self, facets: impl IntoIterator<Item = Facet>) -> Self {
        let mut group = Vec::from_iter(facets);
        if group.is_empty() {
            group.push(Facet::matches_nothing());
        }
        self.groups.push(group);
        self
    }

    /// Returns the groups. Each has at least one facet.
    pub fn groups(&self) -> &[Vec<Facet>] {
        &self.groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, SearchQueryError> {
        let written = |phrase: &SearchPhrase| phrase.words.join(" ") + if phrase.is_beginning { "*" } else { "" };
        SearchQuery::parse(text).map(|query| query.phrases.iter().map(written).collect())
    }

    #[test]
    fn every_word_is_a_phrase_and_quoted_words_are_one_phrase() {
        for (text, phrases) in [
            ("Menú día", &["menu", "dia"][..]),
            (r#"hola "Menú del día" 👍"#, &["hola", "menu del dia", "👍"]),
            (r#"hola "menú del"#, &["hola", "menu del"]),
            ("“menú del día”", &["menu del dia"]),
            (r#""" " " hola """#, &["hola"]),
            (r#"a"b"c"#, &["a", "b", "c"]),
            ("covid-19", &["covid", "19"]),
            (r#"NEAR(a b) AND -c : ^d | !e & 'f' \ $1"#, &["near", "a", "b", "and", "c", "d", "e", "f", "1"]),
        ] {
            assert_eq!(parse(text).unwrap(), phrases, "{text}");
        }
    }

    #[test]
    fn a_star_at_the_end_of_one_word_asks_for_its_beginning() {
        for (text, phrases) in [
            ("men* día", &["men*", "dia"][..]),
            (r#""menú del día*""#, &["menu del dia*"]),
            ("대* 국", &["대*", "국"]),
            ("* a*b 👍* x * y", &["a", "b", "👍", "x", "y"]),
            ("中文*", &["中文"]),
        ] {
            assert_eq!(parse(text).unwrap(), phrases, "{text}");
        }
        for (text, error) in [
            ("me*", SearchQueryError::ShortBeginning),
            ("ㅋ*", SearchQueryError::ShortBeginning),
            ("menu* casa*", SearchQueryError::TooManyBeginnings),
            (r#""menu* casa""#, SearchQueryError::BeginningInPhrase),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        let message = SearchQueryError::ShortBeginning.to_string();
        assert_eq!(message, "a * needs at least 3 letters or digits before it, or a syllable of Hangul");
    }

    #[test]
    fn a_run_of_a_script_without_spaces_is_a_phrase_of_pairs_and_a_single_letter_is_the_beginning_of_one() {
        for (text, phrases) in [
            ("肚子很餓", &["肚子 子很 很餓"][..]),
            ("肚 子", &["肚*", "子*"]),
            ("铁路12306", &["铁路", "12306"]),
            (r#""铁路12306""#, &["铁路 路 12306"]),
            (r#""12306 铁路""#, &["12306 铁路"]),
            (r#""12306 铁""#, &["12306 铁*"]),
            ("สวัสดี", &["สวั วัส สดี"]),
            ("おめでとう", &["おめ めで でと とう"]),
        ] {
            assert_eq!(parse(text).unwrap(), phrases, "{text}");
        }
        assert_eq!(parse("一 二 三 四 五"), Err(SearchQueryError::TooManyLoneLetters));
        assert_eq!(parse(&"中文".repeat(500)).unwrap().len(), 1);
    }

    #[test]
    fn a_text_that_is_not_a_query_is_refused_with_the_reason() {
        for empty in ["", "  ", r#""""#, "…!?", "\u{301}"] {
            assert_eq!(parse(empty), Err(SearchQueryError::NoWords), "{empty}");
        }
        assert_eq!(parse(&"á".repeat(1_001)), Err(SearchQueryError::TooLong));
        assert_eq!(parse(&"á".repeat(1_000)).unwrap().len(), 1);
        assert_eq!(parse(&"a ".repeat(33)), Err(SearchQueryError::TooManyWords));
        assert_eq!(parse(&format!("\"{}\"", "a ".repeat(33))), Err(SearchQueryError::TooManyWords));
        assert_eq!(parse(&"a ".repeat(32)).unwrap().len(), 32);
        let message = SearchQueryError::TooLong.to_string();
        assert_eq!(message, "a search has at most 1000 characters");
    }

    #[test]
    fn an_empty_group_matches_no_message() {
        let filter = SearchFilter::default().and_any_of([]);
        assert_eq!(filter.groups(), [[Facet::matches_nothing()]]);
        assert!(SearchFilter::default().groups().is_empty());
    }
}
