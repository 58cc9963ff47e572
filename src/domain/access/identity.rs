//! How a buzon shows its owner that it is theirs, through whatever stands before it.
//!
//! The owner's token proves the challenge, and the answer; it is sent in neither. A stranger's challenge is answered like
//! any other request: nobody learns anything about a buzon, or has anything signed by it, without the token that opens
//! it anyway. A nonce that strangers may choose, signed with the webhook's secret, would be a way to have events signed.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::token::TokenDigest;

/// The header of a request that asks.
pub const CHALLENGE_HEADER: &str = "x-buzon-question";
/// Keep the one from being taken for the other, or for a ticket, which has the same key.
const CHALLENGE_PURPOSE: &[u8] = b"buzon question\n";
const CLAIMS_PURPOSE: &[u8] = b"buzon statement\n";
const BYTES: usize = 32;

/// Who are you? Random, so that an answer is to this challenge alone.
#[derive(Clone, Debug)]
pub struct Challenge {
    nonce: [u8; BYTES],
    proof: [u8; BYTES],
}

/// What a running buzon says of itself, and of the way that the challenge came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityClaims {
    pub version: String,
    /// Random, of this process.
    pub process: String,
    /// The id of its database, if that answers.
    pub database: Option<String>,
    /// The address at the other end of the connection.
    pub peer: Option<IpAddr>,
    /// Whether that is a trusted proxy.
    pub trusted: bool,
    /// Whether somebody said on whose behalf the challenge came (`X-Forwarded-For`).
    pub forwarded_for: bool,
    /// The client's address, as far as that can be believed.
    pub client: Option<IpAddr>,
}

/// An answer: the statement as it was signed, and what proves it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignedIdentity {
    statement: String,
    proof: String,
}

impl Challenge {
    pub const RANDOM_BYTES: usize = BYTES;

    /// The owner's challenge.
    pub fn new(nonce: [u8; BYTES], token: &TokenDigest) -> Self {
        let proof = mac(token, CHALLENGE_PURPOSE, &[&nonce]).finalize().into_bytes().into();
        Self { nonce, proof }
    }

    /// Reads `nonce.proof`, both in hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (nonce, proof) = text.split_once('.')?;
        let mut challenge = Self { nonce: [0; BYTES], proof: [0; BYTES] };
        hex::decode_to_slice(nonce, &mut challenge.nonce).ok()?;
        hex::decode_to_slice(proof, &mut challenge.proof).ok()?;
        Some(challenge)
    }

    pub fn to_text(&self) -> String {
        format!("{}.{}", hex::encode(self.nonce), hex::encode(self.proof))
    }

    /// Whether the bearer of this token asks. In constant time.
    pub fn is_proven_by(&self, token: &TokenDigest) -> bool {
        mac(token, CHALLENGE_PURPOSE, &[&self.nonce]).verify_slice(&self.proof).is_ok()
    }

    pub fn answer(&self, statement: &IdentityClaims, token: &TokenDigest) -> SignedIdentity {
        let statement = serde_json::to_string(statement).expect("texts and flags are JSON");
        let proof = hex::encode(self.claims_mac(&statement, token).finalize().into_bytes());
        SignedIdentity { statement, proof }
    }

    fn claims_mac(&self, statement: &str, token: &TokenDigest) -> Hmac<Sha256> {
        mac(token, CLAIMS_PURPOSE, &[&self.nonce, statement.as_bytes()])
    }
}

impl SignedIdentity {
    /// What was said, if a buzon that has this token said it to this challenge.
    pub fn verify(&self, challenge: &Challenge, token: &TokenDigest) -> Option<IdentityClaims> {
        let mut proof = [0; BYTES];
        hex::decode_to_slice(&self.proof, &mut proof).ok()?;
        challenge.claims_mac(&self.statement, token).verify_slice(&proof).ok()?;
        serde_json::from_str(&self.statement).ok()
    }
}

fn mac(token: &TokenDigest, purpose: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(purpose);
    parts.iter().for_each(|part| mac.update(part));
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> IdentityClaims {
        IdentityClaims {
            version: "1".to_owned(),
            process: "p".to_owned(),
            database: Some("d".to_owned()),
            peer: None,
            trusted: false,
            forwarded_for: true,
            client: Some("203.0.113.9".parse().unwrap()),
        }
    }

    #[test]
    fn only_the_bearer_of_the_token_asks_and_only_one_who_has_it_answers() {
        let (ours, theirs) = (TokenDigest::of(b"ours"), TokenDigest::of(b"theirs"));
        let challenge = Challenge::parse(&Challenge::new([7; BYTES], &ours).to_text()).unwrap();
        assert!(challenge.is_proven_by(&ours));
        assert!(!challenge.is_proven_by(&theirs));
        assert_eq!(challenge.answer(&statement(), &ours).verify(&challenge, &ours), Some(statement()));
        assert_eq!(challenge.answer(&statement(), &theirs).verify(&challenge, &ours), None);
    }

    #[test]
    fn an_answer_is_to_one_question_and_cannot_be_changed() {
        let token = TokenDigest::of(b"ours");
        let (challenge, another) = (Challenge::new([7; BYTES], &token), Challenge::new([8; BYTES], &token));
        let answer = challenge.answer(&statement(), &token);
        assert_eq!(answer.verify(&another, &token), None);
        let changed = SignedIdentity { statement: answer.statement.replace("203.0", "198.51"), ..answer };
        assert_eq!(changed.verify(&challenge, &token), None);
    }

    #[test]
    fn what_is_no_question_is_none() {
        for text in ["", ".", "00.00", "nonsense", &"0".repeat(129)] {
            assert!(Challenge::parse(text).is_none(), "{text}");
        }
    }
}
