//! Statistics, used as a dashboard uses them.

use std::sync::Arc;

use buzon::store::Store;
use serde_json::{Value, json};

use crate::support::clock::later;
use crate::support::database::tokens::token;
use crate::support::database::world::{Backend, World, on_both, record};
use crate::support::events::{event, received, sent};
use crate::support::program::service::{Answer, Service, answer};

/// A service and the store that it reads.
struct StatisticsService {
    service: Service,
    store: Arc<dyn Store>,
}

impl StatisticsService {
    async fn open(world: &World) -> Self {
        let store = world.open().await;
        let service = Service::start_on(world, store.clone(), store.clone(), &[]);
        Self { service, store }
    }

    async fn ask_as(&self, token: &str, query: &str) -> Answer {
        answer(self.service.get(&format!("/api/v1/stats/{query}")).bearer_auth(token)).await
    }

    async fn ask(&self, query: &str) -> Value {
        let answer = self.ask_as(&self.service.token(), query).await;
        assert_eq!(answer.status.as_u16(), 200, "{query}: {:?}", answer.body);
        answer.body
    }

    /// Records messages of an instance, given by their ids, times, types and directions. They arrive after all of the
    /// times, because a message stands at its arrival if its own time is later.
    async fn record(&self, instance: &str, messages: &[(&str, &str, &str, bool)]) {
        let events: Vec<_> = messages
            .iter()
            .map(|(id, at, kind, outgoing)| {
                let fields = json!({"timestamp": at, "type": kind});
                let body = if *outgoing { sent(id, fields) } else { received(id, fields) };
                event(instance, body, later(2 * 86_400_000))
            })
            .collect();
        record(&self.store, &events).await;
    }
}

/// Three days in Bogotá, which is five hours behind UTC.
const DAYS: &str = "since=2024-08-25&until=2024-08-28&time_zone=America/Bogota";

#[test]
async fn messages_are_counted_by_local_day_direction_and_type_and_no_day_is_missing() {
    on_both(async |world| {
        let statistics = StatisticsService::open(&world).await;
        let messages = [
            ("a", "2024-08-25T23:59:59-05:00", "text", false),
            ("b", "2024-08-27T00:00:00-05:00", "image", false),
            ("c", "2024-08-27T00:00:00-05:00", "text", true),
            ("d", "2024-08-28T00:00:00-05:00", "text", true),
        ];
        statistics.record("7", &messages).await;
        statistics.record("8", &[("e", "2024-08-27T23:59:59-05:00", "text", true)]).await;
        let expected = json!({
            "since": "2024-08-25T05:00:00Z", "until": "2024-08-28T05:00:00Z", "time_zone": "America/Bogota",
            "instance_id": null, "kinds": ["person", "group"],
            "data": [
                {
                    "label": "2024-08-25", "since": "2024-08-25T05:00:00Z", "until": "2024-08-26T05:00:00Z",
                    "incoming": 1, "outgoing": 0, "types": {"text": {"incoming": 1, "outgoing": 0}},
                },
                {
                    "label": "2024-08-26", "since": "2024-08-26T05:00:00Z", "until": "2024-08-27T05:00:00Z",
                    "incoming": 0, "outgoing": 0, "types": {},
                },
                {
                    "label": "2024-08-27", "since": "2024-08-27T05:00:00Z", "until": "2024-08-28T05:00:00Z",
                    "incoming": 1, "outgoing": 2,
                    "types": {"image": {"incoming": 1, "outgoing": 0}, "text": {"incoming": 0, "outgoing": 2}},
                },
            ],
        });
        assert_eq!(statistics.ask(&format!("messages?{DAYS}")).await, expected);
        assert_eq!(statistics.ask(&format!("messages?{DAYS}&by=day")).await, expected);
        let weeks = statistics.ask(&format!("messages?{DAYS}&by=week&instance_id=7")).await;
        let labels: Vec<_> =
            weeks["data"].as_array().expect("the value is a list").iter().map(|week| &week["label"]).collect();
        assert_eq!(labels, ["2024-08-19", "2024-08-26"]);
        assert_eq!((&weeks["instance_id"], &weeks["data"][1]["outgoing"]), (&json!("7"), &json!(1)));
        statistics.service.stop().await;
    })
    .await;
}

