use buzon::domain::time::timestamp::Timestamp;
use buzon::domain::time::zone::Zone;
use jiff::civil::Date;
use serde_json::json;

use crate::support::clock::ARRIVAL;
use crate::support::database::world::{on_both, record};
use crate::support::events::{event, received};

fn zone(name: &str) -> Zone {
    Zone::parse(name).expect("it is a zone")
}

#[test]
async fn the_zone_is_utc_until_another_is_set_and_is_written_only_when_it_changes() {
    on_both(async |world| {
        let store = world.open().await;
        assert_eq!(store.time_zone().await.expect("it is there"), "UTC");
        assert!(!store.set_time_zone(&Zone::utc()).await.expect("it is set"), "nothing is to be written");
        for name in ["America/Santiago", "America/Bogota"] {
            assert!(store.set_time_zone(&zone(name)).await.expect("it is set"));
            assert!(!store.set_time_zone(&zone(name)).await.expect("it is set"), "it is the same");
            assert_eq!(store.time_zone().await.expect("it is there"), name);
        }
        let rows =
            world.rows("SELECT since, offset_seconds, first_day FROM time_zone_offsets ORDER BY since DESC").await;
        assert_eq!(rows[0], "1993-02-07T04:00:00.000Z|-18000|1993-02-07");
        // The stored offsets are outdated, as after an update of the time-zone data.
        world.execute("UPDATE time_zone_offsets SET offset_seconds = 0").await;
        assert!(store.set_time_zone(&zone("America/Bogota")).await.expect("it is set"));
        let offset = world.value("SELECT offset_seconds FROM time_zone_offsets ORDER BY since DESC LIMIT 1").await;
        assert_eq!(offset, "-18000");
    })
    .await;
}

/// Returns instants around every clock change of three years, and some ordinary ones.
fn instants(zone: &Zone) -> Vec<Timestamp> {
    let from = Timestamp::from_rfc3339("2021-12-31T23:59:59.999Z").expect("it is a time");
    let until = Timestamp::from_rfc3339("2024-08-27T00:00:00Z").expect("it is a time");
    let around = zone.offsets(from, until).into_iter().flat_map(|offset| {
        let beside = [-3_600_001, -3_600_000, -1, 0, 1, 999, 3_599_999, 3_600_000, 43_200_123];
        beside.map(|millis| Timestamp::from_millis(offset.since.millis() + millis))
    });
    around.collect()
}

#[test]
async fn local_times_are_those_of_the_zone_on_both_databases() {
    on_both(async |world| {
        let store = world.open().await;
        // The zones change their clocks at midnight, by half an hour, not at all, and east of Greenwich.
        for name in ["America/Santiago", "Australia/Lord_Howe", "America/Bogota", "Europe/Dublin", "Asia/Kathmandu"] {
            let zone = zone(name);
            store.set_time_zone(&zone).await.expect("it is set");
            let instants = instants(&zone);
            let events = instants.iter().map(|at| {
                let fields = json!({"timestamp": at.to_rfc3339()});
                event(&name.replace('/', "-"), received(&at.millis().to_string(), fields), ARRIVAL)
            });
            record(&store, &events.collect::<Vec<_>>()).await;
            let query = format!(
                "SELECT id, local_time, local_day, local_hour, local_weekday FROM v_messages \
                 WHERE instance_id = '{}' ORDER BY occurred_at",
                name.replace('/', "-")
            );
            let expected = instants.iter().map(|at| {
                let local = jiff::Timestamp::from_millisecond(at.millis()).expect("it is a time");
                let local = local.to_zoned(zone.as_jiff().clone()).datetime();
                let weekday = local.weekday().to_monday_one_offset();
                let time = local.strftime("%Y-%m-%dT%H:%M:%S.%3f");
                format!("{}|{time}|{}|{}|{weekday}", at.millis(), local.date(), local.hour())
            });
            assert_eq!(world.rows(&query).await, expected.collect::<Vec<_>>(), "{name}");
        }
    })
    .await;
}

#[test]
async fn a_day_begins_and_ends_when_the_zone_says() {
    on_both(async |world| {
        let store = world.open().await;
        let first = json!({"timestamp": "2022-03-30T12:00:00Z"});
        record(&store, &[event("7", received("A", first), ARRIVAL)]).await;
        for name in ["America/Santiago", "Africa/Cairo", "Australia/Lord_Howe", "UTC"] {
            let zone = zone(name);
            store.set_time_zone(&zone).await.expect("it is set");
            let days = "SELECT local_day, starts_at, ends_at, local_weekday, days_ago FROM v_days ORDER BY 1";
            let days = world.rows(days).await;
            assert!(days.len() > 1_000, "from the first message to today");
            assert!(days[0].starts_with("2022-03-30|"), "{}", days[0]);
            let mut expected: Date = "2022-03-30".parse().expect("it is a date");
            let count = days.len();
            for (place, day) in days.into_iter().enumerate() {
                let start = |date: Date| {
                    let start = date.to_zoned(zone.as_jiff().clone()).expect("it is a day");
                    let start = start.start_of_day().expect("it begins").timestamp();
                    Timestamp::from_millis(start.as_millisecond()).to_rfc3339()
                };
                let next = expected.tomorrow().expect("there is one");
                let days_ago = count - 1 - place;
                let weekday = expected.weekday().to_monday_one_offset();
                assert_eq!(
                    day,
                    format!("{expected}|{}|{}|{weekday}|{days_ago}", start(expected), start(next)),
                    "{name}"
                );
                expected = next;
            }
        }
    })
    .await;
}

#[test]
async fn today_is_one_row_that_agrees_with_itself() {
    on_both(async |world| {
        let store = world.open().await;
        for name in ["America/Santiago", "Pacific/Kiritimati", "UTC"] {
            store.set_time_zone(&zone(name)).await.expect("it is set");
            let query = "SELECT count(*) FROM v_today t JOIN v_days d ON d.local_day = t.today \
                         WHERE t.today_starts_at = d.starts_at AND t.now >= d.starts_at AND t.now < d.ends_at \
                         AND t.yesterday < t.today AND t.week_start <= t.today AND t.month_start <= t.today \
                         AND t.yesterday_starts_at < t.today_starts_at AND t.week_starts_at <= t.today_starts_at \
                         AND t.month_starts_at <= t.today_starts_at AND d.days_ago = 0";
            assert_eq!(world.value(query).await, "1", "{name}");
            let today = world.value("SELECT today, yesterday, week_start, month_start, local_now FROM v_today").await;
            let columns: Vec<&str> = today.split('|').collect();
            let date = |column: usize| columns[column].parse::<Date>().expect("it is a date");
            assert_eq!(date(1), date(0).yesterday().expect("there is one"));
            assert_eq!(date(2).weekday(), jiff::civil::Weekday::Monday);
            assert!(date(0).since(date(2)).expect("they are near").get_days() < 7);
            assert_eq!(date(3), date(0).first_of_month());
            assert!(columns[4].starts_with(columns[0]), "{today}");
        }
    })
    .await;
}
