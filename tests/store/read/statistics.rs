//! Statistics of the databases, compared with counts made here.

use std::collections::BTreeSet;
use std::sync::Arc;

use buzon::domain::access::scope::Scope;
use buzon::domain::chat::chat_kind::{ChatKind, ChatKinds};
use buzon::domain::instance::InstanceId;
use buzon::domain::statistics::{
    BucketTraffic, DeliveryFunnel, Durations, MessageTally, ResponseDurations, WaitingChats, WeekHours,
};
use buzon::domain::time::calendar::{Calendar, CalendarUnit, Grid, Period};
use buzon::domain::time::timestamp::Timestamp;
use buzon::domain::time::wait_limit::WaitLimit;
use buzon::domain::time::zone::Zone;
use buzon::store::{StatisticsFilter, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::support::database::world::{Backend, World, on_both};

/// A message with its later events.
#[derive(Clone, Debug)]
struct Row {
    instance: &'static str,
    chat_kind: ChatKind,
    at: Timestamp,
    from_me: bool,
    kind: Option<&'static str>,
    ack_rank: i16,
    /// Milliseconds from sending to delivery; the clocks of sender and gateway can differ.
    delivered: Option<i64>,
    read: Option<i64>,
    /// Seconds until the answer, from the first question and from the last one.
    answered: Option<(i64, i64)>,
    /// Milliseconds until the last question, if the answer is still missing.
    waits: Option<i64>,
}

/// The parameters of a question.
#[derive(Clone, Debug)]
struct Question {
    scope: Scope,
    filter: StatisticsFilter,
    zone: Zone,
    unit: CalendarUnit,
    period: Period,
    within: Option<WaitLimit>,
    now: Timestamp,
}

impl Question {
    fn is_seen(&self, row: &Row) -> bool {
        let instance = InstanceId::from_store(row.instance);
        let StatisticsFilter { instance_id, kinds } = &self.filter;
        self.scope.allows(&instance)
            && instance_id.as_ref().is_none_or(|wanted| *wanted == instance)
            && kinds.contains(row.chat_kind)
    }

    fn concerns(&self, row: &Row) -> bool {
        self.is_seen(row) && within(self.period, row.at)
    }
}

fn within(period: Period, at: Timestamp) -> bool {
    period.since <= at && at < period.until
}

fn after(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(at.millis() + millis)
}

/// Generates times around the night in which Santiago's clocks go back, a week before Madrid's go forward. Full hours
/// are more frequent than by chance.
fn time() -> impl Strategy<Value = Timestamp> {
    const APRIL_7: i64 = 1_712_448_000_000;
    let hours = (-10 * 24..3 * 24_i64).prop_map(|hour| hour * 3_600_000);
    let any = -10 * 86_400_000..3 * 86_400_000_i64;
    prop_oneof![1 => hours, 4 => any].prop_map(|millis| Timestamp::from_millis(APRIL_7 + millis))
}

fn row() -> impl Strategy<Value = Row> {
    let instance = prop::sample::select(vec!["1", "2", "-"]);
    let what = (instance, prop::sample::select(&ChatKind::ALL[..]), time(), any::<bool>(), 0..=6_i16);
    let kind = prop::option::of(prop::sample::select(vec!["text", "image", "unknown"]));
    let later = || prop::option::of(-5_000..20_000_i64);
    let answered = (0..6_i64, 0..4_i64).prop_map(|(first, last)| (50 * first, 50 * first.min(last)));
    let waits = prop::option::of((0..300_000_i64).prop_map(|millis| millis - millis % 500));
    (what, kind, later(), later(), prop::option::of(answered), waits).prop_map(
        |((instance, chat_kind, at, from_me, ack_rank), kind, delivered, read, answered, waits)| Row {
            instance,
            chat_kind,
            at,
            from_me,
            kind,
            ack_rank,
            delivered: delivered.filter(|_| from_me),
            read: read.filter(|_| from_me),
            answered: answered.filter(|_| !from_me),
            waits,
        },
    )
}

fn question() -> impl Strategy<Value = Question> {
    let limited = prop::sample::subsequence(vec!["1", "2", "-", "9"], 0..4)
        .prop_map(|ids| Scope::Instances(ids.into_iter().map(InstanceId::from_store).collect()));
    let zones = vec!["UTC", "America/Santiago", "Europe/Madrid", "Asia/Kolkata", "Australia/Lord_Howe"];
    let zone = prop::sample::select(zones).prop_map(|name| Zone::parse(name).expect("it is a zone"));
    let unit = prop::sample::select(vec![CalendarUnit::Hour, CalendarUnit::Day, CalendarUnit::Week]);
    let period = (time(), time())
        .prop_filter_map("it is empty", |(one, other)| Period::new(one.min(other), one.max(other)).ok());
    let wanted =
        prop::option::weighted(0.3, prop::sample::select(vec!["1", "-", "9"]).prop_map(InstanceId::from_store));
    let limit = prop::sample::select(vec!["1m", "100s", "200s", "90000m"]);
    let within = prop::option::of(limit.prop_map(|text| WaitLimit::parse(text).expect("it is a limit")));
    let kinds = prop_oneof![Just("person,group"), Just("status"), Just("person,group,status,broadcast,channel,other")];
    let kinds = kinds.prop_map(|kinds| ChatKinds::parse(kinds).expect("they are kinds"));
    let filter = (wanted, kinds).prop_map(|(instance_id, kinds)| StatisticsFilter { instance_id, kinds });
    (prop_oneof![Just(Scope::All), limited], filter, zone, unit, period, within, time()).prop_map(
        |(scope, filter, zone, unit, period, within, now)| Question { scope, filter, zone, unit, period, within, now },
    )
}

async fn fill(world: &World, rows: &[Row]) {
    let quoted = |text: Option<String>| text.map_or("NULL".to_owned(), |text| format!("'{text}'"));
    let tables = ["events", "messages", "responses", "chats"];
    let mut statements: Vec<String> = tables.iter().map(|table| format!("DELETE FROM {table}")).collect();
    for (n, row) in rows.iter().enumerate() {
        let (instance, kind, at) = (row.instance, row.chat_kind.as_str(), row.at.to_rfc3339());
        let time = |millis: Option<i64>| quoted(millis.map(|millis| after(row.at, millis).to_rfc3339()));
        statements.push(format!(
            "INSERT INTO events (seq, instance_id, body_sha256, received_at, deliveries, last_received_at, signed, state) \
             VALUES ({n}, '{instance}', {}, '{at}', 1, '{at}', TRUE, 'applied')",
            bytes(world.backend, n),
        ));
        statements.push(format!(
            "INSERT INTO messages (instance_id, id, kind, from_me, type, is_group, ack, ack_rank, received_at, \
             occurred_at, seq, event_seq, delivered_at, read_at) VALUES ('{instance}', 'm{n}', '{kind}', {}, {}, \
             FALSE, 'x', {}, '{at}', '{at}', {n}, {n}, {}, {})",
            row.from_me,
            quoted(row.kind.map(str::to_owned)),
            row.ack_rank,
            time(row.delivered),
            time(row.read),
        ));
        if let Some((seconds, from_last)) = row.answered {
            let last = after(row.at, 1_000 * (seconds - from_last)).to_rfc3339();
            statements.push(format!(
                "INSERT INTO responses VALUES \
                 ('{instance}', 'c{n}', '{kind}', '{at}', 'm{n}', '{last}', '{at}', 'o', {seconds}, {from_last})"
            ));
        }
        let (waiting, last_asked) = (quoted(row.waits.map(|_| at.clone())), time(row.waits));
        statements.push(format!(
            "INSERT INTO chats (instance_id, chat_id, kind, message_count, last_message_at, last_message_id, \
             waiting_since, last_asked_at) \
             VALUES ('{instance}', 'c{n}', '{kind}', 1, '{at}', 'm{n}', {waiting}, {last_asked})"
        ));
    }
    world.execute(&statements.join("; ")).await;
}

/// Returns a literal of this many bytes.
fn bytes(backend: Backend, n: usize) -> String {
    match backend {
        Backend::Sqlite => format!("X'{n:04x}'"),
        Backend::Postgres => format!("'\\x{n:04x}'"),
    }
}

fn traffic<'r>(rows: impl Iterator<Item = &'r Row>) -> BucketTraffic {
    let mut traffic = BucketTraffic::default();
    for row in rows {
        let kind = traffic.kinds.entry(row.kind.unwrap_or("unknown").to_owned()).or_default();
        for tally in [kind, &mut traffic.total] {
            count(tally, row);
        }
    }
    traffic
}

