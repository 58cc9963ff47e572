//! Recognises texts that are one reading statement. The connection cannot write anyway; this refuses by name what does
//! other things than read: open a file, write a copy, or end the transaction that forbids writing.

use super::QueryError;

/// The dialect in which a database reads a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

const NOTHING: QueryError = QueryError::NotReading("there is no query");
const NUL: QueryError = QueryError::NotReading("a query holds no NUL character");
const NOT_READING: QueryError = QueryError::NotReading(
    "this reads only: a query begins with SELECT, WITH, VALUES or EXPLAIN (on PostgreSQL also TABLE or SHOW)",
);
const SEVERAL: QueryError = QueryError::NotReading("there is more than one statement; give them one by one");

/// Returns the statement of a text, if its first word is one of those that read.
///
/// SQLite runs all statements of a text, so a second one is refused here. PostgreSQL refuses it itself.
pub(crate) fn reading(text: &str, dialect: Dialect) -> Result<&str, QueryError> {
    if text.contains('\0') {
        return Err(NUL);
    }
    let start = blank(text, dialect);
    let statement = &text[start..];
    if statement.is_empty() {
        return Err(NOTHING);
    }
    if !is_reading(statement, dialect) {
        return Err(NOT_READING);
    }
    match dialect {
        Dialect::Postgres => Ok(statement),
        Dialect::Sqlite => {
            let end = end(statement);
            let rest = statement[end..].trim_start_matches(';');
            // Only semicolons and comments may follow.
            let rest = rest.split(';').all(|part| blank(part, dialect) == part.len());
            if rest { Ok(&statement[..end]) } else { Err(SEVERAL) }
        }
    }
}

fn is_reading(statement: &str, dialect: Dialect) -> bool {
    let mut words = StatementWords { rest: statement, dialect };
    let mut word = words.next().unwrap_or_default();
    if word == "EXPLAIN" && dialect == Dialect::Sqlite {
        // EXPLAIN of a PRAGMA can run it.
        word = words.next().unwrap_or_default();
        if word == "QUERY" {
            words.next();
            word = words.next().unwrap_or_default();
        }
    }
    match word.as_str() {
        "SELECT" | "WITH" | "VALUES" => true,
        "EXPLAIN" | "TABLE" | "SHOW" => dialect == Dialect::Postgres,
        _ => false,
    }
}

/// Returns the words at the beginning of a statement in capitals.
struct StatementWords<'t> {
    rest: &'t str,
    dialect: Dialect,
}

impl Iterator for StatementWords<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.rest = &self.rest[blank(self.rest, self.dialect)..];
        if self.dialect == Dialect::Postgres {
            // A query may stand in parentheses.
            while let Some(inner) = self.rest.strip_prefix('(') {
                self.rest = &inner[blank(inner, self.dialect)..];
            }
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then(|| word.to_ascii_uppercase())
    }
}

/// Returns the length of the white space and the comments at the beginning.
fn blank(text: &str, dialect: Dialect) -> usize {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(['\u{feff}', ' ', '\t', '\n', '\r', '\u{c}']);
        if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if rest.starts_with("/*") {
            rest = &rest[comment(rest, dialect)..];
        } else {
            return text.len() - rest.len();
        }
    }
}

/// Returns the length of the comment at the beginning. PostgreSQL nests comments. An open comment extends to the end.
fn comment(text: &str, dialect: Dialect) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 {
        let close = text[at..].find("*/");
        let open = text[at..].find("/*").filter(|_| dialect == Dialect::Postgres);
        match (open, close) {
            (Some(open), Some(close)) if open < close => (at, depth) = (at + open + 2, depth + 1),
            (_, Some(close)) => (at, depth) = (at + close + 2, depth - 1),
            (_, None) => return text.len(),
        }
    }
    at
}

/// Returns the end of SQLite's first statement, which is the first semicolon outside of quotes and comments.
fn end(statement: &str) -> usize {
    let mut at = 0;
    while let Some(found) = statement[at..].find([';', '\'', '"', '`', '[', '-', '/']) {
        at += found;
        let rest = &statement[at..];
        let closing = match rest.as_bytes()[0] {
            b';' => return at,
            b'[' => Some(']'),
            quote @ (b'\'' | b'"' | b'`') => Some(char::from(quote)),
            _ => None,
        };
        at += match closing {
            // A doubled quote may be read as the end of one text and the beginning of the next.
            Some(closing) => rest[1..].find(closing).map_or(rest.len(), |length| length + 2),
            None if rest.starts_with("--") || rest.starts_with("/*") => blank(rest, Dialect::Sqlite),
            None => 1,
        };
    }
    statement.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(text: &str) -> Result<&str, String> {
        reading(text, Dialect::Sqlite).map_err(|error| error.to_string())
    }

    #[test]
    fn a_query_is_found_behind_comments_and_before_its_semicolon() {
        for (text, query) in [
            ("SELECT 1", "SELECT 1"),
            (" \n-- a comment;\n/* and ; another */ select ';' -- ;", "select ';' -- ;"),
            ("SELECT ';', \"a;b\", `c;d`, [e;f] /* ; */; -- end", "SELECT ';', \"a;b\", `c;d`, [e;f] /* ; */"),
            ("SELECT 'it''s; one';;; ", "SELECT 'it''s; one'"),
            ("WITH a AS (SELECT 1) SELECT 2 - 1 / 1 FROM a;", "WITH a AS (SELECT 1) SELECT 2 - 1 / 1 FROM a"),
            ("SELECT '''; SELECT 2; '", "SELECT '''; SELECT 2; '"),
            ("VALUES (1)", "VALUES (1)"),
            ("EXPLAIN QUERY PLAN SELECT 1", "EXPLAIN QUERY PLAN SELECT 1"),
        ] {
            assert_eq!(sqlite(text).as_deref(), Ok(query), "{text}");
        }
        let nested = "/* a /* b */ SELECT */ (((SELECT 1)))";
        assert_eq!(reading(nested, Dialect::Postgres).unwrap(), "(((SELECT 1)))");
    }

    #[test]
    fn what_is_no_single_query_is_refused() {
        for text in ["", " ", ";", "-- nothing", "/* unfinished", "SELECT 1\0"] {
            assert!(sqlite(text).is_err(), "{text}");
        }
        for text in [
            "DELETE FROM messages",
            "/**/-- x\nDELETE FROM messages",
            "PRAGMA query_only = 0",
            "ATTACH 'x' AS y",
            "VACUUM INTO 'x'",
            "EXPLAIN PRAGMA query_only = 0",
            "EXPLAIN/**/QUERY--\nPLAN VACUUM",
            "(SELECT 1)",
            "SELECT 1; SELECT 2",
            "SELECT ';'; DROP TABLE messages",
            "SELECT 1 /* ; */; -- x\n ATTACH 'x' AS y",
            "\u{a0}SELECT 1",
            "SELECTED",
        ] {
            assert!(sqlite(text).is_err(), "{text}");
        }
        for text in ["DO $$ $$", "COPY messages TO STDOUT", "/* /* */ SELECT 1", "SET x = 1", "COMMIT", "CALL f()"] {
            assert!(reading(text, Dialect::Postgres).is_err(), "{text}");
        }
    }
}
