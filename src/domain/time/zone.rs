//! Time zones by their IANA names. The time zone data is built in, so that it is the same on every machine and for both
//! databases.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use time::macros::datetime;

use super::timestamp::Timestamp;

/// The length of `2024-08-27`.
const DATE_LENGTH: usize = 10;
/// The limit for times that people write. The calendar of a zone ends some hours before the end of the year 9999.
const LATEST: Timestamp = Timestamp::from_millis(datetime!(9999-01-01 00:00 UTC).unix_timestamp() * 1_000);

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// An offset from UTC: from `since` on, until the next offset, local time is this many seconds ahead of UTC.
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

    /// Finds a zone by its name, in any case.
    pub fn parse(name: &str) -> Result<Self, UnknownZone> {
        TimeZoneDatabase::bundled().get(name).map(Self).map_err(|_| UnknownZone)
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    pub fn as_jiff(&self) -> &TimeZone {
        &self.0
    }

    /// Reads a time as people in this zone write it. A date means the moment at which it begins, and anything else is
    /// read by [`Timestamp::from_person`]. `None` outside the years 1970 to 9998.
    pub fn read(&self, text: &str) -> Option<Timestamp> {
        let at = match Self::date(text) {
            Some(date) => self.start_of(date)?,
            None => Timestamp::from_person(text)?,
        };
        (Timestamp::MIN..LATEST).contains(&at).then_some(at)
    }

    /// Reads `2024-08-27`.
    pub fn date(text: &str) -> Option<Date> {
        let text = text.trim();
        let is_date = text.len() == DATE_LENGTH && text.as_bytes()[4] == b'-';
        if is_date { text.parse().ok() } else { None }
    }

    /// Returns the last millisecond of a date. `None` beyond the years of the calendar.
    pub fn end_of(&self, date: Date) -> Option<Timestamp> {
        let next = self.start_of(date.tomorrow().ok()?)?;
        Some(Timestamp::from_millis(next.millis() - 1))
    }

    /// Returns the beginning of a date. `None` beyond the years of the calendar.
    pub fn start_of(&self, date: Date) -> Option<Timestamp> {
        let start = date.to_zoned(self.0.clone()).ok()?;
        Some(from_jiff(start.timestamp()))
    }

    /// Returns the local date at a moment.
    pub fn date_of(&self, at: Timestamp) -> Date {
        to_jiff(at).to_zoned(self.0.clone()).date()
    }

    /// Returns the local day of the week (Monday is 0) and the local hour at a moment.
    pub fn hour_of_week(&self, at: Timestamp) -> (usize, usize) {
        let local = to_jiff(at).to_zoned(self.0.clone());
        let from_zero = |number: i8| usize::try_from(number).expect("calendars count up from 0");
        (from_zero(local.weekday().to_monday_zero_offset()), from_zero(local.hour()))
    }

    /// Returns the milliseconds by which local clocks at a moment are after those in UTC in 1970.
    fn local_millis(&self, at: Timestamp) -> i64 {
        at.millis() + i64::from(self.0.to_offset(to_jiff(at.min(LATEST))).seconds()) * 1_000
    }

    /// Returns a moment as spreadsheets hold it: the days since the end of 1899 by local clocks.
    pub fn spreadsheet_days(&self, at: Timestamp) -> f64 {
        const DAYS_BEFORE_1970: f64 = 25_569.0;
        const MILLIS_A_DAY: f64 = 86_400_000.0;
        DAYS_BEFORE_1970 + self.local_millis(at) as f64 / MILLIS_A_DAY
    }

    /// Returns a moment as people read it on local clocks, without the zone: `2024-08-26 19:00:00`.
    pub fn clock_text(&self, at: Timestamp) -> String {
        let local = Timestamp::from_millis(self.local_millis(at)).to_rfc3339();
        local.chars().take("2024-08-26T19:00:00".len()).map(|c| if c == 'T' { ' ' } else { c }).collect()
    }

    /// Returns when the local day of `at` begins, and when the next one does.
    pub fn day(&self, at: Timestamp) -> (Timestamp, Timestamp) {
        let date = self.date_of(at);
        let begins = |date| self.start_of(date).unwrap_or(at);
        (begins(date), begins(date.tomorrow().unwrap_or(date)))
    }

    /// Returns the offset at `since`, and each later one that begins before `until`.
    pub fn offsets(&self, since: Timestamp, until: Timestamp) -> Vec<Offset> {
        let (from, to) = (to_jiff(since), to_jiff(until));
        let first = Offset { since, seconds: self.0.to_offset(from).seconds() };
        let changes = self
            .0
            .following(from)
            .take_while(|change| change.timestamp() < to)
            .map(|change| Offset { since: from_jiff(change.timestamp()), seconds: change.offset().seconds() });
        std::iter::once(first).chain(changes).collect()
    }

    /// Returns the first local day that begins at `since` or later. A day begins after midnight if clocks are put
    /// forward at midnight.
    ///
    /// # Panics
    /// If `since` is in the year 9999.
    pub fn first_day(&self, since: Timestamp) -> Date {
        let local = to_jiff(since).to_zoned(self.0.clone());
        let beginning = local.start_of_day().expect("the year has four digits");
        let date = local.date();
        if beginning.timestamp() >= local.timestamp() {
            date
        } else {
            date.tomorrow().expect("the year has four digits")
        }
    }
}

