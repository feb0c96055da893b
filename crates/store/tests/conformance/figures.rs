//! What the store counts of itself, and what it says of its backlog.

use crate::harness::{Harness, new};
use domain::retry::Verdict;
use domain::{Invalid, World as _};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::delivery::Backlog;
use store::queue::QueueStore;

/// Far above what a test makes.
const LIMIT: u64 = 1_000;

#[tokio::test]
async fn reports_are_counted_by_what_became_of_them() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let mut call = h.call(flow.id);
    call.source_call_id = Some("CA1".into());
    h.report(call.clone()).await.unwrap();
    h.report(call.clone()).await.unwrap();
    let refused = Err(Invalid::value("is wrong"));
    new(h.store.record_calls(h.reporter(), None, vec![Ok(call), Ok(h.call(flow.id)), refused]).await);
    let figures = h.store.figures();
    let counted = [&figures.calls_created, &figures.calls_known, &figures.calls_refused];
    assert_eq!(counted.map(domain::measure::Counter::total), [2, 2, 1]);
}

#[tokio::test]
async fn ended_deliveries_are_counted_once_each() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let mut pending = Vec::new();
    for _ in 0..4 {
        pending.push(h.planned(&flow).await.1);
    }
    let retry = Verdict::RetryAt(h.world.now().after(Duration::from_secs(30)));
    let outcomes: Vec<_> = [Verdict::Delivered, Verdict::Failed, retry]
        .into_iter()
        .zip(&pending)
        .map(|(verdict, pending)| h.outcome(*pending, 1, verdict))
        .collect();
    let outcomes = Arc::new(outcomes);
    h.store.record_outcomes(Arc::clone(&outcomes)).await.unwrap();
    // Given again after an unknown commit.
    h.store.record_outcomes(outcomes).await.unwrap();
    new(h.store.cancel_delivery(h.business, None, pending[3].id).await);
    assert_eq!(ended(&h.store), [1, 1, 1, 0]);
}

#[tokio::test]
async fn each_group_is_measured() {
    let h = Harness::start().await;
    let before = h.store.figures().group_operations.read();
    h.flow(|_| {}).await;
    let after = h.store.figures().group_operations.read();
    assert_eq!((after.count() - before.count(), after.sum - before.sum), (1, 1));
    let figures = h.store.figures();
    assert_eq!(figures.group_duration.read().count(), after.count());
    assert_eq!(figures.sync_duration.read().count(), after.count());
    let sizes = h.store.sizes();
    assert_eq!((sizes.files.is_none(), sizes.writes_queued), (crate::IS_POSTGRES, 0));
    assert!(sizes.files.is_none_or(|files| files.database_bytes > 0 && files.log_bytes > 0), "{sizes:?}");
}

#[tokio::test]
async fn the_backlog_is_counted_up_to_its_limit_and_its_earliest_row_is_found_beyond_it() {
    let h = Harness::start().await;
    assert_eq!(h.store.backlog(LIMIT).await.unwrap(), Backlog::default());
    let flow = h.flow(|_| {}).await;
    let later = h.waiting_flow().await;
    h.world.advance(Duration::from_secs(10));
    for _ in 0..3 {
        h.planned(&flow).await;
        h.planned(&later).await;
    }
    let earliest_at = Some(h.world.now());
    h.world.advance(Duration::from_mins(1));
    h.planned(&flow).await;
    let all = Backlog { earliest_at, due: 4, waiting: 3, lanes: 2, jobs: 0 };
    assert_eq!(h.store.backlog(LIMIT).await.unwrap(), all);
    assert_eq!(h.store.backlog(2).await.unwrap(), Backlog { due: 2, waiting: 2, ..all });
}

fn ended(store: &Store) -> Vec<u64> {
    store.figures().deliveries_ended().map(|(_, count)| count).collect()
}
