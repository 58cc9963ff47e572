//! The times at which people write.

use std::time::Duration;

use domain::time::timestamp::Timestamp;
use domain::time::zone::Zone;

/// The relative load of each hour of a weekday.
const HOURS: [f64; 24] = [
    1.0, 0.5, 0.2, 0.2, 0.2, 0.5, 2.0, 6.0, 20.0, 40.0, 50.0, 55.0, 50.0, 35.0, 45.0, 55.0, 55.0, 50.0, 45.0, 40.0,
    35.0, 25.0, 12.0, 4.0,
];
const SATURDAY: f64 = 0.6;
const SUNDAY: f64 = 0.25;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The distribution of messages over some days: most in working hours, hardly any at night, few on a Sunday.
#[derive(Clone, Debug)]
pub struct WorkingHours {
    start: Timestamp,
    /// For each hour, the share of all messages that are written before its end.
    shares: Vec<f64>,
}

impl WorkingHours {
    /// Makes the distribution over `days` days from `start` on, by the local time of the zone.
    ///
    /// # Panics
    /// If there is no day.
    pub fn new(start: Timestamp, days: u32, zone: &Zone) -> Self {
        let weights = (0..days * 24).map(|nth| {
            let (weekday, hour) = zone.hour_of_week(start + HOUR * nth);
            HOURS[hour] * [1.0, 1.0, 1.0, 1.0, 1.0, SATURDAY, SUNDAY][weekday]
        });
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        let sums: Vec<f64> = sums.collect();
        let all = *sums.last().expect("there is a day");
        Self { start, shares: sums.into_iter().map(|sum| sum / all).collect() }
    }

    /// Returns the time before which this share of all messages is written. The share is in 0..1.
    pub fn at(&self, share: f64) -> Timestamp {
        let hour = self.shares.partition_point(|end| *end <= share).min(self.shares.len() - 1);
        let begin = if hour == 0 { 0.0 } else { self.shares[hour - 1] };
        let within = ((share - begin) / (self.shares[hour] - begin)).clamp(0.0, 1.0);
        self.start + HOUR.mul_f64(hour as f64 + within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_is_written_in_working_hours_and_least_on_a_sunday() {
        let bogota = Zone::parse("America/Bogota").unwrap();
        // A Monday.
        let start = bogota.read("2024-08-26").unwrap();
        let hours = WorkingHours::new(start, 7, &bogota);
        let moments: Vec<Timestamp> = (0..10_000).map(|nth| hours.at(f64::from(nth) / 10_000.0)).collect();
        assert!(moments.is_sorted() && moments[0] >= start && moments[9_999] < start + HOUR * 168);
        let places: Vec<(usize, usize)> = moments.iter().map(|at| bogota.hour_of_week(*at)).collect();
        let working = places.iter().filter(|(_, hour)| (8..20).contains(hour)).count();
        assert!((8_000..9_500).contains(&working), "{working}");
        let on = |day: usize| places.iter().filter(|(weekday, _)| *weekday == day).count();
        assert!(on(6) * 3 < on(0) && on(5) < on(0), "{} {} {}", on(0), on(5), on(6));
    }
}