fn to_jiff(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.millis()).expect("the year has four digits")
}

fn from_jiff(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
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
    fn a_zone_is_found_only_by_its_name() {
        assert_eq!(Zone::parse("america/bogota").unwrap().name(), "America/Bogota");
        assert_eq!(Zone::parse("UTC").unwrap().name(), "UTC");
        for unknown in ["", "Bogota", "-05:00", "EST5EDT,M3.2.0,M11.1.0", "America/Bogotá"] {
            assert_eq!(Zone::parse(unknown), Err(UnknownZone), "{unknown}");
        }
    }

    #[test]
    fn a_date_is_the_moment_at_which_it_begins_in_the_zone() {
        let read = |zone: &str, text: &str| Zone::parse(zone).unwrap().read(text);
        assert_eq!(read("America/Bogota", "2024-08-27"), Some(at("2024-08-27T05:00:00Z")));
        // That night has no midnight: the clocks went from 23:59:59 to 01:00.
        assert_eq!(read("America/Santiago", " 2024-09-08 "), Some(at("2024-09-08T04:00:00Z")));
        assert_eq!(read("America/Bogota", "1724716800"), Some(at("2024-08-27T00:00:00Z")));
        assert_eq!(read("America/Bogota", "2024-08-27T00:00:00-03:00"), Some(at("2024-08-27T03:00:00Z")));
        for unusable in
            ["", "2024-02-30", "2024-8-27", "-024-08-27", "mañana-tal", "9999-12-31", "1969-12-31", "1e12345678"]
        {
            assert_eq!(read("UTC", unusable), None, "{unusable}");
        }
    }

    #[test]
    fn the_hour_of_the_week_is_that_of_local_clocks() {
        let hour = |zone: &str, time| Zone::parse(zone).unwrap().hour_of_week(at(time));
        assert_eq!(hour("UTC", "2024-08-26T00:00:00Z"), (0, 0));
        assert_eq!(hour("America/Bogota", "2024-08-26T00:00:00Z"), (6, 19));
    }

    #[test]
    fn a_spreadsheet_and_a_person_see_local_clocks() {
        let bogota = Zone::parse("America/Bogota").unwrap();
        assert_eq!(bogota.spreadsheet_days(at("2024-08-27T11:00:00Z")), 45_531.25);
        assert_eq!(bogota.clock_text(at("2024-08-27T00:00:00.999Z")), "2024-08-26 19:00:00");
        assert_eq!(Zone::utc().clock_text(Timestamp::MAX), "9999-12-31 23:59:59");
    }

    #[test]
    fn the_first_day_is_the_first_that_begins_at_the_moment_or_later() {
        let first_day = |zone: &str, since| Zone::parse(zone).unwrap().first_day(at(since)).to_string();
        assert_eq!(first_day("UTC", "2024-08-27T00:00:00Z"), "2024-08-27");
        assert_eq!(first_day("UTC", "2024-08-27T00:00:00.001Z"), "2024-08-28");
        assert_eq!(first_day("America/Bogota", "2024-08-27T04:59:59Z"), "2024-08-27");
        // Santiago skips the first hour of one day, and repeats the last hour of another.
        assert_eq!(first_day("America/Santiago", "2024-09-08T04:00:00Z"), "2024-09-08");
        assert_eq!(first_day("America/Santiago", "2024-04-07T03:00:00Z"), "2024-04-07");
    }

    #[test]
    fn the_offsets_of_a_period_are_those_between_clock_changes() {
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

    #[test]
    fn a_day_is_the_local_one_even_if_it_has_no_midnight() {
        let day = |zone: &str, noon| Zone::parse(zone).unwrap().day(at(noon));
        let bogota = (at("2024-08-26T05:00:00Z"), at("2024-08-27T05:00:00Z"));
        assert_eq!(day("America/Bogota", "2024-08-27T04:59:59.999Z"), bogota);
        assert_eq!(day("America/Bogota", "2024-08-26T05:00:00Z"), bogota);
        // The clocks went from 0:00 to 1:00.
        let santiago = (at("2024-09-08T04:00:00Z"), at("2024-09-09T03:00:00Z"));
        assert_eq!(day("America/Santiago", "2024-09-08T15:00:00Z"), santiago);
    }
}
