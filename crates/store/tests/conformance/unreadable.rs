//! A row that cannot be read is an answer for itself alone: the rows beside it are prepared, made due, cancelled, recorded.

use crate::harness::{Harness, bytes};
use domain::World as _;
use domain::analysis::Analysis;
use domain::call_flow::CallFlow;
use domain::delivery::DeliveryStatus;
use domain::retry::Verdict;
use std::sync::Arc;
use std::time::Duration;
use store::call::CallFilter;
use store::delivery::DeliveryFilter;
use store::queue::{OutcomeApplied, Pending, Prepared, QueueStore};

/// What makes a delivery unreadable; `?1` is its id. Settings that were opened before are kept until their flow's version changes.
const DAMAGES: [&str; 4] = [
    "UPDATE destinations SET url = 'nonsense' WHERE id = (SELECT destination_id FROM deliveries WHERE id = ?1)",
    "UPDATE destinations SET signing_sealed = x'00' WHERE id = (SELECT destination_id FROM deliveries WHERE id = ?1)",
    "UPDATE destinations SET headers_sealed = 'text' WHERE id = (SELECT destination_id FROM deliveries WHERE id = ?1)",
    "UPDATE deliveries SET queue = 99999 WHERE id = ?1",
];
const NO_PAYLOAD: &str = "DELETE FROM payloads WHERE id = (SELECT payload_id FROM deliveries WHERE id = ?1)";
const CALL_SEALED: &str =
    "UPDATE calls SET recording_sealed = x'00' WHERE id = (SELECT call_id FROM deliveries WHERE id = ?1)";
const NO_CALL: &str = "DELETE FROM calls WHERE id = (SELECT call_id FROM deliveries WHERE id = ?1)";

fn damage(h: &Harness, sql: &str, pending: Pending) {
    h.damage(&sql.replace("?1", &bytes(pending.id.as_bytes())));
    h.damage("UPDATE call_flows SET version = version + 1");
}

async fn two_planned(h: &Harness, flows: [&CallFlow; 2]) -> [Pending; 2] {
    [h.planned(flows[0]).await.1, h.planned(flows[1]).await.1]
}

async fn status(h: &Harness, pending: Pending) -> (DeliveryStatus, Option<String>) {
    let delivery = h.store.delivery(h.business, pending.id).await.unwrap().delivery;
    (delivery.status, delivery.reason)
}

#[tokio::test]
async fn an_unreadable_row_is_no_answer_for_those_prepared_with_it() {
    for sql in DAMAGES.into_iter().chain([NO_PAYLOAD]) {
        let h = Harness::start().await;
        let (first, second) = (h.flow(|_| {}).await, h.flow(|_| {}).await);
        let [damaged, healthy] = two_planned(&h, [&first, &second]).await;
        damage(&h, sql, damaged);
        let answers = h.store.prepare(vec![damaged, healthy]).await.unwrap();
        assert!(matches!(answers[0], Prepared::Unreadable(row) if row == damaged), "{sql}: {answers:?}");
        assert!(matches!(&answers[1], Prepared::Send(job) if job.pending == healthy), "{sql}: {answers:?}");
    }
}

#[tokio::test]
async fn an_unreadable_row_is_no_answer_for_those_made_due_with_it() {
    for sql in DAMAGES.into_iter().chain([CALL_SEALED]) {
        let h = Harness::start().await;
        let (first, second) = (h.waiting_flow().await, h.waiting_flow().await);
        let [damaged, healthy] = two_planned(&h, [&first, &second]).await;
        damage(&h, sql, damaged);
        let answers = h.store.make_due(vec![damaged, healthy]).await.unwrap();
        assert!(matches!(answers[0], Prepared::Unreadable(row) if row == damaged), "{sql}: {answers:?}");
        assert!(matches!(answers[1], Prepared::Send(_)), "{sql}: {answers:?}");
        assert_eq!(status(&h, damaged).await.0, DeliveryStatus::WaitingForAi, "{sql}");
        assert_eq!(status(&h, healthy).await.0, DeliveryStatus::Scheduled, "{sql}");
    }
}

#[tokio::test]
async fn a_waiting_row_whose_call_is_gone_ends() {
    let h = Harness::start().await;
    let flow = h.waiting_flow().await;
    let [orphan, healthy] = two_planned(&h, [&flow, &flow]).await;
    damage(&h, NO_CALL, orphan);
    let answers = h.store.make_due(vec![orphan, healthy]).await.unwrap();
    assert!(matches!(answers[0], Prepared::Gone(id) if id == orphan.id));
    assert!(matches!(answers[1], Prepared::Send(_)));
    assert_eq!(status(&h, orphan).await, (DeliveryStatus::Cancelled, Some("its call is gone".into())));
}

