//! Pages of a list by keyset cursors. A page begins at the sort key of the row where another page ended, and not after
//! a number of rows, so that walking through the pages neither misses nor repeats a row while others arrive.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::instance::InstanceId;
use crate::time::timestamp::Timestamp;

pub mod position;
pub mod scan;

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    #[default]
    NewestFirst,
    OldestFirst,
}

/// The sort key of a row: its time, and what distinguishes rows of the same time. That is a number of the database, or
/// the instance and columns that are unique in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SortKey {
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    rest: Vec<KeyPart>,
}

/// The value of a column in a sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyPart {
    Number(i64),
    Text(String),
}

impl SortKey {
    pub fn new(at: Timestamp, instance_id: &InstanceId, rest: Vec<String>) -> Self {
        let rest = rest.into_iter().map(KeyPart::Text).collect();
        Self { at: at.millis(), instance_id: Some(instance_id.as_str().to_owned()), rest }
    }

    /// Returns the key of a row with a number that no other row of the database has.
    pub fn numbered(at: Timestamp, number: i64) -> Self {
        Self { at: at.millis(), instance_id: None, rest: vec![KeyPart::Number(number)] }
    }
}

impl KeyPart {
    /// A part that comes before those of all rows with a number.
    pub const LOWEST_NUMBER: Self = Self::Number(0);
    /// A part that comes before those of all rows with a text.
    pub const LOWEST_TEXT: Self = Self::Text(String::new());

    /// Returns this part as far as a column of the kind of `lowest` can hold it, which may not be so in a cursor, because
    /// it comes from outside.
    fn or_lowest(&self, lowest: &Self) -> Self {
        match (self, lowest) {
            (Self::Number(number), Self::Number(_)) => Self::Number(*number),
            (Self::Text(text), Self::Text(_)) => Self::Text(text.replace('\0', "")),
            _ => lowest.clone(),
        }
    }
}

/// The beginning of a page: after the row with this key or, backwards, before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor<K> {
    pub key: K,
    pub backwards: bool,
}

#[derive(Serialize, Deserialize)]
struct CursorJson<K> {
    list: String,
    key: K,
    backwards: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a cursor that an answer of this very list gave")]
pub struct UnknownCursor;

impl<K: Serialize + DeserializeOwned> Cursor<K> {
    /// Returns the cursor as opaque text, which is valid only for the list of this name.
    pub fn encode(&self, list: &str) -> String {
        let json = CursorJson { list: list.to_owned(), key: &self.key, backwards: self.backwards };
        let json = serde_json::to_vec(&json).expect("keys are JSON");
        BASE64_URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads the exact text that [`Cursor::encode`] writes. Other JSON with the same meaning is refused.
    pub fn decode(list: &str, text: &str) -> Result<Self, UnknownCursor> {
        let json = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| UnknownCursor)?;
        let json: CursorJson<K> = serde_json::from_slice(&json).map_err(|_| UnknownCursor)?;
        let cursor = Self { key: json.key, backwards: json.backwards };
        (cursor.encode(list) == text).then_some(cursor).ok_or(UnknownCursor)
    }
}

/// A request for a page of a list.
#[derive(Clone, Debug)]
pub struct Paging<K> {
    pub order: SortOrder,
    /// The maximum number of rows.
    pub limit: u32,
    pub cursor: Option<Cursor<K>>,
    /// Only rows from this time on.
    pub since: Option<Timestamp>,
    /// Only rows before this time.
    pub until: Option<Timestamp>,
}

/// The maximum size of the rows of a page, in bytes. A single row may be larger.
pub const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The rows of a page in the order of the list, with the cursors of the next and the previous page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, K> {
    pub rows: Vec<T>,
    pub next: Option<Cursor<K>>,
    pub previous: Option<Cursor<K>>,
    /// The sort keys of the rows.
    keys: Vec<K>,
    /// True if the page was reached by a backwards cursor, so that its last row was read first.
    backwards: bool,
}

impl<K> Paging<K> {
    /// Returns whether the database reads the rows in the ascending order of their keys.
    pub fn ascending(&self) -> bool {
        (self.order == SortOrder::OldestFirst) != self.is_backwards()
    }

    /// Returns the number of rows to read: one more than are shown, to find out whether there is another page.
    pub fn rows_to_read(&self) -> u32 {
        self.limit + 1
    }

    /// Makes a page of the rows, which are in the order of reading.
    pub fn page<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Page<T, K> {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let (has_next, has_previous) = match &self.cursor {
            None => (more, false),
            Some(Cursor { backwards: false, .. }) => (more, true),
            Some(Cursor { backwards: true, .. }) => {
                rows.reverse();
                (true, more)
            }
        };
        let next = rows.last().filter(|_| has_next).map(|row| Cursor { key: key(row), backwards: false });
        let previous = rows.first().filter(|_| has_previous).map(|row| Cursor { key: key(row), backwards: true });
        let keys = rows.iter().map(key).collect();
        Page { rows, next, previous, keys, backwards: self.is_backwards() }
    }

    /// Returns whether the cursor is a backwards one.
    pub fn is_backwards(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.backwards)
    }
}

impl<K: Clone> Page<K, K> {
    /// Makes a page of sort keys only, in the order of the list.
    pub fn of_keys(keys: Vec<K>, backwards: bool, next: Option<Cursor<K>>, previous: Option<Cursor<K>>) -> Self {
        Self { rows: keys.clone(), next, previous, keys, backwards }
    }
}

impl<T, K> Page<T, K> {
    pub fn map<U>(self, mut convert: impl FnMut(T) -> U) -> Page<U, K> {
        self.filter_map(|row| Some(convert(row)))
    }

