//! Ids of other persons inside the ids of messages. Libraries under gateways write the author into the id of a message in
//! a group: `false_120363041234567890@g.us_3EB0C767_573001112233@c.us`.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::super::chat_id;

/// The number of digits of the hash that stands for an id.
const HASH_DIGITS: usize = 16;

/// Returns the id of a message as the person with these ids may see it: a hash of it, if it names somebody else.
pub fn redacted(message_id: &str, own: &BTreeSet<String>) -> String {
    let names_other = message_id
        .split('_')
        .map(|part| chat_id::canonical(part.to_owned()))
        .any(|part| chat_id::is_person(&part) && !own.contains(&part));
    match names_other {
        true => format!("sha256:{}", &hex::encode(Sha256::digest(message_id))[..HASH_DIGITS]),
        false => message_id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_names_somebody_else_is_a_hash() {
        let own = BTreeSet::from(["573001112233@c.us".to_owned(), "77@lid".to_owned()]);
        for kept in [
            "3EB0C767",
            "",
            "false_1203@g.us_3EB0_573001112233@c.us",
            "false_1203@g.us_3EB0_573001112233:4@s.whatsapp.net",
            "true_77@lid_3EB0",
        ] {
            assert_eq!(redacted(kept, &own), kept);
        }
        for other in ["false_1203@g.us_3EB0_573009998877@c.us", "false_88@lid_3EB0", "573009998877:2@s.whatsapp.net"] {
            let hash = redacted(other, &own);
            assert!(hash.starts_with("sha256:") && hash.len() == 23 && !hash.contains('@'), "{hash}");
        }
    }
}
