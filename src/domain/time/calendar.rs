//! Hours, days and weeks of a time zone, in a form that a database without time zones can group by.
//!
//! Between two clock changes, local time is UTC plus a constant, and the number of a local hour, day or week is the
//! result of a division. So a [`Calendar`] cuts its period at the clock changes into [`Slice`]s. A database groups rows
//! by slice and number, and the calendar maps these to a [`Bucket`]. A day of 23 or 25 hours is one bucket, and an hour
//! that occurs twice is two buckets.

use std::collections::HashMap;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::timestamp::Timestamp;
use super::zone::Zone;

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const HOUR: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:00");

const HOUR_SECONDS: i64 = 3_600;
const DAY_SECONDS: i64 = 24 * HOUR_SECONDS;
const WEEK_SECONDS: i64 = 7 * DAY_SECONDS;
/// The seconds from a Monday to 1970-01-01, which was a Thursday.
const MONDAY_SECONDS: i64 = 3 * DAY_SECONDS;

/// The limit for a period that is divided into hours: a quarter in which the clocks may go back by an hour.
const MAX_SECONDS_BY_HOUR: i64 = 92 * DAY_SECONDS + HOUR_SECONDS;
/// The limit for a period: ten years, three of them leap years.
const MAX_SECONDS: i64 = 3_653 * DAY_SECONDS;

/// A period of time: from `since` on and before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub since: Timestamp,
    pub until: Timestamp,
}

/// A unit into which time is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalendarUnit {
    Hour,
    Day,
    /// A week that begins on Monday, as in ISO 8601.
    Week,
}

/// The error for a period that cannot be counted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPeriod {
    #[error("it must be before until")]
    Empty,
    #[error("hours are counted over at most 92 days; ask for fewer, or for days")]
    TooManyHours,
    #[error("it must be at most 10 years before until")]
    TooLong,
}

/// A part of a period without clock changes. A moment in it belongs to the unit with the number
/// (seconds since 1970-01-01T00:00:00Z + `shift`) / [width](Grid::width), rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub period: Period,
    pub shift: i64,
}

/// The slices of a period, and the seconds in a unit. A database groups rows by both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    pub slices: Vec<Slice>,
    pub width: i64,
}

/// The key by which a database groups rows: the index of a slice, and the number of a unit in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BucketKey {
    pub slice: usize,
    pub number: i64,
}

/// An hour, day or week, or the part of it that is in the period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub period: Period,
    /// The local time: `2024-08-27T13:00` for an hour (with the offset if it occurs twice: `2024-04-06T23:00-03:00`),
    /// `2024-08-27` for a day, and the Monday for a week.
    pub label: String,
}

/// The buckets of a period, and the grid by which a database counts them.
#[derive(Clone, Debug)]
pub struct Calendar {
    grid: Grid,
    buckets: Vec<Bucket>,
    by_key: HashMap<BucketKey, usize>,
}

impl Period {
    pub fn new(since: Timestamp, until: Timestamp) -> Result<Self, InvalidPeriod> {
        let period = Self { since, until };
        match period.millis() {
            ..=0 => Err(InvalidPeriod::Empty),
            millis if millis > MAX_SECONDS * 1_000 => Err(InvalidPeriod::TooLong),
            _ => Ok(period),
        }
    }

    /// Returns the last `days` local days up to `until`. The last of them is the day of `until`, and may be incomplete.
    pub fn last_days(zone: &Zone, until: Timestamp, days: i32) -> Result<Self, InvalidPeriod> {
        let last = zone.date_of(Timestamp::from_millis(until.millis() - 1));
        let first = last.saturating_sub(jiff::Span::new().days(days - 1));
        Self::new(zone.start_of(first).ok_or(InvalidPeriod::Empty)?, until)
    }

    fn millis(self) -> i64 {
        self.until.millis().saturating_sub(self.since.millis())
    }

    fn intersection(self, other: Self) -> Self {
        Self { since: self.since.max(other.since), until: self.until.min(other.until) }
    }
}

impl CalendarUnit {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            _ => None,
        }
    }

    fn width(self) -> i64 {
        match self {
            Self::Hour => HOUR_SECONDS,
            Self::Day => DAY_SECONDS,
            Self::Week => WEEK_SECONDS,
        }
    }

    /// Returns the seconds to add to local time, so that units begin at multiples of their width.
    fn shift(self) -> i64 {
        if self == Self::Week { MONDAY_SECONDS } else { 0 }
    }

    fn label(self, number: i64) -> String {
        let local = OffsetDateTime::from_unix_timestamp(number * self.width() - self.shift());
        let format = if self == Self::Hour { HOUR } else { DATE };
        local.expect("the year has four digits").format(format).expect("it has these parts")
    }
}

