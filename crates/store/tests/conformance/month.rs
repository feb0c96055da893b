//! What a store becomes over a month of calls that are kept for two weeks, their payloads for one: its size by day, in release:
//! `cargo test --release -p store --test conformance_postgres month -- --ignored --nocapture` (or `--test conformance`).

use crate::harness::{Harness, Place};
use domain::analysis::Analysis;
use domain::business::{Retention, RetentionDays};
use domain::retry::Verdict;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use store::queue::{OutcomeApplied, QueueStore};

const DAYS: usize = 30;
const CALLS_A_DAY: usize = 5_000;
const AT_ONCE: usize = 250;
const DAY: Duration = Duration::from_hours(24);
const PAYLOADS_KEPT: Duration = Duration::from_hours(7 * 24);
const CALLS_KEPT: Duration = Duration::from_hours(14 * 24);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; a month takes minutes"]
async fn a_month_of_calls_leaves_a_store_of_steady_size() {
    let h = Harness::start().await;
    if let Place::Schema(_) = &h.place {
        // Every second instead of every minute: a day takes some seconds here.
        crate::server::server().run(
            "ALTER SYSTEM SET autovacuum = on;\nALTER SYSTEM SET autovacuum_naptime = '1s';\nSELECT pg_reload_conf();",
        );
    }
    let days = |days| RetentionDays::new(days).unwrap();
    let kept = Retention { payload: Some(days(7)), call: Some(days(14)) };
    h.store.set_retention(h.business, move |_| Ok(kept)).await.unwrap();
    let (at_once, waiting) = (h.flow(|_| {}).await, h.waiting_flow().await);
    let mut by_day_mb = Vec::new();
    for day in 1..=DAYS {
        for _ in 0..CALLS_A_DAY / AT_ONCE {
            h.world.advance(DAY / u32::try_from(CALLS_A_DAY / AT_ONCE).unwrap());
            let flow = |at| if at % 4 == 0 { waiting.id } else { at_once.id };
            let reports = join_all((0..AT_ONCE).map(|at| h.report(h.call(flow(at))))).await;
            let analysis = Analysis { summary: Some("A new roof".repeat(20)), ..Analysis::default() };
            let finished = reports.iter().step_by(4).map(|reported| {
                let id = reported.as_ref().unwrap().call.id;
                h.store.finish_analysis(h.business, id, analysis.clone())
            });
            assert!(join_all(finished).await.iter().all(Result::is_ok));
            send_all(&h).await;
        }
        purge(&h).await;
        let size_mb = size_mb(&h.place);
        println!("day {day}: {size_mb} MB{}", dead_rows(&h.place));
        by_day_mb.push(size_mb);
    }
    // From the fifteenth day on as much goes as comes.
    let (steady, last) = (by_day_mb[15], by_day_mb[DAYS - 1]);
    println!("{steady} MB after 16 days, {last} MB after {DAYS}");
    assert!(last * 10 <= steady * 13, "it grows on");
}

/// One attempt of five fails, and is made again.
async fn send_all(h: &Harness) {
    let mut due: Vec<_> = h.take_planned().into_iter().filter_map(|(_, job)| Some(job?.pending)).collect();
    for attempt in 1..=2 {
        let retry_at = h.world.now_before(Duration::ZERO);
        let verdict = |at| match attempt {
            1 if at % 5 == 0 => Verdict::RetryAt(retry_at),
            _ => Verdict::Delivered,
        };
        let outcomes =
            due.iter().enumerate().map(|(at, pending)| h.outcome(*pending, attempt, verdict(at))).collect();
        let applied = h.store.record_outcomes(Arc::new(outcomes)).await.unwrap();
        let next = |applied| if let OutcomeApplied::Next(pending) = applied { Some(pending) } else { None };
        due = applied.into_iter().filter_map(next).collect();
    }
}

async fn purge(h: &Harness) {
    let mut after = None;
    loop {
        let purged =
            h.store.purge_payloads(h.business, h.world.now_before(PAYLOADS_KEPT), after).await.unwrap();
        after = purged.next;
        if after.is_none() {
            break;
        }
    }
    let mut after = None;
    loop {
        after = h.store.purge_calls(h.business, h.world.now_before(CALLS_KEPT), after).await.unwrap();
        if after.is_none() {
            break;
        }
    }
    while h.store.purge_statistics(h.business, h.world.now_before(CALLS_KEPT)).await.unwrap() {}
    while h.store.run_upkeep_step().await.unwrap() {}
    while h.store.run_reclaim_step().await.unwrap() {}
}

fn size_mb(place: &Place) -> u64 {
    match place {
        Place::Schema(schema) => {
            let sizes = format!(
                "SELECT sum(pg_total_relation_size(c.oid))::BIGINT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = '{schema}' AND c.relkind = 'r'"
            );
            crate::server::server().ask(&sizes).parse::<u64>().unwrap() / 1_000_000
        }
        folder => {
            let file = folder.folder().join(store::engine::sqlite::FILE_NAME);
            std::fs::metadata(file).unwrap().len() / 1_000_000
        }
    }
}

/// Where a server keeps rows that are gone until it has cleaned up.
fn dead_rows(place: &Place) -> String {
    let Place::Schema(schema) = place else { return String::new() };
    let dead = format!(
        "SELECT string_agg(relname || ' ' || n_dead_tup || ' of ' || n_live_tup, ', ' ORDER BY relname)
        FROM pg_stat_all_tables WHERE schemaname = '{schema}' AND n_live_tup > 1000"
    );
    format!("; rows that are gone: {}", crate::server::server().ask(&dead))
}
