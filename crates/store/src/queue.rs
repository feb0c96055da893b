//! What the delivery engine and the store say to each other: pending rows, jobs to send, outcomes.

use crate::error::StoreResult;
use async_trait::async_trait;
use domain::Timestamp;
use domain::delivery::{Attempt, DeliveryKind, DeliveryStatus};
use domain::destination::Destination;
use domain::id::{BusinessId, CallFlowId, CallId, DeliveryId, DestinationId};
use domain::payload::FrozenBody;
use domain::retry::Verdict;
use std::sync::Arc;
use std::time::Duration;

/// A share of the pending work that one node holds at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u16);

/// The right to work on a queue. A batch of writes that names an older epoch than the store's changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which queue.
    pub queue: QueueId,
    /// Counts up with every change of the holder.
    pub epoch: u64,
    /// Set where the holder before did not release the queue: an attempt that was due by then may have been in flight
    /// and is made again with the same number.
    pub unclean_until: Option<Timestamp>,
}

/// What a pending row waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PendingKind {
    /// Its next attempt.
    Attempt,
    /// AI; `due_at` is the fallback.
    Fallback,
}

impl PendingKind {
    /// What a delivery in a pending state waits for.
    #[must_use]
    pub const fn of(status: DeliveryStatus) -> Self {
        match status {
            DeliveryStatus::WaitingForAi => Self::Fallback,
            _ => Self::Attempt,
        }
    }
}

/// One pending delivery as the schedule knows it: ids and times, no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The delivery.
    pub id: DeliveryId,
    /// The destination, in whose lane it waits.
    pub lane: DestinationId,
    /// The owner, for fair turns.
    pub business_id: BusinessId,
    /// Its call, if it has one.
    pub call_id: Option<CallId>,
    /// Its flow.
    pub call_flow_id: CallFlowId,
    /// The queue that it belongs to.
    pub queue: QueueId,
    /// What it waits for.
    pub kind: PendingKind,
    /// Not before then.
    pub due_at: Timestamp,
    /// Counts up with every change of the delivery's state; a commit that names another version changes nothing.
    pub version: u64,
}

/// Everything that one attempt needs. Holds secrets in clear.
#[derive(Clone, Debug)]
pub struct Job {
    /// The row as it was read.
    pub pending: Pending,
    /// Why the delivery exists.
    pub kind: DeliveryKind,
    /// The number of the attempt to make, from 1, counting on over series.
    pub attempt: u32,
    /// Its number within the series, from 1.
    pub attempt_in_series: u32,
    /// Where it goes.
    pub destination: Arc<Destination>,
    /// All of the body but what changes from attempt to attempt.
    pub body: Arc<FrozenBody>,
}

/// What reading a pending row again before it is sent came to.
#[derive(Clone, Debug)]
pub enum Prepared {
    /// Send it.
    Send(Arc<Job>),
    /// Still pending, but not as remembered (another time, another kind, another version): plan it anew.
    Changed(Pending),
    /// No longer pending here: ended, erased, or another node's.
    Gone(DeliveryId),
    /// Its destination was switched off or deleted: [`QueueStore::cancel_switched_off`] ends it.
    SwitchedOff(Pending),
    /// Its secrets or values cannot be read: the lane pauses; this is no attempt.
    Unreadable(Pending),
}

/// The rows of one lane, earliest first (by `due_at`, then id).
#[derive(Clone, Debug, Default)]
pub struct LanePage {
    /// At most as many as asked for.
    pub rows: Vec<Pending>,
    /// Whether the store holds more behind them.
    pub more: bool,
}

/// How an attempt ended, to be made durable.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The row as it was sent.
    pub pending: Pending,
    /// The lease under which it was sent.
    pub epoch: u64,
    /// The exchange, for the record.
    pub attempt: Attempt,
    /// When it ended: the time of delivery where it succeeded.
    pub ended_at: Timestamp,
    /// What follows.
    pub verdict: Verdict,
}

/// What became of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeApplied {
    /// The delivery ended.
    Ended,
    /// Another attempt is planned.
    Next(Pending),
    /// The delivery had changed meanwhile: only the attempt was recorded (a success still ends a cancelled delivery).
    Late,
    /// The delivery is gone (erased): nothing was recorded.
    Gone,
    /// The store answers, but this outcome's data does not fit what it holds: nothing was written, and the delivery is pending
    /// as it was. It waits for long, then the attempt is made again with the same number.
    Unrecorded,
}

