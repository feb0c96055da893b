//! Sending again: a new series of the same delivery, from an ended state only.

use crate::harness::{Harness, new};
use domain::World;
use domain::business::{Retention, RetentionDays};
use domain::call_flow::CallFlow;
use domain::delivery::DeliveryStatus;
use domain::id::DeliveryId;
use domain::retry::Verdict;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use store::call_flow::CallFlowSettings;
use store::delivery::{DeliveryFilter, NotRedelivered, Redelivered};
use store::queue::{Pending, PendingKind, Prepared, QueueStore};

/// So many are sent again, and the others left out.
fn of(redelivered: u64, left_out: NotRedelivered) -> Redelivered {
    Redelivered { redelivered, left_out }
}

async fn ended(h: &Harness, flow: &CallFlow, verdict: Verdict) -> DeliveryId {
    let (_, pending, _) = h.planned(flow).await;
    h.store.record_outcomes(Arc::new(vec![h.outcome(pending, 1, verdict)])).await.unwrap();
    pending.id
}

#[tokio::test]
async fn a_redelivery_counts_attempts_on_and_keeps_id_and_body() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let id = ended(&h, &flow, Verdict::Failed).await;
    let body = h.store.delivery(h.business, id).await.unwrap().body;
    let delivery = new(h.store.redeliver(h.business, None, id).await);
    assert_eq!((delivery.status, delivery.attempt_count), (DeliveryStatus::Scheduled, 1));
    let (pending, _) = h.take_planned().remove(0);
    assert_eq!((pending.id, pending.kind), (id, PendingKind::Attempt));
    let Prepared::Send(job) = h.store.prepare(vec![pending]).await.unwrap().remove(0) else { panic!() };
    assert_eq!((job.attempt, job.attempt_in_series), (2, 1));
    assert_eq!(Some((*job.body).clone()), body);
    let again = h.store.redeliver(h.business, None, id).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "it is on its way already");
}

#[tokio::test]
async fn what_was_cancelled_while_it_waited_gets_its_body_when_it_is_sent_again() {
    let h = Harness::start().await;
    let flow = h.waiting_flow().await;
    let (_, pending, _) = h.planned(&flow).await;
    new(h.store.cancel_delivery(h.business, None, pending.id).await);
    new(h.store.redeliver(h.business, None, pending.id).await);
    let (again, _) = h.take_planned().remove(0);
    let Prepared::Send(job) = h.store.prepare(vec![again]).await.unwrap().remove(0) else { panic!() };
    assert!(!job.body.as_bytes().is_empty());
}

#[tokio::test]
async fn what_was_never_sent_gets_no_body_once_bodies_of_its_age_are_kept_no_longer() {
    let h = Harness::start().await;
    let flow = h.waiting_flow().await;
    let (_, pending, _) = h.planned(&flow).await;
    new(h.store.cancel_delivery(h.business, None, pending.id).await);
    let days = RetentionDays::new(1).ok();
    h.store.set_retention(h.business, move |_| Ok(Retention { payload: days, call: None })).await.unwrap();
    let all = DeliveryFilter { call_flow_id: Some(flow.id), ..DeliveryFilter::default() };
    let counted = || h.store.count_redeliverable(h.business, all.clone());
    let none = NotRedelivered::default();
    assert_eq!(counted().await.unwrap(), of(1, none));
    h.world.advance(Duration::from_hours(25));
    assert_eq!(counted().await.unwrap(), of(0, NotRedelivered { without_payload: 1, ..none }));
    let refused = h.store.redeliver(h.business, None, pending.id).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(reason) if reason.contains("retention")), "{refused}");
}

#[tokio::test]
async fn a_switched_off_webhook_cannot_be_sent_to_again() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let id = ended(&h, &flow, Verdict::Failed).await;
    let mut settings = CallFlowSettings::from(&flow);
    settings.post_call_webhook.enabled = false;
    h.store.update_call_flow(h.business, flow.id, move |_| Ok(settings.clone())).await.unwrap();
    assert!(matches!(h.store.redeliver(h.business, None, id).await, Err(StoreError::Conflict(_))));
    let filter = DeliveryFilter { call_flow_id: Some(flow.id), ..DeliveryFilter::default() };
    let counted = h.store.count_redeliverable(h.business, filter).await.unwrap();
    assert_eq!(counted, of(0, NotRedelivered { switched_off: 1, ..NotRedelivered::default() }));
}

#[tokio::test]
async fn a_planned_attempt_is_made_now_unless_it_may_be_in_flight() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, due, _) = h.planned(&flow).await;
    let refused = h.store.redeliver_now(h.business, due.id).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(reason) if reason.contains("is due")), "{refused}");
    let retry_at = h.world.now().after(Duration::from_secs(30));
    let outcome = h.outcome(due, 1, Verdict::RetryAt(retry_at));
    h.store.record_outcomes(Arc::new(vec![outcome])).await.unwrap();
    h.take_planned();
    let delivery = h.store.redeliver_now(h.business, due.id).await.unwrap();
    assert_eq!((delivery.status, delivery.attempt_count), (DeliveryStatus::Scheduled, 1));
    assert_eq!(delivery.next_attempt_at, Some(h.world.now()));
    let (pending, _) = h.take_planned().remove(0);
    let Prepared::Send(job) = h.store.prepare(vec![pending]).await.unwrap().remove(0) else { panic!() };
    assert_eq!((job.attempt, job.attempt_in_series), (2, 1), "a series of its own");
    let again = h.store.redeliver_now(h.business, due.id).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "it may be in flight");
    h.store.record_outcomes(Arc::new(vec![h.outcome(pending, 2, Verdict::Delivered)])).await.unwrap();
    let ended = h.store.redeliver_now(h.business, due.id).await;
    assert!(matches!(ended, Err(StoreError::Conflict(_))), "nothing is planned");
    let waiting = h.waiting_flow().await;
    let (_, waiting, _) = h.planned(&waiting).await;
    let early = h.store.redeliver_now(h.business, waiting.id).await;
    assert!(matches!(early, Err(StoreError::Conflict(_))), "it waits for AI and has no body yet");
}

