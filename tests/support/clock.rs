use buzon::domain::timestamp::Timestamp;

/// The arrival of the guide's samples: a little after the last of them.
pub const ARRIVAL: Timestamp = Timestamp::from_millis(1_724_717_200_004);

/// Some milliseconds after [`ARRIVAL`].
pub fn later(millis: i64) -> Timestamp {
    Timestamp::from_millis(ARRIVAL.millis() + millis)
}
