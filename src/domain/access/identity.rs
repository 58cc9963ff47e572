//! How a buzon shows its owner that it is theirs, through whatever stands before it.
//!
//! The owner's token proves the question, and the answer; it is sent in neither. A stranger's question is answered like
//! any other request: nobody learns anything about a buzon, or has anything signed by it, without the token that opens
//! it anyway. A nonce that strangers may choose, signed with the webhook's secret, would be a way to have events signed.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::token::TokenDigest;

/// The header of a request that asks.
pub const QUESTION_HEADER: &str = "x-buzon-question";
/// Keep the one from being taken for the other, or for a ticket, which has the same key.
const ASKED: &[u8] = b"buzon question\n";
const ANSWERED: &[u8] = b"buzon statement\n";
const BYTES: usize = 32;

/// Who are you? Random, so that an answer is to this question alone.
#[derive(Clone, Debug)]
pub struct Challenge {
    nonce: [u8; BYTES],
    proof: [u8; BYTES],
}

/// What a running buzon says of itself, and of the way that the question came.
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
    /// Whether somebody said on whose behalf the question came (`X-Forwarded-For`).
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

    /// The owner's question.
    pub fn new(nonce: [u8; BYTES], token: &TokenDigest) -> Self {
        let proof = keyed(token, ASKED, &[&nonce]).finalize().into_bytes().into();
        Self { nonce, proof }
    }

    /// Reads `nonce.proof`, both in hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (nonce, proof) = text.split_once('.')?;
        let mut question = Self { nonce: [0; BYTES], proof: [0; BYTES] };
        hex::decode_to_slice(nonce, &mut question.nonce).ok()?;
        hex::decode_to_slice(proof, &mut question.proof).ok()?;
        Some(question)
    }

    pub fn to_text(&self) -> String {
        format!("{}.{}", hex::encode(self.nonce), hex::encode(self.proof))
    }

    /// Whether the bearer of this token asks. In constant time.
    pub fn is_of(&self, token: &TokenDigest) -> bool {
        keyed(token, ASKED, &[&self.nonce]).verify_slice(&self.proof).is_ok()
    }

    pub fn answer(&self, statement: &IdentityClaims, token: &TokenDigest) -> SignedIdentity {
        let statement = serde_json::to_string(statement).expect("texts and flags are JSON");
        let proof = hex::encode(self.testified(&statement, token).finalize().into_bytes());
        SignedIdentity { statement, proof }
    }

    fn testified(&self, statement: &str, token: &TokenDigest) -> Hmac<Sha256> {
        keyed(token, ANSWERED, &[&self.nonce, statement.as_bytes()])
    }
}

impl SignedIdentity {
    /// What was said, if a buzon that has this token said it to this question.
    pub fn statement(&self, question: &Challenge, token: &TokenDigest) -> Option<IdentityClaims> {
        let mut proof = [0; BYTES];
        hex::decode_to_slice(&self.proof, &mut proof).ok()?;
        question.testified(&self.statement, token).verify_slice(&proof).ok()?;
        serde_json::from_str(&self.statement).ok()
    }
}

fn keyed(token: &TokenDigest, purpose: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
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
        let question = Challenge::parse(&Challenge::new([7; BYTES], &ours).to_text()).unwrap();
        assert!(question.is_of(&ours));
        assert!(!question.is_of(&theirs));
        assert_eq!(question.answer(&statement(), &ours).statement(&question, &ours), Some(statement()));
        assert_eq!(question.answer(&statement(), &theirs).statement(&question, &ours), None);
    }

    #[test]
    fn an_answer_is_to_one_question_and_cannot_be_changed() {
        let token = TokenDigest::of(b"ours");
        let (question, another) = (Challenge::new([7; BYTES], &token), Challenge::new([8; BYTES], &token));
        let answer = question.answer(&statement(), &token);
        assert_eq!(answer.statement(&another, &token), None);
        let changed = SignedIdentity { statement: answer.statement.replace("203.0", "198.51"), ..answer };
        assert_eq!(changed.statement(&question, &token), None);
    }

    #[test]
    fn what_is_no_question_is_none() {
        for text in ["", ".", "00.00", "nonsense", &"0".repeat(129)] {
            assert!(Challenge::parse(text).is_none(), "{text}");
        }
    }
}
