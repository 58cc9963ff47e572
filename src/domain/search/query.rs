//! Search queries as people type them, and the filters that narrow a search.

use super::entry::Facet;
use super::words::words;

/// A search query: phrases that must all be found. Each has one or more folded words that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    phrases: Vec<Vec<String>>,
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
}

/// A filter by facets. A message passes if it has at least one facet of each group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchFilter {
    groups: Vec<Vec<Facet>>,
}

const MAX_CHARACTERS: usize = 1_000;
const MAX_WORDS: usize = 32;

/// The quotation marks that open and close a phrase, including those of phone keyboards.
const QUOTES: [char; 4] = ['"', '“', '”', '„'];

impl SearchQuery {
    /// Parses a query. All words must be found, and those of a `"quoted phrase"` must follow each other. A quote that
    /// is not closed extends to the end. There is no other syntax: punctuation separates words, as in the texts that
    /// are searched.
    pub fn parse(text: &str) -> Result<Self, SearchQueryError> {
        if text.chars().nth(MAX_CHARACTERS).is_some() {
            return Err(SearchQueryError::TooLong);
        }
        let mut phrases = Vec::new();
        for (index, part) in text.split(QUOTES).enumerate() {
            let quoted = index % 2 == 1;
            match quoted {
                true => phrases.push(words(part).collect()),
                false => phrases.extend(words(part).map(|word| vec![word])),
            }
        }
        phrases.retain(|phrase: &Vec<String>| !phrase.is_empty());
        match phrases.iter().map(Vec::len).sum() {
            0 => Err(SearchQueryError::NoWords),
            1..=MAX_WORDS => Ok(Self { phrases }),
            _ => Err(SearchQueryError::TooManyWords),
        }
    }

    /// Returns the phrases. Each has at least one word. A word is made of lower-case letters and digits, or is one
    /// symbol; it has neither spaces nor ASCII punctuation.
    pub fn phrases(&self) -> &[Vec<String>] {
        &self.phrases
    }
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
        SearchQuery::parse(text).map(|query| query.phrases.iter().map(|phrase| phrase.join(" ")).collect())
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
            (r#"NEAR(a b) AND -c* : ^d | !e & 'f' \ $1"#, &["near", "a", "b", "and", "c", "d", "e", "f", "1"]),
        ] {
            assert_eq!(parse(text).unwrap(), phrases, "{text}");
        }
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
