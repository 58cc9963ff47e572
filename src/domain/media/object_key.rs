//! The key of a file in the blob store.

use std::fmt;

use serde::{Deserialize, Serialize};

const DIGITS: usize = 64;

/// The key of a file in the blob store: the SHA-256 of its content, in lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

impl ObjectKey {
    pub fn of_digest(digest: [u8; 32]) -> Self {
        Self(hex::encode(digest))
    }

    /// Accepts only 64 lower-case hexadecimal digits, so that a file has one key only.
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
    fn a_digest_has_one_key_and_it_can_be_parsed_again() {
        let key = ObjectKey::of_digest([0xab; 32]);
        assert_eq!(key.as_str(), "ab".repeat(32));
        assert_eq!(ObjectKey::parse(key.as_str()), Some(key));
    }

    #[test]
    fn a_key_is_64_lower_case_digits_and_nothing_else() {
        for text in ["", "ab", &"AB".repeat(32), &"0g".repeat(32), &"ab".repeat(33), &format!("{}é", "a".repeat(62))] {
            assert_eq!(ObjectKey::parse(text), None, "{text}");
        }
    }
}
