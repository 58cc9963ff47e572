//! Tickets: short-lived credentials for URLs, where no header can be sent, as with `<img>` and `EventSource`.
//!
//! A ticket names its holder and its expiry, and proves both with an HMAC over them and the digest of the holder's
//! token, under a key that is in no database. So tickets are stored nowhere, every process with the key can verify
//! them, and a ticket ends with its token. The digest of a token alone, which a backup contains, is not enough to make
//! one.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::token::{TokenDigest, TokenId};
use crate::time::timestamp::Timestamp;

/// The time for which a ticket is valid.
const VALID: Duration = Duration::from_secs(5 * 60);
/// The difference that is tolerated between the clocks of processes that share a key.
const CLOCK_SKEW: Duration = Duration::from_secs(5);
/// The word for the owner's token, which has no number.
const OWNER: &str = "owner";
/// The prefix of what is signed. It keeps a ticket from being taken for anything else that is signed with the same key.
const PURPOSE: &[u8] = b"buzon ticket\n";

/// The holder of a ticket: the bearer of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketHolder {
    /// The bearer of the token that is configured, or was generated at the first start.
    Owner,
    Token(TokenId),
}

impl fmt::Display for TicketHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str(OWNER),
            Self::Token(id) => id.fmt(f),
        }
    }
}

impl TicketHolder {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            OWNER => Some(Self::Owner),
            id => id.parse().ok().map(|id| Self::Token(TokenId(id))),
        }
    }
}

/// A ticket that is not verified yet. It must not be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    holder: TicketHolder,
    expires_at: Timestamp,
    proof: [u8; 32],
}

impl Ticket {
    /// Reads `holder.expiry.proof`, with the expiry in milliseconds and the proof in hexadecimal digits. Only the exact
    /// form that [`Ticket::to_text`] writes is accepted.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (holder, expires_at, digits) = (parts.next()?, parts.next()?, parts.next()?);
        let mut proof = [0; 32];
        hex::decode_to_slice(digits, &mut proof).ok()?;
        let expires_at = Timestamp::from_millis(expires_at.parse().ok()?);
        let ticket = Self { holder: TicketHolder::parse(holder)?, expires_at, proof };
        (ticket.to_text() == text).then_some(ticket)
    }

    /// Returns the holder that the ticket names.
    pub fn holder(&self) -> TicketHolder {
        self.holder
    }

    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Returns the ticket as it is written in a URL.
    pub fn to_text(&self) -> String {
        format!("{}.{}.{}", self.holder, self.expires_at.millis(), hex::encode(self.proof))
    }
}

/// The secret that signs and verifies tickets. It is random, and the same in every process on a database.
#[derive(Clone, Debug)]
pub struct TicketKey(SecretString);

impl TicketKey {
    pub fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// Issues a ticket of five minutes for the bearer of the token with this digest, or of less if the token ends
    /// before.
    pub fn issue(
        &self,
        holder: TicketHolder,
        digest: &TokenDigest,
        now: Timestamp,
        token_ends: Option<Timestamp>,
    ) -> Ticket {
        let expires_at = token_ends.map_or(now + VALID, |end| end.min(now + VALID));
        let proof = self.signed(holder, expires_at, digest).finalize().into_bytes().into();
        Ticket { holder, expires_at, proof }
    }

    /// Returns whether the ticket was issued to the bearer of the token with this digest and is valid at `now`. The
    /// comparison takes constant time. A ticket that would be valid for longer than any issued one is refused, even if
    /// it is signed.
    pub fn admits(&self, ticket: &Ticket, digest: &TokenDigest, now: Timestamp) -> bool {
        let proven = self.signed(ticket.holder, ticket.expires_at, digest).verify_slice(&ticket.proof).is_ok();
        proven && now < ticket.expires_at && ticket.expires_at <= now + VALID + CLOCK_SKEW
    }

    fn signed(&self, holder: TicketHolder, expires_at: Timestamp, digest: &TokenDigest) -> Hmac<Sha256> {
        let mac = self.mac(PURPOSE).chain_update(digest.as_bytes());
        mac.chain_update(format!("{holder}.{}", expires_at.millis()))
    }

