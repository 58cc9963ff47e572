//! The reasons for which the body of an event is quarantined.

/// The defect of a body that cannot be used. The event is kept as quarantined, with this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    NotJson,
    NotAnObject,
    /// The event belongs to another instance than its body states.
    InstanceMismatch,
    /// A field that this type of event requires is absent, null or empty.
    Missing(&'static str),
    /// A field that is part of a unique key is longer than its limit.
    TooLong(&'static str),
    /// The value is one that only buzon itself may use.
    Reserved(&'static str),
    /// An id cannot be stored unchanged: it has a NUL or broken text, is a number beyond 64 bits, or no text at all.
    Unusable(&'static str),
}

impl Defect {
    /// Returns the text for the column `reason`.
    pub fn reason(self) -> String {
        match self {
            Self::NotJson => "not_json".to_owned(),
            Self::NotAnObject => "not_an_object".to_owned(),
            Self::InstanceMismatch => "instance_mismatch".to_owned(),
            Self::Missing(field) => format!("missing:{field}"),
            Self::TooLong(field) => format!("too_long:{field}"),
            Self::Reserved(field) => format!("reserved:{field}"),
            Self::Unusable(field) => format!("unusable:{field}"),
        }
    }
}
