//! Points in time in whole milliseconds, which both databases store exactly.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::{datetime, format_description};

const MILLIS_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The first year of WhatsApp. No event can be older.
const EARLIEST: Timestamp = Timestamp(datetime!(2009-01-01 00:00 UTC).unix_timestamp() * MILLIS_PER_SECOND);

/// The limit on how far a sender's clock may be ahead of ours. A later timestamp is unusable.
const AHEAD_MILLIS: i64 = 2 * 24 * 60 * 60 * MILLIS_PER_SECOND;

/// From these numbers on, a plain number means milliseconds, microseconds and nanoseconds: in the unit before, each of
/// them would be in the year 5138.
const MILLIS_FROM: f64 = 1e11;
const MICROS_FROM: f64 = 1e14;
const NANOS_FROM: f64 = 1e17;

const MILLIS_PER_SECOND: i64 = 1_000;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A time before all recorded ones.
    pub const MIN: Self = Self(0);
    /// A time after all recorded ones: the end of the last year with four digits.
    pub const MAX: Self = Self(datetime!(9999-12-31 23:59:59 UTC).unix_timestamp() * MILLIS_PER_SECOND);

    /// Returns the next millisecond, which is the next possible timestamp.
    pub fn next(self) -> Self {
        Self(self.0 + 1).min(Self::MAX)
    }

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Reads the milliseconds of a stored time; `None` outside the years 0 to 9999, which no time of ours is.
    pub fn from_store(millis: i64) -> Option<Self> {
        const YEAR_0: i64 = datetime!(0000-01-01 00:00 UTC).unix_timestamp() * MILLIS_PER_SECOND;
        const YEAR_10000: i64 = (Timestamp::MAX.seconds() + 1) * MILLIS_PER_SECOND;
        (YEAR_0..YEAR_10000).contains(&millis).then_some(Self(millis))
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * MILLIS_PER_SECOND)
    }

    /// Returns the whole seconds since 1970-01-01T00:00:00Z.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MILLIS_PER_SECOND)
    }

    /// Returns the beginning of the second that the time is in.
    pub const fn second_start(self) -> Self {
        Self::from_seconds(self.seconds())
    }

    /// Returns the beginning of the next second.
    pub const fn next_second(self) -> Self {
        Self::from_seconds(self.seconds() + 1)
    }

    /// Returns `YYYY-MM-DDTHH:MM:SS.sssZ`, which always has 24 characters, so that the text sorts in the order of time.
    pub fn to_rfc3339(self) -> String {
        self.to_utc().format(MILLIS_FORMAT).expect("a UTC time within the years 0 to 9999 has this form")
    }

    /// Reads RFC 3339 text with any offset. Fractions of milliseconds are cut off.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::from_utc)
    }

    /// Reads the time of an event in the forms that gateways send: seconds, milliseconds (from 1e11 on), microseconds
    /// (from 1e14 on), nanoseconds (from 1e17 on), text of any of them, RFC 3339, or the same without an offset, which
    /// is in UTC. `None` for a time before 2009 or later than `arrival` + 2 days, which cannot be that of an event.
    pub fn from_provider(text: &str, arrival: Timestamp) -> Option<Self> {
        let text = text.trim();
        let stated = match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => Self::from_whole(whole),
            (_, Ok(number)) => Self::from_number(number)?,
            _ => Self::from_rfc3339(text).or_else(|| Self::from_utc_text(text))?,
        };
        let latest = Self(arrival.0 + AHEAD_MILLIS);
        (EARLIEST..=latest).contains(&stated).then_some(stated)
    }

    /// Reads a whole number of 64 bits in two halves of 32, as JavaScript's `Long` writes it, in the units of
    /// [`Timestamp::from_provider`]. The lower half may be signed, so that it is negative from 2^31 on.
    pub fn from_halves(low: i64, high: i64, arrival: Timestamp) -> Option<Self> {
        let low = u32::try_from(low).ok().or_else(|| i32::try_from(low).ok().map(i32::cast_unsigned))?;
        let high = i32::try_from(high).ok()?;
        Self::from_provider(&((i64::from(high) << 32) | i64::from(low)).to_string(), arrival)
    }

    /// Reads `YYYY-MM-DD hh:mm:ss`, as databases write times. It is in UTC.
    pub fn from_utc_text(text: &str) -> Option<Self> {
        Self::from_rfc3339(&format!("{}Z", text.replacen(' ', "T", 1)))
    }

    /// Reads a time as people write it: seconds, or milliseconds from 1e11 on, since 1970, or RFC 3339. Times outside the years 1970 to 9999 become the beginning or end of these years.
    pub fn from_person(text: &str) -> Option<Self> {
        let text = text.trim();
        let at = match text.parse::<i128>() {
            Ok(number) if number.unsigned_abs() < MILLIS_FROM as u128 => Self((number * 1_000) as i64),
            Ok(millis) => Self(millis.clamp(i64::MIN.into(), i64::MAX.into()) as i64),
            Err(_) => Self::from_rfc3339(text)?,
        };
        Some(at.clamp(Self::MIN, Self::MAX))
    }

    /// Reads a whole number, of which a double could not represent every nanosecond.
    fn from_whole(number: i64) -> Self {
        let is_below = |limit: f64| number.unsigned_abs() < limit as u64;
        Self(match number {
            seconds if is_below(MILLIS_FROM) => seconds * MILLIS_PER_SECOND,
            millis if is_below(MICROS_FROM) => millis,
            micros if is_below(NANOS_FROM) => micros.div_euclid(1_000),
            nanos => nanos.div_euclid(1_000_000),
        })
    }

    fn from_number(number: f64) -> Option<Self> {
        let millis = match number.abs() {
            seconds if seconds < MILLIS_FROM => number * 1e3,
            millis if millis < MICROS_FROM => number,
            micros if micros < NANOS_FROM => number / 1e3,
            _ => number / 1e6,
        };
        // Beyond 2^53, a double cannot represent every millisecond. The range check would refuse such times in any
        // case.
        (millis.is_finite() && millis.abs() < 9e15).then_some(Self(millis as i64))
    }

    /// Converts a time of the `time` crate. Fractions of milliseconds are cut off.
    pub fn from_utc(at: OffsetDateTime) -> Self {
        Self((at.unix_timestamp_nanos().div_euclid(1_000_000)) as i64)
    }

    /// Converts to the `time` crate's type.
    ///
    /// # Panics
    /// If the time is outside the years ±9999, which neither a clock nor [`Timestamp::from_provider`] gives.
    pub fn to_utc(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).expect("the year has four digits")
    }
}

