//! What a server does not take for another that writes beside it is written again; what it may have taken is told as unknown.

use crate::harness::{Harness, Heard, SECRET, open};
use crate::server::server;
use domain::business::Retention;
use domain::delivery::DeliveryStatus;
use domain::retry::Verdict;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::call::CallFilter;
use store::queue::{OutcomeApplied, QueueStore};
use store::{StoreError, StoreResult};
use tokio::time::Instant;

/// Has the server refuse each write of a kind so often, as if another had been in its way.
fn refuse(h: &Harness, times: u32, write: &str, code: &str) {
    server().run(&format!(
        "SET search_path TO {schema}; CREATE SEQUENCE tries;
        CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql SET search_path TO {schema} AS $$ BEGIN
            IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '{code}'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE {write} FOR EACH ROW EXECUTE FUNCTION refuse();",
        schema = h.place.schema()
    ));
}

/// Waits until the server says yes.
fn wait_for(asked: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while server().ask(asked) != "t" {
        assert!(Instant::now() < deadline, "this did not come true: {asked}");
    }
}

/// Whether a session runs something in which these words stand.
fn runs(words: &str) -> String {
    format!(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{words}%' AND pid <> pg_backend_pid()"
    )
}

async fn calls(h: &Harness) -> usize {
    h.store.list_calls(h.business, CallFilter::default(), None, 100).await.unwrap().rows.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_meet_a_conflict_are_written_again() {
    for code in ["40001", "40P01"] {
        let h = Harness::start().await;
        let flow = h.flow(|_| {}).await;
        h.planned(&flow).await;
        refuse(&h, 3, "INSERT ON calls", code);
        let answers = join_all((0..20).map(|_| h.report(h.call(flow.id)))).await;
        assert!(answers.iter().all(Result::is_ok), "{code}: {answers:?}");
        assert_eq!((calls(&h).await, h.take_planned().len()), (21, 20), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_that_meet_a_conflict_are_written_again() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let [first, second] = [h.planned(&flow).await.1, h.planned(&flow).await.1];
    refuse(&h, 3, "UPDATE ON deliveries", "40001");
    let outcomes = [first, second].map(|pending| h.outcome(pending, 1, Verdict::Delivered));
    let applied = h.store.record_outcomes(Arc::new(outcomes.to_vec())).await.unwrap();
    assert_eq!(applied, [OutcomeApplied::Ended, OutcomeApplied::Ended]);
    let detail = h.store.delivery(h.business, first.id).await.unwrap();
    assert_eq!((detail.delivery.status, detail.attempts.len()), (DeliveryStatus::Delivered, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_does_not_end_is_told_and_writes_nothing() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    h.planned(&flow).await;
    refuse(&h, 1_000, "INSERT ON calls", "40001");
    let refused = h.report(h.call(flow.id)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert_eq!((calls(&h).await, h.take_planned().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_wait_for_each_other_callhook_comes_again() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let [first, second] = [h.planned(&flow).await.1, h.planned(&flow).await.1];
    let id = |pending: store::queue::Pending| format!("'\\x{}'", pending.id.to_string().replace('-', ""));
    // Outcomes lock rows in the order of their keys; this is somebody else, who does not, and who sees later than callhook that they wait for
    // each other.
    let other = format!(
        "SET search_path TO {}; SET deadlock_timeout TO '30s'; BEGIN;
        UPDATE deliveries SET reason = NULL WHERE id = {};
        DO $$ BEGIN
            WHILE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'callhook' AND wait_event_type = 'Lock') LOOP
                PERFORM pg_sleep(0.02), 'somebody else', pg_stat_clear_snapshot();
            END LOOP;
        END $$;
        UPDATE deliveries SET reason = NULL WHERE id = {}; COMMIT",
        h.place.schema(),
        id(second),
        id(first)
    );
    let other = tokio::task::spawn_blocking(move || server().run(&other));
    wait_for(&runs("somebody else"));
    let outcomes = [first, second].map(|pending| h.outcome(pending, 1, Verdict::Delivered));
    let applied = h.store.record_outcomes(Arc::new(outcomes.to_vec())).await.unwrap();
    assert_eq!(applied, [OutcomeApplied::Ended, OutcomeApplied::Ended]);
    other.await.unwrap();
    assert_eq!(server().log().matches("deadlock detected").count(), 1);
}

/// Has the server wait for this standby from now on, which its checkpointer has to hear of.
fn wait_for_standby(name: &str) {
    let set =
        format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'; SELECT pg_reload_conf(); CHECKPOINT");
    server().run(&set);
    std::thread::sleep(Duration::from_millis(300));
}

/// What is answered to a write whose commit the server breaks off while it waits for a standby that is not there.
async fn unconfirmed<T>(write: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
    wait_for_standby("nobody");
    let breaking_off = tokio::task::spawn_blocking(|| {
        let break_off = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query NOT LIKE '%beat%'";
        let deadline = Instant::now() + Duration::from_secs(10);
        while server().ask(break_off) == "0" {
            assert!(Instant::now() < deadline, "nothing waits for a standby");
        }
    });
    let (answer, broken_off) = tokio::join!(write, breaking_off);
    broken_off.unwrap();
    wait_for_standby("");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_no_standby_confirmed_is_told_as_unknown() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    h.planned(&flow).await;
    let unknown = || h.heard.unknown.load(Ordering::SeqCst);
    let answer = unconfirmed(h.report(h.call(flow.id))).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    assert_eq!(unknown(), 1, "whoever sends has to look for it");
    assert!(h.take_planned().is_empty());
    assert_eq!(h.store.lane_heads(h.world.now_before(Duration::ZERO), None, 10).await.unwrap().len(), 1);
    assert_eq!(calls(&h).await, 2, "it was on disk all the same");
    let answer = unconfirmed(h.store.set_retention(h.business, |_| Ok(Retention::default()))).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "step by step as well: {:?}", answer.err());
    assert_eq!(unknown(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reports_waits_for_no_standby_longer_than_it_is_worth_and_what_is_confirmed_later_is_sent() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    h.planned(&flow).await;
    wait_for_standby("nobody");
    let began = Instant::now();
    // The second waits behind the first: nothing of it has begun.
    let answers = tokio::join!(h.report(h.call(flow.id)), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        h.report(h.call(flow.id)).await
    });
    for answer in [answers.0, answers.1] {
        assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    wait_for_standby("");
    h.store.check().await.unwrap();
    assert_eq!((calls(&h).await, h.take_planned().len()), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_somebody_holds_are_not_waited_for_for_ever() {
    let h = Harness::start().await;
    let schema = h.place.schema().to_owned();
    let Harness { store, world, place, .. } = h;
    drop(store);
    // As if the last step, which changes what tables are set to, had not been made.
    let last = server().ask(&format!("SELECT name FROM {schema}.migrations ORDER BY number DESC LIMIT 1"));
    let hold = format!(
        "SET search_path TO {schema}; DELETE FROM migrations WHERE name = '{last}'; BEGIN;
        LOCK TABLE tombstones IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_sleep(60), 'held by somebody'; COMMIT"
    );
    let holding = std::thread::spawn(move || server().ask(&hold));
    wait_for(&runs("held by somebody"));
    let refused = open(&place, &world, &Arc::new(Heard::default()), SECRET).await.err().unwrap();
    let words = refused.to_string();
    assert!(words.contains(&last) && words.contains("pg_locks"), "{words}");
    server().run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%held by somebody%' AND pid <> pg_backend_pid()");
    assert!(holding.join().is_err(), "it was broken off");
    open(&place, &world, &Arc::new(Heard::default()), SECRET).await.unwrap();
}