#[test]
async fn an_hour_that_occurs_twice_is_counted_as_two() {
    on_both(async |world| {
        let statistics = StatisticsService::open(&world).await;
        let messages =
            [("a", "2024-04-06T23:30:00-03:00", "text", false), ("b", "2024-04-06T23:30:00-04:00", "text", true)];
        statistics.record("7", &messages).await;
        let range = "since=2024-04-06T22:00:00-03:00&until=2024-04-07T01:00:00-04:00&time_zone=America/Santiago";
        let hours = statistics.ask(&format!("messages?{range}&by=hour")).await;
        let hours: Vec<_> = hours["data"]
            .as_array()
            .expect("the value is a list")
            .iter()
            .map(|hour| {
                (hour["label"].as_str().expect("the value is text"), hour["incoming"].clone(), hour["outgoing"].clone())
            })
            .collect();
        let expected = [
            ("2024-04-06T22:00", 0, 0),
            ("2024-04-06T23:00-03:00", 1, 0),
            ("2024-04-06T23:00-04:00", 0, 1),
            ("2024-04-07T00:00", 0, 0),
        ];
        assert_eq!(hours, expected.map(|(label, incoming, outgoing)| (label, json!(incoming), json!(outgoing))));
        statistics.service.stop().await;
    })
    .await;
}

#[test]
async fn the_funnel_has_outgoing_messages_only() {
    on_both(async |world| {
        let statistics = StatisticsService::open(&world).await;
        let messages = [
            ("in", "2024-08-27T12:00:00Z", "text", false),
            ("pending", "2024-08-27T12:00:00Z", "text", true),
            ("failed", "2024-08-27T12:00:00Z", "text", true),
            ("delivered", "2024-08-26T12:00:00Z", "text", true),
            ("read", "2024-08-27T12:00:00Z", "text", true),
        ];
        statistics.record("7", &messages).await;
        world
            .execute(
                "UPDATE messages SET ack_rank = 0; \
                 UPDATE messages SET ack_rank = 3 WHERE id = 'failed'; \
                 UPDATE messages SET ack_rank = 4, delivered_at = '2024-08-26T12:00:10.500Z' WHERE id = 'delivered'; \
                 UPDATE messages SET ack_rank = 5, delivered_at = '2024-08-27T11:59:59.000Z', \
                 read_at = '2024-08-27T12:01:00.000Z' WHERE id = 'read'",
            )
            .await;
        let all = statistics.ask(&format!("delivery?{DAYS}")).await;
        let expected = json!({
            "total": 4, "sent": 2, "delivered": 2, "read": 1, "failed": 1, "pending": 1,
            "rates": {"sent": 0.5, "delivered": 0.5, "read": 0.25, "failed": 0.25},
            "seconds_to_delivered": {"p50": 0, "p90": 10}, "seconds_to_read": {"p50": 60, "p90": 60},
        });
        assert_eq!((&all["data"], &all["series"]), (&expected, &json!([])));
        let days = statistics.ask(&format!("delivery?{DAYS}&by=day")).await;
        assert_eq!(days["data"], expected);
        let nothing = json!({
            "label": "2024-08-25", "since": "2024-08-25T05:00:00Z", "until": "2024-08-26T05:00:00Z",
            "total": 0, "sent": 0, "delivered": 0, "read": 0, "failed": 0, "pending": 0,
            "rates": {"sent": null, "delivered": null, "read": null, "failed": null},
            "seconds_to_delivered": {"p50": null, "p90": null}, "seconds_to_read": {"p50": null, "p90": null},
        });
        assert_eq!(days["series"][0], nothing);
        assert_eq!(days["series"][1]["seconds_to_delivered"], json!({"p50": 10, "p90": 10}));
        assert_eq!(days["series"][2]["total"], 3);
        statistics.service.stop().await;
    })
    .await;
}

