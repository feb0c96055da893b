//! A server finds what lists and the delivery engine ask for by an index, as it tells of the statements that it really ran, among many
//! rows: `CALLHOOK_PLAN_ROWS=1000000` makes it a million.

use crate::harness::{Harness, bytes};
use crate::server::server;
use domain::Timestamp;
use domain::analysis::AiCategory;
use domain::call::{CallStatus, Direction};
use domain::delivery::DeliveryStatus;
use domain::event::Event;
use domain::id::{CallFlowId, CallId, DestinationId, NumberId};
use store::call::CallFilter;
use store::delivery::DeliveryFilter;
use store::queue::QueueStore;

/// As many as make a planner take indexes where it would look through a small table.
const ROWS: u64 = 100_000;
/// When the first row was made; there is one in each millisecond.
const FIRST_MS: i64 = 1_774_000_000_000;

const TELL_PLANS: &str = "ALTER DATABASE postgres SET session_preload_libraries = 'auto_explain';
    ALTER DATABASE postgres SET auto_explain.log_min_duration = 0;";

/// Calls and their deliveries: of a hundred, 90 are delivered.
fn fill(h: &Harness, rows: u64) {
    let schema = h.place.schema();
    let business = bytes(h.business.as_bytes()).replace("x'", "'\\x");
    let id = |of: &str| {
        format!("decode(lpad(to_hex({FIRST_MS} + {of}), 12, '0') || lpad(to_hex({of}), 20, '0'), 'hex')")
    };
    let small = |of: &str| format!("decode(lpad(to_hex({of}), 32, '0'), 'hex')");
    let (row, flow, number) = (id("i"), small("i % 50 + 1"), small("i % 200 + 1"));
    server().run(&format!(
        "SET search_path TO {schema}; SET synchronous_commit TO off;
        INSERT INTO calls (business_id, id, reported_by, source_call_id, call_flow_id, number_id, caller_number, direction, status,
            duration_seconds, started_at, ended_at, ai_category, qualified_ai, ai_processed, source, reported_at, updated_at)
        SELECT {business}, {row}, 'api', 'CA' || i, {flow}, {number}, '+13055559876',
            CASE WHEN i % 20 = 0 THEN 'outbound' ELSE 'inbound' END, CASE WHEN i % 10 = 0 THEN 'no-answer' ELSE 'completed' END,
            i % 600, {FIRST_MS} + i, {FIRST_MS} + i, CASE WHEN i % 50 = 0 THEN 'spam' END, CASE WHEN i % 50 = 0 THEN 1 END, 0,
            CASE WHEN i % 3 = 0 THEN 'google' END, {FIRST_MS} + i, {FIRST_MS} + i
        FROM generate_series(1, {rows}) AS i;
        INSERT INTO deliveries (business_id, id, call_id, call_flow_id, destination_id, queue, kind, event, status, version, url,
            payload_id, attempt_count, attempt_in_series, next_attempt_at, last_error, delivered_at)
        SELECT {business}, {row}, {row}, {flow}, {flow}, 1, CASE WHEN i % 100 = 0 THEN 'test' ELSE 'call' END,
            CASE WHEN i % 10 = 0 THEN 'call.missed' ELSE 'call.completed' END, status, 1, 'https://hooks.example.com/x', i, 1, 1,
            CASE WHEN status IN ('scheduled', 'waiting_for_ai') THEN {FIRST_MS} + i END,
            CASE WHEN status IN ('scheduled', 'failed') THEN 'http_503' END, CASE WHEN status = 'delivered' THEN {FIRST_MS} + i END
        FROM (SELECT i, CASE i % 100 WHEN 1 THEN 'failed' WHEN 2 THEN 'failed' WHEN 3 THEN 'scheduled' WHEN 4 THEN 'scheduled'
            WHEN 5 THEN 'waiting_for_ai' WHEN 6 THEN 'cancelled' WHEN 7 THEN 'skipped' ELSE 'delivered' END AS status
            FROM generate_series(1, {rows}) AS i) AS made;
        INSERT INTO delivery_statistics (business_id, minute, call_flow_id, status, latency_bucket, count)
        SELECT {business}, {FIRST_MS} / 60000 + i / 50, {flow}, 'delivered', i % 7, 1 FROM generate_series(1, {rows}) AS i;"
    ));
    server().run("VACUUM ANALYZE;");
    server().run(TELL_PLANS);
}

/// What the server tells of the statements that `work` led to.
async fn plans<T>(work: impl Future<Output = T>) -> String {
    let before = server().log().len();
    work.await;
    server().log().split_off(before)
}

