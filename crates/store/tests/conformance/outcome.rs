//! Attempts and what follows from them: applied once, late where the delivery changed, never lost.

use crate::harness::{Harness, new};
use domain::World as _;
use domain::delivery::DeliveryStatus;
use domain::retry::Verdict;
use std::sync::Arc;
use std::time::Duration;
use store::queue::{OutcomeApplied, QueueStore};

#[tokio::test]
async fn a_success_delivers_and_the_attempt_is_on_record() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    h.world.advance(Duration::from_millis(500));
    let outcome = h.outcome(pending, 1, Verdict::Delivered);
    assert_eq!(
        h.store.record_outcomes(Arc::new(vec![outcome.clone()])).await.unwrap(),
        [OutcomeApplied::Ended]
    );
    let detail = h.store.delivery(h.business, pending.id).await.unwrap();
    assert_eq!((detail.delivery.status, detail.delivery.attempt_count), (DeliveryStatus::Delivered, 1));
    assert_eq!((detail.delivery.delivered_at, detail.delivery.next_attempt_at), (Some(h.world.now()), None));
    assert_eq!(detail.attempts, [outcome.attempt]);
}

#[tokio::test]
async fn a_failure_plans_the_next_attempt_and_the_last_one_fails() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    let retry_at = h.world.now().after(Duration::from_secs(30));
    let applied = h
        .store
        .record_outcomes(Arc::new(vec![h.outcome(pending, 1, Verdict::RetryAt(retry_at))]))
        .await
        .unwrap();
    let OutcomeApplied::Next(next) = applied[0] else { panic!("{applied:?}") };
    assert_eq!((next.due_at, next.version), (retry_at, pending.version + 1));
    let delivery = h.store.delivery(h.business, pending.id).await.unwrap().delivery;
    assert_eq!((delivery.status, delivery.next_attempt_at), (DeliveryStatus::Scheduled, Some(retry_at)));
    assert_eq!((delivery.last_status_code, delivery.last_error.as_deref()), (Some(503), Some("http_503")));
    h.store.record_outcomes(Arc::new(vec![h.outcome(next, 2, Verdict::Failed)])).await.unwrap();
    let delivery = h.store.delivery(h.business, pending.id).await.unwrap().delivery;
    assert_eq!((delivery.status, delivery.attempt_count), (DeliveryStatus::Failed, 2));
}

#[tokio::test]
async fn the_names_of_headers_are_kept_with_the_attempt_that_had_them() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    let with = h.outcome(pending, 1, Verdict::RetryAt(h.world.now()));
    let applied = h.store.record_outcomes(Arc::new(vec![with])).await.unwrap();
    let OutcomeApplied::Next(next) = applied[0] else { panic!("{applied:?}") };
    let mut without = h.outcome(next, 2, Verdict::Delivered);
    without.attempt.header_names = Some(Vec::new());
    h.store.record_outcomes(Arc::new(vec![without])).await.unwrap();
    let attempts = h.store.delivery(h.business, pending.id).await.unwrap().attempts;
    assert_eq!(attempts[0].header_names.as_deref(), Some(&["X-Token".to_owned()][..]));
    assert_eq!(attempts[1].header_names.as_deref(), Some(&[][..]));
}

#[tokio::test]
async fn an_outcome_that_is_given_again_changes_nothing() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    let retry_at = h.world.now().after(Duration::from_secs(30));
    let outcome = h.outcome(pending, 1, Verdict::RetryAt(retry_at));
    let first = h.store.record_outcomes(Arc::new(vec![outcome.clone()])).await.unwrap();
    let again = h.store.record_outcomes(Arc::new(vec![outcome])).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(h.store.delivery(h.business, pending.id).await.unwrap().attempts.len(), 1);
}

#[tokio::test]
async fn a_success_after_a_cancellation_is_delivered_all_the_same() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    new(h.store.cancel_delivery(h.business, None, pending.id).await);
    let applied =
        h.store.record_outcomes(Arc::new(vec![h.outcome(pending, 1, Verdict::Delivered)])).await.unwrap();
    assert_eq!(applied, [OutcomeApplied::Late]);
    let detail = h.store.delivery(h.business, pending.id).await.unwrap();
    assert_eq!((detail.delivery.status, detail.delivery.reason), (DeliveryStatus::Delivered, None));
    assert_eq!(detail.attempts.len(), 1);
}

#[tokio::test]
async fn a_failure_after_a_cancellation_is_on_record_and_stays_cancelled() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    new(h.store.cancel_delivery(h.business, None, pending.id).await);
    let retry_at = h.world.now().after(Duration::from_secs(30));
    let applied = h
        .store
        .record_outcomes(Arc::new(vec![h.outcome(pending, 1, Verdict::RetryAt(retry_at))]))
        .await
        .unwrap();
    assert_eq!(applied, [OutcomeApplied::Late]);
    let detail = h.store.delivery(h.business, pending.id).await.unwrap();
    assert_eq!((detail.delivery.status, detail.delivery.attempt_count), (DeliveryStatus::Cancelled, 1));
    assert_eq!(detail.attempts.len(), 1);
}

#[tokio::test]
async fn an_outcome_under_an_old_epoch_plans_and_ends_nothing() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    let outcome = h.outcome(pending, 1, Verdict::Delivered);
    h.store.adopt_queues().await.unwrap();
    assert_eq!(h.store.record_outcomes(Arc::new(vec![outcome])).await.unwrap(), [OutcomeApplied::Late]);
    let detail = h.store.delivery(h.business, pending.id).await.unwrap();
    assert_eq!((detail.delivery.status, detail.attempts.len()), (DeliveryStatus::Scheduled, 1));
}

#[tokio::test]
async fn an_outcome_of_an_erased_call_is_no_error() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (recorded, pending, _) = h.planned(&flow).await;
    h.store.erase_call(h.business, recorded.call.id).await.unwrap();
    let applied =
        h.store.record_outcomes(Arc::new(vec![h.outcome(pending, 1, Verdict::Delivered)])).await.unwrap();
    assert_eq!(applied, [OutcomeApplied::Gone]);
}

#[tokio::test]
async fn what_ended_is_counted() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let mut outcomes = Vec::new();
    for verdict in [Verdict::Delivered, Verdict::Delivered, Verdict::Failed] {
        let (_, pending, _) = h.planned(&flow).await;
        outcomes.push(h.outcome(pending, 1, verdict));
    }
    h.store.record_outcomes(Arc::new(outcomes)).await.unwrap();
    let (_, pending, _) = h.planned(&flow).await;
    new(h.store.cancel_delivery(h.business, None, pending.id).await);
    h.planned(&flow).await;
    let since = h.world.now().before(Duration::from_hours(1));
    let statistics = h.store.delivery_statistics(h.business, since, Some(flow.id), 1).await.unwrap();
    let ended = ["delivered", "failed", "cancelled"].map(|status| statistics.ended.get(status).copied());
    assert_eq!(ended, [Some(2), Some(1), Some(1)]);
    assert_eq!(statistics.pending["scheduled"], 1);
    assert!((40..=44).contains(&statistics.latency.percentile_ms(95).unwrap()));
    assert_eq!(statistics.series.len(), 1);
}
