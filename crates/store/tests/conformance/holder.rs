//! One process works on a schema: another is refused while it lives, and takes its place when it is gone.

use crate::harness::{Harness, Heard, Place, SECRET, open};
use crate::server::server;
use std::sync::Arc;
use std::time::Duration;
use store::{StoreError, StoreResult};

/// Changes what the schema's holder has left there.
fn set(place: &Place, change: &str) {
    let schema = place.schema();
    server().run(&format!("UPDATE {schema}.holder SET {change}"));
}

/// Why the harness's store is its own no more, within a few beats.
async fn displaced(h: &Harness) -> Option<String> {
    tokio::time::timeout(Duration::from_secs(5), h.store.displaced()).await.ok()
}

async fn open_again(h: &Harness) -> StoreResult<store::Store> {
    open(&h.place, &h.world, &Arc::new(Heard::default()), SECRET).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_beats_on_another_machine_keeps_others_out() {
    let h = Harness::start().await;
    // The server's own beats go on under the other's name.
    set(&h.place, "host = 'elsewhere', process = 42");
    let Some(refused @ StoreError::InUse { .. }) = open_again(&h).await.err() else {
        panic!("it was let in")
    };
    let words = refused.to_string();
    assert!(words.contains("process 42 on elsewhere") && words.contains("--database-schema"), "{words}");
    h.store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_silent_is_replaced_and_writes_nothing_any_more() {
    let h = Harness::start().await;
    set(&h.place, "host = 'elsewhere', token = '\\x000102030405060708090a0b0c0d0e0f'");
    let refused = h.store.check().await.unwrap_err();
    assert!(refused.to_string().contains("taken the database over"), "{refused}");
    let began = tokio::time::Instant::now();
    let store = open_again(&h).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(15), "it has to be sure: {:?}", began.elapsed());
    store.check().await.unwrap();
    h.store.check().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_are_committed_in_one_statement_are_held_to_the_same() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let schema = h.place.schema();
    let sent = || h.store.figures().statements.total();
    let before = sent();
    h.planned(&flow).await;
    let taking_ids = 1;
    let step_by_step = sent() - before - taking_ids;
    h.planned(&flow).await;
    // Where the version is not the one that was kept, one statement goes in vain, and all is done step by step after it.
    server().run(&format!("UPDATE {schema}.configuration SET version = version + 1"));
    let before = sent();
    h.planned(&flow).await;
    assert!(sent() - before > step_by_step, "it was not tried in one statement");
    h.planned(&flow).await;
    let calls = || server().ask(&format!("SELECT count(*) FROM {schema}.calls"));
    let before = calls();
    set(&h.place, "host = 'elsewhere', token = '\\x000102030405060708090a0b0c0d0e0f'");
    let refused = h.report(h.call(flow.id)).await.unwrap_err();
    assert!(refused.to_string().contains("taken the database over"), "{refused}");
    assert_eq!((calls(), h.take_planned().len()), (before, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_configuration_is_not_counted_is_refused() {
    let h = Harness::start().await;
    let schema = h.place.schema();
    server().run(&format!("ALTER TABLE {schema}.api_keys DISABLE TRIGGER count_configuration"));
    let Harness { store, world, place, .. } = h;
    drop(store);
    let Some(refused) = open(&place, &world, &Arc::new(Heard::default()), SECRET).await.err() else {
        panic!("it was let in")
    };
    assert!(refused.to_string().contains("ENABLE TRIGGER count_configuration"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_hears_that_its_place_was_taken_or_is_gone_and_of_nothing_else() {
    let h = Harness::start().await;
    assert_eq!(displaced(&h).await, None, "it holds its place");
    let schema = h.place.schema();
    server().run(&format!("ALTER TABLE {schema}.holder RENAME TO away"));
    assert_eq!(displaced(&h).await, None, "what cannot be asked says nothing");
    server().run(&format!("ALTER TABLE {schema}.away RENAME TO holder"));
    set(&h.place, "process = 42, host = 'elsewhere', token = '\\x000102030405060708090a0b0c0d0e0f'");
    let why = displaced(&h).await.unwrap();
    assert!(why.contains("process 42 on elsewhere"), "{why}");
    let other = Harness::start().await;
    let schema = other.place.schema();
    server().run(&format!("DELETE FROM {schema}.holder"));
    let why = displaced(&other).await.unwrap();
    assert!(why.contains("row in the table holder"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_this_machine_that_is_gone_is_replaced_at_once() {
    let h = Harness::start().await;
    // No process has this number: it is above the system's highest.
    set(&h.place, "process = 4194305, token = '\\x000102030405060708090a0b0c0d0e0f'");
    let began = tokio::time::Instant::now();
    open_again(&h).await.unwrap().check().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_go() {
    let Harness { store, world, place, .. } = Harness::start().await;
    set(&place, "host = 'elsewhere'");
    drop(store);
    let began = tokio::time::Instant::now();
    open(&place, &world, &Arc::new(Heard::default()), SECRET).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
