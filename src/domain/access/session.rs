//! Sessions: the way in which a browser proves who uses it, with a cookie in place of a token.
//!
//! The cookie is random, and the database holds only its HMAC, under the key of tickets, which is in no database. So
//! neither a cookie nor its row can be made by somebody who can only write to the database. A session belongs to one
//! token and ends with it.
//!
//! A login code is a ticket of another purpose: it opens one session, and its HMAC is kept with the session that it
//! opened, so that it cannot open another one.

use std::fmt;
use std::time::Duration;

use hmac::Mac;
use secrecy::{ExposeSecret, SecretString};

use super::ticket::{TicketHolder, TicketKey};
use super::token::{TokenDigest, TokenId};
use crate::time::timestamp::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The time after which an unused session ends.
const IDLE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The time after which a session ends in any case.
pub const LONGEST: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// The time for which a login code can be used.
pub const CODE_VALID: Duration = Duration::from_secs(5 * 60);
/// The difference that is tolerated between the clocks of the command that makes a code and of the service.
const CLOCK_SKEW: Duration = Duration::from_secs(5);
/// The number of sessions that one token may have. A further one ends the oldest.
pub const MOST_SESSIONS: u32 = 50;
/// The number of characters of a browser's description that are kept.
const DEVICE_CHARACTERS: usize = 200;

const SESSION_PURPOSE: &[u8] = b"buzon session\n";
const CODE_PURPOSE: &[u8] = b"buzon login code\n";
const SPENT_PURPOSE: &[u8] = b"buzon spent login code\n";

/// The secret of a session: 64 hexadecimal digits. Its `Debug` output does not contain it, and it is stored nowhere.
#[derive(Clone, Debug)]
pub struct SessionSecret(SecretString);

impl SessionSecret {
    pub const RANDOM_BYTES: usize = 32;

    pub fn from_random(bytes: [u8; Self::RANDOM_BYTES]) -> Self {
        Self(hex::encode(bytes).into())
    }

    /// Returns `None` for any text that does not have the form of a secret.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 2 * Self::RANDOM_BYTES && text.bytes().all(digit)).then(|| Self(text.to_owned().into()))
    }

    /// Returns the whole secret, for the cookie.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// An HMAC that identifies a session, or a login code that was spent. Its `Debug` output does not contain it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionDigest([u8; 32]);

impl SessionDigest {
    pub fn from_store(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SessionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionDigest")
    }
}

/// The number of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A session that is to be recorded.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub digest: SessionDigest,
    /// The token of the session; `None` for the owner's.
    pub token: Option<TokenId>,
    pub token_digest: TokenDigest,
    /// The login code that opens it, if it was one.
    pub code: Option<SessionDigest>,
    /// The browser's description of itself.
    pub device: String,
    pub created_at: Timestamp,
}

impl NewSession {
    /// Returns the end of the session, if it is not used again.
    pub fn expires_at(&self) -> Timestamp {
        self.created_at + IDLE
    }
}

/// Returns as much of a browser's description of itself as is kept, without control characters.
pub fn device(user_agent: &str) -> String {
    user_agent.chars().filter(|c| !c.is_control()).take(DEVICE_CHARACTERS).collect()
}

/// A recorded session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserSession {
    pub id: SessionId,
    pub token: Option<TokenId>,
    pub token_digest: TokenDigest,
    pub device: String,
    pub created_at: Timestamp,
    /// The last day of use that was recorded.
    pub used_at: Timestamp,
    pub expires_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl BrowserSession {
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }

    /// Returns the new end of a session that is used at `now`; `None` if its use was recorded less than a day before.
    pub fn prolonged(&self, now: Timestamp) -> Option<Timestamp> {
        (now >= self.used_at + DAY).then(|| (now + IDLE).min(self.created_at + LONGEST))
    }
}

/// A one-time code that opens a session for the bearer of a token. It must not be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginCode {
    holder: TicketHolder,
    expires_at: Timestamp,
    nonce: [u8; 16],
    proof: [u8; 32],
}

impl LoginCode {
    pub const RANDOM_BYTES: usize = 16;

    /// Reads `holder.expiry.nonce.proof`. Only the exact form that [`LoginCode::to_text`] writes is accepted.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let [holder, expires_at, nonce_digits, proof_digits] = parts[..] else { return None };
        let (mut nonce, mut proof) = ([0; 16], [0; 32]);
        hex::decode_to_slice(nonce_digits, &mut nonce).ok()?;
        hex::decode_to_slice(proof_digits, &mut proof).ok()?;
        let expires_at = Timestamp::from_millis(expires_at.parse().ok()?);
        let code = Self { holder: TicketHolder::parse(holder)?, expires_at, nonce, proof };
        (code.to_text() == text).then_some(code)
    }

    pub fn holder(&self) -> TicketHolder {
        self.holder
    }

    pub fn to_text(&self) -> String {
        format!("{}.{}", self.named(), hex::encode(self.proof))
    }

    fn named(&self) -> String {
        format!("{}.{}.{}", self.holder, self.expires_at.millis(), hex::encode(self.nonce))
    }
}

impl TicketKey {
    /// Returns the HMAC by which a session is found.
    pub fn session_digest(&self, secret: &SessionSecret) -> SessionDigest {
        let mac = self.mac(SESSION_PURPOSE).chain_update(secret.expose());
        SessionDigest(mac.finalize().into_bytes().into())
    }

    /// Returns the HMAC by which a spent login code is known.
    pub fn code_digest(&self, code: &LoginCode) -> SessionDigest {
        let mac = self.mac(SPENT_PURPOSE).chain_update(code.to_text());
        SessionDigest(mac.finalize().into_bytes().into())
    }