#[tokio::test]
async fn why_something_is_not_sent_again_is_counted_alike_for_a_filter_and_for_those_chosen() {
    let h = Harness::start().await;
    let (off, flow) = (h.flow(|_| {}).await, h.flow(|_| {}).await);
    let switched_off = ended(&h, &off, Verdict::Failed).await;
    let mut settings = CallFlowSettings::from(&off);
    settings.post_call_webhook.enabled = false;
    h.store.update_call_flow(h.business, off.id, move |_| Ok(settings.clone())).await.unwrap();
    let again = ended(&h, &flow, Verdict::Failed).await;
    let pending = h.planned(&flow).await.1.id;
    let all = DeliveryFilter { until_ms: Some(i64::MAX), ..DeliveryFilter::default() };
    let expected = NotRedelivered { pending: 1, switched_off: 1, ..NotRedelivered::default() };
    assert_eq!(h.store.count_redeliverable(h.business, all.clone()).await.unwrap(), of(1, expected));
    let nowhere = DeliveryId::from_bytes([7; 16]);
    let chosen = vec![switched_off, again, pending, nowhere];
    let sent = h.store.redeliver_chosen(h.business, chosen).await.unwrap();
    assert_eq!(sent, (1, NotRedelivered { gone: 1, ..expected }));
    assert_eq!(h.take_planned().iter().map(|(row, _)| row.id).collect::<Vec<_>>(), [again]);
    let expected = NotRedelivered { pending: 2, switched_off: 1, ..NotRedelivered::default() };
    assert_eq!(h.store.count_redeliverable(h.business, all).await.unwrap(), of(0, expected));
}

#[tokio::test]
async fn all_that_failed_are_sent_again_and_what_is_under_way_is_skipped() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    for verdict in [Verdict::Failed, Verdict::Failed, Verdict::Delivered] {
        ended(&h, &flow, verdict).await;
    }
    h.planned(&flow).await;
    let failed = DeliveryFilter { status: Some(DeliveryStatus::Failed), ..DeliveryFilter::default() };
    let expected = of(2, NotRedelivered::default());
    assert_eq!(h.store.count_redeliverable(h.business, failed.clone()).await.unwrap(), expected);
    assert_eq!(h.redeliver(failed).await.so_far, expected);
    assert_eq!(h.take_planned().len(), 2);
    let all = DeliveryFilter { call_flow_id: Some(flow.id), ..DeliveryFilter::default() };
    let counted = h.store.count_redeliverable(h.business, all).await.unwrap();
    assert_eq!(counted, of(1, NotRedelivered { pending: 3, ..NotRedelivered::default() }));
}

#[tokio::test]
async fn what_was_made_before_the_clock_was_set_back_is_sent_again_as_well() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    ended(&h, &flow, Verdict::Failed).await;
    h.world.set_back(Duration::from_hours(3));
    let filter = DeliveryFilter { call_flow_id: Some(flow.id), ..DeliveryFilter::default() };
    assert_eq!(h.redeliver(filter).await.so_far, of(1, NotRedelivered::default()));
    assert_eq!(h.take_planned().len(), 1);
}

#[tokio::test]
async fn another_businesss_delivery_is_not_there() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let id = ended(&h, &flow, Verdict::Failed).await;
    let other = h.store.create_business("Other".into(), domain::phone_number::Country::US).await.unwrap().id;
    assert!(matches!(h.store.redeliver(other, None, id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(h.store.cancel_delivery(other, None, id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(h.store.delivery(other, id).await, Err(StoreError::NotFound(_))));
    let everything = DeliveryFilter { status: Some(DeliveryStatus::Failed), ..DeliveryFilter::default() };
    assert_eq!(h.store.count_redeliverable(other, everything).await.unwrap(), Redelivered::default());
}

#[tokio::test]
async fn what_lies_behind_many_that_do_not_match_is_counted_and_sent_again_in_steps() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let first = ended(&h, &flow, Verdict::Failed).await;
    // More than a step looks at.
    for _ in 0..21 {
        h.world.advance(Duration::from_millis(1));
        let calls = (0..500).map(|_| Ok(h.call(flow.id))).collect();
        new(h.store.record_calls(h.reporter(), None, calls).await);
    }
    h.take_planned();
    h.world.advance(Duration::from_millis(1));
    let last = ended(&h, &flow, Verdict::Failed).await;
    let filter = DeliveryFilter { call_flow_id: Some(flow.id), ..DeliveryFilter::default() };
    let begun = h.redeliver(filter).await;
    assert_eq!((begun.estimated, begun.matched), (2, 2 + 21 * 500));
    let sent = |planned: Vec<(Pending, _)>| planned.iter().map(|(row, _)| row.id).collect::<Vec<_>>();
    assert_eq!(sent(h.take_planned()), [first], "the commit that asks for it looks at a part");
    while h.store.run_job_step().await.unwrap() {}
    assert_eq!(sent(h.take_planned()), [last]);
    let came_to = h.store.redelivery(h.business, begun.id).await.unwrap().so_far;
    assert_eq!(came_to, of(2, NotRedelivered { pending: 21 * 500, ..NotRedelivered::default() }));
}
