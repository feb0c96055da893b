//! How the work stands: what pages show of a business before anything else, read from its newest rows.

use crate::harness::Harness;
use domain::Timestamp;
use domain::attribution::Attribution;
use domain::call::{CallStatus, EndedCall};
use domain::call_flow::CallFlow;
use domain::retry::Verdict;
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::Duration;
use store::call_flow::CallFlowSettings;
use store::delivery::{BEATS_MAX, Beat, FAILING_MAX, ToBeSentAgain, WorkState};
use store::queue::QueueStore as _;

/// Reports a call and ends its first attempt so; `None` leaves it untried.
async fn beat(h: &Harness, flow: &CallFlow, verdict: Option<Verdict>) {
    h.world.advance(Duration::from_secs(1));
    let (_, pending, _) = h.planned(flow).await;
    if let Some(verdict) = verdict {
        h.store.record_outcomes(Arc::new(vec![h.outcome(pending, 1, verdict)])).await.unwrap();
    }
}

async fn state(h: &Harness) -> WorkState {
    h.store.work_state(h.business, Vec::new()).await.unwrap()
}

#[tokio::test]
async fn a_flow_fails_since_its_first_failure_after_a_success() {
    let h = Harness::start().await;
    let (failing, well) = (h.flow(|_| {}).await, h.flow(|_| {}).await);
    assert_eq!(state(&h).await, WorkState::default());
    beat(&h, &failing, Some(Verdict::Failed)).await;
    beat(&h, &failing, Some(Verdict::Delivered)).await;
    beat(&h, &failing, Some(Verdict::Failed)).await;
    let since = h.world.now_before(Duration::ZERO);
    let retry_at = since.after(Duration::from_secs(30));
    beat(&h, &failing, Some(Verdict::RetryAt(retry_at))).await;
    beat(&h, &failing, None).await;
    beat(&h, &well, Some(Verdict::Failed)).await;
    beat(&h, &well, Some(Verdict::Delivered)).await;
    let found = state(&h).await.failing;
    assert_eq!(found.len(), 1, "{found:?}");
    // What has failed for good is not sent again by itself, and what was not tried yet not again.
    let again = h.store.to_be_sent_again(h.business).await.unwrap();
    assert_eq!(again, ToBeSentAgain { count: 1, may_be_more: false });
    assert_eq!((&found[0].name, found[0].pulse.failing_since), (&failing.name, Some(since)));
    let [first, second] = &h.store.pulses(h.business, vec![failing.id, well.id]).await.unwrap()[..] else {
        panic!()
    };
    assert_eq!(first.beats, [Beat::Waiting, Beat::Failed, Beat::Failed, Beat::Delivered, Beat::Failed]);
    assert_eq!((second.beats.len(), second.failing_since), (2, None));
    beat(&h, &failing, Some(Verdict::Delivered)).await;
    assert_eq!(state(&h).await.failing, []);
}

#[tokio::test]
async fn of_very_many_that_fail_so_many_are_told_of_as_are_named() {
    let h = Harness::start().await;
    for _ in 0..=FAILING_MAX {
        let flow = h.flow(|_| {}).await;
        beat(&h, &flow, Some(Verdict::Failed)).await;
    }
    assert_eq!(state(&h).await.failing.len(), FAILING_MAX);
}

#[tokio::test]
async fn what_nobody_wants_any_more_fails_no_more() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    beat(&h, &flow, Some(Verdict::Failed)).await;
    assert_eq!(state(&h).await.failing.len(), 1);
    let mut settings = CallFlowSettings::from(&flow);
    settings.post_call_webhook.enabled = false;
    h.store.update_call_flow(h.business, flow.id, move |_| Ok(settings.clone())).await.unwrap();
    assert_eq!(state(&h).await.failing, []);
}

#[tokio::test]
async fn the_oldest_that_is_due_is_found_and_what_waits_for_its_time_is_not_late() {
    let h = Harness::start().await;
    let (flow, waiting) = (h.flow(|_| {}).await, h.waiting_flow().await);
    h.planned(&waiting).await;
    let due_at = h.world.now_before(Duration::ZERO);
    let (_, pending, _) = h.planned(&flow).await;
    h.world.advance(Duration::from_mins(1));
    assert_eq!(state(&h).await.oldest_due_at, Some(due_at));
    let retry_at = h.world.now_before(Duration::ZERO).after(Duration::from_secs(30));
    let outcome = h.outcome(pending, 1, Verdict::RetryAt(retry_at));
    h.store.record_outcomes(Arc::new(vec![outcome])).await.unwrap();
    assert_eq!(state(&h).await.oldest_due_at, None);
}

