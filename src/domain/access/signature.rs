//! Webhook secrets and the header `X-Whapi-Signature`: HMAC-SHA256 over the raw body, as the guide's "Endpoint de
//! configuración" defines it.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::instance::InstanceId;

/// A webhook's secret, as it was set at the gateway. Its `Debug` output does not contain it.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

/// The error for a text that cannot be a webhook secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a webhook secret has at least {} characters and no space around it; make one with: openssl rand -hex 32",
    Secret::MIN_CHARACTERS
)]
pub struct WeakSecret;

impl Secret {
    pub const MIN_CHARACTERS: usize = 16;

    pub fn new(secret: String) -> Result<Self, WeakSecret> {
        let usable = secret.chars().count() >= Self::MIN_CHARACTERS && secret.trim() == secret;
        usable.then(|| Self(secret.into())).ok_or(WeakSecret)
    }

    fn verifies(&self, body: &[u8], signature: &Signature) -> bool {
        self.mac(body).verify_slice(&signature.0).is_ok()
    }

    /// Returns what the gateway puts into the header for `body`: 64 hexadecimal digits in lower case.
    pub fn sign(&self, body: &[u8]) -> String {
        hex::encode(self.mac(body).finalize().into_bytes())
    }

    fn mac(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()).expect("HMAC takes a key of any length");
        mac.update(body);
        mac
    }

    /// Returns the text itself, to be set at the gateway.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The signature in the header `X-Whapi-Signature`: 32 bytes that are not verified yet.
#[derive(Clone, Debug)]
pub struct Signature([u8; 32]);

/// The reason why a request has no usable signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// There is no header, or it is empty.
    Missing,
    /// The header is not 64 hexadecimal digits, or there is more than one.
    Malformed,
}

impl Signature {
    /// Reads the values of the header. There must be one, of 64 hexadecimal digits in either case, with or without the
    /// prefix `sha256=`.
    pub fn from_headers<'h>(values: impl IntoIterator<Item = &'h [u8]>) -> Result<Self, SignatureError> {
        let mut values = values.into_iter();
        let value = values.next().unwrap_or_default().trim_ascii();
        if values.next().is_some() {
            return Err(SignatureError::Malformed);
        }
        if value.is_empty() {
            return Err(SignatureError::Missing);
        }
        let digits = value.strip_prefix(b"sha256=").unwrap_or(value);
        let mut signature = [0; 32];
        hex::decode_to_slice(digits, &mut signature).map_err(|_| SignatureError::Malformed)?;
        Ok(Self(signature))
    }
}

/// The signer of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Nobody. The event has no signature, where that is allowed.
    Nobody,
    /// The secret that all instances without secrets of their own share.
    Shared,
    /// A secret of this instance.
    Instance(InstanceId),
}

/// The kind of secret that verified an event. A metric shows it, so that the owner sees when a rotation is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretUsed {
    /// None. The event has no signature, where that is allowed.
    None,
    /// The secret that all instances without secrets of their own share.
    Shared,
    /// The first secret of an instance, which should be set at the gateway.
    New,
    /// The second secret of an instance, which was set at the gateway before.
    Old,
}

impl SecretUsed {
    pub const ALL: [Self; 4] = [Self::None, Self::Shared, Self::New, Self::Old];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Shared => "shared",
            Self::New => "new",
            Self::Old => "old",
        }
    }
}

/// The configured instances and the secrets that verify their events.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    shared: Option<Secret>,
    instances: BTreeMap<InstanceId, Vec<Secret>>,
}

/// The reason why secrets and instances do not make a keyring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error("instance {0} is configured twice")]
    InstanceTwice(InstanceId),
    #[error("instance {0} has {1} secrets; it can have two at once, the old and the new one")]
    TooManySecrets(InstanceId, usize),
    #[error("a secret of instance {0} is used elsewhere too; give each instance a secret of its own")]
    SecretTwice(InstanceId),
}

