//! Calls are recorded once, matched, attributed, listed and corrected.

use crate::harness::{Harness, NOW, new, number};
use domain::Invalid;
use domain::attribution::Attribution;
use domain::call::{CallStatus, EndedCall};
use domain::id::CallId;
use domain::phone_number::{Country, Party};
use std::time::Duration;
use store::StoreError;
use store::call::{CallCorrection, CallFilter};
use store::number::NumberSettings;

#[expect(clippy::unnecessary_wraps, reason = "the fields that it fills are options")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn with_number(h: &Harness, flow: domain::id::CallFlowId) -> domain::number::TrackingNumber {
    let attribution =
        Attribution { utm_campaign: some("hvac"), source: some("bing"), ..Attribution::default() };
    let settings = NumberSettings {
        phone_number: number("+15735551234"),
        friendly_name: None,
        call_flow_id: Some(flow),
        attribution,
    };
    new(h.store.create_number(h.business, None, settings).await)
}

#[tokio::test]
async fn a_number_is_found_by_what_it_is_its_name_and_its_source() {
    let h = Harness::start().await;
    let number = with_number(&h, h.flow(|_| {}).await.id).await;
    let found = async |text: &str| {
        h.store
            .list_numbers(h.business, some(text), None, 10)
            .await
            .unwrap()
            .rows
            .iter()
            .map(|row| row.id)
            .collect::<Vec<_>>()
    };
    for text in ["+1 573-555-1234", "(573) 555 1234", "1234", "BING", "in"] {
        assert_eq!(found(text).await, [number.id], "{text}");
    }
    for text in ["%", "9999", "google"] {
        assert_eq!(found(text).await, [], "{text}");
    }
    assert_eq!(h.store.list_numbers(h.business, None, None, 10).await.unwrap().rows, [number]);
}

#[tokio::test]
async fn a_call_is_matched_by_its_number_and_filled_with_its_defaults() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let tracking = with_number(&h, flow.id).await;
    let report =
        EndedCall { call_flow_id: None, tracking_number: Some(number("+15735551234")), ..h.call(flow.id) };
    let call = h.report(report).await.unwrap().call;
    assert_eq!((call.call_flow_id, call.number_id), (Some(flow.id), Some(tracking.id)));
    assert_eq!(call.call_flow_name.as_deref(), Some("Google Ads"));
    assert_eq!((call.attribution.source, call.attribution.utm_campaign), (some("bing"), some("hvac")));
}

#[tokio::test]
async fn an_explicit_flow_wins_over_the_number_and_the_report_over_the_defaults() {
    let h = Harness::start().await;
    let (by_number, explicit) = (h.flow(|_| {}).await, h.flow(|flow| flow.name = "Explicit".into()).await);
    with_number(&h, by_number.id).await;
    let attribution = Attribution { source: some("facebook"), ..Attribution::default() };
    let report =
        EndedCall { tracking_number: Some(number("+15735551234")), attribution, ..h.call(explicit.id) };
    let call = h.report(report).await.unwrap().call;
    assert_eq!(call.call_flow_id, Some(explicit.id));
    assert_eq!((call.attribution.source, call.attribution.utm_campaign), (some("facebook"), some("hvac")));
    let planned = h.take_planned();
    assert_eq!(planned[0].0.lane, explicit.post_call_webhook.id);
}

#[tokio::test]
async fn a_call_for_a_number_that_nobody_knows_is_kept_unmatched_and_fires_nothing() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let report =
        EndedCall { call_flow_id: None, tracking_number: Some(number("+15730000000")), ..h.call(flow.id) };
    let call = h.report(report).await.unwrap().call;
    assert_eq!((call.call_flow_id, call.call_flow_name), (None, None));
    assert!(h.take_planned().is_empty());
    assert_eq!(
        h.store.call(h.business, call.id).await.unwrap().tracking_number,
        Some(number("+15730000000"))
    );
}

