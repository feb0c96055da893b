//! A whole store moves between a folder and a schema.

use crate::harness::{Harness, Heard, Place, SECRET, config, open, open_with};
use crate::server::server;
use domain::retry::Verdict;
use futures_util::future::try_join_all;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::engine::sqlite::FILE_NAME;
use store::queue::QueueStore as _;
use store::transfer::{TABLES, Transfer};
use store::{StoreError, StoreResult};

fn folder() -> Place {
    Place::Folder(Arc::new(tempfile::tempdir().unwrap()))
}

async fn transfer(h: &Harness, from: &Place, to: &Place) -> StoreResult<Transfer> {
    let with = |place: &Place| (place.of_store(), config(&h.world, &h.heard, SECRET, &[]));
    Transfer::open(with(from), with(to)).await
}

/// Copies all, compares all, and finishes. Answers how many rows each step copied.
async fn carry(h: &Harness, from: &Place, to: &Place) -> Vec<u64> {
    let mut transfer = transfer(h, from, to).await.unwrap();
    let (mut steps, mut rows) = (Vec::new(), transfer.progress().rows);
    while transfer.step().await.unwrap() {
        steps.push(transfer.progress().rows - rows);
        rows = transfer.progress().rows;
    }
    assert_eq!(rows, transfer.progress().rows_total);
    let mut compared = Vec::new();
    for table in TABLES {
        compared.push(transfer.compare(table).await.unwrap());
    }
    transfer.finish(&compared).await.unwrap();
    steps
}

/// A store in a folder, with so many calls whose transcripts are so long.
async fn stocked(calls: usize, transcript_bytes: usize) -> Harness {
    let h = Harness::start_in(folder()).await;
    let flow = h.flow(|_| {}).await;
    let report = |_| {
        let mut call = h.call(flow.id);
        call.transcription = Some("ü".repeat(transcript_bytes / 2));
        h.report(call)
    };
    try_join_all((0..calls).map(report)).await.unwrap();
    h
}