/// Reports so many calls at once and ends their first attempts so.
async fn beats(h: &Harness, flow: &CallFlow, count: usize, verdict: Verdict) {
    h.world.advance(Duration::from_secs(1));
    try_join_all((0..count).map(|_| h.report(h.call(flow.id)))).await.unwrap();
    let outcome = |(pending, _)| h.outcome(pending, 1, verdict);
    h.store.record_outcomes(Arc::new(h.take_planned().into_iter().map(outcome).collect())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_wait_for_late_retries_hide_neither_what_is_due_nor_what_fails() {
    const MANY: usize = 210;
    let h = Harness::start().await;
    let (quiet, busy) = (h.flow(|settings| settings.name = "Quiet".into()).await, h.flow(|_| {}).await);
    let late = Verdict::RetryAt(h.world.now_before(Duration::ZERO).after(Duration::from_hours(1)));
    beats(&h, &quiet, 1, Verdict::Failed).await;
    beats(&h, &busy, MANY, late).await;
    beat(&h, &busy, None).await;
    let due_at = h.world.now_before(Duration::ZERO);
    beats(&h, &busy, MANY, late).await;
    beats(&h, &busy, MANY, Verdict::Failed).await;
    let found = state(&h).await;
    assert_eq!(found.oldest_due_at, Some(due_at));
    let names: Vec<_> = found.failing.iter().map(|failing| failing.name.as_str()).collect();
    assert_eq!(names, [busy.name.as_str(), "Quiet"]);
    // Nor do many that were not tried yet.
    for _ in 0..BEATS_MAX + 5 {
        beat(&h, &quiet, None).await;
    }
    assert_eq!(state(&h).await.failing.len(), 2);
    // Where nothing was tried that is on record, those who send know.
    let fresh = h.flow(|settings| settings.name = "Fresh".into()).await;
    let (_, pending, _) = h.planned(&fresh).await;
    let in_vain = h.store.work_state(h.business, vec![pending.lane]).await.unwrap().failing;
    assert_eq!((state(&h).await.failing.len(), in_vain.len()), (2, 3));
    // Nor do more than are looked through, once they are due and not tried: the last that ended says it then.
    try_join_all((0..2_100).map(|_| h.report(h.call(busy.id)))).await.unwrap();
    h.take_planned();
    h.world.advance(Duration::from_mins(1));
    assert_eq!(state(&h).await.failing.len(), 2);
    // What failed a day ago and was not tried since fails no more.
    h.world.advance(Duration::from_hours(25));
    beat(&h, &busy, Some(Verdict::Delivered)).await;
    assert_eq!(state(&h).await.failing, []);
}

#[tokio::test]
async fn only_the_last_deliveries_of_a_flow_are_looked_at_and_no_others_business() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    for _ in 0..BEATS_MAX + 5 {
        beat(&h, &flow, Some(Verdict::Failed)).await;
    }
    assert_eq!(h.store.pulses(h.business, vec![flow.id]).await.unwrap()[0].beats.len(), BEATS_MAX);
    let other = h.store.create_business("other".to_owned(), domain::phone_number::Country::US).await.unwrap();
    assert_eq!(h.store.work_state(other.id, Vec::new()).await.unwrap(), WorkState::default());
    assert_eq!(h.store.pulses(other.id, vec![flow.id]).await.unwrap()[0].beats, []);
}

#[tokio::test]
async fn calls_are_counted_by_source_and_status_within_their_span() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let since = h.world.now_before(Duration::ZERO);
    for (source, status) in
        [("google", CallStatus::Completed), ("google", CallStatus::Busy), ("bing", CallStatus::Completed)]
    {
        h.world.advance(Duration::from_secs(1));
        let attribution = Attribution { source: Some(source.to_owned()), ..Attribution::default() };
        h.report(EndedCall { status, attribution, ..h.call(flow.id) }).await.unwrap();
    }
    let until = h.world.now_before(Duration::ZERO);
    let count = async |since, until, most| {
        let counted = h.store.count_calls(h.business, since, until, most).await.unwrap();
        let mut counted: Vec<_> = counted
            .into_iter()
            .map(|one| (one.source.unwrap_or_default(), one.status.as_str(), one.count))
            .collect();
        counted.sort();
        counted
    };
    let google = |status, count| ("google".to_owned(), status, count);
    assert_eq!(
        count(since, until, 10).await,
        [google("busy", 1), google("completed", 1)],
        "the last is not before its time"
    );
    let later = until.after(Duration::from_secs(1));
    assert_eq!(count(since, later, 10).await.len(), 3);
    assert_eq!(
        count(since, later, 2).await,
        [("bing".to_owned(), "completed", 1), google("busy", 1)],
        "the latest"
    );
    let statistics = h.store.ended_deliveries(h.business, since, None, None, 15).await.unwrap();
    assert!(statistics.pending.is_empty() && statistics.ended.is_empty());
}

#[tokio::test]
async fn what_ended_is_counted_once_where_two_spans_meet() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let since = h.world.now_before(Duration::ZERO);
    beat(&h, &flow, Some(Verdict::Delivered)).await;
    h.world.advance(Duration::from_mins(2));
    let minute = h.world.now_before(Duration::ZERO).as_millis() / 60_000;
    let until = Timestamp::from_millis(minute * 60_000);
    beat(&h, &flow, Some(Verdict::Failed)).await;
    let before = h.store.ended_deliveries(h.business, since, Some(until), None, 15).await.unwrap();
    let after = h.store.ended_deliveries(h.business, until, None, None, 15).await.unwrap();
    assert_eq!((before.ended, after.ended), ([("delivered", 1)].into(), [("failed", 1)].into()));
}
