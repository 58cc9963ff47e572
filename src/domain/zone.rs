//! Time zones by their IANA names, from the data that is built in: the same on every machine and for both databases.

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::timestamp::Timestamp;

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// From `since` on, until the next of its kind, local time is this many seconds ahead of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    pub since: Timestamp,
    pub seconds: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a time zone, such as America/Bogota, America/Sao_Paulo or UTC")]
pub struct UnknownZone;

impl Zone {
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Finds a zone by its name, whatever its case.
    pub fn parse(name: &str) -> Result<Self, UnknownZone> {
        TimeZoneDatabase::bundled().get(name).map(Self).map_err(|_| UnknownZone)
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    pub fn as_jiff(&self) -> &TimeZone {
        &self.0
    }

    /// The offset at `since`, and each one after it before `until`.
    pub fn offsets(&self, since: Timestamp, until: Timestamp) -> Vec<Offset> {
        let (from, to) = (instant(since), instant(until));
        let first = Offset { since, seconds: self.0.to_offset(from).seconds() };
        let changes = self.0.following(from).take_while(|change| change.timestamp() < to).map(|change| Offset {
            since: Timestamp::from_millis(change.timestamp().as_millisecond()),
            seconds: change.offset().seconds(),
        });
        std::iter::once(first).chain(changes).collect()
    }
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.millis()).expect("it is a year of ours")
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_rfc3339(text).unwrap()
    }

    #[test]
    fn a_zone_is_found_by_its_name_alone() {
        assert_eq!(Zone::parse("america/bogota").unwrap().name(), "America/Bogota");
        assert_eq!(Zone::parse("UTC").unwrap().name(), "UTC");
        for unknown in ["", "Bogota", "-05:00", "EST5EDT,M3.2.0,M11.1.0", "America/Bogotá"] {
            assert_eq!(Zone::parse(unknown), Err(UnknownZone), "{unknown}");
        }
    }

    #[test]
    fn a_zone_knows_when_its_clocks_change() {
        let offsets = |zone: &str, since, until| Zone::parse(zone).unwrap().offsets(at(since), at(until));
        let bogota = offsets("America/Bogota", "2009-01-01T00:00:00Z", "2100-01-01T00:00:00Z");
        assert_eq!(bogota, [Offset { since: at("2009-01-01T00:00:00Z"), seconds: -5 * 3600 }]);
        let santiago = offsets("America/Santiago", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z");
        assert_eq!(
            santiago,
            [
                Offset { since: at("2024-01-01T00:00:00Z"), seconds: -3 * 3600 },
                Offset { since: at("2024-04-07T03:00:00Z"), seconds: -4 * 3600 },
                Offset { since: at("2024-09-08T04:00:00Z"), seconds: -3 * 3600 },
            ]
        );
    }
}
