//! The same request again gives the first response again.

use crate::harness::Harness;
use domain::call::EndedCall;
use std::time::Duration;
use store::StoreError;
use store::call::{CallFilter, Recorded};
use store::idempotency::{Answer, Once, Render, StoredResponse};

#[expect(clippy::unnecessary_wraps, reason = "the operation takes an option")]
fn once(key: &str, body: u8) -> Option<(Once, Render<Recorded>)> {
    let once = Once { key: key.into(), request_hash: [body; 32] };
    let render =
        |recorded: &Recorded| StoredResponse { status: 201, body: recorded.call.id.to_string().into_bytes() };
    Some((once, Box::new(render)))
}

async fn report(h: &Harness, call: EndedCall, key: &str, body: u8) -> Result<Answer<Recorded>, StoreError> {
    h.store.record_call(h.reporter(), once(key, body), call).await
}

#[tokio::test]
async fn a_repeated_key_gives_the_first_response_and_makes_nothing() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let Answer::New(first) = report(&h, h.call(flow.id), "k1", 1).await.unwrap() else { panic!() };
    let Answer::Repeated(response) = report(&h, h.call(flow.id), "k1", 1).await.unwrap() else { panic!() };
    assert_eq!(response, StoredResponse { status: 201, body: first.call.id.to_string().into_bytes() });
    assert_eq!(h.store.list_calls(h.business, CallFilter::default(), None, 10).await.unwrap().rows.len(), 1);
    assert!(matches!(report(&h, h.call(flow.id), "k1", 2).await, Err(StoreError::Conflict(_))));
}

#[tokio::test]
async fn a_key_is_free_again_after_24_hours_and_upkeep_removes_it() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    report(&h, h.call(flow.id), "k1", 1).await.unwrap();
    h.world.advance(Duration::from_hours(24));
    assert!(matches!(report(&h, h.call(flow.id), "k1", 2).await.unwrap(), Answer::New(_)));
    h.world.advance(Duration::from_hours(24) + Duration::from_secs(1));
    assert!(!h.store.run_upkeep_step().await.unwrap());
    let found =
        h.store.find_response(h.business, Once { key: "k1".into(), request_hash: [9; 32] }).await.unwrap();
    assert_eq!(found, None);
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_key() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let unknown = domain::id::CallFlowId::from_bytes([9; 16]);
    assert!(report(&h, h.call(unknown), "k1", 1).await.is_err());
    assert!(matches!(report(&h, h.call(flow.id), "k1", 2).await.unwrap(), Answer::New(_)));
}

#[tokio::test]
async fn of_many_at_once_with_one_key_exactly_one_is_done() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let reports = (0..50).map(|_| report(&h, h.call(flow.id), "k1", 1));
    let mut done = 0;
    for answer in futures_util::future::join_all(reports).await {
        done += usize::from(matches!(answer.unwrap(), Answer::New(_)));
    }
    assert_eq!(done, 1);
}
