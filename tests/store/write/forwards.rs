use std::sync::Arc;
use std::time::Duration;

use buzon::domain::forward::ForwardName;
use buzon::domain::forward::cursor::ForwardCursor;
use buzon::domain::forward::retry::AttemptTally;
use buzon::domain::instance::InstanceId;
use buzon::domain::time::timestamp::Timestamp;
use buzon::store::{
    FailureState, ForwardClaim, ForwardCounts, ForwardFailure, ForwardReport, ForwardSave, ForwardState, ReplayState,
    ResumeFrom, Store,
};
use serde_json::json;

use crate::support::clock::{ARRIVAL, later};
use crate::support::database::world::{on_both, record};
use crate::support::events::{ack, event, received, sent};

const LEASE: Duration = Duration::from_secs(30);

fn bot() -> ForwardName {
    ForwardName::new("bot").expect("it is a name")
}

async fn claim(store: &Arc<dyn Store>, now: Timestamp) -> Option<ForwardState> {
    let claim = ForwardClaim { name: bot(), now, lease_until: now + LEASE, lease_absurd_after: now + LEASE * 10 };
    store.claim_forward(&claim).await.expect("the store answers")
}

async fn report(store: &Arc<dyn Store>) -> ForwardReport {
    store.forwards().await.expect("the store answers").pop().expect("there is one")
}

fn save(state: &ForwardState, cursor: ForwardCursor) -> ForwardSave {
    ForwardSave {
        name: bot(),
        lease_token: state.lease_token,
        revision: state.revision,
        lease_until: Some(ARRIVAL + LEASE),
        cursor,
        replay: state.replay.clone(),
        stopped: None,
        counts: ForwardCounts::default(),
        failures: vec![],
        settled: vec![],
    }
}

fn failure(seq: i64, state: FailureState) -> ForwardFailure {
    ForwardFailure {
        seq,
        state,
        tally: AttemptTally { attempts: 3, timeouts: 1, refusals: 2 },
        replay: false,
        even_old: true,
        last_failed_at: ARRIVAL,
        next_attempt_at: later(2_000),
        class: "status".to_owned(),
        status: Some(503),
        error: "ñ".to_owned(),
    }
}

/// Stores four messages of one person.
async fn four(store: &Arc<dyn Store>) {
    let events = ["A", "B", "C", "D"].map(|id| event("7", received(id, json!({})), ARRIVAL));
    record(store, &events).await;
}

#[test]
async fn a_new_forward_begins_after_the_latest_event_and_is_registered_once() {
    on_both(async |world| {
        let store = world.open().await;
        four(&store).await;
        store.register_forward(&bot()).await.expect("the store answers");
        record(&store, &[event("7", received("E", json!({})), later(1))]).await;
        store.register_forward(&bot()).await.expect("the store answers");
        let report = report(&store).await;
        assert_eq!((report.position, report.lag_events, report.lag_since), (4, 1, Some(later(1))));
        assert_eq!(report.lag_seconds(later(2_001)), 2.0);
        store.close().await;
    })
    .await;
}

#[test]
async fn a_lease_is_held_by_one_until_it_ends_and_whoever_has_lost_it_writes_nothing() {
    on_both(async |world| {
        let store = world.open().await;
        store.register_forward(&bot()).await.expect("the store answers");
        four(&store).await;
        let first = claim(&store, ARRIVAL).await.expect("it is free");
        assert!(claim(&store, later(29_999)).await.is_none());
        let second = claim(&store, later(30_000)).await.expect("the lease is over");
        let late = save(&first, ForwardCursor::new(4, []));
        assert_eq!(store.save_forward(&late).await.expect("the store answers"), None);
        assert_eq!(report(&store).await.position, 0);
        let over = ForwardSave { lease_until: None, ..save(&second, ForwardCursor::new(2, [])) };
        let signal = store.save_forward(&over).await.expect("the store answers").expect("it is held");
        assert_eq!((signal.paused, signal.lease_until), (false, None));
        let third = claim(&store, ARRIVAL).await.expect("it was given back");
        assert_eq!(third.cursor.position(), 2);
        assert!(claim(&store, ARRIVAL - LEASE * 20).await.is_some(), "a lease of a wrong clock does not count");
        store.close().await;
    })
    .await;
}

