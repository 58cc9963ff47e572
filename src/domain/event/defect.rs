//! Why a signed body is set aside.

/// A body that cannot be used; it is kept as quarantined, for this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    NotJson,
    NotAnObject,
    /// The event is kept under another instance than its body names.
    InstanceMismatch,
    /// A field that this event cannot do without is absent, null or empty.
    Missing(&'static str),
    /// A field that stands in a unique key is longer than its limit.
    TooLong(&'static str),
    /// An id that no column can hold as it is: with a NUL, of broken text, a number beyond 64 bits, no text at all.
    Unusable(&'static str),
}

impl Defect {
    /// The word for the column `reason`.
    pub fn reason(self) -> String {
        match self {
            Self::NotJson => "not_json".to_owned(),
            Self::NotAnObject => "not_an_object".to_owned(),
            Self::InstanceMismatch => "instance_mismatch".to_owned(),
            Self::Missing(field) => format!("missing:{field}"),
            Self::TooLong(field) => format!("too_long:{field}"),
            Self::Unusable(field) => format!("unusable:{field}"),
        }
    }
}
