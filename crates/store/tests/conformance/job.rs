//! Work on more than 500 rows goes on in steps, also after a restart.

use crate::harness::{Harness, bytes};
use domain::delivery::DeliveryStatus;
use std::time::Duration;
use store::call_flow::CallFlowSettings;
use store::delivery::DeliveryFilter;

pub const CALLS: usize = 1_200;

pub async fn plan_many(h: &Harness, flow: &domain::call_flow::CallFlow) -> Vec<store::queue::Pending> {
    let mut planned = Vec::new();
    while planned.len() < CALLS {
        let calls = (0..400).map(|_| Ok(h.call(flow.id))).collect();
        crate::harness::new(h.store.record_calls(h.reporter(), None, calls).await);
        planned.extend(h.take_planned().into_iter().map(|(pending, _)| pending));
    }
    planned
}

pub async fn count(h: &Harness, status: DeliveryStatus) -> usize {
    let filter = DeliveryFilter { status: Some(status), ..DeliveryFilter::default() };
    h.store.list_deliveries(h.business, filter, None, 10_000).await.unwrap().rows.len()
}

#[tokio::test]
async fn a_switched_off_webhook_cancels_a_long_lane_in_steps_that_survive_a_restart() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    plan_many(&h, &flow).await;
    let mut settings = CallFlowSettings::from(&flow);
    settings.post_call_webhook.enabled = false;
    h.store.update_call_flow(h.business, flow.id, move |_| Ok(settings.clone())).await.unwrap();
    assert_eq!(count(&h, DeliveryStatus::Cancelled).await, 500, "one transaction changes no more");
    let h = h.restart().await;
    while h.store.run_job_step().await.unwrap() {}
    assert_eq!(count(&h, DeliveryStatus::Cancelled).await, CALLS);
}

pub async fn switch(
    h: &Harness,
    flow: &domain::call_flow::CallFlow,
    change: impl FnOnce(&mut CallFlowSettings),
) {
    let mut settings = CallFlowSettings::from(flow);
    change(&mut settings);
    h.store.update_call_flow(h.business, flow.id, move |_| Ok(settings.clone())).await.unwrap();
}

#[tokio::test]
async fn a_job_that_fails_is_put_off_and_later_ones_go_on() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    plan_many(&h, &flow).await;
    switch(&h, &flow, |settings| settings.post_call_webhook.enabled = false).await;
    let none = bytes(&[0; 16]);
    h.damage(&format!(
        "INSERT INTO jobs SELECT business_id, {none}, 'nonsense', NULL, created_at, 0 FROM jobs"
    ));
    while h.store.run_job_step().await.unwrap() {}
    assert_eq!(count(&h, DeliveryStatus::Cancelled).await, CALLS);
    // Put off by a minute, then by as long again as it is old.
    for minutes in [1, 1, 2, 4] {
        h.world.advance(Duration::from_secs(minutes * 60 - 1));
        assert!(!h.store.run_job_step().await.unwrap(), "before {minutes} min");
        h.world.advance(Duration::from_secs(1));
        assert!(h.store.run_job_step().await.unwrap(), "after {minutes} min");
    }
}

#[tokio::test]
async fn a_webhook_is_switched_off_though_a_row_of_its_lane_cannot_be_read() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    h.damage("UPDATE deliveries SET queue = 99999");
    switch(&h, &flow, |settings| settings.post_call_webhook.enabled = false).await;
    h.damage(&format!("UPDATE deliveries SET queue = {}", pending.queue.0));
    h.world.advance(Duration::from_mins(1));
    while h.store.run_job_step().await.unwrap() {}
    assert_eq!(count(&h, DeliveryStatus::Cancelled).await, 1, "it is done once it can be read");
}

#[tokio::test]
async fn a_lane_is_cancelled_in_the_order_in_which_it_is_due() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let last = plan_many(&h, &flow).await.into_iter().map(|pending| pending.id).max().unwrap();
    let last_bytes = bytes(last.as_bytes());
    h.damage(&format!("UPDATE deliveries SET next_attempt_at = 1 WHERE id = {last_bytes}"));
    switch(&h, &flow, |settings| settings.post_call_webhook.enabled = false).await;
    let detail = h.store.delivery(h.business, last).await.unwrap();
    assert_eq!(detail.delivery.status, DeliveryStatus::Cancelled);
}

#[tokio::test]
async fn what_waits_for_ai_goes_on_waiting_where_ai_is_switched_on_again() {
    let h = Harness::start().await;
    let flow = h.waiting_flow().await;
    plan_many(&h, &flow).await;
    switch(&h, &flow, |settings| settings.ai_enabled = false).await;
    switch(&h, &flow, |settings| settings.ai_enabled = true).await;
    while h.store.run_job_step().await.unwrap() {}
    assert_eq!(count(&h, DeliveryStatus::WaitingForAi).await, CALLS - 500);
}
