//! What a reader may see.

use std::collections::BTreeSet;

use crate::instance::InstanceId;

/// The instances whose rows a reader may see. To a reader with a limited scope, all else does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything, also what came without an instance.
    All,
    Instances(BTreeSet<InstanceId>),
}

impl Scope {
    pub fn allows(&self, instance: &InstanceId) -> bool {
        match self {
            Self::All => true,
            Self::Instances(instances) => instances.contains(instance),
        }
    }
}
