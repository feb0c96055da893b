//! Everything that is shown, read at one moment.

use super::limits::DISPATCHER_ANSWERS_WITHIN;
use super::process::ProcessFigures;
use super::requests::{Asked, Requests};
use delivery::dispatcher::Observer;
use delivery::schedule;
use domain::Timestamp;
use domain::measure::{Counter, Distribution};
use store::Store;
use store::delivery::Backlog;
use store::engine::Sizes;

/// The program at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The time by the wall clock.
    pub now: Timestamp,
    /// What waits by the store's own account; `None`: it could not be read.
    pub backlog: Option<Backlog>,
    /// The store.
    pub store: StoreFigures,
    /// What is sent; `None` where nothing is.
    pub delivery: Option<DeliveryFigures>,
    /// Requests by endpoint.
    pub requests: Vec<Asked>,
    /// The process; `None`: the system does not say.
    pub process: Option<ProcessFigures>,
}

/// The store's counts.
#[derive(Clone, Debug)]
pub struct StoreFigures {
    /// Reports by what became of them.
    pub reports: [(&'static str, u64); 3],
    /// Ended deliveries by state.
    pub ended: Vec<(&'static str, u64)>,
    /// Operations of each group commit.
    pub group_operations: Distribution,
    /// Microseconds of each group.
    pub group_duration: Distribution,
    /// Microseconds of each group's way to the disk.
    pub sync_duration: Distribution,
    /// Groups of which nothing was written.
    pub groups_failed: u64,
    /// Writes that were told to come again.
    pub writes_refused: u64,
    /// Statements that were sent to a database server.
    pub statements: u64,
    /// Microseconds of each checkpoint.
    pub checkpoint_duration: Distribution,
    /// Checkpoints that failed.
    pub checkpoints_failed: u64,
    /// Sizes of files and queue.
    pub sizes: Sizes,
}

/// The dispatcher's counts.
#[derive(Clone, Debug)]
pub struct DeliveryFigures {
    /// The schedule; `None`: the dispatcher does not answer.
    pub schedule: Option<schedule::Snapshot>,
    /// Attempts by outcome.
    pub attempts: Vec<(&'static str, u64)>,
    /// Attempts that may be a repetition.
    pub repeated: u64,
    /// Microseconds between due and start.
    pub lateness: Distribution,
    /// Microseconds of each attempt.
    pub duration: Distribution,
}

impl Snapshot {
    /// Reads all; what was read of the backlog comes along, since that is kept for a while.
    pub async fn take(
        now: Timestamp,
        backlog: Option<Backlog>,
        store: &Store,
        observer: Option<&Observer>,
        requests: &Requests,
    ) -> Self {
        let delivery = match observer {
            Some(observer) => Some(DeliveryFigures::read(observer).await),
            None => None,
        };
        Self {
            now,
            backlog,
            store: StoreFigures::read(store, requests.reports_refused()),
            delivery,
            requests: requests.read(),
            process: ProcessFigures::read(),
        }
    }
}

impl StoreFigures {
    fn read(store: &Store, reports_refused: u64) -> Self {
        let figures = store.figures();
        Self {
            reports: [
                ("created", figures.calls_created.total()),
                ("known", figures.calls_known.total()),
                ("refused", figures.calls_refused.total() + reports_refused),
            ],
            ended: figures.deliveries_ended().map(|(status, count)| (status.as_str(), count)).collect(),
            group_operations: figures.group_operations.read(),
            group_duration: figures.group_duration.read(),
            sync_duration: figures.sync_duration.read(),
            groups_failed: figures.groups_failed.total(),
            writes_refused: figures.writes_refused.total(),
            statements: figures.statements.total(),
            checkpoint_duration: figures.checkpoint_duration.read(),
            checkpoints_failed: figures.checkpoints_failed.total(),
            sizes: store.sizes(),
        }
    }
}

impl DeliveryFigures {
    async fn read(observer: &Observer) -> Self {
        let answer = tokio::time::timeout(DISPATCHER_ANSWERS_WITHIN, observer.snapshot()).await;
        let figures = observer.figures();
        let succeeded = ("success", Counter::total(&figures.attempts_succeeded));
        Self {
            schedule: answer.ok().flatten(),
            attempts: std::iter::once(succeeded).chain(figures.attempts_failed()).collect(),
            repeated: figures.attempts_repeated.total(),
            lateness: figures.lateness.read(),
            duration: figures.attempt_duration.read(),
        }
    }
}
