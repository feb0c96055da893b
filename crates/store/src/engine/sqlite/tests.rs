//! Tests of the embedded engine from inside: what no operation may do to another.

mod plan;

use super::readers::Readers;
use super::{Demand, FILE_NAME, SqliteEngine};
use crate::error::StoreError;
use crate::limits::{ENGINE_READERS, READERS, WRITER_QUEUE_MAX};
use crate::queue::{Change, CommitListener, Committed, QueueStore as _};
use crate::seal::Keyring;
use crate::tx::{Rules, Tx, TxShared};
use crate::{Store, StoreConfig};
use domain::api_key::KeyText;
use domain::secret::Secret;
use domain::{Timestamp, World};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tempfile::TempDir;

/// Reads until it is broken off.
const ENDLESS: &str =
    "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
const INSERT: &str = "INSERT INTO meta (name, value) VALUES (?1, x'00')";
const COUNT: &str = "SELECT count(*) FROM meta WHERE name LIKE 'test%'";

/// A clock that stands still, no chance, and nobody who listens.
struct StillWorld;

impl World for StillWorld {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

impl CommitListener for StillWorld {
    fn committed(&self, _: Vec<Committed>) {}
    fn changed(&self, _: Vec<Change>) {}
    fn unknown(&self) {}
}

fn config() -> StoreConfig {
    StoreConfig {
        world: Arc::new(StillWorld),
        keyring: Keyring::new(&Secret::new("a secret of at least thirty-two characters"), &[]),
        rules: Rules { public_url: String::new(), ai_fallback: Duration::ZERO },
        listener: Arc::new(StillWorld),
    }
}

fn shared() -> TxShared {
    let StoreConfig { world, keyring, rules, listener } = config();
    TxShared {
        world,
        keyring,
        rules,
        listener,
        destinations: crate::destination::Cache::default(),
        scopes: Arc::default(),
        figures: Arc::default(),
    }
}

fn open() -> (SqliteEngine, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (SqliteEngine::open(folder.path(), Arc::new(shared())).unwrap(), folder)
}

/// Occupies every reading connection of lists until the sender is dropped.
async fn occupy_readers(store: &Arc<Store>) -> Vec<mpsc::Sender<()>> {
    let mut ends = Vec::new();
    for _ in 0..READERS {
        let (end, ended) = mpsc::channel::<()>();
        let (begin, mut running) = tokio::sync::mpsc::channel(1);
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let wait = move |_: &mut Tx<'_>| {
                begin.try_send(()).unwrap();
                let _ = ended.recv();
                Ok(())
            };
            store.read(wait).await
        });
        running.recv().await.unwrap();
        ends.push(end);
    }
    ends
}

