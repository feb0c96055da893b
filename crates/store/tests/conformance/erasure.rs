//! An erased call is in no response that is kept, and a late repeat of its report neither revives nor fires it.

use crate::harness::{Harness, new};
use domain::call::EndedCall;
use store::StoreError;

#[tokio::test]
async fn an_erased_call_is_taken_out_of_the_responses_that_are_kept() {
    use store::idempotency::{Once, Render, StoredResponse};
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let once = || {
        let render: Render<store::call::Recorded> = Box::new(|recorded| StoredResponse {
            status: 201,
            body: recorded.call.caller_number.to_string().into_bytes(),
        });
        Some((Once { key: "k1".into(), request_hash: [1; 32] }, render))
    };
    let recorded = new(h.store.record_call(h.reporter(), once(), h.call(flow.id)).await);
    h.store.erase_call(h.business, recorded.call.id).await.unwrap();
    let again = h.store.record_call(h.reporter(), once(), h.call(flow.id)).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "neither shown again nor made again");
}

#[tokio::test]
async fn a_repeated_report_of_an_erased_call_is_refused() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let report = EndedCall { source_call_id: Some("CA1".into()), ..h.call(flow.id) };
    let recorded = h.report(report.clone()).await.unwrap();
    h.store.erase_call(h.business, recorded.call.id).await.unwrap();
    h.take_planned();
    assert!(matches!(h.report(report.clone()).await, Err(StoreError::Conflict(_))));
    let results = new(h.store.record_calls(h.reporter(), None, vec![Ok(report), Ok(h.call(flow.id))]).await);
    assert!(results[0].is_err() && results[1].is_ok());
    assert_eq!(h.take_planned().len(), 1);
}