#[tokio::test]
async fn an_unreadable_row_does_not_keep_others_from_being_cancelled() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let [damaged, healthy] = two_planned(&h, [&flow, &flow]).await;
    damage(&h, DAMAGES[3], damaged);
    h.damage("UPDATE destinations SET enabled = 0");
    h.store.cancel_switched_off(vec![damaged, healthy]).await.unwrap();
    assert_eq!(status(&h, healthy).await.0, DeliveryStatus::Cancelled);
}

#[tokio::test]
async fn unreadable_rows_hide_neither_those_behind_them_nor_other_lanes() {
    let h = Harness::start().await;
    let (first, second) = (h.flow(|_| {}).await, h.flow(|_| {}).await);
    let mut lane = Vec::new();
    for _ in 0..5 {
        lane.push(h.planned(&first).await.1);
    }
    lane.sort_by_key(|pending| (pending.due_at, pending.id));
    let other = h.planned(&second).await.1;
    for pending in &lane[..3] {
        damage(&h, DAMAGES[3], *pending);
    }
    let mut heads = h.store.lane_heads(h.world.now(), None, 10).await.unwrap();
    heads.sort_by_key(|pending| pending.lane != other.lane);
    assert_eq!(heads, [other, lane[3]]);
    let page = h.store.load_lane(first.post_call_webhook.id, 1).await.unwrap();
    assert_eq!((page.rows, page.more), (vec![lane[3]], true));
    let page = h.store.load_lane(first.post_call_webhook.id, 2).await.unwrap();
    assert_eq!((page.rows, page.more), (lane[3..].to_vec(), false));
}

#[tokio::test]
async fn a_lane_whose_id_cannot_be_read_hides_no_other() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let [damaged, healthy] = two_planned(&h, [&flow, &flow]).await;
    damage(&h, "UPDATE deliveries SET destination_id = x'00ff' WHERE id = ?1", damaged);
    assert_eq!(h.store.lane_heads(h.world.now(), None, 10).await.unwrap(), [healthy]);
}

#[tokio::test]
async fn an_outcome_that_does_not_fit_changes_nothing_and_the_others_are_recorded() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let [odd, healthy] = two_planned(&h, [&flow, &flow]).await;
    // No delivery has had fewer attempts than its series: the table refuses it.
    let outcomes = vec![h.outcome(odd, 0, Verdict::Delivered), h.outcome(healthy, 1, Verdict::Delivered)];
    let applied = h.store.record_outcomes(Arc::new(outcomes)).await.unwrap();
    assert_eq!(applied, [OutcomeApplied::Unrecorded, OutcomeApplied::Ended]);
    assert_eq!(status(&h, odd).await.0, DeliveryStatus::Scheduled);
    assert_eq!(status(&h, healthy).await.0, DeliveryStatus::Delivered);
    assert_eq!(h.changed().last(), Some(&healthy.id), "what was taken back is not told");
    assert!(matches!(h.store.prepare(vec![odd]).await.unwrap()[0], Prepared::Send(_)));
}

#[tokio::test]
async fn ai_ends_though_the_destination_that_waits_for_it_cannot_be_read() {
    for sql in DAMAGES {
        let h = Harness::start().await;
        let flow = h.waiting_flow().await;
        let (recorded, pending, _) = h.planned(&flow).await;
        damage(&h, sql, pending);
        let call = h.store.finish_analysis(h.business, recorded.call.id, Analysis::default()).await.unwrap();
        assert!(call.ai_processed, "{sql}");
        assert!(h.take_planned().is_empty(), "{sql}");
        assert_eq!(status(&h, pending).await.0, DeliveryStatus::WaitingForAi, "{sql}");
    }
}

#[tokio::test]
async fn a_call_that_cannot_be_read_can_be_erased_and_purged() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let [erased, purged] = two_planned(&h, [&flow, &flow]).await;
    for pending in [erased, purged] {
        let outcome = h.outcome(pending, 1, Verdict::Delivered);
        h.store.record_outcomes(Arc::new(vec![outcome])).await.unwrap();
        damage(&h, CALL_SEALED, pending);
    }
    h.damage("UPDATE deliveries SET queue = 99999");
    h.store.erase_call(h.business, erased.call_id.unwrap()).await.unwrap();
    h.world.advance(Duration::from_hours(24));
    h.store.purge_calls(h.business, h.world.now(), None).await.unwrap();
    let left = h.store.list_calls(h.business, CallFilter::default(), None, 50).await.unwrap();
    assert_eq!(left.rows.len(), 0);
    let left = h.store.list_deliveries(h.business, DeliveryFilter::default(), None, 50).await.unwrap();
    assert_eq!(left.rows.len(), 0);
}