fn count(tally: &mut MessageTally, row: &Row) {
    if row.from_me {
        tally.outgoing += 1;
    } else {
        tally.incoming += 1;
    }
}

fn delivery<'r>(rows: impl Iterator<Item = &'r Row>) -> DeliveryFunnel {
    let mut delivery = DeliveryFunnel::default();
    for row in rows.filter(|row| row.from_me) {
        let funnel = &mut delivery.funnel;
        match row.ack_rank {
            0 | 1 => funnel.pending += 1,
            3 => funnel.failed += 1,
            rank => {
                funnel.sent += 1;
                funnel.delivered += u64::from(rank >= 4);
                funnel.read += u64::from(rank >= 5);
            }
        }
        let add = |durations: &mut Durations, millis: Option<i64>| {
            millis.into_iter().for_each(|millis| durations.add(millis.max(0) as u64 / 1_000, 1));
        };
        add(&mut delivery.to_delivered, row.delivered);
        add(&mut delivery.to_read, row.read);
    }
    delivery
}

/// Returns the weekday, from Monday, and the hour of a time in a zone.
fn local(zone: &Zone, at: Timestamp) -> (usize, usize) {
    let at = jiff::Timestamp::from_millisecond(at.millis()).expect("it is a time").to_zoned(zone.as_jiff().clone());
    (at.weekday().to_monday_zero_offset() as usize, at.hour() as usize)
}

