//! The name of a stored file.

use std::fmt;

use serde::{Deserialize, Serialize};

const DIGITS: usize = 64;

/// The SHA-256 of a file's content, in lower-case hexadecimal digits: its name in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

impl ObjectKey {
    pub fn of_digest(digest: [u8; 32]) -> Self {
        Self(hex::encode(digest))
    }

    /// `None` for anything but 64 lower-case hexadecimal digits: a file has one name only.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == DIGITS && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a key has 64 lower-case hexadecimal digits")
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_name_and_it_reads_back() {
        let key = ObjectKey::of_digest([0xab; 32]);
        assert_eq!(key.as_str(), "ab".repeat(32));
        assert_eq!(ObjectKey::parse(key.as_str()), Some(key));
    }

    #[test]
    fn what_is_not_64_lower_case_digits_is_no_key() {
        for text in ["", "ab", &"AB".repeat(32), &"0g".repeat(32), &"ab".repeat(33), &format!("{}é", "a".repeat(62))] {
            assert_eq!(ObjectKey::parse(text), None, "{text}");
        }
    }
}
