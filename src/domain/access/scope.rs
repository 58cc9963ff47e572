//! Which rows a caller of the API may see.

use std::collections::BTreeSet;

use crate::instance::InstanceId;

/// The instances whose rows a caller may see. For a caller with a limited scope, all other rows do not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All rows, including those of events that name no instance.
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