    /// Maps the rows, and leaves out those for which `convert` returns `None`.
    pub fn filter_map<U>(self, mut convert: impl FnMut(T) -> Option<U>) -> Page<U, K> {
        let Self { rows, next, previous, keys, backwards } = self;
        let kept = rows.into_iter().zip(keys).filter_map(|(row, key)| Some((convert(row)?, key)));
        let (rows, keys) = kept.unzip();
        Page { rows, next, previous, keys, backwards }
    }
}

impl<T, K: Clone> Page<T, K> {
    /// Cuts the page so that its rows have at most `most` bytes, but keeps at least the row that was read first. The
    /// page that follows begins at the last row that is left. `sizes` has the number of bytes of each row.
    pub fn within(mut self, most: usize, sizes: &[usize]) -> Self {
        let len = self.rows.len();
        if self.backwards {
            let cut = len - fitting(most, sizes.iter().rev());
            self.rows.drain(..cut);
            self.keys.drain(..cut);
            if cut > 0 {
                self.previous = self.keys.first().map(|key| Cursor { key: key.clone(), backwards: true });
            }
        } else {
            let fitting = fitting(most, sizes.iter());
            self.rows.truncate(fitting);
            self.keys.truncate(fitting);
            if fitting < len {
                self.next = self.keys.last().map(|key| Cursor { key: key.clone(), backwards: false });
            }
        }
        self
    }
}

/// Returns how many of the first items have at most `most` bytes together, but at least one if there is any.
pub fn fitting<'s>(most: usize, sizes: impl Iterator<Item = &'s usize>) -> usize {
    let mut total = 0_usize;
    let fits = |(index, size): &(usize, &usize)| {
        total = total.saturating_add(**size);
        *index == 0 || total <= most
    };
    sizes.enumerate().take_while(fits).count()
}

/// One end of a range: a time, and what distinguishes rows of that time. No row has the lowest parts, so those come before
/// all rows of the time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeysetBound {
    pub at: Timestamp,
    pub rest: Vec<KeyPart>,
}

impl KeysetBound {
    /// Returns the number in a bound of numbered rows.
    pub fn number(&self) -> i64 {
        match self.rest.first() {
            Some(KeyPart::Number(number)) => *number,
            _ => 0,
        }
    }
}

/// The rows of an instance that lie strictly between two bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysetRange {
    pub after: KeysetBound,
    pub before: KeysetBound,
}

impl Paging<SortKey> {
    /// Returns the range of rows of `instance` that can be on the page. `lowest` has the lowest parts of a key after the
    /// instance.
    pub fn range(&self, instance: &InstanceId, lowest: &[KeyPart]) -> KeysetRange {
        self.between(lowest, |key| key.bound(instance, lowest))
    }

    /// Returns the range of rows of all instances that can be on the page of a list whose keys have no instance.
    pub fn span(&self, lowest: &[KeyPart]) -> KeysetRange {
        self.between(lowest, |key| KeysetBound { at: key.at(), rest: padded(&key.rest, lowest) })
    }

    fn between(&self, lowest: &[KeyPart], reached: impl Fn(&SortKey) -> KeysetBound) -> KeysetRange {
        let bound = |at| KeysetBound { at, rest: lowest.to_vec() };
        let mut after = bound(self.since.unwrap_or(Timestamp::MIN));
        let mut before = bound(self.until.unwrap_or(Timestamp::MAX));
        if let Some(Cursor { key, .. }) = &self.cursor {
            match self.ascending() {
                true => after = after.max(reached(key)),
                false => before = before.min(reached(key)),
            }
        }
        KeysetRange { after, before }
    }

    /// Makes an unfinished page continue at `at`, the time up to which its rows were read.
    pub fn unfinished<T>(&self, page: Page<T, SortKey>, at: Timestamp) -> Page<T, SortKey> {
        let key = SortKey { at: at.millis(), instance_id: None, rest: vec![] };
        let cursor = |backwards| Some(Cursor { key: key.clone(), backwards });
        match self.is_backwards() {
            // Without a row, the forward direction begins where reading backwards was broken off.
            true => Page { previous: cursor(true), next: page.next.or_else(|| cursor(false)), ..page },
            false => Page {
                next: cursor(false),
                previous: page.previous.or_else(|| self.cursor.as_ref().and_then(|_| cursor(true))),
                ..page
            },
        }
    }
}

impl SortKey {
    /// Returns the time, clamped to the times that a row can have.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at.clamp(Timestamp::MIN.millis(), Timestamp::MAX.millis()))
    }

    /// Returns the bound, among the rows of `instance`, between those that come before and after this key in a list of
    /// all instances.
    fn bound(&self, instance: &InstanceId, lowest: &[KeyPart]) -> KeysetBound {
        let at = self.at();
        let own = self.instance_id.as_deref().unwrap_or(instance.as_str());
        match instance.as_str().cmp(own) {
            // The instance's rows of the same time come before the key, and all of them are below the next millisecond.
            std::cmp::Ordering::Less => KeysetBound { at: at.next(), rest: lowest.to_vec() },
            std::cmp::Ordering::Equal => KeysetBound { at, rest: padded(&self.rest, lowest) },
            std::cmp::Ordering::Greater => KeysetBound { at, rest: lowest.to_vec() },
        }
    }
}

/// Makes parts of the kinds in `lowest` of the parts in a cursor, which may be others or fewer.
fn padded(rest: &[KeyPart], lowest: &[KeyPart]) -> Vec<KeyPart> {
    let stated = rest.iter().map(Some).chain(std::iter::repeat(None));
    stated.zip(lowest).map(|(part, lowest)| part.map_or(lowest.clone(), |part| part.or_lowest(lowest))).collect()
}

#[cfg(test)]
mod tests;
