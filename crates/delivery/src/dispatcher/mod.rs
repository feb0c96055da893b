//! Drives the schedule: tells it what happens, does what it asks for, with the store and whoever makes the attempts.
//!
//! One task owns the schedule and nothing else does, so there is no lock. Reads, writes and attempts run as tasks of
//! their own and answer over one channel that has room for all of them. What the committer hands over is taken in before
//! any answer, so that an answer of the store never tells of a commit that the schedule has not heard of.
//!
//! What it never does: block the committer (a full hand-over is dropped, noticed, and swept up), read a clock but the
//! one it was given, or make an attempt twice by itself.

mod event_loop;
mod hand_over;

pub use hand_over::{HandOver, HandedOver, hand_over};

use crate::figures::Figures;
use crate::schedule::{Config, Now, Snapshot};
use async_trait::async_trait;
use domain::Timestamp;
use domain::delivery::Attempt;
use domain::id::{BusinessId, DestinationId};
use domain::retry::{AttemptResult, RetrySchedule};
use event_loop::EventLoop;
use failpoint::{Point, reach};
use std::sync::Arc;
use std::time::Duration;
use store::StoreResult;
use store::queue::{Job, QueueStore};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// The program's two clocks.
pub trait Clock: Send + Sync + 'static {
    /// What both show now.
    fn now(&self) -> Now;
}

/// Makes attempts: the sender.
#[async_trait]
pub trait Attempts: Send + Sync + 'static {
    /// Makes one attempt and says how it went. Must end by itself, within its deadline.
    async fn attempt(&self, job: Arc<Job>) -> AttemptReport;
}

/// How an attempt went.
#[derive(Clone, Debug)]
pub struct AttemptReport {
    /// The exchange, for the record. Whether it is a repetition is the dispatcher's to say.
    pub attempt: Attempt,
    /// When it ended, by the wall clock.
    pub ended_at: Timestamp,
    /// What counts for the schedule.
    pub result: AttemptResult,
}

/// What a dispatcher works with.
pub struct Parts {
    /// The bounds.
    pub config: Config,
    /// Where the work lies.
    pub store: Arc<dyn QueueStore>,
    /// Who makes the attempts.
    pub attempts: Arc<dyn Attempts>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The schedule of destinations that have none of their own.
    pub retry_schedule: RetrySchedule,
    /// Whether sending pauses, now and from any change on.
    pub sending_paused: watch::Receiver<bool>,
    /// What the committer hands over: the other end of the store's listener.
    pub handed_over: HandedOver,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every attempt had ended and every outcome is durable; the queues are released.
    Clean,
    /// Time was up, or the store failed: what was in flight is made again after the next start, marked as repeated.
    Unclean,
}

/// A running dispatcher.
pub struct Dispatcher {
    observer: Observer,
    stop: oneshot::Sender<Duration>,
    task: JoinHandle<Stopped>,
}

/// Looks at a dispatcher, also when that has ended.
#[derive(Clone)]
pub struct Observer {
    queries: mpsc::Sender<Query>,
    figures: Arc<Figures>,
}

/// What is asked of a dispatcher.
pub(crate) enum Query {
    Snapshot(oneshot::Sender<Snapshot>),
    Failing(BusinessId, oneshot::Sender<Vec<DestinationId>>),
}

impl Observer {
    /// The schedule as it stands; `None` where the dispatcher has ended.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        self.ask(Query::Snapshot).await
    }

    /// Destinations of the business whose last attempt failed; `None` where the dispatcher has ended.
    pub async fn failing(&self, business_id: BusinessId) -> Option<Vec<DestinationId>> {
        self.ask(|answer| Query::Failing(business_id, answer)).await
    }

    async fn ask<T>(&self, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.queries.send(query(answer)).await.ok()?;
        answered.await.ok()
    }

    /// What was counted since the start.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }
}

impl Dispatcher {
    /// Takes over the queues and begins to work.
    pub async fn start(parts: Parts) -> StoreResult<Self> {
        let leases = parts.store.adopt_queues().await?;
        reach(Point::QueuesAdopted);
        let (queries, queries_asked) = mpsc::channel(16);
        let (stop, stop_asked) = oneshot::channel();
        let figures = Arc::new(Figures::default());
        let event_loop = EventLoop::new(parts, leases, Arc::clone(&figures));
        let task = tokio::spawn(event_loop.run(queries_asked, stop_asked));
        Ok(Self { observer: Observer { queries, figures }, stop, task })
    }

    /// Who looks at it.
    #[must_use]
    pub const fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Starts nothing more, lets what is in flight end and be recorded, and releases the queues; at most for `within`.
    pub async fn stop(self, within: Duration) -> Stopped {
        // If the task is gone, its result says so.
        let _ = self.stop.send(within);
        self.task.await.unwrap_or(Stopped::Unclean)
    }
}