#[test]
async fn progress_failures_and_counts_are_kept() {
    on_both(async |world| {
        let store = world.open().await;
        store.register_forward(&bot()).await.expect("the store answers");
        four(&store).await;
        let state = claim(&store, ARRIVAL).await.expect("it is free");
        let mut cursor = ForwardCursor::new(0, []);
        assert!([1, 2, 3, 4].into_iter().all(|seq| cursor.open(seq)));
        cursor.close(1);
        cursor.close(3);
        let progress = ForwardSave {
            stopped: Some((later(7), "status 401".to_owned())),
            counts: ForwardCounts { delivered: 2, stale: 1, given_up: 1 },
            failures: vec![failure(2, FailureState::Waiting), failure(4, FailureState::Dead)],
            ..save(&state, cursor)
        };
        for _ in 0..2 {
            store.save_forward(&progress).await.expect("the store answers").expect("it is held");
        }
        let report = report(&store).await;
        assert_eq!((report.delivered, report.stale, report.given_up, report.waiting, report.dead), (4, 2, 2, 1, 1));
        assert_eq!((report.stopped_since, report.stopped_reason.as_deref()), (Some(later(7)), Some("status 401")));
        let failures = async |state| store.forward_failures(&bot(), state, 10).await.expect("the store answers");
        assert_eq!(failures(None).await, [failure(2, FailureState::Waiting), failure(4, FailureState::Dead)]);
        assert_eq!(failures(Some(FailureState::Dead)).await, [failure(4, FailureState::Dead)]);
        let state = claim(&store, later(30_000)).await.expect("the lease is over");
        assert_eq!((state.cursor.position(), state.cursor.done()), (1, vec![3]));
        assert_eq!(state.stopped, Some((later(7), "status 401".to_owned())));
        let settled = ForwardSave { settled: vec![2], ..save(&state, ForwardCursor::new(4, [])) };
        store.save_forward(&settled).await.expect("the store answers").expect("it is held");
        assert_eq!(store.retry_forward(&bot(), false, later(9)).await.expect("the store answers"), 0);
        assert_eq!(store.retry_forward(&bot(), true, later(9)).await.expect("the store answers"), 1);
        let due = ForwardFailure {
            tally: AttemptTally { attempts: 3, timeouts: 0, refusals: 0 },
            next_attempt_at: later(9),
            ..failure(4, FailureState::Waiting)
        };
        assert_eq!(failures(None).await, [due]);
        store.close().await;
    })
    .await;
}

#[test]
async fn a_pause_a_resumption_and_a_replay_are_seen_by_whoever_holds_the_lease() {
    on_both(async |world| {
        let store = world.open().await;
        store.register_forward(&bot()).await.expect("the store answers");
        four(&store).await;
        let state = claim(&store, ARRIVAL).await.expect("it is free");
        let done = save(&state, ForwardCursor::new(3, []));
        assert!(!store.save_forward(&done).await.expect("the store answers").expect("it is held").paused);
        assert!(store.replay_forward(&bot(), 1, true).await.expect("the store answers"));
        assert!(!store.replay_forward(&bot(), 1, true).await.expect("the store answers"), "one at a time");
        let signal = store.save_forward(&done).await.expect("the store answers").expect("it is held");
        assert_ne!(signal.revision, state.revision);
        assert!(report(&store).await.replaying, "a save of before leaves the replay alone");
        assert!(store.pause_forward(&bot()).await.expect("the store answers"));
        let over = ForwardSave { lease_until: None, ..done };
        assert!(store.save_forward(&over).await.expect("the store answers").expect("it is held").paused);
        assert!(claim(&store, later(60_000)).await.is_none(), "it is paused");
        assert!(store.resume_forward(&bot(), ResumeFrom::Position).await.expect("the store answers"));
        let state = claim(&store, ARRIVAL).await.expect("it is free");
        let replay = ReplayState { cursor: ForwardCursor::new(1, []), until: 3, even_old: true };
        assert_eq!((state.cursor.position(), state.replay), (3, Some(replay)));
        assert!(store.resume_forward(&bot(), ResumeFrom::Now).await.expect("the store answers"));
        let state = claim(&store, ARRIVAL).await.expect("the lease was taken away");
        assert_eq!((state.cursor.position(), state.replay), (4, None));
        let unknown = ForwardName::new("bit").expect("it is a name");
        assert!(!store.pause_forward(&unknown).await.expect("the store answers"));
        store.close().await;
    })
    .await;
}