/// As text, in the form of [`Timestamp::to_rfc3339`].
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis().try_into().unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_millis().try_into().unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVAL: Timestamp = Timestamp::from_millis(1_724_716_801_204);

    fn read(text: &str) -> Option<String> {
        Timestamp::from_provider(text, ARRIVAL).map(Timestamp::to_rfc3339)
    }

    #[test]
    fn seconds_milliseconds_and_text_are_read() {
        let noon = Some("2024-08-27T00:00:00.000Z".to_owned());
        assert_eq!(read("1724716800"), noon);
        assert_eq!(read(" 1724716800.0 "), noon);
        assert_eq!(read("1724716800000"), noon);
        assert_eq!(read("2024-08-26T19:00:00-05:00"), noon);
        assert_eq!(read("1724716800.25"), Some("2024-08-27T00:00:00.250Z".to_owned()));
    }

    #[test]
    fn microseconds_nanoseconds_and_times_as_databases_write_them_are_read() {
        for (text, time) in [
            ("1724716800000000", "2024-08-27T00:00:00.000Z"),
            ("1724716800250999", "2024-08-27T00:00:00.250Z"),
            ("1724716800000000000", "2024-08-27T00:00:00.000Z"),
            ("1724716800250000000", "2024-08-27T00:00:00.250Z"),
            ("2024-08-27 00:00:00", "2024-08-27T00:00:00.000Z"),
            (" 2024-08-27 00:00:00.125 ", "2024-08-27T00:00:00.125Z"),
            ("2024-08-27T00:00:00", "2024-08-27T00:00:00.000Z"),
            ("2024-08-26 19:00:00-05:00", "2024-08-27T00:00:00.000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(time), "{text}");
        }
        for unusable in ["2024-08-27", "2024-13-27 00:00:00", "2024-08-27 00:00", "99999999999999999999", "1e17"] {
            assert_eq!(read(unusable), None, "{unusable}");
        }
    }

    #[test]
    fn a_number_in_two_halves_is_put_together() {
        let read = |low, high| Timestamp::from_halves(low, high, ARRIVAL).map(Timestamp::to_rfc3339);
        let midnight = Some("2024-08-27T00:00:00.000Z".to_owned());
        assert_eq!(read(1_724_716_800, 0), midnight);
        // Milliseconds do not fit into the lower half, which is negative if it is signed.
        assert_eq!(read(2_434_914_304, 401), midnight);
        assert_eq!(read(-1_860_052_992, 401), midnight);
        for (low, high) in [(0, 0), (-1, -1), (1 << 32, 0), (-1 << 32, 0), (1_724_716_800, 1 << 31), (i64::MIN, 0)] {
            assert_eq!(read(low, high), None, "{low} {high}");
        }
    }

    #[test]
    fn a_time_before_2009_or_more_than_two_days_after_the_arrival_is_unusable() {
        for unusable in ["0", "-1", "1230767999", "1724889602", "1e400", "NaN", "inf", "1e18", "mañana", ""] {
            assert_eq!(read(unusable), None, "{unusable}");
        }
        assert!(read("1230768000").is_some());
        assert!(read("1724889601").is_some());
    }

    #[test]
    fn a_stored_time_is_one_that_can_be_written() {
        let written = |text: &str| Timestamp::from_store(Timestamp::from_rfc3339(text).unwrap().millis());
        assert_eq!(written("9999-12-31T23:59:59.999Z").unwrap().to_rfc3339(), "9999-12-31T23:59:59.999Z");
        assert_eq!(written("0000-01-01T00:00:00Z").unwrap().to_rfc3339(), "0000-01-01T00:00:00.000Z");
        for damaged in [i64::MIN, -62_167_219_200_001, 253_402_300_800_000, i64::MAX] {
            assert_eq!(Timestamp::from_store(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn text_sorts_in_the_order_of_time() {
        let earlier = Timestamp::from_millis(1_724_716_800_000).to_rfc3339();
        let later = Timestamp::from_millis(1_724_716_800_500).to_rfc3339();
        assert_eq!((earlier.len(), later.len()), (24, 24));
        assert!(earlier < later);
        assert_eq!(Timestamp::from_rfc3339(&later), Some(Timestamp::from_millis(1_724_716_800_500)));
    }
}
