//! The public id of an event, by which others know it.

use std::fmt;

use crate::instance::InstanceId;

/// The number of bytes of the digest that are part of the id.
const DIGEST_BYTES: usize = 16;

/// The public id of an event: `INSTANCE/` and the first 32 hexadecimal digits of its body's SHA-256. It depends on nothing
/// else, so an event has the same id in every copy of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId {
    instance_id: InstanceId,
    digest: Vec<u8>,
}

impl EventId {
    pub fn new(instance_id: InstanceId, body_sha256: &[u8]) -> Self {
        Self { instance_id, digest: body_sha256.iter().copied().take(DIGEST_BYTES).collect() }
    }
}

/// The instance is percent-encoded as in a URL, so that the id can stand in a header.
impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.instance_id.path_segment(), hex::encode(&self.digest))
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_id_is_the_instance_and_the_beginning_of_the_digest() {
        let id = |instance: &str| EventId::new(InstanceId::from_store(instance), &Sha256::digest(b"{}")).to_string();
        assert_eq!(id("123"), "123/44136fa355b3678a1146ad16f7e8649e");
        assert_eq!(id("-"), "-/44136fa355b3678a1146ad16f7e8649e");
        assert_eq!(id("ñ\r\n/"), "%C3%B1%0D%0A%2F/44136fa355b3678a1146ad16f7e8649e");
    }
}
