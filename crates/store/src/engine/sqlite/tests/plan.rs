//! Tests that each hot statement goes by the index that was made for it, whatever a business has stored.

use super::shared;
use crate::call::{self, CallFilter};
use crate::delivery::{self, Backlog, DeliveryFilter, backlog, erase, pending, plan, redelivery};
use crate::engine::sqlite::connection::SqliteConnection;
use crate::engine::sqlite::migrations;
use crate::engine::{Row, Sql, State, Value};
use crate::error::StoreResult;
use crate::retention;
use crate::statistics;
use crate::tx::{Savepoints, Tx};
use crate::upkeep;
use domain::Timestamp;
use domain::analysis::AiCategory;
use domain::call::{CallStatus, Direction};
use domain::delivery::DeliveryStatus;
use domain::event::Event;
use domain::id::{BusinessId, CallFlowId, CallId, DeliveryId, DestinationId, JobId, NumberId};
use std::ops::ControlFlow;

const BUSINESS: BusinessId = BusinessId::from_bytes([1; 16]);
const CALL: CallId = CallId::from_bytes([2; 16]);
const FLOW: CallFlowId = CallFlowId::from_bytes([3; 16]);
const DELIVERY: DeliveryId = DeliveryId::from_bytes([4; 16]);
const JOB: JobId = JobId::from_bytes([7; 16]);
const NUMBER: NumberId = NumberId::from_bytes([6; 16]);
const LANE: DestinationId = DestinationId::from_bytes([5; 16]);

/// A connection that notes how SQLite means to run each statement, and runs it.
struct Explaining {
    connection: SqliteConnection,
    plans: String,
}

impl Explaining {
    fn explain(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<()> {
        let plans = &mut self.plans;
        self.connection.each_row(&format!("EXPLAIN QUERY PLAN {sql}"), params, &mut |row| {
            plans.push_str(&row.text(3)?);
            plans.push('\n');
            Ok(ControlFlow::Continue(()))
        })
    }
}

impl Sql for Explaining {
    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<u64> {
        self.explain(sql, params)?;
        self.connection.execute(sql, params)
    }

