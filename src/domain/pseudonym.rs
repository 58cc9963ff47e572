//! Pseudonyms: HMACs that stand for persons where their ids must not.
//!
//! There are so few phone numbers that a plain hash of one is as good as the number. Only who has the key can find out
//! whose pseudonym it is, by trying.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use crate::chat::chat_id;

/// The prefix of what is signed. It keeps a pseudonym from being taken for anything else that is signed with the same key.
const PURPOSE: &[u8] = b"buzon pseudonym\n";

/// A random key of pseudonyms. Its `Debug` output does not contain it.
#[derive(Clone, Debug)]
pub struct PseudonymKey(SecretSlice<u8>);

impl PseudonymKey {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// Returns the pseudonym of a chat or a person, whose id may be written in any of its forms: 64 hexadecimal digits.
    pub fn of(&self, id: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("HMAC takes a key of any length");
        mac.update(PURPOSE);
        mac.update(chat_id::canonical(id.to_owned()).as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_one_pseudonym_under_a_key_and_another_under_another() {
        let (key, other) = (PseudonymKey::new(vec![1; 32]), PseudonymKey::new(vec![2; 32]));
        let pseudonym = key.of("573001112233@c.us");
        assert_eq!(pseudonym, key.of("573001112233:3@s.whatsapp.net"));
        for different in [key.of("573001112234@c.us"), other.of("573001112233@c.us")] {
            assert_ne!(pseudonym, different);
        }
        assert!(pseudonym.len() == 64 && !format!("{key:?}").contains('1'), "{key:?}");
    }
}