async fn check(store: &Arc<dyn Store>, rows: &[Row], question: &Question) -> Result<(), TestCaseError> {
    let Question { scope, filter, zone, unit, period, within: limit, now } = question;
    let calendar = Calendar::new(zone, *period, *unit).expect("it is short");
    let asked: Vec<&Row> = rows.iter().filter(|row| question.concerns(row)).collect();
    let in_bucket = |index: usize| {
        let period = calendar.buckets()[index].period;
        asked.iter().copied().filter(move |row| within(period, row.at))
    };
    let buckets = || 0..calendar.buckets().len();

    let counts = store.count_messages(scope, filter, calendar.grid()).await.expect("the store answers");
    let expected: Vec<BucketTraffic> = buckets().map(|index| traffic(in_bucket(index))).collect();
    prop_assert_eq!(BucketTraffic::of(&calendar, counts), expected);

    let (acks, times) = store.count_deliveries(scope, filter, calendar.grid()).await.expect("the store answers");
    let expected: Vec<DeliveryFunnel> = buckets().map(|index| delivery(in_bucket(index))).collect();
    prop_assert_eq!(DeliveryFunnel::by_bucket(&calendar, &acks, &times), expected);
    let (acks, times) =
        store.count_deliveries(scope, filter, &Grid::undivided(*period)).await.expect("the store answers");
    prop_assert_eq!(DeliveryFunnel::of(&acks, &times), delivery(asked.iter().copied()));

    let hours = Grid::hours_of_week(zone, *period);
    let (mut week, mut responses) = (WeekHours::default(), ResponseDurations::default());
    for row in &asked {
        let (weekday, hour) = local(zone, row.at);
        count(&mut week.0[weekday][hour], row);
    }
    let is_longer = |seconds: i64| limit.is_some_and(|limit| seconds > limit.seconds() as i64);
    for row in rows.iter().filter(|row| question.is_seen(row)) {
        let Some((seconds, from_last)) = row.answered else { continue };
        let (began, took) = match (is_longer(seconds), is_longer(from_last)) {
            (false, _) => (row.at, Some(seconds)),
            (true, false) => (after(row.at, 1_000 * (seconds - from_last)), Some(from_last)),
            (true, true) => (row.at, None),
        };
        if within(*period, began) {
            let (weekday, hour) = local(zone, began);
            for waits in [&mut responses.all, &mut responses.by_hour[hour], &mut responses.by_weekday[weekday]] {
                waits.add(took.map(|seconds| seconds as u64), 1);
            }
        }
    }
    prop_assert_eq!(WeekHours::of(&store.count_hours(scope, filter, &hours).await.expect("the store answers")), week);
    let answer = store.count_responses(scope, filter, &hours, *limit, *now).await;
    let (times, waiting) = answer.expect("the store answers");
    prop_assert_eq!(ResponseDurations::of(&times, *limit), responses);

    let mut expected = WaitingChats::default();
    for row in rows.iter().filter(|row| question.is_seen(row)) {
        let Some(millis) = row.waits else { continue };
        let is_long_ago = |at: Timestamp| is_longer(now.seconds() - at.seconds());
        let began = [row.at, after(row.at, millis)].into_iter().find(|at| !is_long_ago(*at));
        match began {
            Some(began) => {
                expected.chats += 1;
                expected.since = expected.since.into_iter().chain([began]).min();
            }
            None => expected.longer += 1,
        }
    }
    prop_assert_eq!(waiting, expected);
    Ok(())
}

