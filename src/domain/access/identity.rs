//! A challenge and its signed answer, by which a buzon proves to its owner, through any proxies in front of it, that it
//! is the owner's.
//!
//! The owner's token signs both the challenge and the answer, and is sent in neither. A challenge that the token did
//! not sign is treated like any other request, so that nobody learns anything about a buzon, or has anything signed by
//! it, without the token that opens it anyway. The webhook's secret is not used here: if it signed nonces that
//! strangers choose, they could have events signed.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::token::TokenDigest;

/// The request header that carries a challenge.
pub const CHALLENGE_HEADER: &str = "x-buzon-question";
/// The prefixes of what is signed. They keep a challenge, an answer and a ticket, which are signed with the same key,
/// from being taken for each other.
const CHALLENGE_PURPOSE: &[u8] = b"buzon question\n";
const CLAIMS_PURPOSE: &[u8] = b"buzon statement\n";
const BYTES: usize = 32;

/// A random nonce, signed with the owner's token. An answer is valid for one challenge only.
#[derive(Clone, Debug)]
pub struct Challenge {
    nonce: [u8; BYTES],
    proof: [u8; BYTES],
}

/// The claims of a running buzon about itself, and about the connection on which the challenge arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityClaims {
    pub version: String,
    /// A random id of this process.
    pub process: String,
    /// The id of its database, if the database answers.
    pub database: Option<String>,
    /// The address at the other end of the connection.
    pub peer: Option<IpAddr>,
    /// True if the peer is a trusted proxy.
    pub trusted: bool,
    /// True if the request named the client that it was forwarded for (`X-Forwarded-For`).
    pub forwarded_for: bool,
    /// The client's address, as far as it can be trusted.
    pub client: Option<IpAddr>,
}

/// The answer to a challenge: the claims as the JSON text that was signed, and their HMAC.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignedIdentity {
    #[serde(rename = "statement")]
    claims: String,
    proof: String,
}

impl Challenge {
    pub const RANDOM_BYTES: usize = BYTES;

    /// Signs the nonce with the owner's token.
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

    /// Returns whether the challenge was signed with this token. The comparison takes constant time.
    pub fn is_proven_by(&self, token: &TokenDigest) -> bool {
        mac(token, CHALLENGE_PURPOSE, &[&self.nonce]).verify_slice(&self.proof).is_ok()
    }

    pub fn answer(&self, claims: &IdentityClaims, token: &TokenDigest) -> SignedIdentity {
        let claims = serde_json::to_string(claims).expect("texts and flags are JSON");
        let proof = hex::encode(self.claims_mac(&claims, token).finalize().into_bytes());
        SignedIdentity { claims, proof }
    }

    fn claims_mac(&self, claims: &str, token: &TokenDigest) -> Hmac<Sha256> {
        mac(token, CLAIMS_PURPOSE, &[&self.nonce, claims.as_bytes()])
    }
}

impl SignedIdentity {
    /// Returns the claims if a buzon with this token signed them in answer to this challenge.
    pub fn verify(&self, challenge: &Challenge, token: &TokenDigest) -> Option<IdentityClaims> {
        let mut proof = [0; BYTES];
        hex::decode_to_slice(&self.proof, &mut proof).ok()?;
        challenge.claims_mac(&self.claims, token).verify_slice(&proof).ok()?;
        serde_json::from_str(&self.claims).ok()
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

    fn claims() -> IdentityClaims {
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
    fn only_a_holder_of_the_token_can_sign_a_challenge_or_an_answer() {
        let (ours, theirs) = (TokenDigest::of(b"ours"), TokenDigest::of(b"theirs"));
        let challenge = Challenge::parse(&Challenge::new([7; BYTES], &ours).to_text()).unwrap();
        assert!(challenge.is_proven_by(&ours));
        assert!(!challenge.is_proven_by(&theirs));
        assert_eq!(challenge.answer(&claims(), &ours).verify(&challenge, &ours), Some(claims()));
        assert_eq!(challenge.answer(&claims(), &theirs).verify(&challenge, &ours), None);
    }

    #[test]
    fn an_answer_is_valid_for_one_challenge_and_cannot_be_changed() {
        let token = TokenDigest::of(b"ours");
        let (challenge, another) = (Challenge::new([7; BYTES], &token), Challenge::new([8; BYTES], &token));
        let answer = challenge.answer(&claims(), &token);
        assert_eq!(answer.verify(&another, &token), None);
        let changed = SignedIdentity { claims: answer.claims.replace("203.0", "198.51"), ..answer };
        assert_eq!(changed.verify(&challenge, &token), None);
    }

    #[test]
    fn malformed_challenges_are_refused() {
        for text in ["", ".", "00.00", "nonsense", &"0".repeat(129)] {
            assert!(Challenge::parse(text).is_none(), "{text}");
        }
    }
}