    /// Issues a login code of five minutes for the bearer of the token with this digest.
    pub fn issue_code(
        &self,
        holder: TicketHolder,
        digest: &TokenDigest,
        now: Timestamp,
        nonce: [u8; LoginCode::RANDOM_BYTES],
    ) -> LoginCode {
        let code = LoginCode { holder, expires_at: now + CODE_VALID, nonce, proof: [0; 32] };
        let mac = self.mac(CODE_PURPOSE).chain_update(digest.as_bytes()).chain_update(code.named());
        LoginCode { proof: mac.finalize().into_bytes().into(), ..code }
    }

    /// Returns whether the code was issued for the token with this digest and has not expired at `now`. The comparison
    /// takes constant time. It says nothing about earlier use, which the database knows.
    pub fn admits_code(&self, code: &LoginCode, digest: &TokenDigest, now: Timestamp) -> bool {
        let mac = self.mac(CODE_PURPOSE).chain_update(digest.as_bytes()).chain_update(code.named());
        let proven = mac.verify_slice(&code.proof).is_ok();
        proven && now < code.expires_at && code.expires_at <= now + CODE_VALID + CLOCK_SKEW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_724_716_800_000);

    fn key(text: &str) -> TicketKey {
        TicketKey::new(text.to_owned().into())
    }

    fn later(days: u64) -> Timestamp {
        NOW + Duration::from_secs(days * 24 * 60 * 60)
    }

    fn session(used_at: Timestamp, expires_at: Timestamp) -> BrowserSession {
        BrowserSession {
            id: SessionId(1),
            token: None,
            token_digest: TokenDigest::of(b"mine"),
            device: String::new(),
            created_at: NOW,
            used_at,
            expires_at,
            ended_at: None,
        }
    }

    #[test]
    fn a_session_that_is_used_lives_on_for_thirty_days_and_for_ninety_in_all() {
        for (used, now, prolonged) in
            [(0, 0, None), (0, 1, Some(31)), (1, 2, Some(32)), (5, 5, None), (59, 60, Some(90)), (80, 89, Some(90))]
        {
            let session = session(later(used), later(used + 30));
            assert_eq!(session.prolonged(later(now)), prolonged.map(later), "used on {used}, now {now}");
        }
    }

    #[test]
    fn a_session_is_active_until_it_expires_or_is_ended() {
        let session = session(NOW, later(30));
        assert!(session.is_active(NOW) && session.is_active(later(29)) && !session.is_active(later(30)));
        assert!(!BrowserSession { ended_at: Some(NOW), ..session }.is_active(NOW));
    }

    #[test]
    fn a_session_is_found_only_with_the_key_and_its_own_secret() {
        let (mine, other) = (SessionSecret::from_random([1; 32]), SessionSecret::from_random([2; 32]));
        let digest = key("of this database").session_digest(&mine);
        assert_eq!(
            SessionSecret::parse(mine.expose()).map(|read| key("of this database").session_digest(&read)),
            Some(digest.clone())
        );
        assert_ne!(digest, key("of another").session_digest(&mine));
        assert_ne!(digest, key("of this database").session_digest(&other));
        for text in ["", "0", &"g".repeat(64), &"A".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
            assert!(SessionSecret::parse(text).is_none(), "{text}");
        }
        assert!(!format!("{mine:?} {digest:?}").contains("01"), "{mine:?}");
    }

    #[test]
    fn a_login_code_admits_the_bearer_of_its_token_for_five_minutes() {
        let (mine, other, key) = (TokenDigest::of(b"mine"), TokenDigest::of(b"another"), key("of this database"));
        for holder in [TicketHolder::Owner, TicketHolder::Token(TokenId(7))] {
            let code = key.issue_code(holder, &mine, NOW, [3; 16]);
            let code = LoginCode::parse(&code.to_text()).unwrap();
            let at = |seconds| NOW + Duration::from_secs(seconds);
            assert!(key.admits_code(&code, &mine, NOW) && key.admits_code(&code, &mine, at(299)));
            assert!(!key.admits_code(&code, &mine, at(300)) && !key.admits_code(&code, &other, NOW));
            assert!(!super::tests::key("of another").admits_code(&code, &mine, NOW));
            let ahead = key.issue_code(holder, &mine, at(6), [3; 16]);
            assert!(!key.admits_code(&ahead, &mine, NOW), "no code is valid for longer than five minutes");
        }
    }

    #[test]
    fn a_changed_code_and_a_ticket_are_no_codes() {
        let (digest, key) = (TokenDigest::of(b"mine"), key("of this database"));
        let text = key.issue_code(TicketHolder::Owner, &digest, NOW, [3; 16]).to_text();
        let other_nonce = text.replace(&hex::encode([3; 16]), &hex::encode([4; 16]));
        assert!(!key.admits_code(&LoginCode::parse(&other_nonce).unwrap(), &digest, NOW));
        let ticket = key.issue(TicketHolder::Owner, &digest, NOW, None).to_text();
        for unreadable in ["", "...", &ticket, &text.to_uppercase(), &format!("{text}."), &text[1..]] {
            assert!(LoginCode::parse(unreadable).is_none(), "{unreadable}");
        }
    }

    #[test]
    fn the_description_of_a_device_is_bounded_and_has_no_control_characters() {
        assert_eq!(device("Mozilla\u{1b}[31m\n5.0"), "Mozilla[31m5.0");
        assert_eq!(device(&"x".repeat(5_000)).len(), DEVICE_CHARACTERS);
    }
}
