//! What is past its time goes, in steps; what is still on its way stays, however old it is.

use crate::harness::{Harness, new};
use domain::Timestamp;
use domain::World as _;
use domain::business::{Retention, RetentionDays};
use domain::delivery::DeliveryStatus;
use domain::id::CallId;
use domain::retry::Verdict;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use store::call::CallFilter;
use store::delivery::DeliveryFilter;
use store::queue::{Pending, QueueStore};
use store::retention::PayloadStep;

pub const DAY: Duration = Duration::from_hours(24);
/// Stands in the caller's words, and nowhere else.
pub const MARK: &str = "marked-for-removal";

/// A call with a source id and a transcript, and its delivery.
pub async fn reported(h: &Harness, flow: &domain::call_flow::CallFlow, source: &str) -> (CallId, Pending) {
    let mut call = h.call(flow.id);
    call.source_call_id = Some(source.into());
    call.transcription = Some(format!("{MARK} {source}"));
    let id = h.report(call).await.unwrap().call.id;
    (id, h.take_planned().remove(0).0)
}

pub async fn end(h: &Harness, pending: Pending) {
    h.store.record_outcomes(Arc::new(vec![h.outcome(pending, 1, Verdict::Delivered)])).await.unwrap();
}

async fn purge_payloads(h: &Harness, before: Timestamp) {
    let mut after = None;
    while let Some(next) = h.store.purge_payloads(h.business, before, after).await.unwrap().next {
        after = Some(next);
    }
}

pub async fn purge_calls(h: &Harness, before: Timestamp) {
    let mut after = None;
    while let Some(next) = h.store.purge_calls(h.business, before, after).await.unwrap() {
        after = Some(next);
    }
}

#[tokio::test]
async fn days_are_set_and_read_back() {
    let h = Harness::start().await;
    assert_eq!(h.store.business(h.business).await.unwrap().retention, Retention::default());
    let wanted = Retention { payload: RetentionDays::new(30).ok(), call: RetentionDays::new(365).ok() };
    let set = h.store.set_retention(h.business, move |_| Ok(wanted)).await.unwrap();
    assert_eq!((set.retention, set.name.as_str()), (wanted, "Acme"));
    assert_eq!(h.store.list_businesses().await.unwrap()[0].retention, wanted);
}

#[tokio::test]
async fn payloads_and_attempts_go_and_the_delivery_stays_listed() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, old) = reported(&h, &flow, "old").await;
    end(&h, old).await;
    h.world.advance(DAY);
    let (_, young) = reported(&h, &flow, "young").await;
    end(&h, young).await;
    purge_payloads(&h, h.world.now_before(Duration::from_hours(1))).await;
    let purged = h.store.delivery(h.business, old.id).await.unwrap();
    assert_eq!((purged.body, purged.attempts.len()), (None, 0));
    assert_eq!((purged.delivery.status, purged.delivery.attempt_count), (DeliveryStatus::Delivered, 1));
    let kept = h.store.delivery(h.business, young.id).await.unwrap();
    assert!(kept.body.is_some() && kept.attempts.len() == 1);
    // What was sent cannot be made up anew: the receiver would get another body under the same id.
    let refused = h.store.redeliver(h.business, None, old.id).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(reason) if reason.contains("retention")), "{refused}");
    let counted = h.store.count_redeliverable(h.business, DeliveryFilter::default()).await.unwrap();
    assert_eq!((counted.redelivered, counted.left_out.without_payload), (1, 1));
}

