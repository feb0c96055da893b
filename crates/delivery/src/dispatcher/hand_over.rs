//! What the committer tells the dispatcher: bounded, never blocking, and no loss goes unnoticed.

use super::Clock;
use crate::limits;
use crate::schedule::Now;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::queue::{Change, CommitListener, Committed};
use tokio::sync::{Notify, broadcast, mpsc};

/// The committer's end: give it to the store as its listener.
pub struct HandOver {
    clock: Arc<dyn Clock>,
    commits: mpsc::Sender<(Vec<Committed>, Now)>,
    changes: broadcast::Sender<Change>,
    loss: Arc<Loss>,
}

/// The dispatcher's end.
pub struct HandedOver {
    pub(super) commits: mpsc::Receiver<(Vec<Committed>, Now)>,
    pub(super) loss: Arc<Loss>,
}

/// Whether something was committed of which the dispatcher was not told.
#[derive(Default)]
pub(super) struct Loss {
    lost: AtomicBool,
    noticed: Notify,
}

/// Both ends. Hints for dashboards go to `changes`, which may lag.
#[must_use]
pub fn hand_over(clock: Arc<dyn Clock>, changes: broadcast::Sender<Change>) -> (Arc<HandOver>, HandedOver) {
    let (sender, receiver) = mpsc::channel(limits::HAND_OVER_MAX);
    let loss = Arc::new(Loss::default());
    let handed_over = HandedOver { commits: receiver, loss: Arc::clone(&loss) };
    (Arc::new(HandOver { clock, commits: sender, changes, loss }), handed_over)
}

impl CommitListener for HandOver {
    fn committed(&self, commits: Vec<Committed>) {
        if self.commits.try_send((commits, self.clock.now())).is_err() {
            self.loss.note();
        }
    }

    fn changed(&self, changes: Vec<Change>) {
        for change in changes {
            // Nobody listening is no error: these are hints.
            let _ = self.changes.send(change);
        }
    }

    fn unknown(&self) {
        self.loss.note();
    }
}

impl Loss {
    fn note(&self) {
        self.lost.store(true, Ordering::Release);
        self.noticed.notify_one();
    }

    pub async fn noticed(&self) {
        self.noticed.notified().await;
    }

    pub fn take(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }
}
