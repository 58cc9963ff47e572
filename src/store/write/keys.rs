//! Primary keys that begin with an instance, as parameters of a statement.

use domain::chat::ChatKey;
use domain::instance::InstanceId;
use domain::message::MessageKey;

/// A primary key of an instance and an id within it.
pub(crate) trait InstanceKey {
    fn instance_id(&self) -> &InstanceId;

    fn id(&self) -> &str;
}

impl InstanceKey for MessageKey {
    fn instance_id(&self) -> &InstanceId {
        &self.instance_id
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl InstanceKey for ChatKey {
    fn instance_id(&self) -> &InstanceId {
        &self.instance_id
    }

    fn id(&self) -> &str {
        &self.chat_id
    }
}