#[tokio::test]
async fn long_reads_of_lists_hold_up_neither_the_delivery_engine_nor_authentication() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open_sqlite(folder.path(), config()).await.unwrap());
    let ends = occupy_readers(&store).await;
    let engine_reads = async {
        assert!(store.lane_heads(Timestamp::from_millis(1), None, 10).await.unwrap().is_empty());
        assert!(store.prepare(Vec::new()).await.unwrap().is_empty());
        assert!(!store.run_job_step().await.unwrap());
        let key = KeyText::parse(&format!("ch_key_{}", "a".repeat(43))).unwrap();
        assert!(store.authenticate(&key).await.unwrap().is_none());
    };
    let done = tokio::time::timeout(Duration::from_secs(20), engine_reads).await;
    drop(ends);
    assert!(done.is_ok(), "they waited for the lists");
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_broken_off_and_its_connection_serves_the_next() {
    let (engine, _folder) = open();
    let readers = Readers::open(engine.path(), Arc::new(shared()), 1, Some(Duration::ZERO)).unwrap();
    for _ in 0..2 {
        let endless = readers.read(|tx| tx.sql().count(ENDLESS, &[])).await;
        assert!(matches!(endless, Err(StoreError::Busy(_))), "{endless:?}");
        assert_eq!(readers.read(|tx| tx.sql().count(COUNT, &[])).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_read_that_panics_costs_no_connection() {
    let (engine, _folder) = open();
    for _ in 0..=READERS.max(ENGINE_READERS) {
        let panicking = |tx: &mut Tx<'_>| {
            tx.sql().rows(COUNT, &[], |_| -> crate::StoreResult<()> { panic!("in the middle of a row") })
        };
        let read = engine.read(panicking).await;
        assert!(matches!(&read, Err(StoreError::Corrupt(reason)) if reason.contains("middle")), "{read:?}");
        assert!(engine.read_engine(panicking).await.is_err());
    }
    assert_eq!(engine.read(|tx| tx.sql().count(COUNT, &[])).await.unwrap(), 0);
    assert_eq!(engine.read_engine(|tx| tx.sql().count(COUNT, &[])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_write_that_panics_is_undone_alone() {
    let (engine, folder) = open();
    let demand = Demand::of(1);
    let good = |name: &'static str| engine.write(demand, move |tx| tx.sql().execute(INSERT, &[name.into()]));
    let panicking = engine.write(demand, |tx| -> crate::StoreResult<()> {
        tx.sql().execute(INSERT, &["test panicking".into()])?;
        panic!("after it wrote");
    });
    let (before, panicked, after) = tokio::join!(good("test before"), panicking, good("test after"));
    assert_eq!((before.unwrap(), after.unwrap()), (1, 1));
    assert!(matches!(panicked, Err(StoreError::Corrupt(_))), "{panicked:?}");
    assert_eq!(good("test later").await.unwrap(), 1, "the writer goes on");
    assert_eq!(engine.read(|tx| tx.sql().count(COUNT, &[])).await.unwrap(), 3);
    assert!(folder.path().join(FILE_NAME).exists());
}

#[tokio::test]
async fn where_a_group_is_not_written_nobody_of_it_is_answered_by_what_it_saw() {
    let (engine, _folder) = open();
    let demand = Demand::of(1);
    let (end, ended) = mpsc::channel::<()>();
    let ended = std::sync::Mutex::new(ended);
    let mut holding = Box::pin(engine.write(demand, move |_| {
        let _ = ended.lock().unwrap().recv();
        Ok(())
    }));
    assert!(futures_util::poll!(&mut holding).is_pending());
    // The writer is held, so that these are one group.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut writing = Box::pin(engine.write(demand, |tx| tx.sql().execute(INSERT, &["test".into()])));
    assert!(futures_util::poll!(&mut writing).is_pending());
    let mut judging = Box::pin(engine.write(demand, |tx| match tx.sql().count(COUNT, &[])? {
        0 => Ok(()),
        _ => Err(StoreError::Conflict("it is there".to_owned())),
    }));
    assert!(futures_util::poll!(&mut judging).is_pending());
    let mut breaking = Box::pin(engine.write(demand, |tx| tx.sql().execute("ROLLBACK", &[])));
    assert!(futures_util::poll!(&mut breaking).is_pending());
    drop(end);
    holding.await.unwrap();
    assert!(matches!(writing.await, Err(StoreError::Unavailable(_))));
    assert!(matches!(judging.await, Err(StoreError::Unavailable(_))), "it saw what is not there");
    assert!(matches!(breaking.await, Err(StoreError::Unavailable(_))));
    assert_eq!(engine.read(|tx| tx.sql().count(COUNT, &[])).await.unwrap(), 0);
}

#[tokio::test]
async fn where_the_queue_is_full_clients_are_refused_and_the_delivery_engine_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open_sqlite(folder.path(), config()).await.unwrap());
    let (end, ended) = mpsc::channel::<()>();
    let (begin, mut running) = tokio::sync::mpsc::channel(1);
    let holder = Arc::clone(&store);
    let hold = move |_: &mut Tx<'_>| {
        begin.try_send(()).unwrap();
        let _ = ended.recv();
        Ok(())
    };
    tokio::spawn(async move { holder.write(hold).await });
    running.recv().await.unwrap();
    let writes: Vec<_> = (0..WRITER_QUEUE_MAX)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.write(|_| Ok(())).await })
        })
        .collect();
    // One thread runs all tasks in order: when this one is answered, all above are queued.
    let late = Arc::clone(&store);
    let refused = tokio::spawn(async move { late.write(|_| Ok(())).await }).await.unwrap();
    assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
    let mut adopting = Box::pin(store.adopt_queues());
    assert!(futures_util::poll!(&mut adopting).is_pending(), "it waits for room");
    drop(end);
    assert!(adopting.await.is_ok());
    for write in writes {
        write.await.unwrap().unwrap();
    }
}
