//! What lies in the embedded engine's files: nothing erased, nothing secret, and no more room than it takes.

use crate::harness::{Harness, Heard, SECRET, key, new, open};
use crate::retention::{DAY, MARK, end, purge_calls, reported};
use domain::analysis::Analysis;
use domain::api_key::Role;
use domain::call::{EndedCall, Recording};
use domain::phone_number::{Country, Party};
use domain::retry::Verdict;
use domain::secret::Secret;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use store::api_key::KeyMaker;
use store::queue::QueueStore;
use store::source::SourceSettings;

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect()
}

/// How often the mark stands in the store's files.
fn marks(folder: &Path) -> usize {
    let count = |path: PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(MARK.len()).filter(|window| *window == MARK.as_bytes()).count()
    };
    files(folder).into_iter().map(count).sum()
}

/// Somebody who looks at one state of the store for long, as a backup does.
fn reader(folder: &Path) -> rusqlite::Connection {
    let reader = rusqlite::Connection::open(folder.join("callhook.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM calls").unwrap();
    reader
}

/// The log is emptied on a thread of its own, beside commits: nothing tells when.
async fn marks_vanish(folder: &Path) {
    for _ in 0..500 {
        if marks(folder) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} traces are left", marks(folder));
}

#[tokio::test]
async fn an_erased_call_is_in_no_file() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let caller = Party::parse("+13054443322", Country::US).unwrap();
    let report = EndedCall {
        caller_number: caller,
        transcription: Some("my unmistakable words".repeat(2_000)),
        source_call_id: Some("CA-unmistakable".into()),
        ..h.call(flow.id)
    };
    let recorded = h.report(report).await.unwrap();
    let (pending, _) = h.take_planned().remove(0);
    h.store.record_outcomes(Arc::new(vec![h.outcome(pending, 1, Verdict::Delivered)])).await.unwrap();
    h.store.erase_call(h.business, recorded.call.id).await.unwrap();
    assert!(matches!(h.store.call(h.business, recorded.call.id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(h.store.delivery(h.business, pending.id).await, Err(StoreError::NotFound(_))));
    let Harness { store, place, .. } = h;
    drop(store);
    for file in std::fs::read_dir(place.folder()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for trace in ["+13054443322", "unmistakable"] {
            assert!(!bytes.windows(trace.len()).any(|window| window == trace.as_bytes()), "{trace}");
        }
    }
}

#[tokio::test]
async fn no_secret_lies_in_clear_in_any_file() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let recording = Recording {
        url: Secret::new("https://media.example.com/r?token=hush-hush-url"),
        duration_seconds: None,
    };
    h.report(EndedCall { recording: Some(recording), ..h.call(flow.id) }).await.unwrap();
    new(h
        .store
        .create_api_key(h.business, None, "k".into(), Role::Admin, key('h'), KeyMaker::Operator)
        .await);
    let settings =
        SourceSettings { name: "Twilio".into(), auth_token: Secret::new("hush-hush-auth"), dial: true };
    new(h.store.create_source(h.business, None, settings, Secret::new("hush-hush-path")).await);
    assert_eq!(
        h.store.source_by_token(Secret::new("hush-hush-path")).await.unwrap().auth_token.reveal(),
        "hush-hush-auth"
    );
    let Harness { store, place, .. } = h;
    drop(store);
    let key = key('h');
    for secret in ["hush-hush", "whsec_", "c2VjcmV0", key.reveal(), SECRET] {
        for file in std::fs::read_dir(place.folder()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} lies in {}", path.display());
        }
    }
}

#[tokio::test]
async fn a_second_opener_is_refused_and_the_first_goes_on() {
    let h = Harness::start().await;
    let refused = open(&h.place, &h.world, &Arc::new(Heard::default()), SECRET).await;
    assert!(
        matches!(refused.err(), Some(StoreError::InUse { process, .. }) if process == std::process::id().to_string())
    );
    h.store.check().await.unwrap();
}

#[tokio::test]
async fn nobody_else_may_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let Harness { store, world, place, .. } = Harness::start().await;
    drop(store);
    std::fs::set_permissions(place.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let heard = Arc::new(Heard::default());
    let _store = open(&place, &world, &heard, SECRET).await.unwrap();
    assert_eq!(std::fs::metadata(place.folder()).unwrap().permissions().mode() & 0o777, 0o750);
}

#[tokio::test]
async fn an_erased_call_leaves_no_trace_in_any_file_while_the_store_is_open() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (id, pending) = reported(&h, &flow, "once").await;
    end(&h, pending).await;
    assert!(marks(h.place.folder()) > 0, "the mark can be found where it is");
    h.store.erase_call(h.business, id).await.unwrap();
    marks_vanish(h.place.folder()).await;
}

#[tokio::test]
async fn the_file_shrinks_when_much_was_removed() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    for number in 0..40 {
        let mut call = h.call(flow.id);
        call.source_call_id = Some(format!("{number}"));
        call.transcription = Some("long ".repeat(100_000));
        h.report(call).await.unwrap();
        end(&h, h.take_planned().remove(0).0).await;
    }
    let size = |h: &Harness| std::fs::metadata(h.place.folder().join("callhook.db")).unwrap().len();
    let h = h.restart().await;
    let before = size(&h);
    h.world.advance(DAY * 2);
    purge_calls(&h, h.world.now_before(DAY)).await;
    while h.store.run_reclaim_step().await.unwrap() {}
    let h = h.restart().await;
    assert!(size(&h) < before / 2, "{} of {before} bytes", size(&h));
    let flow = h.flow(|_| {}).await;
    reported(&h, &flow, "after").await;
}

#[tokio::test]
async fn an_erasure_does_not_stop_writes_while_somebody_reads_an_old_state() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (id, pending) = reported(&h, &flow, "once").await;
    end(&h, pending).await;
    let reader = reader(h.place.folder());
    h.store.erase_call(h.business, id).await.unwrap();
    // Long enough for the log to be tried more than once; a write that is shut out waits for 5 seconds.
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_millis(2_500) {
        let written = tokio::time::timeout(Duration::from_secs(3), h.report(h.call(flow.id)));
        written.await.expect("a write waited for the reader").unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(reader);
    marks_vanish(h.place.folder()).await;
}

#[tokio::test]
async fn what_was_erased_before_a_crash_leaves_the_log_although_the_start_could_not_empty_it() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (id, pending) = reported(&h, &flow, "once").await;
    end(&h, pending).await;
    let before = reader(h.place.folder());
    h.store.erase_call(h.business, id).await.unwrap();
    // What a crash leaves: the files as they are now.
    let crashed = tempfile::tempdir().unwrap();
    for name in ["callhook.db", "callhook.db-wal"] {
        std::fs::copy(h.place.folder().join(name), crashed.path().join(name)).unwrap();
    }
    drop(before);
    assert!(marks(crashed.path()) > 0, "the log holds what was erased");
    let after = reader(crashed.path());
    let store = open(&crashed.path().into(), &h.world, &h.heard, SECRET).await.unwrap();
    drop(after);
    marks_vanish(crashed.path()).await;
    drop(store);
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
