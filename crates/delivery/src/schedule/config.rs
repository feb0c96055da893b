//! The schedule's bounds, as the operator or a test sets them.

use crate::limits;
use std::time::Duration;

/// The bounds within which a schedule works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Attempts in flight at once, those being prepared included.
    pub slots: usize,
    /// Rows in memory over all lanes.
    pub rows_max: usize,
    /// Rows of one lane that wait in memory.
    pub lane_rows_max: usize,
    /// Rows that a refill asks for at least.
    pub lane_refill_min: usize,
    /// Lanes in memory.
    pub lanes_max: usize,
    /// Bytes of bodies of jobs that wait for a slot.
    pub body_bytes_max: usize,
    /// Outcomes that wait to be recorded.
    pub outcomes_max: usize,
    /// How long an outcome waits for others that are recorded together with it, where that is cheaper.
    pub outcome_wait: Duration,
    /// Attempts that begin each second in all lanes that are only probed, after a burst of as many as have slots.
    pub probes_per_second: u32,
    /// Lanes on one page of a sweep.
    pub sweep_page_rows: usize,
    /// A safeguard taken out, to see that the simulation misses it. Never set in production.
    #[doc(hidden)]
    pub without: Option<Safeguard>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slots: limits::SLOTS,
            rows_max: limits::ROWS_MAX,
            lane_rows_max: limits::LANE_ROWS_MAX,
            lane_refill_min: limits::LANE_REFILL_MIN,
            lanes_max: limits::LANES_MAX,
            body_bytes_max: limits::BODY_BYTES_MAX,
            outcomes_max: limits::OUTCOMES_MAX,
            outcome_wait: Duration::ZERO,
            probes_per_second: limits::PROBES_PER_SECOND,
            sweep_page_rows: limits::SWEEP_PAGE_ROWS,
            without: None,
        }
    }
}

impl Config {
    /// Attempts in flight to one host.
    #[must_use]
    pub fn host_slots(&self) -> usize {
        (self.slots / limits::HOST_SHARE).max(1)
    }

    /// Attempts in flight of one lane.
    #[must_use]
    pub fn lane_slots(&self) -> usize {
        (self.host_slots() / limits::LANE_SHARE).max(1)
    }

    /// Attempts in flight of all lanes that are new or whose last attempt failed.
    #[must_use]
    pub fn unproven_slots(&self) -> usize {
        (self.slots / limits::UNPROVEN_SHARE).max(1)
    }

    /// Those of them that lanes may take whose last attempt failed.
    #[must_use]
    pub fn failing_slots(&self) -> usize {
        (self.slots / limits::FAILING_SHARE).max(1)
    }

    /// The last free slots, which are closed to a business above its equal share.
    #[must_use]
    pub fn reserved_slots(&self) -> usize {
        self.slots / limits::RESERVE_SHARE
    }

    pub(super) fn keeps(&self, safeguard: Safeguard) -> bool {
        self.without != Some(safeguard)
    }
}

/// What keeps the schedule's promises. Each can be taken out, and the simulation must then find a broken promise.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Safeguard {
    /// A refill drops what is in hand.
    InHand,
    /// A refill drops what left hand after its read began.
    LeftHand,
    /// What is older than 5 s is read again.
    ReadAgain,
    /// While a lane has more in the store, its new arrivals go to the store only.
    HeldBack,
    /// The regular sweep.
    Sweep,
    /// A sweep at once, with a refill of what it lists, after lost commits.
    LostSwept,
    /// No attempt starts while outcomes cannot be recorded.
    AwayPause,
    /// No attempt starts while an operator has sending pause.
    OperatorPause,
    /// Outcomes whose commit failed are given again.
    OutcomesKept,
    /// The bound per host.
    HostBound,
    /// The bound per lane.
    LaneBound,
    /// The turn among businesses.
    BusinessTurn,
    /// The turn among the lanes of a business.
    LaneTurn,
    /// The reserve for businesses below their share.
    Reserve,
    /// The share of lanes that are new or failing.
    UnprovenShare,
    /// One attempt at a time to an endpoint of which nothing is known.
    Trial,
    /// Few attempts at a time to an endpoint that keeps failing.
    Probing,
    /// Waiting on the monotonic clock.
    Monotonic,
    /// A changed lane is read again.
    LaneChanges,
    /// A row that changes while its attempt is in flight waits for the outcome.
    Successor,
    /// The budget of rows.
    RowBudget,
    /// The budget of bodies.
    BodyBudget,
}

impl Safeguard {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::InHand,
        Self::LeftHand,
        Self::ReadAgain,
        Self::HeldBack,
        Self::Sweep,
        Self::LostSwept,
        Self::AwayPause,
        Self::OperatorPause,
        Self::OutcomesKept,
        Self::HostBound,
        Self::LaneBound,
        Self::BusinessTurn,
        Self::LaneTurn,
        Self::Reserve,
        Self::UnprovenShare,
        Self::Trial,
        Self::Probing,
        Self::Monotonic,
        Self::LaneChanges,
        Self::Successor,
        Self::RowBudget,
        Self::BodyBudget,
    ];
}