#[tokio::test]
async fn what_is_still_on_its_way_stays_and_goes_once_it_has_ended() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (id, pending) = reported(&h, &flow, "slow").await;
    h.world.advance(DAY * 3);
    let before = h.world.now_before(DAY);
    let purged = h.store.purge_payloads(h.business, before, None).await.unwrap();
    assert_eq!(purged, PayloadStep { next: None, ended_until: None, all_ended: false });
    purge_calls(&h, before).await;
    assert!(h.store.delivery(h.business, pending.id).await.unwrap().body.is_some());
    assert!(h.store.call(h.business, id).await.is_ok());
    end(&h, pending).await;
    let purged = h.store.purge_payloads(h.business, before, None).await.unwrap();
    assert_eq!(purged, PayloadStep { next: None, ended_until: Some(pending.id), all_ended: true });
    assert!(h.store.delivery(h.business, pending.id).await.unwrap().body.is_none());
    purge_calls(&h, before).await;
    assert!(matches!(h.store.call(h.business, id).await, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn calls_go_with_all_that_belongs_to_them_and_a_late_repeat_is_refused() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let mut ids = Vec::new();
    // More than one step takes.
    for number in 0..100 {
        let (id, pending) = reported(&h, &flow, &format!("old {number}")).await;
        end(&h, pending).await;
        ids.push(id);
    }
    let other = h.store.create_business("Other".into(), domain::phone_number::Country::US).await.unwrap().id;
    h.world.advance(DAY * 2);
    let (young, pending) = reported(&h, &flow, "young").await;
    end(&h, pending).await;
    let before = h.world.now_before(DAY);
    h.store.purge_calls(other, before, None).await.unwrap();
    let listed = || h.store.list_calls(h.business, CallFilter::default(), None, 500);
    assert_eq!(listed().await.unwrap().rows.len(), 101, "another business's days are not these calls'");
    purge_calls(&h, before).await;
    assert_eq!(listed().await.unwrap().rows.iter().map(|call| call.id).collect::<Vec<_>>(), [young]);
    let deliveries = h.store.list_deliveries(h.business, DeliveryFilter::default(), None, 500).await.unwrap();
    assert_eq!(deliveries.rows.len(), 1);
    let mut again = h.call(flow.id);
    again.source_call_id = Some("old 7".into());
    assert!(matches!(h.report(again).await, Err(StoreError::Conflict(_))));
}

#[tokio::test]
async fn a_step_removes_few_calls_that_have_many_attempts() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let mut last = None;
    for number in 0..3 {
        let (id, pending) = reported(&h, &flow, &format!("{number}")).await;
        end(&h, pending).await;
        last = Some(id);
    }
    h.damage("UPDATE deliveries SET attempt_count = 300");
    h.world.advance(DAY);
    let next = h.store.purge_calls(h.business, h.world.now(), None).await.unwrap();
    assert!(next.is_some() && next < last, "two have 600 rows");
    assert_eq!(h.store.purge_calls(h.business, h.world.now(), next).await.unwrap(), None);
    let left = h.store.list_calls(h.business, CallFilter::default(), None, 50).await.unwrap();
    assert_eq!(left.rows.len(), 0);
}

#[tokio::test]
async fn counts_go_with_the_calls() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending) = reported(&h, &flow, "old").await;
    end(&h, pending).await;
    let began = h.world.now_before(Duration::from_mins(1));
    let ended = || h.store.delivery_statistics(h.business, began, None, 60);
    assert_eq!(ended().await.unwrap().ended.get("delivered"), Some(&1));
    h.world.advance(DAY * 2);
    while h.store.purge_statistics(h.business, h.world.now_before(DAY)).await.unwrap() {}
    assert_eq!(ended().await.unwrap().ended.get("delivered"), None);
}

#[tokio::test]
async fn an_attempt_that_ends_after_its_payload_went_leaves_no_record() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending) = reported(&h, &flow, "once").await;
    let late = h.outcome(pending, 1, Verdict::Delivered);
    new(h.store.cancel_delivery(h.business, None, pending.id).await);
    h.world.advance(DAY);
    purge_payloads(&h, h.world.now()).await;
    h.store.record_outcomes(Arc::new(vec![late])).await.unwrap();
    let detail = h.store.delivery(h.business, pending.id).await.unwrap();
    assert_eq!((detail.attempts.len(), detail.delivery.attempt_count), (0, 1));
    assert_eq!(detail.delivery.status, DeliveryStatus::Delivered);
}