impl Keyring {
    /// Checks the secrets. `shared` verifies the events of every instance without secrets of its own.
    pub fn new(shared: Option<Secret>, instances: Vec<(InstanceId, Vec<Secret>)>) -> Result<Self, KeyringError> {
        let mut seen: BTreeSet<&str> = shared.iter().map(|secret| secret.0.expose_secret()).collect();
        for (id, secrets) in &instances {
            if secrets.len() > 2 {
                return Err(KeyringError::TooManySecrets(id.clone(), secrets.len()));
            }
            if !secrets.iter().all(|secret| seen.insert(secret.0.expose_secret())) {
                return Err(KeyringError::SecretTwice(id.clone()));
            }
        }
        let mut by_id = BTreeMap::new();
        for (id, secrets) in instances {
            if by_id.insert(id.clone(), secrets).is_some() {
                return Err(KeyringError::InstanceTwice(id));
            }
        }
        Ok(Self { shared, instances: by_id })
    }

    /// Returns whether no secret is configured at all, so that nothing can be verified.
    pub fn is_empty(&self) -> bool {
        self.shared.is_none() && self.instances.values().all(Vec::is_empty)
    }

    pub fn has_own_secrets(&self, instance: &InstanceId) -> bool {
        self.instances.get(instance).is_some_and(|secrets| !secrets.is_empty())
    }

    /// Returns the configured instance if there is exactly one.
    pub fn only_instance(&self) -> Option<&InstanceId> {
        self.instances.keys().next().filter(|_| self.instances.len() == 1)
    }

    pub fn instances(&self) -> impl Iterator<Item = &InstanceId> {
        self.instances.keys()
    }

    /// Returns every secret with the instance that it belongs to; the shared one belongs to none.
    pub fn secrets(&self) -> impl Iterator<Item = (Option<&InstanceId>, &Secret)> {
        let own = self.instances.iter().flat_map(|(id, secrets)| secrets.iter().map(move |secret| (Some(id), secret)));
        self.shared.iter().map(|secret| (None, secret)).chain(own)
    }

    /// Returns the secret with which the gateway should sign what it sends to this path: the first one of the instance,
    /// or else the shared one.
    pub fn signing(&self, path: Option<&InstanceId>) -> Option<&Secret> {
        let own = path.and_then(|path| self.instances.get(path)?.first());
        own.or(self.shared.as_ref())
    }

