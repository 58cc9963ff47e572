//! The public id of an event. It follows from the instance and the bytes of the event alone, so that copies, rebuilt
//! tables and other databases have the same ids.

use std::fmt;

use crate::instance::InstanceId;

/// The id of an event: its instance, and the first half of the SHA-256 of its body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    pub instance_id: InstanceId,
    digest: [u8; EventId::BYTES],
}

impl EventId {
    const BYTES: usize = 16;

    /// Makes the id of an event from the SHA-256 of its body, or from the beginning of it. Missing bytes are zeros.
    pub fn new(instance_id: InstanceId, sha256: &[u8]) -> Self {
        let mut digest = [0; Self::BYTES];
        digest.iter_mut().zip(sha256).for_each(|(place, byte)| *place = *byte);
        Self { instance_id, digest }
    }

    /// Reads the two parts of an id as a URL has them. Capital digits are refused, so that an event has one id only.
    pub fn parse(instance_id: &str, digits: &str) -> Option<Self> {
        let instance_id = InstanceId::new(instance_id).ok()?;
        let digest = hex::decode(digits).ok().and_then(|bytes| bytes.try_into().ok())?;
        let id = Self { instance_id, digest };
        (id.digits() == digits).then_some(id)
    }

    /// Returns the part that follows the instance: 32 hexadecimal digits.
    pub fn digits(&self) -> String {
        hex::encode(self.digest)
    }

    /// Returns the least and the greatest SHA-256 that an event with this id can have.
    pub fn hashes(&self) -> ([u8; 32], [u8; 32]) {
        let filled = |byte| {
            let mut hash = [byte; 32];
            hash[..Self::BYTES].copy_from_slice(&self.digest);
            hash
        };
        (filled(0), filled(u8::MAX))
    }
}

/// Writes `INSTANCE/DIGITS`, with the instance percent-encoded as in a URL, so that the id can stand in a path and in a
/// header.
impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.instance_id.path_segment(), self.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "000102030405060708090a0b0c0d0eff";

    #[test]
    fn an_id_is_read_as_it_is_written() {
        for (instance, written) in [("123", "123"), ("-", "-"), ("a/b\n", "a%2Fb%0A"), ("ñ", "%C3%B1")] {
            let id = EventId::parse(instance, DIGITS).unwrap();
            assert_eq!((id.instance_id.as_str(), id.to_string()), (instance, format!("{written}/{DIGITS}")));
        }
        let capitals = DIGITS.to_uppercase();
        for (instance, digits) in
            [("", DIGITS), ("123", ""), ("123", &DIGITS[1..]), ("123", &capitals), ("123", "x"), ("123", "4711")]
        {
            assert_eq!(EventId::parse(instance, digits), None, "{instance}/{digits}");
        }
    }

    #[test]
    fn the_hashes_of_an_id_are_those_that_begin_with_its_digits() {
        let id = EventId::parse("123", DIGITS).unwrap();
        let (least, greatest) = id.hashes();
        assert_eq!(EventId::new(id.instance_id.clone(), &least), id);
        assert_eq!(EventId::new(id.instance_id.clone(), &greatest), id);
        assert_eq!((&least[16..], &greatest[16..]), ([0; 16].as_slice(), [255; 16].as_slice()));
    }
}
