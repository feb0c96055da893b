//! Checkpoints: what the WAL holds is moved into the database file beside the commits, not between them.
//!
//! When the WAL has grown long, a thread with a connection of its own copies it while the writer goes on. What was committed
//! meanwhile is little; the writer copies that itself, between two groups, so that the WAL begins anew instead of growing on. A
//! reader that still looks at an old state holds that up for as long as it may read; then the WAL grows, and is copied again.

use super::connection::SqliteConnection;
use super::writer::end_if_unknown;
use crate::error::{StoreError, StoreResult};
use crate::limits::CHECKPOINT_PAGES;
use failpoint::{Point, reach};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

/// The writer's side.
pub struct Checkpoints {
    pages: Arc<AtomicU32>,
    copied: Arc<AtomicBool>,
    copy: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    is_copying: bool,
    next_at_pages: u32,
}

impl Checkpoints {
    /// Starts the copying thread and counts the pages of what `writer` commits.
    pub fn start(path: &Path, writer: &mut SqliteConnection) -> StoreResult<Self> {
        let pages = Arc::new(AtomicU32::new(0));
        let copied = Arc::new(AtomicBool::new(false));
        writer.count_wal_pages(Arc::clone(&pages))?;
        let connection = SqliteConnection::open(path)?;
        let (copy, asked) = mpsc::sync_channel(1);
        let done = Arc::clone(&copied);
        let thread = std::thread::Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || {
                while asked.recv().is_ok() {
                    reach(Point::CheckpointBegun);
                    checkpoint(&connection);
                    reach(Point::CheckpointCopied);
                    done.store(true, Ordering::Release);
                }
            })
            .map_err(|error| StoreError::Unavailable(format!("cannot start the checkpoints: {error}")))?;
        Ok(Self {
            pages,
            copied,
            copy: Some(copy),
            thread: Some(thread),
            is_copying: false,
            next_at_pages: CHECKPOINT_PAGES,
        })
    }

    /// To be called after each commit of the writer.
    pub fn after_commit(&mut self, writer: &SqliteConnection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if self.copied.swap(false, Ordering::Acquire) {
            checkpoint(writer);
            reach(Point::CheckpointEnded);
            self.is_copying = false;
            self.next_at_pages = pages.saturating_add(CHECKPOINT_PAGES);
        } else if pages < CHECKPOINT_PAGES {
            self.next_at_pages = CHECKPOINT_PAGES;
        }
        if pages >= self.next_at_pages && !self.is_copying {
            // The channel holds one: it cannot be full while nothing is copied.
            self.is_copying = self.copy.as_ref().is_some_and(|copy| copy.try_send(()).is_ok());
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.copy = None;
        if let Some(thread) = self.thread.take() {
            // A panicking thread has said so already.
            let _ = thread.join();
        }
    }
}

fn checkpoint(connection: &SqliteConnection) {
    if let Err(error) = connection.checkpoint_some() {
        end_if_unknown(&error);
        tracing::warn!(%error, "A checkpoint failed: the store's log grows until one succeeds");
    }
}
