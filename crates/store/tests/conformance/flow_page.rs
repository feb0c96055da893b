//! What the page of one call flow asks for, and what finds one of thousands of flows.

use crate::harness::Harness;
use domain::call_flow::CallFlow;
use domain::delivery::DeliveryStatus;
use domain::id::CallFlowId;
use domain::retry::Verdict;
use std::sync::Arc;
use std::time::Duration;
use store::queue::QueueStore as _;

async fn ended(h: &Harness, flow: &CallFlow, verdict: Verdict) -> domain::id::CallId {
    h.world.advance(Duration::from_secs(1));
    let (recorded, pending, _) = h.planned(flow).await;
    h.store.record_outcomes(Arc::new(vec![h.outcome(pending, 1, verdict)])).await.unwrap();
    recorded.call.id
}

#[tokio::test]
async fn each_call_has_its_own_deliveries() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let nowhere = h.flow(|flow| flow.post_call_webhook.enabled = false).await;
    let retry_at = h.world.now_before(Duration::ZERO).after(Duration::from_secs(30));
    let (delivered, waiting) =
        (ended(&h, &flow, Verdict::Delivered).await, ended(&h, &flow, Verdict::RetryAt(retry_at)).await);
    let failed = ended(&h, &flow, Verdict::Failed).await;
    let untold = h.report(h.call(nowhere.id)).await.unwrap().call.id;
    let asked = vec![failed, untold, waiting, delivered];
    let told = h.store.deliveries_of_calls(h.business, asked).await.unwrap();
    let told: Vec<Vec<_>> = told
        .into_iter()
        .map(|of_call| of_call.into_iter().map(|told| (told.status, told.attempt_count)).collect())
        .collect();
    let one = |status| vec![(status, 1)];
    assert_eq!(
        told,
        [one(DeliveryStatus::Failed), vec![], one(DeliveryStatus::Scheduled), one(DeliveryStatus::Delivered)]
    );
    let other = h.store.create_business("Other".into(), domain::phone_number::Country::US).await.unwrap().id;
    assert_eq!(h.store.deliveries_of_calls(other, vec![delivered]).await.unwrap(), [vec![]]);
    assert!(h.store.deliveries_of_calls(h.business, Vec::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_flows_week_is_its_own_and_no_longer() {
    let h = Harness::start().await;
    let (flow, other) = (h.flow(|_| {}).await, h.flow(|_| {}).await);
    ended(&h, &flow, Verdict::Failed).await;
    h.world.advance(Duration::from_hours(30));
    let since = h.world.now_before(Duration::ZERO);
    h.world.advance(Duration::from_hours(140));
    ended(&h, &flow, Verdict::Delivered).await;
    ended(&h, &flow, Verdict::Delivered).await;
    ended(&h, &other, Verdict::Failed).await;
    let ended = h.store.ended_of_call_flow(h.business, flow.id, since).await.unwrap();
    assert_eq!(ended.ended.into_iter().collect::<Vec<_>>(), [("delivered", 2)]);
    assert!(ended.latency.percentile_ms(50).is_some_and(|ms| (40..45).contains(&ms)));
}

#[tokio::test]
async fn a_flow_is_found_by_its_name() {
    let h = Harness::start().await;
    let mut ids = Vec::new();
    for name in ["Tampa", "Tampa Roofing", "100 % Roofing", "Miami_Roofing", "tampa"] {
        h.world.advance(Duration::from_millis(1));
        ids.push(h.flow(|flow| flow.name = name.into()).await.id);
    }
    let found = async |text: &str| {
        let page = h.store.call_flows_named(h.business, text.into(), 3).await.unwrap();
        let places: Vec<usize> =
            page.rows.iter().filter_map(|(id, _)| ids.iter().position(|known| known == id)).collect();
        (places, page.more)
    };
    // Just this name, whatever the case; else those that have it in theirs.
    assert_eq!(found("TAMPA").await, (vec![4, 0], false));
    assert_eq!(found("tampa r").await, (vec![1], false));
    assert_eq!(found("roofing").await, (vec![3, 2, 1], false));
    assert_eq!(found("a").await, (vec![4, 3, 1], true));
    // What a search takes for a sign of its own is none here.
    assert_eq!(found("% r").await, (vec![2], false));
    assert_eq!(found("i_r").await, (vec![3], false));
    assert_eq!(found("Boston").await, (vec![], false));
    let newest = h.store.newest_call_flows(h.business, 2).await.unwrap();
    assert_eq!((newest.rows[0].1.as_str(), newest.rows.len(), newest.more), ("tampa", 2, true));
    let gone = CallFlowId::from_bytes([9; 16]);
    let names = h.store.call_flow_names(h.business, vec![ids[1], gone, ids[1], ids[0]]).await.unwrap();
    assert_eq!((names.len(), names[&ids[1]].as_str()), (2, "Tampa Roofing"));
    let listed = h.store.list_call_flows(h.business, Some("roof".into()), Some(ids[3]), 1).await.unwrap();
    assert_eq!((listed.rows[0].id, listed.more), (ids[2], true));
}