#[test]
async fn the_latest_ten_thousand_that_were_given_up_are_kept() {
    on_both(async |world| {
        let store = world.open().await;
        store.register_forward(&bot()).await.expect("the store answers");
        let state = claim(&store, ARRIVAL).await.expect("it is free");
        let failures = (1..=10_003).map(|seq| failure(seq, FailureState::Dead)).collect();
        let all = ForwardSave { failures, ..save(&state, ForwardCursor::new(0, [])) };
        store.save_forward(&all).await.expect("the store answers").expect("it is held");
        assert_eq!(world.value("SELECT count(*), min(seq) FROM forward_failures").await, "10000|4");
        store.close().await;
    })
    .await;
}

#[test]
async fn events_are_read_with_the_conversation_of_their_message_and_acks_with_their_owner() {
    on_both(async |world| {
        let store = world.open().await;
        let mut handed_on = event("7", received("F", json!({})), ARRIVAL);
        handed_on.forwarded = true;
        let events = [
            event("7", sent("A", json!({})), ARRIVAL),
            event("7", ack("A", "read"), ARRIVAL),
            event("-", ack("A", "delivered"), ARRIVAL),
            handed_on,
            event("7", "not JSON", ARRIVAL),
        ];
        record(&store, &events).await;
        let heads = store.ledger_heads(0, 5, 10).await.expect("the store answers");
        let chat = Some("573001112233@c.us");
        let chats: Vec<Option<&str>> = heads.iter().map(|head| head.chat_id.as_deref()).collect();
        assert_eq!(chats, [chat, chat, None, chat, None]);
        assert_eq!(heads.iter().map(|head| head.forwarded).collect::<Vec<_>>(), [false, false, false, true, false]);
        assert_eq!((heads[4].state.as_str(), heads[4].reason.as_deref()), ("quarantined", Some("not_json")));
        assert_eq!((heads[4].size, heads[4].signed), (Some(8), true));
        let owners = store.ack_owners(&["A".to_owned()]).await.expect("the store answers");
        assert_eq!((owners.len(), &owners[0].instance_id), (1, &InstanceId::from_store("7")));
        assert_eq!(owners[0].chat_id.as_deref(), chat);
        let seqs = async |after, until, limit| {
            let heads = store.ledger_heads(after, until, limit).await.expect("the store answers");
            heads.into_iter().map(|head| head.seq).collect::<Vec<_>>()
        };
        assert_eq!((seqs(1, 4, 10).await, seqs(0, 5, 2).await), (vec![2, 3, 4], vec![1, 2]));
        let of: Vec<i64> =
            store.ledger_heads_of(&[5, 2, 9]).await.expect("the store answers").iter().map(|head| head.seq).collect();
        assert_eq!(of, [2, 5]);
        assert_eq!(store.ledger_bodies(&[5, 9]).await.expect("the store answers"), [(5, b"not JSON".to_vec())]);
        store.close().await;
    })
    .await;
}
