//! `X-Whapi-Signature`: only the HMAC of the exact bytes is verified.

use buzon::domain::access::signature::{Keyring, Secret, SecretUsed, Signature, SignatureError, Signer};
use buzon::domain::instance::InstanceId;
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::mutation::{Edit, edited, edits, mutated};
use super::{corpus, hold};
use crate::support::events::{SECRET, sign};

/// Instance 7 has these two secrets, the new and the old one. All other instances share [`SECRET`].
const OWN: [&str; 2] = ["the new secret of instance 7", "the old secret of instance 7"];

fn id(text: &str) -> InstanceId {
    InstanceId::new(text).expect("the text is an instance id")
}

fn keyring() -> Keyring {
    let secret = |text: &str| Secret::new(text.to_owned()).expect("the secret is long enough");
    let own = (id("7"), OWN.map(secret).to_vec());
    Keyring::new(Some(secret(SECRET)), vec![own, (id("8"), vec![])]).expect("the secrets differ")
}

/// Generates a body. It is short, because verification does not depend on its length.
fn body() -> impl Strategy<Value = Bytes> {
    let short: Vec<_> = corpus::bodies().into_iter().filter(|body| body.len() < 2_000).collect();
    mutated(short)
}

/// Returns a line of the corpus with the signature in its place, mutated.
fn header(template: &[u8], signature: &str, edits: &[Edit], seeds: &[Vec<u8>]) -> Vec<u8> {
    let template = String::from_utf8_lossy(template);
    let header = template.replace("{good}", signature).replace("{GOOD}", &signature.to_uppercase());
    edited(header.into_bytes(), edits, seeds)
}

/// Reads the header in another way than the source does: exactly one value, surrounding space, an optional `sha256=`,
/// and 64 hexadecimal digits in either case.
fn claimed(values: &[Vec<u8>]) -> Result<String, SignatureError> {
    let [value] = values else {
        return Err(if values.is_empty() { SignatureError::Missing } else { SignatureError::Malformed });
    };
    let text: String = value.iter().map(|byte| char::from(*byte)).collect();
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0C']);
    let digits = text.strip_prefix("sha256=").unwrap_or(text).to_ascii_lowercase();
    let is_hash = digits.len() == 64 && digits.chars().all(|digit| "0123456789abcdef".contains(digit));
    match text {
        "" => Err(SignatureError::Missing),
        _ if is_hash => Ok(digits),
        _ => Err(SignatureError::Malformed),
    }
}

/// Returns who may have signed an event on this path, with the secrets.
fn signers(path: Option<&InstanceId>) -> Vec<(&'static str, (Signer, SecretUsed))> {
    let used = [SecretUsed::New, SecretUsed::Old].into_iter();
    let own = OWN.into_iter().zip(used.map(|used| (Signer::Instance(id("7")), used)));
    let shared = (SECRET, (Signer::Shared, SecretUsed::Shared));
    match path {
        Some(path) if path.as_str() == "7" => own.collect(),
        Some(_) => vec![shared],
        None => [shared].into_iter().chain(own).collect(),
    }
}

fn path() -> impl Strategy<Value = Option<InstanceId>> {
    prop::sample::select(&[None, Some("7"), Some("8"), Some("9")][..]).prop_map(|path| path.map(id))
}

#[test]
fn a_header_verifies_exactly_if_it_is_one_hash_of_the_body_by_a_secret_of_its_path() {
    let (keyring, templates) = (keyring(), corpus::lines("signature"));
    let secret = prop::sample::select(&[SECRET, OWN[0], OWN[1], "a secret that nobody has"][..]);
    let values = prop_oneof![
        1 => Just(vec![]),
        20 => prop::collection::vec((any::<Index>(), edits()), 1..2),
        1 => prop::collection::vec((any::<Index>(), edits()), 2..3),
        10 => any::<Index>().prop_map(|template| vec![(template, vec![])]),
    ];
    hold(&(body(), path(), secret, values), |(body, path, secret, values)| {
        let good = sign(secret, &body);
        let value = |(template, edits): &(Index, Vec<Edit>)| {
            header(&templates[template.index(templates.len())], &good, edits, &templates)
        };
        let values: Vec<Vec<u8>> = values.iter().map(value).collect();
        let read = Signature::from_headers(values.iter().map(Vec::as_slice));
        let claimed = claimed(&values);
        prop_assert_eq!(read.as_ref().err(), claimed.as_ref().err(), "{:?}", values);
        let (Ok(signature), Ok(claimed)) = (read, claimed) else { return Ok(()) };
        let expected = signers(path.as_ref()).into_iter().find(|(secret, _)| sign(secret, &body) == claimed);
        let verified = keyring.verify(path.as_ref(), &body, &signature);
        prop_assert_eq!(verified, expected.map(|(_, signer)| signer), "{:?}", values);
        Ok(())
    });
}

fn verifies(keyring: &Keyring, body: &[u8], signature: &str) -> bool {
    let signature = Signature::from_headers([signature.as_bytes()]).expect("the text is a hash");
    keyring.verify(Some(&id("9")), body, &signature).is_some()
}

#[test]
fn one_flipped_bit_of_the_body_or_of_the_signature_never_verifies() {
    let keyring = keyring();
    hold(&(body(), any::<Index>(), 0..8_u32, 0..256_usize), |(body, byte, bit, of_hash)| {
        let good = sign(SECRET, &body);
        prop_assert!(verifies(&keyring, &body, &good));
        prop_assert!(verifies(&keyring, &body, &good.to_uppercase()));
        let mut hash = hex::decode(&good).expect("the text is a hash");
        hash[of_hash / 8] ^= 1 << (of_hash % 8);
        prop_assert!(!verifies(&keyring, &body, &hex::encode(hash)));
        if let Some(at) = (!body.is_empty()).then(|| byte.index(body.len())) {
            let mut other = body.to_vec();
            other[at] ^= 1 << bit;
            prop_assert!(!verifies(&keyring, &other, &good));
        }
        Ok(())
    });
}

#[test]
fn a_body_that_means_the_same_in_other_bytes_does_not_verify() {
    let keyring = keyring();
    hold(&body(), |body| {
        let Ok(value) = serde_json::from_slice::<Value>(&body) else { return Ok(()) };
        let written = [serde_json::to_vec(&value), serde_json::to_vec_pretty(&value)];
        for other in written.map(|written| written.expect("the value is JSON")).iter().filter(|other| **other != body) {
            prop_assert!(!verifies(&keyring, other, &sign(SECRET, &body)));
        }
        Ok(())
    });
}