#[test]
async fn answers_are_shown_by_the_hour_and_weekday_in_which_somebody_began_to_wait() {
    on_both(async |world| {
        let statistics = StatisticsService::open(&world).await;
        statistics.record("7", &[("in", "2024-08-26T12:00:00Z", "text", false)]).await;
        // The times are Monday 26, 23:30 and Tuesday 27, 08:00 in Bogotá, and one long ago.
        world
            .execute(
                "DELETE FROM responses; \
                 INSERT INTO responses VALUES \
                 ('7', 'a', 'person', '2024-08-27T04:30:00.000Z', 'x', '2024-08-27T04:30:00.000Z', \
                 '2024-08-27T04:31:00.000Z', 'y', 60, 60), \
                 ('7', 'b', 'person', '2024-08-27T13:00:00.000Z', 'x', '2024-08-27T13:00:00.000Z', \
                 '2024-08-27T13:00:05.000Z', 'y', 5, 5), \
                 ('7', 'c', 'person', '2024-08-27T13:59:59.999Z', 'x', '2024-08-27T13:59:59.999Z', \
                 '2024-08-27T14:00:09.999Z', 'y', 10, 10), \
                 ('7', 'd', 'person', '2023-08-27T13:59:59.999Z', 'x', '2023-08-27T13:59:59.999Z', \
                 '2023-08-27T14:00:09.999Z', 'y', 99, 99); \
                 UPDATE chats SET waiting_since = '2024-01-01T00:00:00.000Z', waiting_id = 'in', \
                 last_asked_at = '2024-01-01T00:00:00.000Z'",
            )
            .await;
        let responses = statistics.ask(&format!("responses?{DAYS}")).await;
        let data = &responses["data"];
        assert_eq!((&data["count"], &data["seconds"]), (&json!(3), &json!({"p50": 10, "p90": 60})));
        let hours = data["by_hour"].as_array().expect("the value is a list");
        assert_eq!(hours.len(), 24);
        assert_eq!(hours[8], json!({"hour": 8, "count": 2, "longer": 0, "seconds": {"p50": 5, "p90": 10}}));
        assert_eq!(hours[23], json!({"hour": 23, "count": 1, "longer": 0, "seconds": {"p50": 60, "p90": 60}}));
        assert_eq!(hours[4], json!({"hour": 4, "count": 0, "longer": 0, "seconds": {"p50": null, "p90": null}}));
        let weekdays = data["by_weekday"].as_array().expect("the value is a list");
        let counts: Vec<_> = weekdays.iter().map(|day| (&day["weekday"], &day["count"])).collect();
        assert_eq!(json!(counts), json!([[1, 1], [2, 2], [3, 0], [4, 0], [5, 0], [6, 0], [7, 0]]));
        let waiting = json!({"chats": 1, "longest_since": "2024-01-01T00:00:00Z", "longer": 0});
        assert_eq!((&responses["waiting_now"], &responses["within_seconds"]), (&waiting, &json!(null)));
        statistics.service.stop().await;
    })
    .await;
}

