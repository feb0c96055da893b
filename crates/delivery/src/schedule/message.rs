//! What the schedule is told and what it asks for.

use domain::Timestamp;
use domain::id::DestinationId;
use std::sync::Arc;
use std::time::Duration;
use store::queue::{Committed, Job, LanePage, Outcome, OutcomeApplied, Pending, Prepared};

/// The two clocks at the moment of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock: it may jump.
    pub wall: Timestamp,
    /// The time since some fixed moment of this process: it never goes back.
    pub elapsed: Duration,
}

impl Now {
    /// When a time of the wall clock is reached by the clock that never goes back.
    pub(super) fn elapsed_at(&self, due_at: Timestamp) -> Duration {
        self.elapsed + due_at.wait_from(self.wall)
    }
}

/// Names a row in work. It stops to fit as soon as the row changes under the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    pub(super) row: u32,
    pub(super) token: u64,
}

/// Names a read or a write that the schedule asked for; its answer carries the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(super) u64);

/// How the store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// Nothing was written.
    Failed,
    /// It may or may not have been written.
    Unknown,
}

/// An answer of the store.
pub type Answer<T> = Result<T, StoreFailure>;

/// What the schedule is told.
#[derive(Debug)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The committer hands over what it committed, with the clocks as they were then.
    Committed(Vec<Committed>, Now),
    /// Something may have been committed of which nobody knows: a result was unknown, or a hand-over was dropped.
    CommitsLost,
    /// An attempt has ended.
    AttemptEnded(Ticket, Box<Outcome>),
    /// An attempt's task broke off without a report.
    AttemptBroke(Ticket),
    /// Answer to [`Command::LoadLane`].
    LaneLoaded(RequestId, DestinationId, Answer<LanePage>),
    /// Answer to [`Command::ReadHeads`].
    HeadsRead(RequestId, Answer<Vec<Pending>>),
    /// Answer to [`Command::Prepare`].
    Prepared(RequestId, Answer<Vec<Prepared>>),
    /// Answer to [`Command::MakeDue`].
    MadeDue(RequestId, Answer<Vec<Prepared>>),
    /// Answer to [`Command::CancelSwitchedOff`].
    Cancelled(RequestId, Answer<()>),
    /// Answer to [`Command::Record`].
    Recorded(RequestId, Answer<Vec<OutcomeApplied>>),
    /// No attempt is to start until sending goes on.
    Pause,
    /// Sending goes on.
    Resume,
    /// No attempt is to start any more.
    Stop,
}

/// What the schedule asks for.
#[derive(Debug)]
pub enum Command {
    /// Make this attempt, then say [`Event::AttemptEnded`] or [`Event::AttemptBroke`].
    Start(Start),
    /// Read the lane's earliest rows.
    LoadLane(RequestId, DestinationId, usize),
    /// Read the earliest row of each lane that has one due by then, behind that lane, at most so many.
    ReadHeads(RequestId, Timestamp, Option<DestinationId>, usize),
    /// Read rows again before they are sent.
    Prepare(RequestId, Vec<Pending>),
    /// The fallback has come for these.
    MakeDue(RequestId, Vec<Pending>),
    /// The destination of these is switched off.
    CancelSwitchedOff(RequestId, Vec<Pending>),
    /// Make these outcomes durable. Given again, as they were, while the store fails.
    Record(RequestId, Arc<Vec<Outcome>>),
}

/// An attempt to make.
#[derive(Clone, Debug)]
pub struct Start {
    /// To be given back when it has ended.
    pub ticket: Ticket,
    /// What to send.
    pub job: Arc<Job>,
    /// The epoch of the queue's lease, for the outcome.
    pub epoch: u64,
    /// Whether a process before this one may have made the same attempt.
    pub repeated: bool,
    /// How long ago it was due.
    pub late: Duration,
}