#[track_caller]
fn check(plans: &str, index: &str) {
    assert!(plans.contains(&format!(" using {index} ")), "expected {index}, but it is\n{plans}");
    for way in ["Seq Scan on calls", "Seq Scan on deliveries", "Sort", "Hash"] {
        // A call has few deliveries: they are sorted.
        let is_right = way == "Sort" && index == "deliveries_by_call";
        assert!(is_right || !plans.contains(way), "{index}, and no {way}:\n{plans}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn among_many_rows_each_filter_goes_by_its_index() {
    let h = Harness::start().await;
    let rows = std::env::var("CALLHOOK_PLAN_ROWS").map_or(ROWS, |rows| rows.parse().unwrap());
    fill(&h, rows);
    let h = h.restart().await;
    let until = FIRST_MS + i64::try_from(rows).unwrap();
    let flow = |number: u128| CallFlowId::from_bytes(number.to_be_bytes());
    let all = DeliveryFilter::default;
    let of = |status| DeliveryFilter { status: Some(status), ..all() };
    let call = {
        let first = h.store.list_deliveries(h.business, all(), None, 1).await.unwrap();
        first.rows[0].call_id
    };
    for (filter, index) in [
        (all(), "deliveries_pkey"),
        (of(DeliveryStatus::Delivered), "deliveries_pkey"),
        (of(DeliveryStatus::Failed), "deliveries_not_delivered"),
        (of(DeliveryStatus::Scheduled), "deliveries_not_delivered"),
        (of(DeliveryStatus::WaitingForAi), "deliveries_not_delivered"),
        (DeliveryFilter { call_id: call, ..all() }, "deliveries_by_call"),
        (DeliveryFilter { call_flow_id: Some(flow(7)), ..all() }, "deliveries_by_call_flow"),
        (DeliveryFilter { event: Some(Event::Missed), ..all() }, "deliveries_by_event"),
        (DeliveryFilter { event: Some(Event::Completed), ..all() }, "deliveries_pkey"),
        (DeliveryFilter { test: Some(true), ..all() }, "deliveries_tests"),
        (DeliveryFilter { error: Some("http_503".into()), ..all() }, "deliveries_failing"),
        (
            DeliveryFilter { since_ms: Some(until - 900), until_ms: Some(until - 90), ..all() },
            "deliveries_pkey",
        ),
        (
            DeliveryFilter {
                call_flow_id: Some(flow(4)),
                since_ms: Some(FIRST_MS),
                until_ms: Some(until),
                ..of(DeliveryStatus::Scheduled)
            },
            "deliveries_not_delivered",
        ),
    ] {
        let plans = plans(async {
            let page = h.store.list_deliveries(h.business, filter.clone(), None, 50).await.unwrap();
            assert!(!page.rows.is_empty(), "{filter:?}");
        });
        check(&plans.await, index);
    }
    let all = CallFilter::default;
    let latest = "calls_by_id";
    for (filter, index) in [
        (all(), latest),
        (CallFilter { status: Some(CallStatus::NoAnswer), ..all() }, "calls_not_completed"),
        (CallFilter { status: Some(CallStatus::Completed), ..all() }, latest),
        (CallFilter { direction: Some(Direction::Outbound), ..all() }, "calls_outbound"),
        (CallFilter { source: Some("google".into()), ..all() }, "calls_by_source"),
        (CallFilter { call_flow_id: Some(flow(7)), ..all() }, "calls_by_call_flow"),
        (
            CallFilter { number_id: Some(NumberId::from_bytes(9_u128.to_be_bytes())), ..all() },
            "calls_by_number",
        ),
        (CallFilter { ai_category: Some(AiCategory::Spam), ..all() }, "calls_by_ai_category"),
        (CallFilter { qualified: Some(true), ..all() }, "calls_by_qualified"),
        (CallFilter { min_duration: Some(300), ..all() }, latest),
        (CallFilter { search: Some("CA9".into()), ..all() }, latest),
    ] {
        let plans = plans(async {
            let page = h.store.list_calls(h.business, filter.clone(), None, 50).await.unwrap();
            assert!(!page.rows.is_empty(), "{filter:?}");
        });
        check(&plans.await, index);
    }
    let told = plans(async {
        let calls = h.store.list_calls(h.business, all(), None, 8).await.unwrap().rows;
        let ids = calls.iter().map(|call| call.id).collect();
        assert!(
            h.store.deliveries_of_calls(h.business, ids).await.unwrap().iter().any(|told| !told.is_empty())
        );
    });
    check(&told.await, "deliveries_by_call");
    let week = plans(async {
        let since = Timestamp::from_millis(FIRST_MS);
        assert!(!h.store.ended_of_call_flow(h.business, flow(7), since).await.unwrap().ended.is_empty());
    });
    let week = week.await;
    assert!(week.contains("delivery_statistics_by_call_flow") && !week.contains("Seq Scan"), "{week}");
    let standing = plans(h.store.work_state(h.business, Vec::new())).await;
    check(&standing, "deliveries_by_call_flow");
    check(&standing, "deliveries_pending_by_lane");
    check(&plans(h.store.to_be_sent_again(h.business)).await, "deliveries_not_delivered");
    let lane = DestinationId::from_bytes(4_u128.to_be_bytes());
    let pending = "deliveries_pending_by_lane";
    check(&plans(h.store.load_lane(lane, 500)).await, pending);
    let due_by = Timestamp::from_millis(until);
    check(
        &plans(async { assert_eq!(h.store.lane_heads(due_by, None, 100).await.unwrap().len(), 3) }).await,
        pending,
    );
    check(&plans(h.store.backlog(1_000)).await, pending);
    let rows = h.store.load_lane(lane, 200).await.unwrap().rows;
    let prepared = plans(h.store.prepare(rows)).await;
    check(&prepared, "deliveries_pkey");
    let call = call.unwrap_or(CallId::from_bytes([0; 16]));
    check(&plans(h.store.call(h.business, call)).await, latest);
}
