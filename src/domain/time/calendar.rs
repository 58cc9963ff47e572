//! Hours, days and weeks of a time zone, in a form in which a database that knows no time zones can count by them.
//!
//! Between two changes of the clocks, local time is UTC plus a constant, and the number of a local hour, day or week is
//! a division. So a [`Calendar`] cuts its period where the clocks change; a database counts by the number within each of
//! the [`Slice`]s, and the calendar knows which [`Bucket`] that is. A day of 23 or 25 hours is one bucket; an hour that
//! comes twice is two.

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
/// From a Monday to 1970-01-01, which was a Thursday.
const MONDAY_SECONDS: i64 = 3 * DAY_SECONDS;

/// A quarter, whose clocks may go back by an hour.
const MAX_SECONDS_BY_HOUR: i64 = 92 * DAY_SECONDS + HOUR_SECONDS;
/// Ten years, three of them leap years.
const MAX_SECONDS: i64 = 3_653 * DAY_SECONDS;

/// From `since` on, before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub since: Timestamp,
    pub until: Timestamp,
}

/// By what time is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalendarUnit {
    Hour,
    Day,
    /// From Monday on, as in ISO 8601.
    Week,
}

/// Why a period cannot be counted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPeriod {
    #[error("it must be before until")]
    Empty,
    #[error("hours are counted over at most 92 days; ask for fewer, or for days")]
    TooManyHours,
    #[error("it must be at most 10 years before until")]
    TooLong,
}

/// A part of a period in which the clocks do not change. A moment in it is in the unit with the number
/// (seconds since 1970-01-01T00:00:00Z + `shift`) / [width](Grid::width), rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub period: Period,
    pub shift: i64,
}

/// How a database counts over a period: in each of its slices, by units of this many seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    pub slices: Vec<Slice>,
    pub width: i64,
}

/// Where something was counted: the index of a slice, and the number of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BucketKey {
    pub slice: usize,
    pub number: i64,
}

/// An hour, day or week, or as much of it as is in the period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub period: Period,
    /// Its local time: `2024-08-27T13:00` of an hour (with the offset, `2024-04-06T23:00-03:00`, where it comes twice),
    /// `2024-08-27` of a day; of a week its Monday.
    pub label: String,
}

/// The units of a period.
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

    /// The last `days` days of `zone` that end with `until`, which is in the last of them.
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

    /// What is added to local time, so that its units begin at multiples of its width.
    fn shift(self) -> i64 {
        if self == Self::Week { MONDAY_SECONDS } else { 0 }
    }

    fn label(self, number: i64) -> String {
        let local = OffsetDateTime::from_unix_timestamp(number * self.width() - self.shift());
        let format = if self == Self::Hour { HOUR } else { DATE };
        local.expect("it is a year of ours").format(format).expect("it has these parts")
    }
}

impl Grid {
    /// The hours since a Monday began: the remainder by 168 is the hour of the week.
    pub fn hours_of_week(zone: &Zone, period: Period) -> Self {
        Self { slices: slices(zone, period, MONDAY_SECONDS), width: HOUR_SECONDS }
    }

    /// A period as a whole.
    pub fn undivided(period: Period) -> Self {
        let shift = -period.since.millis().div_euclid(1_000);
        Self { slices: vec![Slice { period, shift }], width: MAX_SECONDS + 1 }
    }
}

impl Calendar {
    /// The units of `period` in `zone`.
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

    /// In the order of time.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The index of the bucket of a place. `None` outside the period.
    pub fn bucket(&self, key: BucketKey) -> Option<usize> {
        self.by_key.get(&key).copied()
    }

    /// A day or week that goes on in the next slice is one; an hour is not the same after its clocks have changed.
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

    /// Adds the offset to the labels of hours that come twice.
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
    /// When the unit begins in which the slice does.
    pub fn origin(self, width: i64) -> Timestamp {
        self.start(self.number(self.period.since, width), width)
    }

    fn number(self, at: Timestamp, width: i64) -> i64 {
        (at.millis() + self.shift * 1_000).div_euclid(width * 1_000)
    }

    fn start(self, number: i64, width: i64) -> Timestamp {
        Timestamp::from_millis((number * width - self.shift) * 1_000)
    }

    /// Each unit that has a part in the slice, by its number, with that part.
    fn units(self, width: i64) -> impl Iterator<Item = (i64, Period)> {
        let last = Timestamp::from_millis(self.period.until.millis() - 1);
        let (first, last) = (self.number(self.period.since, width), self.number(last, width));
        (first..=last).map(move |number| {
            let whole = Period { since: self.start(number, width), until: self.start(number + 1, width) };
            (number, whole.intersection(self.period))
        })
    }
}

/// Cuts a period where the clocks change. `shift` is added to their offset from UTC.
fn slices(zone: &Zone, period: Period, shift: i64) -> Vec<Slice> {
    let mut offsets = zone.offsets(period.since, period.until);
    // A zone can change its name for the same time.
    offsets.dedup_by_key(|offset| offset.seconds);
    let ends = offsets.iter().skip(1).map(|offset| offset.since).chain([period.until]);
    let slice = |(offset, until): (&super::zone::Offset, Timestamp)| Slice {
        period: Period { since: offset.since, until },
        shift: i64::from(offset.seconds) + shift,
    };
    offsets.iter().zip(ends).map(slice).collect()
}

/// `-03:00`
fn offset(seconds: i64) -> String {
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests;
