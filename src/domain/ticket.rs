//! Tickets: what stands in a URL where no header can be sent, as with `<img>` and `EventSource`.
//!
//! A ticket says whose it is, until when it is good, and proves both with a key that follows from its token. So it needs
//! no room anywhere, every process knows it, and it ends with its token.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::timestamp::Timestamp;
use super::token::{TokenDigest, TokenId};

/// How long a ticket is good.
const VALID: Duration = Duration::from_secs(5 * 60);
/// The word for the owner's own token, which has no number.
const OWNERS: &str = "owner";
/// Keeps a ticket from being taken for anything else that might be signed with the same key one day.
const PURPOSE: &[u8] = b"buzon ticket\n";

/// Whose a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The bearer of the token that is configured, or was written at the first start.
    Owner,
    Token(TokenId),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str(OWNERS),
            Self::Token(id) => id.fmt(f),
        }
    }
}

impl Holder {
    fn parse(text: &str) -> Option<Self> {
        match text {
            OWNERS => Some(Self::Owner),
            id => id.parse().ok().map(|id| Self::Token(TokenId(id))),
        }
    }
}

/// A ticket that nobody has verified yet. Not for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    holder: Holder,
    expires_at: Timestamp,
    proof: [u8; 32],
}

impl Ticket {
    /// A ticket of five minutes, or less where the token ends before.
    pub fn issue(holder: Holder, digest: &TokenDigest, now: Timestamp, token_ends: Option<Timestamp>) -> Self {
        let expires_at = token_ends.map_or(now + VALID, |end| end.min(now + VALID));
        let proof = signed(holder, expires_at, digest).finalize().into_bytes().into();
        Self { holder, expires_at, proof }
    }

    /// Reads `holder.expiry.proof`, with the expiry in milliseconds and the proof in hexadecimal digits, in the very form
    /// of [`Ticket::to_text`].
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (holder, expires_at, digits) = (parts.next()?, parts.next()?, parts.next()?);
        let mut proof = [0; 32];
        hex::decode_to_slice(digits, &mut proof).ok()?;
        let expires_at = Timestamp::from_millis(expires_at.parse().ok()?);
        let ticket = Self { holder: Holder::parse(holder)?, expires_at, proof };
        (ticket.to_text() == text).then_some(ticket)
    }

    /// Whose it says that it is.
    pub fn holder(&self) -> Holder {
        self.holder
    }

    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether the bearer of the token with this digest had it made, and it is good at `now`. In constant time.
    pub fn is_good(&self, digest: &TokenDigest, now: Timestamp) -> bool {
        let proven = signed(self.holder, self.expires_at, digest).verify_slice(&self.proof).is_ok();
        proven && now < self.expires_at
    }

    /// The ticket as it stands in a URL.
    pub fn to_text(&self) -> String {
        format!("{}.{}.{}", self.holder, self.expires_at.millis(), hex::encode(self.proof))
    }
}

fn signed(holder: Holder, expires_at: Timestamp, digest: &TokenDigest) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(digest.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(PURPOSE);
    mac.update(format!("{holder}.{}", expires_at.millis()).as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_724_716_800_000);

    fn later(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn a_ticket_is_good_for_five_minutes_and_for_its_own_token() {
        let (mine, other) = (TokenDigest::of(b"mine"), TokenDigest::of(b"another"));
        for holder in [Holder::Owner, Holder::Token(TokenId(7))] {
            let ticket = Ticket::issue(holder, &mine, NOW, None);
            let ticket = Ticket::parse(&ticket.to_text()).unwrap();
            assert_eq!((ticket.holder(), ticket.expires_at()), (holder, later(300)));
            assert!(ticket.is_good(&mine, NOW) && ticket.is_good(&mine, later(299)));
            assert!(!ticket.is_good(&mine, later(300)));
            assert!(!ticket.is_good(&other, NOW));
        }
    }

    #[test]
    fn a_ticket_ends_with_its_token() {
        let digest = TokenDigest::of(b"mine");
        let ends = |end| Ticket::issue(Holder::Owner, &digest, NOW, Some(end)).expires_at();
        assert_eq!(ends(later(10)), later(10));
        assert_eq!(ends(later(1000)), later(300));
    }

    #[test]
    fn whoever_changes_a_ticket_has_none() {
        let digest = TokenDigest::of(b"mine");
        let text = Ticket::issue(Holder::Token(TokenId(7)), &digest, NOW, None).to_text();
        let (rest, proof) = text.rsplit_once('.').unwrap();
        let (_, expiry) = rest.split_once('.').unwrap();
        let other_digit = if proof.starts_with('0') { "1" } else { "0" };
        for changed in [
            format!("8.{expiry}.{proof}"),
            format!("owner.{expiry}.{proof}"),
            format!("7.{}.{proof}", later(3000).millis()),
            format!("7.{expiry}.{other_digit}{}", &proof[1..]),
        ] {
            assert!(!Ticket::parse(&changed).unwrap().is_good(&digest, NOW), "{changed}");
        }
        for unreadable in [
            "",
            ".",
            "..",
            "7",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}."),
            &format!("{text}.x"),
            &text.to_uppercase(),
            &format!("+{text}"),
            &format!("0{text}"),
            "é.é.é",
        ] {
            assert!(Ticket::parse(unreadable).is_none(), "{unreadable}");
        }
    }
}