impl Grid {
    /// Returns a grid of hours since the beginning of a Monday. The remainder by 168 is the hour of the week.
    pub fn hours_of_week(zone: &Zone, period: Period) -> Self {
        Self { slices: slices(zone, period, MONDAY_SECONDS), width: HOUR_SECONDS }
    }

    /// Returns a grid with the whole period as one unit.
    pub fn undivided(period: Period) -> Self {
        let shift = -period.since.millis().div_euclid(1_000);
        Self { slices: vec![Slice { period, shift }], width: MAX_SECONDS + 1 }
    }
}

impl Calendar {
    /// Divides `period` into units of local time in `zone`.
    pub fn new(zone: &Zone, period: Period, unit: CalendarUnit) -> Result<Self, InvalidPeriod> {
        if unit == CalendarUnit::Hour && period.millis() > MAX_SECONDS_BY_HOUR * 1_000 {
            return Err(InvalidPeriod::TooManyHours);
        }
        let grid = Grid { slices: slices(zone, period, unit.shift()), width: unit.width() };
        let mut calendar = Self { grid, buckets: vec![], by_key: HashMap::new() };
        calendar.fill_buckets(unit);
        Ok(calendar)
    }

    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Returns the buckets in the order of time.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Returns the index of the bucket with this key. `None` if it is outside the period.
    pub fn bucket(&self, key: BucketKey) -> Option<usize> {
        self.by_key.get(&key).copied()
    }

    /// Makes the buckets. A day or week that continues in the next slice is one bucket. An hour before and after a
    /// clock change is two.
    fn fill_buckets(&mut self, unit: CalendarUnit) {
        let mut begun = HashMap::new();
        for (index, slice) in self.grid.slices.iter().enumerate() {
            for (number, period) in slice.units(self.grid.width) {
                let part = if unit == CalendarUnit::Hour { index } else { 0 };
                let bucket = *begun.entry((part, number)).or_insert(self.buckets.len());
                match self.buckets.get_mut(bucket) {
                    Some(bucket) => bucket.period.until = period.until,
                    None => self.buckets.push(Bucket { period, label: unit.label(number) }),
                }
                self.by_key.insert(BucketKey { slice: index, number }, bucket);
            }
        }
        if unit == CalendarUnit::Hour {
            self.distinguish_repeated_hours();
        }
    }

    /// Adds the offset to the labels of hours that occur twice.
    fn distinguish_repeated_hours(&mut self) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for bucket in &self.buckets {
            *seen.entry(&bucket.label).or_default() += 1;
        }
        let twice = |bucket: &Bucket| seen[bucket.label.as_str()] > 1;
        let offsets = self.by_key.iter().filter(|(_, bucket)| twice(&self.buckets[**bucket]));
        let offsets: Vec<_> = offsets.map(|(key, bucket)| (*bucket, self.grid.slices[key.slice].shift)).collect();
        for (bucket, shift) in offsets {
            self.buckets[bucket].label += &offset(shift);
        }
    }
}

impl Slice {
    /// Returns the beginning of the unit in which the slice begins.
    pub fn origin(self, width: i64) -> Timestamp {
        self.start(self.number(self.period.since, width), width)
    }

    fn number(self, at: Timestamp, width: i64) -> i64 {
        (at.millis() + self.shift * 1_000).div_euclid(width * 1_000)
    }

    fn start(self, number: i64, width: i64) -> Timestamp {
        Timestamp::from_millis((number * width - self.shift) * 1_000)
    }

    /// Returns the number of each unit that overlaps the slice, with the part in the slice.
    fn units(self, width: i64) -> impl Iterator<Item = (i64, Period)> {
        let last = Timestamp::from_millis(self.period.until.millis() - 1);
        let (first, last) = (self.number(self.period.since, width), self.number(last, width));
        (first..=last).map(move |number| {
            let whole = Period { since: self.start(number, width), until: self.start(number + 1, width) };
            (number, whole.intersection(self.period))
        })
    }
}

/// Cuts a period at the clock changes. `shift` is added to the offsets from UTC.
fn slices(zone: &Zone, period: Period, shift: i64) -> Vec<Slice> {
    let mut offsets = zone.offsets(period.since, period.until);
    // A zone can have a transition that changes only the name of its offset.
    offsets.dedup_by_key(|offset| offset.seconds);
    let ends = offsets.iter().skip(1).map(|offset| offset.since).chain([period.until]);
    let slice = |(offset, until): (&super::zone::Offset, Timestamp)| Slice {
        period: Period { since: offset.since, until },
        shift: i64::from(offset.seconds) + shift,
    };
    offsets.iter().zip(ends).map(slice).collect()
}

/// Formats an offset as `-03:00`.
fn offset(seconds: i64) -> String {
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests;