/// Ends a harness's store and keeps the rest of it.
async fn closed(h: Harness) -> (Harness, Place) {
    let Harness { store, world, heard, business, leases, place } = h;
    drop(store);
    let elsewhere = Harness::start_in(folder()).await;
    (Harness { world, heard, business, leases, ..elsewhere }, place)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_and_no_column_is_forgotten() {
    let (h, embedded) = closed(Harness::start_in(folder()).await).await;
    let place = Place::new();
    let schema = place.schema();
    drop(open(&place, &h.world, &h.heard, SECRET).await.unwrap());
    let database = rusqlite::Connection::open(embedded.folder().join(FILE_NAME)).unwrap();
    let mut read = database
        .prepare(
            "SELECT t.name || ' ' || c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
        )
        .unwrap();
    let in_file: BTreeSet<String> = read.query_map([], |row| row.get(0)).unwrap().flatten().collect();
    let in_server = server().ask(&format!(
        "SELECT table_name || ' ' || column_name FROM information_schema.columns
        WHERE table_schema = '{schema}' AND table_name NOT IN ('configuration', 'holder', 'migrations')"
    ));
    assert_eq!(in_file, in_server.lines().map(str::to_owned).collect());
    let tables: BTreeSet<&str> = in_file.iter().filter_map(|column| column.split(' ').next()).collect();
    assert_eq!(tables, TABLES.iter().map(|table| table.name).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_ends_after_any_step_goes_on_there_and_neither_store_opens_meanwhile() {
    let (h, from) = closed(stocked(1_100, 100).await).await;
    let to = Place::new();
    let mut rows = 0;
    loop {
        let mut moving = transfer(&h, &from, &to).await.unwrap();
        assert_eq!(moving.progress().rows, rows);
        if !moving.step().await.unwrap() {
            break;
        }
        rows = moving.progress().rows;
        drop(moving);
        for (place, said) in [(&from, "was moved to"), (&to, "unfinished copy")] {
            let refused = open(place, &h.world, &h.heard, SECRET).await.err().unwrap();
            assert!(refused.to_string().contains(said), "{refused}");
        }
    }
    assert!(rows > 3_300, "{rows}");
    assert_eq!(carry(&h, &from, &to).await, Vec::<u64>::new());
    let store = open(&to, &h.world, &h.heard, SECRET).await.unwrap();
    let outstanding = store.outstanding().await.unwrap();
    assert_eq!((outstanding.due, outstanding.waiting), (1_100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_takes_no_more_long_rows_than_fit_and_what_went_there_comes_back() {
    let (h, from) = closed(stocked(3, 2_200_000).await).await;
    let (to, back) = (Place::new(), folder());
    let there = carry(&h, &from, &to).await;
    // A business, a flow, its destination; calls and bodies of which two fill a step; deliveries; queues; the canary.
    assert_eq!(there, [1, 1, 1, 2, 1, 2, 1, 3, 16, 1]);
    assert_eq!(carry(&h, &to, &back).await, there);
    let leases = open(&back, &h.world, &h.heard, SECRET).await.unwrap().adopt_queues().await.unwrap();
    assert!(leases.iter().all(|lease| lease.epoch > h.leases[0].epoch), "what was held before is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_moves_with_all_that_is_kept_of_it() {
    let h = Harness::start_in(folder()).await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    let outcome = h.outcome(pending, 1, Verdict::Failed);
    h.store.record_outcomes(Arc::new(vec![outcome.clone()])).await.unwrap();
    let (h, from) = closed(h).await;
    let to = Place::new();
    carry(&h, &from, &to).await;
    let moved = open(&to, &h.world, &h.heard, SECRET).await.unwrap();
    assert_eq!(moved.delivery(h.business, pending.id).await.unwrap().attempts, [outcome.attempt]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_under_way_moves_with_its_record_and_ends_there() {
    let h = Harness::start_in(folder()).await;
    crate::redelivery_record::many_failed(&h).await;
    let begun = h.redeliver(crate::redelivery_record::failed()).await;
    let (h, from) = closed(h).await;
    let to = Place::new();
    carry(&h, &from, &to).await;
    let moved = open(&to, &h.world, &h.heard, SECRET).await.unwrap();
    assert_eq!(moved.redelivery(h.business, begun.id).await.unwrap(), begun);
    while moved.run_job_step().await.unwrap() {}
    let ended = moved.redelivery(h.business, begun.id).await.unwrap();
    assert_eq!((ended.so_far.redelivered, ended.has_ended()), (begun.estimated, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compared_and_differs_is_not_finished() {
    let (h, from) = closed(stocked(1, 10).await).await;
    let to = Place::new();
    let mut moving = transfer(&h, &from, &to).await.unwrap();
    while moving.step().await.unwrap() {}
    let schema = to.schema();
    server().run(&format!("UPDATE {schema}.calls SET direction = 'outbound'"));
    let mut compared = Vec::new();
    for table in TABLES {
        compared.push(moving.compare(table).await.unwrap());
    }
    let differ: Vec<_> =
        compared.iter().filter(|table| !table.is_same()).map(|table| table.table.name).collect();
    assert_eq!(differ, ["calls"]);
    let Err(StoreError::Unusable(said)) = moving.finish(&compared).await else { panic!("it was finished") };
    assert!(said.contains("calls"), "{said}");
    open(&to, &h.world, &h.heard, SECRET).await.err().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_open_the_store_moves_nothing_and_all_that_ever_did_move_with_it() {
    let (h, from) = closed(stocked(1, 10).await).await;
    let to = Place::new();
    let with =
        |place: &Place, key: &str, older: &[&str]| (place.of_store(), config(&h.world, &h.heard, key, older));
    let other = "another secret of thirty-two characters";
    let refused = Transfer::open(with(&from, other, &[]), with(&to, other, &[])).await.err();
    assert!(matches!(refused, Some(StoreError::WrongKey)), "{refused:?}");
    drop(open_with(&from, &h.world, &h.heard, other, &[SECRET]).await.unwrap());
    let Some(StoreError::WrongKey) = transfer(&h, &from, &to).await.err() else { panic!("a key is missing") };
    drop(Transfer::open(with(&from, other, &[SECRET]), with(&to, other, &[SECRET])).await.unwrap());
    open(&to, &h.world, &Arc::new(Heard::default()), SECRET).await.err().unwrap();
}
