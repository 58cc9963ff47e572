//! Weeks in UTC. Each is a facet of the search index, so that a search can be limited to some weeks.

use time::Date;

use crate::time::timestamp::Timestamp;

/// A week in UTC that begins on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Week(i32);

impl Week {
    pub fn of(at: Timestamp) -> Self {
        // Day 0 of the Julian day numbers was a Monday.
        Self(at.to_utc().to_julian_day().div_euclid(7))
    }

    pub fn begins(self) -> Timestamp {
        let monday = Date::from_julian_day(self.0.saturating_mul(7));
        monday.map_or(Timestamp::MAX, |monday| Timestamp::from_utc(monday.midnight().assume_utc()))
    }

    /// Returns the beginning of the next week.
    pub fn ends(self) -> Timestamp {
        self.plus(1).begins()
    }

    pub fn plus(self, weeks: i32) -> Self {
        Self(self.0.saturating_add(weeks))
    }

    /// Returns the number of the week, counted from the beginning of the Julian day numbers.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Returns the weeks from this one to `last`, both included.
    pub fn to(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0..=last.0).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_rfc3339(text).unwrap()
    }

    #[test]
    fn a_week_lasts_from_monday_to_monday() {
        let week = Week::of(at("2026-11-20T12:00:00Z"));
        assert_eq!((week.begins(), week.ends()), (at("2026-11-16T00:00:00Z"), at("2026-11-23T00:00:00Z")));
        assert_eq!(Week::of(week.begins()), week);
        assert_eq!(Week::of(at("2026-11-22T23:59:59.999Z")), week);
        assert_eq!(Week::of(week.ends()), week.plus(1));
    }

    #[test]
    fn every_time_has_its_week() {
        assert_eq!(Week::of(Timestamp::MIN).begins(), at("1969-12-29T00:00:00Z"));
        assert_eq!(Week::of(Timestamp::MAX).ends(), Timestamp::MAX);
        let weeks: Vec<Week> = Week::of(at("2026-12-31T00:00:00Z")).to(Week::of(at("2027-01-04T00:00:00Z"))).collect();
        assert_eq!(weeks.len(), 2);
    }
}
