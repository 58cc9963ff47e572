use proptest::prelude::*;

use crate::time::calendar::*;

fn at(text: &str) -> Timestamp {
    Timestamp::from_rfc3339(text).unwrap()
}

fn calendar(zone: &str, since: &str, until: &str, unit: CalendarUnit) -> Calendar {
    let period = Period::new(at(since), at(until)).unwrap();
    Calendar::new(&Zone::parse(zone).unwrap(), period, unit).unwrap()
}

/// Returns each bucket as its label, beginning and hours.
fn shown(calendar: &Calendar) -> Vec<(String, String, f64)> {
    let bucket = |bucket: &Bucket| {
        let hours = bucket.period.millis() as f64 / 3_600_000.0;
        (bucket.label.clone(), bucket.period.since.to_rfc3339().replace(":00.000Z", "Z"), hours)
    };
    calendar.buckets().iter().map(bucket).collect()
}

fn expected(rows: &[(&str, &str, f64)]) -> Vec<(String, String, f64)> {
    rows.iter().map(|(label, since, hours)| ((*label).to_owned(), (*since).to_owned(), *hours)).collect()
}

#[test]
fn a_day_on_which_the_clocks_change_has_23_or_25_hours() {
    let back = calendar("America/Santiago", "2024-04-06T03:00:00Z", "2024-04-08T04:00:00Z", CalendarUnit::Day);
    assert_eq!(
        shown(&back),
        expected(&[("2024-04-06", "2024-04-06T03:00Z", 25.0), ("2024-04-07", "2024-04-07T04:00Z", 24.0)])
    );
    let forth = calendar("Europe/Madrid", "2024-03-29T23:00:00Z", "2024-03-31T22:00:00Z", CalendarUnit::Day);
    assert_eq!(
        shown(&forth),
        expected(&[("2024-03-30", "2024-03-29T23:00Z", 24.0), ("2024-03-31", "2024-03-30T23:00Z", 23.0)])
    );
}

#[test]
fn an_hour_that_occurs_twice_is_two_buckets_and_a_skipped_one_is_none() {
    let twice = calendar("America/Santiago", "2024-04-07T01:00:00Z", "2024-04-07T05:00:00Z", CalendarUnit::Hour);
    assert_eq!(
        shown(&twice),
        expected(&[
            ("2024-04-06T22:00", "2024-04-07T01:00Z", 1.0),
            ("2024-04-06T23:00-03:00", "2024-04-07T02:00Z", 1.0),
            ("2024-04-06T23:00-04:00", "2024-04-07T03:00Z", 1.0),
            ("2024-04-07T00:00", "2024-04-07T04:00Z", 1.0),
        ])
    );
    let left_out = calendar("Europe/Madrid", "2024-03-31T00:00:00Z", "2024-03-31T02:00:00Z", CalendarUnit::Hour);
    assert_eq!(
        shown(&left_out),
        expected(&[("2024-03-31T01:00", "2024-03-31T00:00Z", 1.0), ("2024-03-31T03:00", "2024-03-31T01:00Z", 1.0)])
    );
}

#[test]
fn clocks_that_change_by_half_an_hour_make_a_bucket_of_half_an_hour() {
    let back = calendar("Australia/Lord_Howe", "2024-04-06T14:00:00Z", "2024-04-06T16:30:00Z", CalendarUnit::Hour);
    assert_eq!(
        shown(&back),
        expected(&[
            ("2024-04-07T01:00+11:00", "2024-04-06T14:00Z", 1.0),
            ("2024-04-07T01:00+10:30", "2024-04-06T15:00Z", 0.5),
            ("2024-04-07T02:00", "2024-04-06T15:30Z", 1.0),
        ])
    );
}

#[test]
fn hours_begin_at_those_of_the_zone_and_end_with_the_period() {
    let hours = calendar("Asia/Kolkata", "2024-08-27T00:00:00Z", "2024-08-27T01:45:00Z", CalendarUnit::Hour);
    assert_eq!(
        shown(&hours),
        expected(&[
            ("2024-08-27T05:00", "2024-08-27T00:00Z", 0.5),
            ("2024-08-27T06:00", "2024-08-27T00:30Z", 1.0),
            ("2024-08-27T07:00", "2024-08-27T01:30Z", 0.25),
        ])
    );
}

#[test]
fn a_week_begins_on_its_monday_also_over_new_year() {
    let weeks = calendar("America/Bogota", "2024-12-28T05:00:00Z", "2025-01-07T05:00:00Z", CalendarUnit::Week);
    assert_eq!(
        shown(&weeks),
        expected(&[
            ("2024-12-23", "2024-12-28T05:00Z", 48.0),
            ("2024-12-30", "2024-12-30T05:00Z", 168.0),
            ("2025-01-06", "2025-01-06T05:00Z", 24.0),
        ])
    );
}