#[tokio::test]
async fn a_flow_of_another_business_is_no_flow() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let other = h.store.create_business("Other".into(), Country::US).await.unwrap().id;
    let reporter = store::call::Reporter { business_id: other, ..h.reporter() };
    let refused = h.store.record_call(reporter, None, h.call(flow.id)).await;
    assert!(matches!(refused, Err(StoreError::Invalid(Invalid { field, .. })) if field == "call_flow_id"));
    assert!(h.store.list_calls(other, CallFilter::default(), None, 50).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn the_same_report_again_changes_nothing_and_fires_nothing() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let report = EndedCall { source_call_id: some("CA1"), ..h.call(flow.id) };
    let first = h.report(report.clone()).await.unwrap();
    assert!(first.is_new);
    assert_eq!(h.take_planned().len(), 1);
    let again = h.report(EndedCall { status: CallStatus::Failed, ..report.clone() }).await.unwrap();
    assert!(!again.is_new);
    assert_eq!(again.call, first.call);
    assert!(h.take_planned().is_empty());
    let other_source = store::call::Reporter { reported_by: "another source".into(), ..h.reporter() };
    assert!(
        new(h.store.record_call(other_source, None, report).await).is_new,
        "another source has ids of its own"
    );
}

#[tokio::test]
async fn a_wrong_call_in_a_batch_is_refused_alone() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let unknown = domain::id::CallFlowId::from_bytes([9; 16]);
    let calls = vec![
        Ok(h.call(flow.id)),
        Err(Invalid::field("status", "is wrong")),
        Ok(h.call(unknown)),
        Ok(EndedCall { source_call_id: some("CA1"), ..h.call(flow.id) }),
        Ok(EndedCall { source_call_id: some("CA1"), ..h.call(flow.id) }),
    ];
    let results = new(h.store.record_calls(h.reporter(), None, calls).await);
    let shown: Vec<_> =
        results.iter().map(|r| r.as_ref().map(|r| r.is_new).map_err(|e| e.field.as_str())).collect();
    assert_eq!(shown, [Ok(true), Err("status"), Err("call_flow_id"), Ok(true), Ok(false)]);
    assert_eq!(h.take_planned().len(), 2);
}

#[tokio::test]
async fn every_field_comes_back_as_it_was_reported() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let report = EndedCall {
        source_call_id: some("CA1"),
        tracking_number: Some(number("+15735551234")),
        destination_number: Some(Party::Word("sip:bob@example.com".into())),
        recording: Some(domain::call::Recording {
            url: domain::secret::Secret::new("https://media.example.com/r.mp3?token=1"),
            duration_seconds: Some(138),
        }),
        transcription: some("שלום 🦀 \u{1}"),
        value_cents: Some(5_000),
        cost_cents: Some(15),
        robo_score: domain::analysis::Score::new(7).ok(),
        ..h.call(flow.id)
    };
    let recorded = h.report(report.clone()).await.unwrap().call;
    let read = h.store.call(h.business, recorded.id).await.unwrap();
    assert_eq!(read, recorded);
    assert_eq!((read.recording, read.analysis.transcription), (report.recording, report.transcription));
    assert!(read.recording_token.is_some());
}

#[tokio::test]
async fn filters_narrow_the_list_and_pages_are_stable_while_calls_arrive() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    for minute in 0..10 {
        h.world.advance(Duration::from_mins(1));
        let status = if minute % 2 == 0 { CallStatus::Completed } else { CallStatus::Busy };
        h.report(EndedCall { status, duration_seconds: minute * 10, ..h.call(flow.id) }).await.unwrap();
    }
    let list = |filter: CallFilter, before, limit| h.store.list_calls(h.business, filter, before, limit);
    let first = list(CallFilter::default(), None, 4).await.unwrap();
    assert_eq!((first.rows.len(), first.more), (4, true));
    h.report(h.call(flow.id)).await.unwrap();
    let second = list(CallFilter::default(), first.rows.last().map(|c| c.id), 100).await.unwrap();
    assert_eq!((second.rows.len(), second.more), (6, false), "what came meanwhile is not in later pages");
    let busy = CallFilter { status: Some(CallStatus::Busy), min_duration: Some(30), ..CallFilter::default() };
    assert_eq!(list(busy, None, 100).await.unwrap().rows.len(), 4);
    for written in ["5559876", "+1 305-555-9876", "(305) 555-9876"] {
        let search = CallFilter { search: some(written), ..CallFilter::default() };
        assert_eq!(list(search, None, 100).await.unwrap().rows.len(), 11, "{written}");
    }
    let wildcard = CallFilter { search: some("%"), ..CallFilter::default() };
    assert!(list(wildcard, None, 100).await.unwrap().rows.is_empty());
    let since = CallFilter {
        start_date: Some(domain::Timestamp::from_millis(NOW + 360_000)),
        ..CallFilter::default()
    };
    assert!(list(since, None, 100).await.unwrap().rows.len() < 11);
}