#[test]
async fn an_answer_to_a_new_question_is_not_as_late_as_a_thanks_of_days_ago() {
    on_both(async |world| {
        let statistics = StatisticsService::open(&world).await;
        // A question that is answered in 5 minutes, and a "thanks" that is not; four days later a question that is
        // answered in 10 minutes. Another one is never answered.
        let messages = [
            ("question", "2024-08-22T09:00:00-05:00", "text", false),
            ("answer", "2024-08-22T09:05:00-05:00", "text", true),
            ("thanks", "2024-08-22T09:06:00-05:00", "text", false),
            ("new question", "2024-08-26T15:00:00-05:00", "text", false),
            ("new answer", "2024-08-26T15:10:00-05:00", "text", true),
            ("another", "2024-08-26T16:00:00-05:00", "text", false),
        ];
        statistics.record("7", &messages).await;
        let long = "since=2024-08-20&until=2024-08-28&time_zone=America/Bogota";
        let seconds = 4 * 86_400 + 6 * 3_600 + 4 * 60;
        for (query, count, longer, p50, p90) in [
            (long.to_owned(), 2, 0, Some(300), Some(seconds)),
            (format!("{long}&within=24h"), 2, 0, Some(300), Some(600)),
            (format!("{long}&within=PT10M"), 2, 0, Some(300), Some(600)),
            (format!("{long}&within=9m"), 1, 1, Some(300), Some(300)),
            (format!("{long}&within=1m"), 0, 2, None, None),
            // A wait that counts from its last question began with that.
            (DAYS.to_owned(), 0, 0, None, None),
            (format!("{DAYS}&within=1d"), 1, 0, Some(600), Some(600)),
        ] {
            let responses = statistics.ask(&format!("responses?{query}")).await;
            let data = &responses["data"];
            let found = (&data["count"], &data["longer"], &data["seconds"]);
            assert_eq!(found, (&json!(count), &json!(longer), &json!({"p50": p50, "p90": p90})), "{query}");
        }
        let responses = statistics.ask(&format!("responses?{long}&within=24h")).await;
        assert_eq!(responses["within_seconds"], 86_400);
        assert_eq!(responses["waiting_now"], json!({"chats": 0, "longest_since": null, "longer": 1}));
        assert_eq!(responses["data"]["by_hour"][15]["count"], 1);
        statistics.service.stop().await;
    })
    .await;
}

#[test]
async fn the_busiest_hours_are_a_week_from_monday() {
    on_both(async |world| {
        let statistics = StatisticsService::open(&world).await;
        let messages = [
            ("sunday", "2024-08-25T23:00:00-05:00", "text", false),
            ("monday", "2024-08-26T00:59:59-05:00", "text", false),
            ("mine", "2024-08-26T00:00:00-05:00", "text", true),
        ];
        statistics.record("7", &messages).await;
        let hours = statistics.ask(&format!("hours?{DAYS}")).await;
        let (mut incoming, mut outgoing) = ([[0; 24]; 7], [[0; 24]; 7]);
        incoming[6][23] = 1;
        incoming[0][0] = 1;
        outgoing[0][0] = 1;
        assert_eq!(hours["data"], json!({"incoming": incoming, "outgoing": outgoing}));
        statistics.service.stop().await;
    })
    .await;
}

#[test]
async fn without_a_range_the_last_30_days_in_the_configured_zone_are_counted() {
    let world = World::new(Backend::Sqlite).await;
    let statistics = StatisticsService::open(&world).await;
    let answer = statistics.ask("messages").await;
    let days = answer["data"].as_array().expect("the value is a list");
    assert_eq!((days.len(), &answer["time_zone"]), (30, &json!("UTC")));
    assert_eq!((&days[0]["since"], &days[29]["until"]), (&answer["since"], &answer["until"]));
    assert!(answer["since"].as_str().expect("the value is text").ends_with("T00:00:00Z"), "{answer}");
    for query in ["delivery", "responses", "hours"] {
        assert_eq!(statistics.ask(query).await["since"], answer["since"]);
    }
    let until = statistics.ask("messages?until=2024-08-27").await;
    assert_eq!((&until["since"], &until["data"][29]["label"]), (&json!("2024-07-28T00:00:00Z"), &json!("2024-08-26")));
    statistics.service.stop().await;
}