#[test]
fn a_day_that_a_zone_skipped_has_no_bucket() {
    let days = calendar("Pacific/Apia", "2011-12-29T10:00:00Z", "2012-01-01T10:00:00Z", CalendarUnit::Day);
    let labels: Vec<&str> = days.buckets().iter().map(|bucket| bucket.label.as_str()).collect();
    assert_eq!(labels, ["2011-12-29", "2011-12-31", "2012-01-01"]);
}

#[test]
fn empty_and_too_long_periods_are_refused() {
    let period = |since: &str, until: &str| Period::new(at(since), at(until));
    assert_eq!(period("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"), Err(InvalidPeriod::Empty));
    assert_eq!(period("2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"), Err(InvalidPeriod::Empty));
    assert!(period("2016-01-01T00:00:00Z", "2026-01-01T00:00:00Z").is_ok());
    assert_eq!(period("2016-01-01T00:00:00Z", "2026-01-01T00:00:01Z"), Err(InvalidPeriod::TooLong));
    let by_hour = |until: &str| {
        Calendar::new(&Zone::utc(), period("2024-01-01T00:00:00Z", until).unwrap(), CalendarUnit::Hour).map(|_| ())
    };
    assert_eq!(by_hour("2024-04-02T00:00:00Z"), Ok(()));
    assert_eq!(by_hour("2024-04-03T00:00:00Z"), Err(InvalidPeriod::TooManyHours));
}

#[test]
fn the_last_days_are_whole_except_for_the_last() {
    let last = |zone: &str, until: &str, days| {
        Period::last_days(&Zone::parse(zone).unwrap(), at(until), days).unwrap().since.to_rfc3339()
    };
    assert_eq!(last("America/Bogota", "2024-08-27T12:00:00Z", 30), "2024-07-29T05:00:00.000Z");
    assert_eq!(last("America/Bogota", "2024-08-27T05:00:00Z", 1), "2024-08-26T05:00:00.000Z");
    assert_eq!(last("Europe/Madrid", "2024-04-01T00:00:00Z", 3), "2024-03-29T23:00:00.000Z");
}

#[test]
fn a_period_that_is_not_divided_has_one_unit() {
    let period = Period::new(at("2016-01-01T00:00:00.500Z"), at("2026-01-01T00:00:00Z")).unwrap();
    let grid = Grid::undivided(period);
    for moment in [period.since.millis(), period.until.millis() - 1] {
        assert_eq!((moment.div_euclid(1_000) + grid.slices[0].shift).div_euclid(grid.width), 0);
    }
}

proptest! {
    /// Compares with jiff's own civil time.
    #[test]
    fn every_moment_is_in_the_bucket_of_its_local_time(
        zone in prop::sample::select(vec![
            "UTC", "America/Bogota", "America/Santiago", "Europe/Madrid", "Asia/Kolkata", "Australia/Lord_Howe",
            "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia", "Asia/Gaza",
        ]),
        unit in prop::sample::select(vec![CalendarUnit::Hour, CalendarUnit::Day, CalendarUnit::Week]),
        since in 1_230_768_000_000..1_900_000_000_000_i64,
        length in 1..92 * 86_400_000_i64,
        share in 0.0..1.0_f64,
    ) {
        let zone = Zone::parse(zone).unwrap();
        let period = Period::new(Timestamp::from_millis(since), Timestamp::from_millis(since + length)).unwrap();
        let calendar = Calendar::new(&zone, period, unit).unwrap();
        let moment = since + (share * length as f64) as i64;
        let grid = calendar.grid();
        let within = |period: &Period| period.since.millis() <= moment && moment < period.until.millis();
        let slice = grid.slices.iter().position(|slice| within(&slice.period)).unwrap();
        let number = (moment.div_euclid(1_000) + grid.slices[slice].shift).div_euclid(grid.width);
        let bucket = &calendar.buckets()[calendar.bucket(BucketKey { slice, number }).unwrap()];
        let local = jiff::Timestamp::from_millisecond(moment).unwrap().to_zoned(zone.as_jiff().clone());
        let label = match unit {
            CalendarUnit::Hour => local.strftime("%Y-%m-%dT%H:00").to_string(),
            CalendarUnit::Day => local.date().to_string(),
            CalendarUnit::Week => {
                let monday = jiff::Span::new().days(i64::from(local.weekday().to_monday_zero_offset()));
                local.date().checked_sub(monday).unwrap().to_string()
            }
        };
        prop_assert!(bucket.label.starts_with(&label), "{} {label}", bucket.label);
        prop_assert!(within(&bucket.period));
        let starts: Vec<i64> = calendar.buckets().iter().map(|bucket| bucket.period.since.millis()).collect();
        prop_assert!(starts.is_sorted());
    }
}