    /// Returns an HMAC under this key that has begun with a purpose.
    pub(super) fn mac(&self, purpose: &[u8]) -> Hmac<Sha256> {
        let key = self.0.expose_secret().as_bytes();
        Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length").chain_update(purpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_724_716_800_000);

    fn key(text: &str) -> TicketKey {
        TicketKey::new(text.to_owned().into())
    }

    fn later(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn a_ticket_is_valid_for_five_minutes_with_its_own_token_and_key() {
        let (mine, other) = (TokenDigest::of(b"mine"), TokenDigest::of(b"another"));
        let (key, foreign) = (key("of this database"), key("of another"));
        for holder in [TicketHolder::Owner, TicketHolder::Token(TokenId(7))] {
            let ticket = key.issue(holder, &mine, NOW, None);
            let ticket = Ticket::parse(&ticket.to_text()).unwrap();
            assert_eq!((ticket.holder(), ticket.expires_at()), (holder, later(300)));
            assert!(key.admits(&ticket, &mine, NOW) && key.admits(&ticket, &mine, later(299)));
            assert!(!key.admits(&ticket, &mine, later(300)));
            assert!(!key.admits(&ticket, &other, NOW));
            assert!(!foreign.admits(&ticket, &mine, NOW));
        }
    }

    #[test]
    fn a_ticket_that_would_be_valid_for_longer_than_five_minutes_is_refused_although_it_is_signed() {
        let (key, digest) = (key("of this database"), TokenDigest::of(b"mine"));
        for (ahead, admitted) in [(0, true), (5, true), (6, false), (3_600, false), (100 * 365 * 86_400, false)] {
            let ticket = key.issue(TicketHolder::Owner, &digest, later(ahead), None);
            assert_eq!(key.admits(&ticket, &digest, NOW), admitted, "{ahead} seconds ahead");
        }
    }

    #[test]
    fn a_ticket_cannot_be_made_from_what_a_backup_contains() {
        let (key, digest) = (key("of this database"), TokenDigest::of(b"mine"));
        for known in [hex::encode(digest.as_bytes()), String::new()] {
            let forged = TicketKey::new(known.into()).issue(TicketHolder::Owner, &digest, NOW, None);
            assert!(!key.admits(&forged, &digest, NOW));
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(digest.as_bytes()).unwrap();
        mac.update(PURPOSE);
        mac.update(format!("owner.{}", later(300).millis()).as_bytes());
        let proof = hex::encode(mac.finalize().into_bytes());
        let forged = Ticket::parse(&format!("owner.{}.{proof}", later(300).millis())).unwrap();
        assert!(!key.admits(&forged, &digest, NOW));
    }

    #[test]
    fn a_ticket_ends_with_its_token() {
        let (key, digest) = (key("of this database"), TokenDigest::of(b"mine"));
        let ends = |end| key.issue(TicketHolder::Owner, &digest, NOW, Some(end)).expires_at();
        assert_eq!(ends(later(10)), later(10));
        assert_eq!(ends(later(1000)), later(300));
    }

    #[test]
    fn a_changed_ticket_is_refused() {
        let (key, digest) = (key("of this database"), TokenDigest::of(b"mine"));
        let text = key.issue(TicketHolder::Token(TokenId(7)), &digest, NOW, None).to_text();
        let (rest, proof) = text.rsplit_once('.').unwrap();
        let (_, expiry) = rest.split_once('.').unwrap();
        let other_digit = if proof.starts_with('0') { "1" } else { "0" };
        for changed in [
            format!("8.{expiry}.{proof}"),
            format!("owner.{expiry}.{proof}"),
            format!("7.{}.{proof}", later(301).millis()),
            format!("7.{expiry}.{other_digit}{}", &proof[1..]),
        ] {
            assert!(!key.admits(&Ticket::parse(&changed).unwrap(), &digest, NOW), "{changed}");
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
