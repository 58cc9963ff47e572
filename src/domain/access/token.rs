//! The tokens of the read API: their form, and what the database keeps of them.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::scope::Scope;
use crate::time::timestamp::Timestamp;

/// The beginning of every token, by which people and scanners for leaked secrets recognise one.
const MARKER: &str = "buzon_";
const RANDOM_BYTES: usize = 32;
/// The number of characters of a token that may be shown to tell it from others.
const PREFIX_CHARACTERS: usize = 14;

/// A bearer token: `buzon_` and 64 hexadecimal digits. Its `Debug` output does not contain it, and it is stored
/// nowhere.
#[derive(Clone, Debug)]
pub struct Token(SecretString);

impl Token {
    pub const RANDOM_BYTES: usize = RANDOM_BYTES;

    pub fn from_random(bytes: [u8; RANDOM_BYTES]) -> Self {
        Self(format!("{MARKER}{}", hex::encode(bytes)).into())
    }

    /// Returns `None` for any text that does not have the form of a token.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(MARKER)?;
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (digits.len() == 2 * RANDOM_BYTES && digits.bytes().all(digit)).then(|| Self(text.to_owned().into()))
    }

    /// Returns the whole token, for the one time that it is shown.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns the first characters, which may be shown.
    pub fn prefix(&self) -> &str {
        &self.expose()[..PREFIX_CHARACTERS]
    }

    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.expose().as_bytes())
    }
}

/// The SHA-256 of a token, which identifies it. Its `Debug` output does not contain it.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    pub fn from_store(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares two digests in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest")
    }
}

/// The number of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub i64);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The owner's name for a token: 1 to 100 characters without control characters, and without space around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenName(String);

/// The error for a text that cannot be the name of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {} characters, no space around it and no control character", TokenName::MAX_CHARACTERS)]
pub struct InvalidTokenName;

impl TokenName {
    pub const MAX_CHARACTERS: usize = 100;

    pub fn new(name: &str) -> Result<Self, InvalidTokenName> {
        let length = (1..=Self::MAX_CHARACTERS).contains(&name.chars().count());
        let usable = length && name.trim() == name && !name.contains(char::is_control);
        usable.then(|| Self(name.to_owned())).ok_or(InvalidTokenName)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token that is to be recorded.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub name: TokenName,
    pub prefix: String,
    pub digest: TokenDigest,
    pub scope: Scope,
    pub created_at: Timestamp,
    /// The time from which the token is not accepted any more. `None` if it does not expire.
    pub expires_at: Option<Timestamp>,
    /// True if its bearer may start exports.
    pub can_export: bool,
}

/// A recorded token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    pub id: TokenId,
    pub name: String,
    pub prefix: String,
    pub digest: TokenDigest,
    pub scope: Scope,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// The last use that was recorded. There can have been others up to a minute later.
    pub last_used_at: Option<Timestamp>,
    pub can_export: bool,
}

/// The state of a token. Only an active one is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    Active,
    Expired,
    Revoked,
}

impl TokenState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ApiToken {
    pub fn state(&self, now: Timestamp) -> TokenState {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => TokenState::Revoked,
            (None, Some(end)) if end <= now => TokenState::Expired,
            (None, _) => TokenState::Active,
        }
    }

    pub fn is_active(&self, now: Timestamp) -> bool {
        self.state(now) == TokenState::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form_and_can_be_parsed_again() {
        let token = Token::from_random([0xab; 32]);
        assert_eq!(token.expose(), format!("buzon_{}", "ab".repeat(32)));
        assert_eq!(token.prefix(), "buzon_abababab");
        assert!(Token::parse(token.expose()).is_some_and(|read| read.digest() == token.digest()));
        for text in [
            "",
            "buzon_",
            &"ab".repeat(32),
            &format!("buzon_{}", "AB".repeat(32)),
            &format!("buzon_{}", "ab".repeat(33)),
            &format!("Buzon_{}", "ab".repeat(32)),
            &format!("buzon_{}é", "ab".repeat(31)),
            &format!(" buzon_{}", "ab".repeat(32)),
        ] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn neither_a_token_nor_its_digest_is_printed() {
        let token = Token::from_random([0xab; 32]);
        let printed = format!("{token:?} {:?}", token.digest());
        assert!(!printed.contains("abab") && !printed.contains(&hex::encode(token.digest().as_bytes())), "{printed}");
    }

    #[test]
    fn a_name_is_what_a_person_would_type() {
        assert!(TokenName::new("Panel de José 📊").is_ok());
        assert!(TokenName::new(&"ñ".repeat(100)).is_ok());
        for name in ["", " ", " a", "a ", "a\nb", "a\u{1b}[2J", "\0", &"ñ".repeat(101)] {
            assert_eq!(TokenName::new(name), Err(InvalidTokenName), "{name:?}");
        }
    }

    #[test]
    fn a_token_is_active_until_it_expires_or_is_revoked() {
        let at = Timestamp::from_millis;
        let token = |expires_at, revoked_at| ApiToken {
            id: TokenId(1),
            name: "panel".to_owned(),
            prefix: "buzon_abababab".to_owned(),
            digest: TokenDigest::of(b"x"),
            scope: Scope::All,
            created_at: at(0),
            expires_at,
            revoked_at,
            last_used_at: None,
            can_export: false,
        };
        assert_eq!(token(None, None).state(at(i64::MAX)), TokenState::Active);
        assert_eq!(token(Some(at(10)), None).state(at(9)), TokenState::Active);
        assert_eq!(token(Some(at(10)), None).state(at(10)), TokenState::Expired);
        assert_eq!(token(Some(at(10)), Some(at(20))).state(at(9)), TokenState::Revoked);
    }
}
