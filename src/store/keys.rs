//! Primary keys that begin with an instance, as parameters of a statement.

use serde::Serialize;

use domain::chat::ChatKey;
use domain::message::MessageKey;

/// The two columns of a key of an instance and an id within it.
#[derive(Serialize)]
pub(crate) struct KeyColumns<'k> {
    pub(crate) instance_id: &'k str,
    pub(crate) id: &'k str,
}

impl<'k> From<&'k MessageKey> for KeyColumns<'k> {
    fn from(key: &'k MessageKey) -> Self {
        Self { instance_id: key.instance_id.as_str(), id: &key.id }
    }
}

impl<'k> From<&'k ChatKey> for KeyColumns<'k> {
    fn from(key: &'k ChatKey) -> Self {
        Self { instance_id: key.instance_id.as_str(), id: &key.chat_id }
    }
}