#[test]
async fn a_range_that_cannot_be_counted_is_refused_by_name() {
    let world = World::new(Backend::Sqlite).await;
    let statistics = StatisticsService::open(&world).await;
    let token = statistics.service.token();
    for (query, code, detail) in [
        ("messages?by=month", "invalid_parameter", "by: expected hour, day or week"),
        ("messages?by=hour&since=2024-01-01&until=2024-05-01", "invalid_parameter", "by: hours are counted over"),
        ("delivery?by=hour&since=2024-01-01&until=2024-05-01", "invalid_parameter", "by: hours are counted over"),
        ("messages?since=2010-01-01&until=2024-05-01", "invalid_parameter", "since: it must be at most 10 years"),
        ("hours?since=2024-01-02&until=2024-01-02", "invalid_parameter", "since: it must be before until"),
        ("hours?since=2024-01-02&until=2024-01-01", "invalid_parameter", "since: it must be before until"),
        ("hours?since=9999-12-31T23:59:59Z", "invalid_parameter", "since: expected seconds"),
        ("hours?until=2024-02-30", "invalid_parameter", "until: expected seconds"),
        ("hours?until=253402300799000", "invalid_parameter", "until: expected seconds"),
        ("hours?time_zone=Bogota", "invalid_parameter", "time_zone: expected the name"),
        ("hours?by=day", "unknown_parameter", "by"),
        ("responses?limit=3", "unknown_parameter", "limit"),
        ("responses?within=24", "invalid_parameter", "within: expected a duration from 1m to 366d"),
        ("responses?within=59s", "invalid_parameter", "within: expected a duration from 1m to 366d"),
        ("responses?within=2y", "invalid_parameter", "within: expected a duration from 1m to 366d"),
        ("responses?within=", "invalid_parameter", "within: expected a duration from 1m to 366d"),
        ("hours?within=24h", "unknown_parameter", "within"),
        ("messages?since=1&since=2", "invalid_parameter", "since: it is given twice"),
    ] {
        let refused = statistics.ask_as(&token, query).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, code), "{query}");
        let text = refused.body["detail"].as_str().expect("the value is text");
        assert!(text.contains(detail), "{query}: {text}");
    }
    assert_eq!(statistics.ask_as(&token, "nothing").await.code(), "not_found");
    assert_eq!(statistics.ask("hours?until=-0").await["until"], "1970-01-01T00:00:00Z");
    statistics.service.stop().await;
}

#[test]
async fn a_token_counts_its_instances_only_and_others_are_as_if_they_did_not_exist() {
    on_both(async |world| {
        let statistics = StatisticsService::open(&world).await;
        for instance in ["7", "8", "-"] {
            statistics.record(instance, &[("in", "2024-08-26T12:00:00Z", "text", false)]).await;
            statistics.record(instance, &[("out", "2024-08-26T12:00:05Z", "text", true)]).await;
        }
        world
            .execute(
                "DELETE FROM responses; \
                 INSERT INTO responses SELECT instance_id, 'c', 'person', occurred_at, id, occurred_at, occurred_at, id, 5, 5 \
                 FROM messages WHERE from_me; \
                 UPDATE chats SET waiting_since = '2024-01-01T00:00:00.000Z', waiting_id = 'in', \
                 last_asked_at = '2024-01-01T00:00:00.000Z'",
            )
            .await;
        let token = token(&world, &["7"]).await;
        let ask = async |query: &str| statistics.ask_as(token.text(), query).await.body;
        assert_eq!(ask(&format!("messages?{DAYS}")).await["data"][1]["incoming"], 1);
        assert_eq!(ask(&format!("delivery?{DAYS}")).await["data"]["total"], 1);
        assert_eq!(ask(&format!("hours?{DAYS}")).await["data"]["incoming"][0][7], 1);
        let responses = ask(&format!("responses?{DAYS}")).await;
        assert_eq!((&responses["data"]["count"], &responses["waiting_now"]["chats"]), (&json!(1), &json!(1)));
        for statistic in ["messages", "delivery", "hours", "responses"] {
            let own = ask(&format!("{statistic}?{DAYS}&instance_id=7")).await;
            let of = async |instance: &str| {
                let mut answer = ask(&format!("{statistic}?{DAYS}&instance_id={instance}")).await;
                assert_eq!(answer["instance_id"].take(), instance);
                answer
            };
            let unknown = of("unknown").await;
            assert_ne!(own["data"], unknown["data"]);
            assert_eq!(of("8").await, unknown);
            assert_eq!(of("-").await, unknown);
        }
        statistics.service.stop().await;
    })
    .await;
}