#[tokio::test]
async fn a_page_of_long_transcripts_ends_early_and_the_next_goes_on() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let mut reported = Vec::new();
    for _ in 0..20 {
        h.world.advance(Duration::from_secs(1));
        let transcription = Some("x".repeat(1_024 * 1_024));
        reported.push(h.report(EndedCall { transcription, ..h.call(flow.id) }).await.unwrap().call.id);
    }
    let (mut pages, mut seen) = (Vec::new(), Vec::new());
    loop {
        let filter = CallFilter::default();
        let page = h.store.list_calls(h.business, filter, seen.last().copied(), 500).await.unwrap();
        pages.push((page.rows.len(), page.more));
        seen.extend(page.rows.iter().map(|call| call.id));
        if !page.more {
            break;
        }
    }
    assert_eq!(pages, [(9, true), (9, true), (2, false)]);
    reported.reverse();
    assert_eq!(seen, reported, "each call is seen once, newest first");
}

#[tokio::test]
async fn a_correction_changes_the_call_but_not_what_was_frozen() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (recorded, pending, _) = h.planned(&flow).await;
    let change = |_: &domain::call::Call| {
        Ok(CallCorrection { value_cents: Some(Some(9_900)), ..CallCorrection::default() })
    };
    let call = h.store.correct_call(h.business, recorded.call.id, change).await.unwrap();
    assert_eq!(call.value_cents, Some(9_900));
    let detail = h.store.delivery(h.business, pending.id).await.unwrap();
    let body = String::from_utf8(detail.body.unwrap().as_bytes().to_vec()).unwrap();
    assert!(body.contains("\"value_cents\":null"), "{body}");
}

#[tokio::test]
async fn a_filter_that_matches_little_ends_its_page_and_goes_on_from_there() {
    let h = Harness::start().await;
    let flow = h.flow(|flow| flow.post_call_webhook.enabled = false).await;
    let long = h.report(EndedCall { duration_seconds: 80_000, ..h.call(flow.id) }).await.unwrap().call.id;
    // More than a page looks at.
    for _ in 0..21 {
        h.world.advance(Duration::from_millis(1));
        let calls = (0..500).map(|_| Ok(h.call(flow.id))).collect();
        new(h.store.record_calls(h.reporter(), None, calls).await);
    }
    let filter = CallFilter { min_duration: Some(70_000), ..CallFilter::default() };
    let first = h.store.list_calls(h.business, filter.clone(), None, 50).await.unwrap();
    assert_eq!((first.rows.len(), first.more), (0, true));
    let before = first.next(|call| *call.id.as_bytes()).map(CallId::from_bytes);
    let second = h.store.list_calls(h.business, filter, before, 50).await.unwrap();
    assert_eq!(second.rows.iter().map(|call| call.id).collect::<Vec<_>>(), [long]);
    assert_eq!(second.next(|call| *call.id.as_bytes()), None);
}

#[tokio::test]
async fn of_calls_that_are_there_it_is_known_who_called() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let word = Party::parse("anonymous", Country::US).unwrap();
    let nameless = h.report(EndedCall { caller_number: word.clone(), ..h.call(flow.id) }).await.unwrap().call;
    let numbered = h.report(h.call(flow.id)).await.unwrap().call;
    let erased = h.report(h.call(flow.id)).await.unwrap().call;
    h.store.erase_call(h.business, erased.id).await.unwrap();
    let asked = vec![numbered.id, erased.id, nameless.id, numbered.id];
    let callers = h.store.callers(h.business, asked).await.unwrap();
    assert_eq!((callers.len(), &callers[&nameless.id]), (2, &word));
    assert_eq!(callers[&numbered.id], numbered.caller_number);
    let other = h.store.create_business("Other".into(), Country::US).await.unwrap().id;
    assert!(h.store.callers(other, vec![numbered.id]).await.unwrap().is_empty());
}
