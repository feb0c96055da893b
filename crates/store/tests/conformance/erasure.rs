//! An erased call leaves no trace, and a late repeat of its report neither revives nor fires it.

use crate::harness::{Harness, new};
use domain::analysis::Analysis;
use domain::call::EndedCall;
use domain::retry::Verdict;
use std::sync::Arc;
use store::StoreError;
use store::queue::QueueStore;

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

#[tokio::test]
async fn an_erased_call_leaves_no_trace_where_its_row_has_moved() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let mut calls = Vec::new();
    for number in 0..400_usize {
        let words = format!("trace-{number:04}-word ").repeat(1 + (number * 7 * 19 + 19) % 47);
        let call = EndedCall {
            transcription: Some(words),
            source_call_id: Some(format!("trace-{number:04}-id")),
            ..h.call(flow.id)
        };
        let recorded = h.report(call).await.unwrap();
        calls.push((number, recorded.call.id, h.take_planned().remove(0).0));
    }
    // In an order of their own, rows grow, and attempts come between others.
    calls.sort_by_key(|(number, ..)| number * 7_957 % 401);
    for (number, id, pending) in &calls {
        let analysis = Analysis {
            summary: Some(format!("trace-{number:04}-sum ").repeat(1 + (number * 13 * 19) % 97)),
            ..Analysis::default()
        };
        h.store.finish_analysis(h.business, *id, analysis).await.unwrap();
        let mut outcome = h.outcome(*pending, 1, Verdict::Delivered);
        outcome.attempt.response_excerpt =
            Some(format!("trace-{number:04}-said ").repeat(1 + (number * 11 * 19) % 151));
        h.store.record_outcomes(Arc::new(vec![outcome])).await.unwrap();
    }
    calls.sort_by_key(|(number, ..)| number * 6_045 % 401);
    let erased: Vec<_> = calls.iter().take(300).collect();
    for (_, id, _) in &erased {
        h.store.erase_call(h.business, *id).await.unwrap();
    }
    let mut pass = h.store.begin_remains_pass().await.unwrap();
    while let Some(step) = pass {
        pass = h.store.run_remains_step(step).await.unwrap();
    }
    assert!(h.store.begin_remains_pass().await.unwrap().is_none(), "nothing is left to do");
    let erased: Vec<String> = erased.iter().map(|(number, ..)| format!("trace-{number:04}-")).collect();
    let Harness { store, place, .. } = h;
    drop(store);
    let file = rusqlite::Connection::open(place.folder().join("callhook.db")).unwrap();
    let check = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    assert_eq!(file.query_row("PRAGMA integrity_check", [], check).unwrap(), "ok");
    drop(file);
    let mut found = Vec::new();
    for file in std::fs::read_dir(place.folder()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for (page, content) in bytes.chunks(8_192).enumerate() {
            let text = String::from_utf8_lossy(content);
            let here: Vec<_> = erased.iter().filter(|trace| text.contains(trace.as_str())).cloned().collect();
            if !here.is_empty() {
                found.push((path.file_name().unwrap().to_owned(), page, content[0], here));
            }
        }
    }
    assert!(found.is_empty(), "{} {found:?}", found.len());
}