/// What a commit has brought about, told by the committer after it is on disk.
#[derive(Clone, Debug)]
pub enum Committed {
    /// A delivery is planned.
    Planned {
        /// The row as it stands.
        pending: Pending,
        /// How long it waits from this commit on. The wall clock may have jumped since `due_at` was reckoned: whoever hears of the
        /// commit reads another time from it.
        wait: Duration,
        /// Where it is due at once and this commit made it so, the job comes along and can be sent from memory.
        job: Option<Arc<Job>>,
    },
    /// A pending delivery ended without an attempt (cancelled, erased).
    Left(DeliveryId, DestinationId),
    /// A destination's settings changed: what is remembered of its lane must be read again before it is sent.
    LaneChanged(DestinationId),
}

/// A hint for dashboards and `tail`: something changed. Who needs all reads it again.
#[derive(Clone, Debug)]
pub enum Change {
    /// A delivery.
    Delivery(DeliveryChange),
    /// How far a redelivery of the business is.
    Redelivery(BusinessId),
}

impl Change {
    /// The owner: nobody else may hear it.
    #[must_use]
    pub const fn business_id(&self) -> BusinessId {
        match self {
            Self::Delivery(change) => change.business_id,
            Self::Redelivery(business_id) => *business_id,
        }
    }
}

/// What of a delivery changed.
#[derive(Clone, Debug)]
pub struct DeliveryChange {
    /// The owner.
    pub business_id: BusinessId,
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Its call, if it has one.
    pub call_id: Option<CallId>,
    /// Its flow.
    pub call_flow_id: CallFlowId,
    /// Where it stands now.
    pub status: DeliveryStatus,
    /// Attempts so far.
    pub attempt_count: u32,
}

/// Hears what was committed, on the committer's thread: must return at once and never block.
pub trait CommitListener: Send + Sync + 'static {
    /// Called after every commit that planned, ended or changed deliveries.
    fn committed(&self, commits: Vec<Committed>);
    /// Called with the same commits' hints.
    fn changed(&self, changes: Vec<Change>);
    /// Called after a commit whose result is unknown: it may have planned what nobody was told of.
    fn unknown(&self);
}

/// The operations of the delivery engine. Each is one transaction; each write checks its queues' epochs.
///
/// Only a store that does not answer fails a batch. A row that cannot be read is an answer for that row alone, or is left
/// out where rows are looked for: one business's row never stops another's.
#[async_trait]
pub trait QueueStore: Send + Sync + 'static {
    /// Takes over every queue of this node, with a new epoch each. Idempotent within a process.
    async fn adopt_queues(&self) -> StoreResult<Vec<Lease>>;

    /// Gives the queues back after all outcomes are recorded: the next start finds them clean.
    async fn release_queues(&self) -> StoreResult<()>;

    /// The earliest pending row of each lane that has one due at or before `due_by`, ordered by lane, behind `after`.
    async fn lane_heads(
        &self,
        due_by: Timestamp,
        after: Option<DestinationId>,
        limit: usize,
    ) -> StoreResult<Vec<Pending>>;

    /// The earliest pending rows of a lane.
    async fn load_lane(&self, lane: DestinationId, limit: usize) -> StoreResult<LanePage>;

    /// Reads pending rows again with all that their attempts need, in one answer per row, in order.
    async fn prepare(&self, rows: Vec<Pending>) -> StoreResult<Vec<Prepared>>;

    /// The fallback: makes waiting deliveries due and freezes their bodies, conditional on their version. One answer per row, in
    /// order: the row as it stands now with its job, or what else became of it. Changes no row twice: AI's end and the
    /// fallback in the same instant fire one delivery.
    async fn make_due(&self, rows: Vec<Pending>) -> StoreResult<Vec<Prepared>>;

    /// Cancels pending deliveries whose destination was switched off or deleted, conditional on their version.
    async fn cancel_switched_off(&self, rows: Vec<Pending>) -> StoreResult<()>;

    /// Records attempts and what follows from them, conditional on version and epoch. One answer per outcome, in order.
    /// Idempotent by (delivery, attempt number, start of the attempt): an outcome whose commit was unknown may be given again.
    /// Shared, because the caller keeps them until they are durable.
    async fn record_outcomes(&self, outcomes: Arc<Vec<Outcome>>) -> StoreResult<Vec<OutcomeApplied>>;
}
