//! Operations that are run beside each other: each is answered as if it were alone, and a server is asked once for many.

use crate::harness::{Harness, Place, bytes, new, number};
use domain::analysis::Analysis;
use domain::call::{EndedCall, Recording};
use domain::call_flow::CallFlow;
use domain::delivery::DeliveryStatus;
use domain::phone_number::Party;
use domain::retry::Verdict;
use domain::secret::Secret;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::StoreError;
use store::call::{CallCorrection, CallFilter};
use store::delivery::DeliveryFilter;
use store::queue::{Outcome, OutcomeApplied, Prepared, QueueStore};

fn call_of(h: &Harness, flow: &CallFlow, source_call_id: usize) -> EndedCall {
    EndedCall { source_call_id: Some(format!("CA{source_call_id}")), ..h.call(flow.id) }
}

/// Statements that a server was sent for `work`.
async fn statements<T>(h: &Harness, work: impl Future<Output = T>) -> (T, u64) {
    let before = h.store.figures().statements.total();
    let done = work.await;
    (done, h.store.figures().statements.total() - before)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_reports_that_come_together_each_call_is_made_once() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let reports = (0..300).map(|report| h.report(call_of(&h, &flow, report % 150)));
    let (recorded, sent) = statements(&h, join_all(reports)).await;
    let recorded: Vec<_> = recorded.into_iter().map(Result::unwrap).collect();
    assert_eq!(recorded.iter().filter(|recorded| recorded.is_new).count(), 150);
    for report in 0..150 {
        assert_eq!(recorded[report].call, recorded[report + 150].call);
    }
    let planned = h.take_planned();
    assert_eq!(planned.len(), 150);
    let ids: BTreeSet<_> = planned.iter().map(|(pending, _)| pending.call_id).collect();
    assert_eq!(ids, recorded.iter().map(|recorded| Some(recorded.call.id)).collect());
    for (pending, job) in planned {
        let kept = h.store.delivery(h.business, pending.id).await.unwrap();
        assert_eq!(kept.body.unwrap().as_bytes(), job.unwrap().body.as_bytes());
    }
    assert!(sent < 150, "{sent} statements for 300 reports");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_stands_in_a_batch_twice_is_known_the_second_time() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let calls = |ids: &[usize]| ids.iter().map(|id| Ok(call_of(&h, &flow, *id))).collect::<Vec<_>>();
    let batches = [calls(&[1, 2, 1, 3, 2, 1]), calls(&[3, 4, 2]), calls(&[5])];
    let batches = batches.map(|batch| h.store.record_calls(h.reporter(), None, batch));
    let mut made = Vec::new();
    for answer in join_all(batches).await {
        let answer = answer.unwrap();
        made.extend(answer.done_now().unwrap().iter().map(|one| one.as_ref().unwrap().is_new));
    }
    assert_eq!(made.len(), 10);
    assert_eq!(made.iter().filter(|is_new| **is_new).count(), 5);
    let calls = h.store.list_calls(h.business, CallFilter::default(), None, 100).await.unwrap();
    assert_eq!(calls.rows.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_report_leaves_those_beside_it_alone() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let gone = h.flow(|_| {}).await;
    h.store.delete_call_flow(h.business, gone.id).await.unwrap();
    let reports = (0..60).map(|at| h.report(h.call(if at % 3 == 0 { gone.id } else { flow.id })));
    let answers = join_all(reports).await;
    let refused = answers.iter().filter(|answer| matches!(answer, Err(StoreError::Invalid(_)))).count();
    assert_eq!((refused, answers.iter().filter(|answer| answer.is_ok()).count()), (20, 40));
    assert_eq!(h.take_planned().len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_the_tables_do_not_take_fails_alone() {
    let h = Harness::start().await;
    // Only a server lets a table refuse a row from the outside.
    let Place::Schema(schema) = &h.place else { return };
    let poison = "ALTER TABLE calls ADD CONSTRAINT poison CHECK (caller_number <> '+13055550000')";
    crate::server::server().run(&format!("SET search_path TO {schema}; {poison}"));
    let flow = h.flow(|_| {}).await;
    let caller = |at| Party::Number(number(if at % 100 == 50 { "+13055550000" } else { "+13055559876" }));
    let reports = (0..300).map(|at| h.report(EndedCall { caller_number: caller(at), ..h.call(flow.id) }));
    let (answers, sent) = statements(&h, join_all(reports)).await;
    let failed: Vec<_> = (0..300).filter(|at| matches!(answers[*at], Err(StoreError::Corrupt(_)))).collect();
    assert_eq!(failed, [50, 150, 250]);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 297);
    assert_eq!(h.take_planned().len(), 297);
    assert!(sent < 900, "{sent} statements for 300 reports");
}

#[tokio::test]
async fn a_batch_that_fails_for_one_of_its_calls_writes_none() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let known = h.report(call_of(&h, &flow, 1)).await.unwrap().call;
    h.damage(&format!("UPDATE calls SET recording_sealed = x'00' WHERE id = {}", bytes(known.id.as_bytes())));
    let unmatched = EndedCall { call_flow_id: None, ..h.call(flow.id) };
    let batch = vec![Ok(call_of(&h, &flow, 1)), Ok(unmatched), Ok(call_of(&h, &flow, 2))];
    let answer = h.store.record_calls(h.reporter(), None, batch).await;
    assert!(answer.is_err(), "what cannot be read is not what was reported");
    assert_eq!(h.take_planned().len(), 1, "of the first report");
    assert_eq!(new(h.store.record_calls(h.reporter(), None, vec![Ok(call_of(&h, &flow, 2))]).await).len(), 1);
    h.store.erase_call(h.business, known.id).await.unwrap();
    let calls = h.store.list_calls(h.business, CallFilter::default(), None, 10).await.unwrap();
    assert_eq!(calls.rows.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_stands_though_a_retry_is_planned_in_the_same_moment() {
    let h = Harness::start().await;
    // Only a server has two that write at once.
    let Place::Schema(schema) = &h.place else { return };
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    let outcome = format!(
        "SET search_path TO {schema}; BEGIN;
        UPDATE deliveries SET version = version + 1, attempt_count = 1, attempt_in_series = 1, next_attempt_at = next_attempt_at + 30000;
        SELECT pg_sleep(0.5), 'the outcome of {schema}'; COMMIT"
    );
    let recording = tokio::task::spawn_blocking(move || crate::server::server().run(&outcome));
    let is_held = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%outcome of {schema}%' AND pid <> pg_backend_pid()"
    );
    while crate::server::server().ask(&is_held) != "1" {}
    let cancelled = new(h.store.cancel_delivery(h.business, None, pending.id).await);
    recording.await.unwrap();
    assert_eq!((cancelled.status, cancelled.attempt_count), (DeliveryStatus::Cancelled, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_recorded_many_at_once_and_once_each() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    join_all((0..200).map(|_| h.report(h.call(flow.id)))).await;
    let planned = h.take_planned();
    let retry_at = h.world.now_before(std::time::Duration::ZERO);
    let outcomes: Vec<_> = planned
        .iter()
        .enumerate()
        .map(|(at, (pending, _))| match at % 4 {
            0 => h.outcome(*pending, 1, Verdict::RetryAt(retry_at)),
            1 => h.outcome(*pending, 1, Verdict::Failed),
            _ => h.outcome(*pending, 1, Verdict::Delivered),
        })
        .collect();
    let outcomes = Arc::new(outcomes);
    // Given twice, as after a commit of which nobody knows.
    let twice = [Arc::clone(&outcomes), outcomes].map(|outcomes| h.store.record_outcomes(outcomes));
    let (answers, sent) = statements(&h, join_all(twice)).await;
    for applied in answers.into_iter().map(Result::unwrap) {
        assert_eq!(applied.iter().filter(|one| matches!(one, OutcomeApplied::Next(_))).count(), 50);
        assert_eq!(applied.iter().filter(|one| matches!(one, OutcomeApplied::Ended)).count(), 150);
    }
    for (at, (pending, _)) in planned.iter().enumerate() {
        let kept = h.store.delivery(h.business, pending.id).await.unwrap();
        let expected = [DeliveryStatus::Scheduled, DeliveryStatus::Failed, DeliveryStatus::Delivered];
        assert_eq!(kept.delivery.status, expected[(at % 4).min(2)]);
        assert_eq!((kept.delivery.attempt_count, kept.attempts.len()), (1, 1));
    }
    let since = h.world.now_before(std::time::Duration::from_hours(1));
    let counted = h.store.delivery_statistics(h.business, since, None, 1).await.unwrap();
    assert_eq!((counted.ended["failed"], counted.ended["delivered"]), (50, 100));
    assert!(sent < 60, "{sent} statements for 400 outcomes");
}

/// Ten calls are reported, and each is delivered at its first attempt.
async fn ten_delivered(h: &Harness, flow: &CallFlow) -> Vec<Outcome> {
    join_all((0..10).map(|_| h.report(h.call(flow.id)))).await;
    h.take_planned().iter().map(|(pending, _)| h.outcome(*pending, 1, Verdict::Delivered)).collect()
}

/// Records groups of outcomes until a server takes one in a single statement; how many it took. The first finds out what the others suppose,
/// and so does one that comes after a second's silence.
async fn until_one_statement(h: &Harness, flow: &CallFlow) -> u64 {
    let mut groups = 0;
    loop {
        let outcomes = ten_delivered(h, flow).await;
        let (answers, sent) = statements(h, h.store.record_outcomes(Arc::new(outcomes))).await;
        answers.unwrap();
        groups += 1;
        if sent == 1 || !crate::IS_POSTGRES {
            return groups;
        }
        assert!(groups < 20, "no group went in one statement");
    }
}

async fn counted_as_delivered(h: &Harness) -> u64 {
    let since = h.world.now_before(std::time::Duration::from_hours(1));
    h.store.delivery_statistics(h.business, since, None, 1).await.unwrap().ended["delivered"]
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_go_in_one_statement_where_each_delivery_is_as_it_was_sent() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let groups = until_one_statement(&h, &flow).await;
    let outcomes = ten_delivered(&h, &flow).await;
    let cancelled = outcomes[3].pending.id;
    new(h.store.cancel_delivery(h.business, None, cancelled).await);
    let (answers, sent) = statements(&h, h.store.record_outcomes(Arc::new(outcomes))).await;
    let answers = answers.unwrap();
    assert_eq!(answers.iter().filter(|one| matches!(one, OutcomeApplied::Ended)).count(), 9);
    assert!(matches!(answers[3], OutcomeApplied::Late), "{:?}", answers[3]);
    assert!(sent > 1 || !crate::IS_POSTGRES, "it was found out in one statement");
    let kept = h.store.delivery(h.business, cancelled).await.unwrap();
    assert_eq!((kept.delivery.status, kept.attempts.len()), (DeliveryStatus::Delivered, 1));
    assert_eq!(counted_as_delivered(&h).await, (groups + 1) * 10, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_stands_in_a_group_twice_is_recorded_once() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let groups = until_one_statement(&h, &flow).await;
    let mut outcomes = ten_delivered(&h, &flow).await;
    let twice = outcomes[3].clone();
    let id = twice.pending.id;
    outcomes.push(twice);
    let answers = h.store.record_outcomes(Arc::new(outcomes)).await.unwrap();
    assert!(answers.iter().all(|one| matches!(one, OutcomeApplied::Ended)), "{answers:?}");
    let kept = h.store.delivery(h.business, id).await.unwrap();
    assert_eq!((kept.delivery.status, kept.attempts.len()), (DeliveryStatus::Delivered, 1));
    assert_eq!(counted_as_delivered(&h).await, (groups + 1) * 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_on_record_already_keeps_no_outcome_from_being_recorded() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    until_one_statement(&h, &flow).await;
    let outcomes = Arc::new(ten_delivered(&h, &flow).await);
    h.store.record_outcomes(Arc::clone(&outcomes)).await.unwrap();
    h.damage(
        "UPDATE deliveries SET status = 'scheduled', version = 1, attempt_count = 0, attempt_in_series = 0, next_attempt_at = 1,
            delivered_at = NULL",
    );
    let answers = h.store.record_outcomes(Arc::clone(&outcomes)).await.unwrap();
    assert!(answers.iter().all(|one| matches!(one, OutcomeApplied::Ended)), "{answers:?}");
    for outcome in &*outcomes {
        let kept = h.store.delivery(h.business, outcome.pending.id).await.unwrap();
        assert_eq!((kept.delivery.status, kept.attempts.len()), (DeliveryStatus::Delivered, 1));
    }
    until_one_statement(&h, &flow).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_somebody_adds_keeps_nothing_from_being_written() {
    let h = Harness::start().await;
    // Only a server is told the columns of many rows by itself.
    let Place::Schema(schema) = &h.place else { return };
    let flow = h.flow(|_| {}).await;
    let report = async || {
        for recorded in join_all((0..20).map(|_| h.report(h.call(flow.id)))).await {
            recorded.unwrap();
        }
        let planned = h.take_planned();
        let ended = planned.iter().map(|(pending, _)| h.outcome(*pending, 1, Verdict::Delivered)).collect();
        let applied = h.store.record_outcomes(Arc::new(ended)).await.unwrap();
        assert!(applied.iter().all(|one| matches!(one, OutcomeApplied::Ended)), "{applied:?}");
        applied.len()
    };
    assert_eq!(report().await, 20);
    for table in ["calls", "payloads", "deliveries", "attempts", "delivery_statistics"] {
        crate::server::server().run(&format!("ALTER TABLE {schema}.{table} ADD COLUMN remark TEXT"));
    }
    assert_eq!(report().await, 20);
    assert_eq!(report().await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn fallbacks_and_rows_that_are_read_again_are_asked_for_at_once() {
    let h = Harness::start().await;
    let flow = h.waiting_flow().await;
    join_all((0..100).map(|_| h.report(h.call(flow.id)))).await;
    let waiting: Vec<_> = h.take_planned().into_iter().map(|(pending, _)| pending).collect();
    let (made, sent) = statements(&h, h.store.make_due(waiting.clone())).await;
    let jobs: Vec<_> = made
        .unwrap()
        .into_iter()
        .map(|prepared| match prepared {
            Prepared::Send(job) => job,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(sent < 60, "{sent} statements for 100 fallbacks");
    let again = h.store.make_due(waiting).await.unwrap();
    assert!(again.iter().all(|prepared| matches!(prepared, Prepared::Changed(_))));
    let due: Vec<_> = jobs.iter().map(|job| job.pending).collect();
    let (prepared, sent) = statements(&h, h.store.prepare(due)).await;
    for (job, prepared) in jobs.iter().zip(prepared.unwrap()) {
        let Prepared::Send(read) = prepared else { panic!("{prepared:?}") };
        assert_eq!((read.pending, read.body.as_bytes()), (job.pending, job.body.as_bytes()));
    }
    assert!(sent < 20, "{sent} statements for 100 rows");
    let kept = h.store.list_deliveries(h.business, DeliveryFilter::default(), None, 200).await.unwrap();
    assert!(kept.rows.iter().all(|row| row.status == DeliveryStatus::Scheduled) && kept.rows.len() == 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_call_that_come_together_all_stand() {
    let h = Harness::start().await;
    let flow = h.waiting_flow().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(h.report(h.call(flow.id)).await.unwrap().call.id);
    }
    h.take_planned();
    let recording =
        || Recording { url: Secret::new("https://phone.example/r.mp3"), duration_seconds: Some(9) };
    let correction = |value| CallCorrection { value_cents: Some(Some(value)), ..CallCorrection::default() };
    let analysis = || Analysis { summary: Some("A roof".into()), ..Analysis::default() };
    let changes = ids.iter().map(|id| async {
        let valued = h.store.correct_call(h.business, *id, move |_| Ok(correction(4_500)));
        let recorded = h.store.attach_recording(h.business, *id, recording());
        let analysed = h.store.finish_analysis(h.business, *id, analysis());
        tokio::join!(valued, recorded, analysed)
    });
    for (valued, recorded, analysed) in join_all(changes).await {
        assert!(valued.is_ok() && recorded.is_ok() && analysed.is_ok());
    }
    for id in ids {
        let call = h.store.call(h.business, id).await.unwrap();
        assert_eq!(call.value_cents, Some(4_500));
        assert!(call.recording.is_some() && call.recording_token.is_some());
        assert_eq!(call.analysis.summary.as_deref(), Some("A roof"));
    }
    assert_eq!(h.take_planned().iter().filter(|(_, job)| job.is_some()).count(), 20);
}