    fn insert(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<i64> {
        self.explain(sql, params)?;
        self.connection.insert(sql, params)
    }

    fn each_row(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<ControlFlow<()>>,
    ) -> StoreResult<()> {
        self.explain(sql, params)?;
        self.connection.each_row(sql, params, each)
    }

    fn changes(&self) -> u64 {
        self.connection.changes()
    }

    fn control(&mut self, sql: &str) -> StoreResult<()> {
        self.connection.control(sql)
    }

    fn state(&self) -> State {
        self.connection.state()
    }
}

/// How the statements of an operation are run, in a database as a start makes it.
fn plans<T>(operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let mut writer = SqliteConnection::open(&path).unwrap();
    migrations::run(&mut writer).unwrap();
    writer.run("INSERT INTO businesses (id, name, default_country, created_at) VALUES (x'01010101010101010101010101010101', 'Acme', 'US', 0)").unwrap();
    let mut explaining = Explaining { connection: writer, plans: String::new() };
    // What is not there is not found; its statements were explained all the same.
    let _ = operation(&mut Tx::new(&mut explaining, &shared(), Savepoints::Left));
    explaining.plans
}

#[track_caller]
fn check<T>(operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T>, expected: &str) {
    let plans = plans(operation);
    assert!(plans.contains(expected), "expected {expected}, but it is\n{plans}");
}

#[track_caller]
fn check_list(filter: &DeliveryFilter, expected: &str) {
    let plans = plans(|tx| delivery::list(tx, BUSINESS, filter, None, 50));
    assert!(plans.contains(expected), "expected {expected}, but it is\n{plans}");
    assert!(!plans.contains("TEMP B-TREE"), "a page is not sorted:\n{plans}");
}

fn filter() -> DeliveryFilter {
    DeliveryFilter::default()
}

#[test]
fn each_filter_of_deliveries_has_its_index() {
    const PRIMARY_KEY: &str = "USING PRIMARY KEY (business_id=?";
    let status = |status| DeliveryFilter { status: Some(status), ..filter() };
    for not_delivered in [
        DeliveryStatus::WaitingForAi,
        DeliveryStatus::Scheduled,
        DeliveryStatus::Failed,
        DeliveryStatus::Cancelled,
        DeliveryStatus::Skipped,
    ] {
        check_list(&status(not_delivered), "deliveries_not_delivered (business_id=? AND status=?)");
    }
    check_list(&status(DeliveryStatus::Delivered), PRIMARY_KEY);
    check_list(&filter(), PRIMARY_KEY);
    check_list(
        &DeliveryFilter { call_id: Some(CALL), ..filter() },
        "deliveries_by_call (business_id=? AND call_id=?)",
    );
    check_list(
        &DeliveryFilter { call_flow_id: Some(FLOW), ..filter() },
        "deliveries_by_call_flow (business_id=? AND call_flow_id=?)",
    );
    check_list(
        &DeliveryFilter { event: Some(Event::Failed), ..filter() },
        "deliveries_by_event (business_id=? AND event=?)",
    );
    check_list(&DeliveryFilter { event: Some(Event::Completed), ..filter() }, PRIMARY_KEY);
    check_list(&DeliveryFilter { test: Some(true), ..filter() }, "deliveries_tests (business_id=?)");
    check_list(&DeliveryFilter { test: Some(false), ..filter() }, PRIMARY_KEY);
    check_list(
        &DeliveryFilter { error: Some("timeout".to_owned()), ..filter() },
        "deliveries_failing (business_id=? AND last_error=?)",
    );
    check_list(
        &DeliveryFilter { since_ms: Some(1), ..filter() },
        "USING PRIMARY KEY (business_id=? AND id>?)",
    );
    check_list(
        &DeliveryFilter { since_ms: Some(1), until_ms: Some(2), ..filter() },
        "USING PRIMARY KEY (business_id=? AND id>? AND id<?)",
    );
}

#[test]
fn each_filter_of_calls_has_its_index_or_walks_the_latest() {
    #[track_caller]
    fn check_calls(filter: CallFilter, expected: &str) {
        let plans = plans(|tx| call::list(tx, BUSINESS, filter, None, 50));
        assert!(plans.contains(expected), "expected {expected}, but it is\n{plans}");
        assert!(!plans.contains("TEMP B-TREE"), "a page is not sorted:\n{plans}");
    }
    const LATEST: &str = "calls_by_id (business_id=?";
    let none = CallFilter::default;
    check_calls(none(), LATEST);
    check_calls(
        CallFilter { number_id: Some(NUMBER), ..none() },
        "calls_by_number (business_id=? AND number_id=?",
    );
    check_calls(
        CallFilter { source: Some("google".into()), ..none() },
        "calls_by_source (business_id=? AND source=?",
    );
    check_calls(
        CallFilter { status: Some(CallStatus::Failed), ..none() },
        "calls_not_completed (business_id=? AND status=?",
    );
    check_calls(CallFilter { status: Some(CallStatus::Completed), ..none() }, LATEST);
    check_calls(
        CallFilter { direction: Some(Direction::Outbound), ..none() },
        "calls_outbound (business_id=?",
    );
    check_calls(
        CallFilter { ai_category: Some(AiCategory::Spam), ..none() },
        "calls_by_ai_category (business_id=? AND ai_category=?",
    );
    check_calls(
        CallFilter { qualified: Some(true), ..none() },
        "calls_by_qualified (business_id=? AND qualified_ai=?",
    );
    check_calls(CallFilter { search: Some("roof".into()), ..none() }, LATEST);
    check_calls(CallFilter { min_duration: Some(60), max_ai_score: Some(9), ..none() }, LATEST);
}

#[test]
fn what_the_writer_looks_up_is_not_searched_for_among_all_of_a_business() {
    check(
        |tx| erase::deliveries_of_call(tx, BUSINESS, CALL),
        "deliveries_by_call (business_id=? AND call_id=?)",
    );
    check(|tx| plan::waiting_of_call(tx, BUSINESS, CALL), "deliveries_by_call (business_id=? AND call_id=?)");
    check(
        |tx| pending::pending_of_lane(tx, BUSINESS, LANE, None, 500),
        "deliveries_pending_by_lane (destination_id=?",
    );
    check(|tx| delivery::row::find_pending(tx, BUSINESS, DELIVERY), "PRIMARY KEY (business_id=? AND id=?)");
    check(|tx| call::find(tx, BUSINESS, CALL), "calls_by_id (business_id=? AND id=?)");
    check(
        |tx| call::id_by_source(tx, BUSINESS, "api", "CA1"),
        "calls_by_source_call_id (business_id=? AND reported_by=? AND source_call_id=?)",
    );
    check(
        |tx| {
            let filter = DeliveryFilter { status: Some(DeliveryStatus::Failed), ..filter() };
            redelivery::step(tx, BUSINESS, JOB, &filter, Some(DELIVERY))
        },
        "deliveries_not_delivered (business_id=? AND status=? AND id>?)",
    );
}

#[test]
fn what_retention_and_upkeep_look_for_has_its_index() {
    let now = Timestamp::from_millis(0);
    check(
        |tx| retention::deliveries_past(tx, BUSINESS, now, None),
        "PRIMARY KEY (business_id=? AND id>? AND id<?)",
    );
    let calls = plans(|tx| retention::calls_past(tx, BUSINESS, now, None));
    for index in
        ["calls_by_id (business_id=? AND id>? AND id<?)", "deliveries_by_call (business_id=? AND call_id=?)"]
    {
        assert!(calls.contains(index), "{calls}");
    }
    check(
        |tx| retention::purge_samples(tx, BUSINESS, now),
        "deliveries_by_call (business_id=? AND call_id=? AND id<?)",
    );
    check(|tx| retention::purge_statistics(tx, BUSINESS, now), "PRIMARY KEY (business_id=? AND minute<?)");
    let upkeep = plans(upkeep::purge);
    for index in [
        "idempotency_keys_by_age (created_at<?)",
        "idempotency_subjects_by_key (business_id=? AND key=?)",
        "source_calls_by_age (updated_at<?)",
        "tombstones_by_age (created_at<?)",
        "redeliveries_by_end (ended_at<?)",
    ] {
        assert!(upkeep.contains(index), "expected {index}, but it is\n{upkeep}");
    }
}

#[test]
fn what_the_delivery_engine_and_readers_ask_for_has_its_index() {
    check(|tx| pending::lane_rows(tx, LANE, 10), "deliveries_pending_by_lane (destination_id=?");
    check(
        |tx| pending::lane_heads(tx, Timestamp::from_millis(0), None, 10),
        "deliveries_pending_by_lane (destination_id>?)",
    );
    let now = Timestamp::from_millis(0);
    let heads = plans(|tx| backlog::backlog(tx, now, 10));
    assert!(heads.contains("COVERING INDEX deliveries_pending_by_lane (destination_id>?)"), "{heads}");
    assert!(!heads.contains("TEMP B-TREE"), "the lanes are not sorted:\n{heads}");
    let counts = plans(|tx| backlog::count_lane(tx, &mut Backlog::default(), LANE.as_bytes(), now, 10));
    for range in ["next_attempt_at>? AND next_attempt_at<?", "next_attempt_at>?"] {
        let expected = format!("COVERING INDEX deliveries_pending_by_lane (destination_id=? AND {range})");
        assert!(counts.contains(&expected), "{counts}");
    }
    let standing = plans(|tx| delivery::pulse::work_state(tx, BUSINESS, &[]));
    for index in [
        "COVERING INDEX deliveries_pending_by_lane (destination_id=?",
        "deliveries_by_call_flow (business_id=? AND call_flow_id=?)",
        "PRIMARY KEY (business_id=?)",
    ] {
        assert!(standing.contains(index), "expected {index}, but it is\n{standing}");
    }
    assert!(!standing.contains("TEMP B-TREE"), "nothing is sorted:\n{standing}");
    check(
        |tx| delivery::pulse::to_be_sent_again(tx, BUSINESS),
        "deliveries_not_delivered (business_id=? AND status=?)",
    );
    check(
        |tx| delivery::of_calls::of_calls(tx, BUSINESS, &[CALL, CallId::from_bytes([7; 16])]),
        "deliveries_by_call (business_id=? AND call_id=?)",
    );
    check(
        |tx| statistics::ended_of_call_flow(tx, BUSINESS, FLOW, now),
        "COVERING INDEX delivery_statistics_by_call_flow (business_id=? AND call_flow_id=? AND minute>?)",
    );
    check(
        |tx| delivery::attempts(tx, BUSINESS, DELIVERY),
        "attempts USING PRIMARY KEY (business_id=? AND delivery_id=?)",
    );
    check(|tx| call::by_recording_token(tx, "token"), "calls_by_recording_token (recording_token=?)");
    check(|tx| call::list(tx, BUSINESS, CallFilter::default(), None, 50), "calls_by_id (business_id=?)");
    let under_way = plans(|tx| redelivery::under_way(tx, BUSINESS));
    assert!(
        under_way.contains("r USING INDEX redeliveries_by_end (ended_at=? AND business_id=?)"),
        "{under_way}"
    );
    assert!(!under_way.contains("TEMP B-TREE") && !under_way.contains("SCAN"), "{under_way}");
    let of_flow = CallFilter { call_flow_id: Some(FLOW), ..CallFilter::default() };
    check(
        |tx| call::list(tx, BUSINESS, of_flow, None, 50),
        "calls_by_call_flow (business_id=? AND call_flow_id=?)",
    );
}