    /// Returns the signer of `body` and the kind of secret that made `signature`. The comparison takes constant time.
    ///
    /// If the path names an instance with secrets of its own, only those are tried. For any other path only the shared
    /// secret is tried, and without a path every secret is.
    pub fn verify(
        &self,
        path: Option<&InstanceId>,
        body: &[u8],
        signature: &Signature,
    ) -> Option<(Signer, SecretUsed)> {
        let own = |id: &InstanceId, secrets: &[Secret]| {
            let index = secrets.iter().position(|secret| secret.verifies(body, signature))?;
            let used = if index == 0 { SecretUsed::New } else { SecretUsed::Old };
            Some((Signer::Instance(id.clone()), used))
        };
        let shared = || {
            let verified = self.shared.as_ref().is_some_and(|secret| secret.verifies(body, signature));
            verified.then_some((Signer::Shared, SecretUsed::Shared))
        };
        match path {
            Some(path) if self.has_own_secrets(path) => own(path, self.instances.get(path)?),
            Some(_) => shared(),
            None => shared().or_else(|| self.instances.iter().find_map(|(id, secrets)| own(id, secrets))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test case 2 of RFC 4231, which has a short key.
    const RFC_KEY: &str = "Jefe";
    const RFC_DATA: &[u8] = b"what do ya want for nothing?";
    const RFC_MAC: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    fn parse(values: &[&str]) -> Result<Signature, SignatureError> {
        Signature::from_headers(values.iter().map(|value| value.as_bytes()))
    }

    fn id(text: &str) -> InstanceId {
        InstanceId::new(text).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned()).unwrap()
    }

    #[test]
    fn the_signature_is_hmac_sha256_as_in_rfc_4231() {
        let secret = Secret(RFC_KEY.to_owned().into());
        assert_eq!(secret.sign(RFC_DATA), RFC_MAC);
        assert!(secret.verifies(RFC_DATA, &parse(&[RFC_MAC]).unwrap()));
        assert!(secret.verifies(RFC_DATA, &parse(&[&RFC_MAC.to_uppercase()]).unwrap()));
        assert!(secret.verifies(RFC_DATA, &parse(&[&format!("sha256={RFC_MAC}")]).unwrap()));
        assert!(!secret.verifies(b"what do ya want for nothing!", &parse(&[RFC_MAC]).unwrap()));
    }

    #[test]
    fn a_header_is_one_value_of_64_digits() {
        let digits = |n: usize| parse(&["a".repeat(n).as_str()]).map(|_| ());
        assert_eq!(digits(64), Ok(()));
        for length in [1, 32, 63, 65, 10_000] {
            assert_eq!(digits(length), Err(SignatureError::Malformed), "{length}");
        }
        assert_eq!(parse(&[&"g".repeat(64)]).map(|_| ()), Err(SignatureError::Malformed));
        assert_eq!(parse(&[RFC_MAC, RFC_MAC]).map(|_| ()), Err(SignatureError::Malformed));
        assert_eq!(parse(&[]).map(|_| ()), Err(SignatureError::Missing));
        assert_eq!(parse(&["  "]).map(|_| ()), Err(SignatureError::Missing));
    }

    #[test]
    fn a_path_of_an_instance_with_secrets_is_verified_by_those_only() {
        let shared = secret("shared shared shared");
        let (new, old) = (secret("new new new new new"), secret("old old old old old"));
        let ring = Keyring::new(
            Some(shared.clone()),
            vec![(id("7"), vec![new.clone(), old.clone()]), (id("8"), vec![secret("eight eight eight")])],
        )
        .unwrap();
        let sign = |secret: &Secret| parse(&[&secret.sign(b"{}")]).unwrap();
        let seven = |used| Some((Signer::Instance(id("7")), used));
        let all = Some((Signer::Shared, SecretUsed::Shared));
        assert_eq!(ring.verify(Some(&id("7")), b"{}", &sign(&old)), seven(SecretUsed::Old));
        assert_eq!(ring.verify(Some(&id("7")), b"{}", &sign(&new)), seven(SecretUsed::New));
        assert_eq!(ring.verify(Some(&id("7")), b"{}", &sign(&shared)), None);
        assert_eq!(ring.verify(Some(&id("8")), b"{}", &sign(&old)), None);
        assert_eq!(ring.verify(Some(&id("9")), b"{}", &sign(&shared)), all);
        assert_eq!(ring.verify(Some(&id("9")), b"{}", &sign(&old)), None);
        assert_eq!(ring.verify(None, b"{}", &sign(&old)), seven(SecretUsed::Old));
        let signing = |path: Option<&str>| ring.signing(path.map(id).as_ref()).map(Secret::expose);
        assert_eq!(signing(Some("7")), Some(new.expose()));
        assert_eq!((signing(Some("9")), signing(None)), (Some(shared.expose()), Some(shared.expose())));
        assert_eq!(ring.verify(None, b"{}", &sign(&shared)), all);
    }

    #[test]
    fn a_secret_is_used_once_and_an_instance_has_at_most_two() {
        let one = || secret("one one one one one");
        let of = |name: &str, secrets| (id(name), secrets);
        let twice = Keyring::new(None, vec![of("7", vec![one()]), of("8", vec![one()])]);
        assert_eq!(twice.unwrap_err(), KeyringError::SecretTwice(id("8")));
        let shared_too = Keyring::new(Some(one()), vec![of("7", vec![one()])]);
        assert_eq!(shared_too.unwrap_err(), KeyringError::SecretTwice(id("7")));
        let again = Keyring::new(None, vec![of("7", vec![]), of("7", vec![])]);
        assert_eq!(again.unwrap_err(), KeyringError::InstanceTwice(id("7")));
        let three = vec![one(), secret("two two two two two"), secret("three three three")];
        let three = Keyring::new(None, vec![of("7", three)]);
        assert_eq!(three.unwrap_err(), KeyringError::TooManySecrets(id("7"), 3));
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert!(!format!("{:?}", secret("do not print me!!")).contains("print me"));
        assert_eq!(Secret::new("fifteen letters".to_owned()).unwrap_err(), WeakSecret);
    }
}