#[test]
fn both_databases_count_what_a_count_by_hand_finds() {
    let runtime = tokio::runtime::Runtime::new().expect("there is a runtime");
    let worlds = runtime.block_on(async { [World::new(Backend::Sqlite).await, World::new(Backend::Postgres).await] });
    let stores = runtime.block_on(async { [worlds[0].open().await, worlds[1].open().await] });
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let cases = (prop::collection::vec(row(), 0..80), prop::collection::vec(question(), 4));
    let outcome = runner.run(&cases, |(rows, questions)| {
        for (world, store) in worlds.iter().zip(&stores) {
            runtime.block_on(fill(world, &rows));
            for question in &questions {
                runtime.block_on(check(store, &rows, question))?;
            }
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
async fn seconds_are_whole_and_never_negative() {
    on_both(async |world| {
        let store = world.open().await;
        let at = Timestamp::from_millis(1_724_716_800_900);
        let row = |delivered: i64, read: i64| Row {
            instance: "1",
            chat_kind: ChatKind::Person,
            at,
            from_me: true,
            kind: None,
            ack_rank: 5,
            delivered: Some(delivered),
            read: Some(read),
            answered: None,
            waits: None,
        };
        fill(&world, &[row(-1, 999), row(1_000, 1_099), row(1_100, 3_600_000)]).await;
        let period = Period::new(at, after(at, 1)).expect("it is a period");
        let all = StatisticsFilter { instance_id: None, kinds: ChatKinds::all() };
        let only = Scope::Instances(BTreeSet::from([InstanceId::from_store("1")]));
        let (acks, times) =
            store.count_deliveries(&only, &all, &Grid::undivided(period)).await.expect("the store answers");
        let of = |seconds: [u64; 3]| {
            let mut durations = Durations::default();
            seconds.iter().for_each(|seconds| durations.add(*seconds, 1));
            durations
        };
        let delivery = DeliveryFunnel::of(&acks, &times);
        assert_eq!((delivery.to_delivered, delivery.to_read), (of([0, 1, 1]), of([0, 1, 3_600])));
    })
    .await;
}
