//! Checkpoints: what the WAL holds is moved into the database file beside the commits, not between them.
//!
//! When the WAL has grown long, a thread with a connection of its own copies it while the writer goes on, and syncs what it copied:
//! SQLite leaves that to the copy that takes the last of the WAL. What was committed meanwhile is little; the writer copies and syncs
//! that itself, between two groups, so that the WAL begins anew instead of growing on. A reader that still looks at an old state holds
//! that up for as long as it may read; then the WAL grows, and is copied again.
//!
//! The WAL also holds what pages were before. After an erasure the thread therefore empties it, once for all erasures of a second. That
//! locks the writer out while readers are waited for, so they are waited for a moment only, and it is tried again.

use super::connection::SqliteConnection;
use super::writer::end_if_unknown;
use crate::error::{StoreError, StoreResult};
use crate::figures::Figures;
use crate::limits::{CHECKPOINT_PAGES, WIPE_PATIENCE, WIPE_PAUSE};
use failpoint::{Point, reach};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use tokio::time::Instant;

/// The writer's side.
pub struct Checkpoints {
    shared: Arc<Shared>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    next_at_pages: u32,
    figures: Arc<Figures>,
}

/// What the writer and the copying thread tell each other.
#[derive(Default)]
struct Shared {
    /// Pages that the WAL held after the last commit.
    pages: Arc<AtomicU32>,
    /// The writer wants a copy made. It does not ask again before it has seen the last one done.
    wanted: AtomicBool,
    /// A copy was made; the rest is the writer's.
    copied: AtomicBool,
    /// Pages that the copy had to leave, since somebody looked at an older state.
    left_pages: AtomicU32,
    /// Something was erased since the WAL was empty.
    erased: AtomicBool,
}

impl Checkpoints {
    /// Starts the copying thread and counts the pages of what `writer` commits. A WAL that could not be emptied before may hold what an
    /// earlier process erased. `file` is the database at `path`, held open by the engine.
    pub fn start(
        path: &Path,
        file: Arc<File>,
        writer: &mut SqliteConnection,
        is_log_empty: bool,
        figures: Arc<Figures>,
    ) -> StoreResult<Self> {
        let shared = Arc::new(Shared { erased: AtomicBool::new(!is_log_empty), ..Shared::default() });
        writer.count_wal_pages(Arc::clone(&shared.pages))?;
        let connection = SqliteConnection::open(path)?;
        connection.set_patience(WIPE_PATIENCE)?;
        // One wake-up that waits stands for all that come before it is taken.
        let (wake, woken) = mpsc::sync_channel(1);
        let (told, counted) = (Arc::clone(&shared), Arc::clone(&figures));
        let thread = std::thread::Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || run(&connection, &file, &told, &woken, &counted))
            .map_err(|error| StoreError::Unavailable(format!("cannot start the checkpoints: {error}")))?;
        Ok(Self { shared, wake: Some(wake), thread: Some(thread), next_at_pages: CHECKPOINT_PAGES, figures })
    }

    /// To be called after each commit of the writer.
    pub fn after_commit(&mut self, writer: &SqliteConnection, erased: bool) {
        let pages = self.shared.pages.load(Ordering::Relaxed);
        if self.shared.copied.swap(false, Ordering::Acquire) {
            // Many were left while somebody read: should they be free by now, the next copy takes them, beside the commits.
            if self.shared.left_pages.load(Ordering::Relaxed) < CHECKPOINT_PAGES {
                copy(writer, &self.figures);
            }
            reach(Point::CheckpointEnded);
            self.shared.wanted.store(false, Ordering::Relaxed);
            self.next_at_pages = pages.saturating_add(CHECKPOINT_PAGES);
        } else if pages < CHECKPOINT_PAGES {
            self.next_at_pages = CHECKPOINT_PAGES;
        }
        let wants_copy = pages >= self.next_at_pages && !self.shared.wanted.swap(true, Ordering::Release);
        if erased {
            self.shared.erased.store(true, Ordering::Release);
        }
        if (wants_copy || erased)
            && let Some(wake) = &self.wake
        {
            // Full: it is woken already.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panicking thread has said so already.
            let _ = thread.join();
        }
    }
}

fn run(connection: &SqliteConnection, file: &File, shared: &Shared, woken: &Receiver<()>, figures: &Figures) {
    let mut next_wipe = Instant::now();
    loop {
        let is_erased = shared.erased.load(Ordering::Acquire);
        let woke = match next_wipe.checked_duration_since(Instant::now()) {
            Some(pause) if is_erased => woken.recv_timeout(pause),
            None if is_erased => Ok(()),
            _ => woken.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if woke == Err(RecvTimeoutError::Disconnected) {
            // The writer's last checkpoint empties the WAL.
            return;
        }
        if shared.wanted.load(Ordering::Acquire) && !shared.copied.load(Ordering::Acquire) {
            reach(Point::CheckpointBegun);
            let left_pages = copy_and_sync(connection, file, figures);
            reach(Point::CheckpointCopied);
            shared.left_pages.store(left_pages, Ordering::Relaxed);
            shared.copied.store(true, Ordering::Release);
        }
        if next_wipe <= Instant::now() && shared.erased.swap(false, Ordering::Acquire) {
            reach(Point::WipeBegun);
            if wipe(connection, figures) {
                reach(Point::LogWiped);
            } else {
                shared.erased.store(true, Ordering::Release);
            }
            next_wipe = Instant::now() + WIPE_PAUSE;
        }
    }
}

/// Copies what nobody holds up; answers how many pages are left.
fn copy(connection: &SqliteConnection, figures: &Figures) -> u32 {
    counted(figures, || connection.checkpoint_some()).unwrap_or(0)
}

/// The same, and what was copied is on disk.
fn copy_and_sync(connection: &SqliteConnection, file: &File, figures: &Figures) -> u32 {
    let copied = counted(figures, || {
        let left_pages = connection.checkpoint_some()?;
        file.sync_data().map_err(|error| StoreError::Unknown(format!("the database file: {error}")))?;
        Ok(left_pages)
    });
    copied.unwrap_or(0)
}

/// Empties the WAL; `false` where somebody still needs it.
fn wipe(connection: &SqliteConnection, figures: &Figures) -> bool {
    copy(connection, figures);
    counted(figures, || connection.checkpoint()).unwrap_or(false)
}

fn counted<T>(figures: &Figures, checkpoint: impl FnOnce() -> StoreResult<T>) -> Option<T> {
    let began = Instant::now();
    let result = checkpoint();
    figures.checkpoint_duration.add_duration(began.elapsed());
    result
        .inspect_err(|error| {
            end_if_unknown(error);
            figures.checkpoints_failed.add(1);
            tracing::warn!(%error, "A checkpoint failed: the store's log grows until one succeeds");
        })
        .ok()
}
