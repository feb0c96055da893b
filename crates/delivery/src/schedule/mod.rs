//! Decides which delivery is attempted when: a state machine without I/O and without a clock. Events and the time go
//! in ([`Schedule::handle`]), commands come out.
//!
//! ```text
//!            due                 turn                  answer: send                 end                 durable
//! Waiting ─────────> Ready ──────────────> Preparing ──────────────> InFlight ──────────────> Recording ───────> out of
//!    ^  │ fallback     ^  └─ job is fresh ───────────────────────────^                            │              memory
//!    │  v              │                                                                          │
//!    │ MakingDue ──────┘   Cancelling: the destination is off; looked at again until it is gone   │
//!    └────────────────────────────────── another attempt is planned ──────────────────────────────┘
//! ```
//!
//! **Who is authoritative.** The store. Memory holds ids and times of the earliest rows of each lane (a lane is one
//! destination) and is only ever an optimisation: whatever it believes is checked by the store before it counts. A row
//! older than 5 s is read again before it is sent; an outcome is applied only where version and epoch still match.
//!
//! **What memory promises.** It holds every pending row of a lane that comes before the lane's *horizon*; behind it the
//! store may hold more. For lanes that memory does not know, the *outer horizon* promises the same. A row behind the
//! horizon goes to the store only, so the oldest never starve; a refill moves the horizon on. What a sweep finds before
//! a horizon and not in memory was lost, is taken up and counted.
//!
//! **Waiting.** A wait that begins in this process (a retry, a fallback that is handed over) is turned into monotonic
//! time at once and fires when that has passed, whatever the wall clock does meanwhile. A row that is read from the
//! store waits until its `due_at` by the wall clock *as it was when it was read*, and from then on by monotonic time.
//! So a jump of the wall clock changes only the waits of rows that lay in the store alone while it jumped.
//!
//! **What can fail.** Each read and each write, and a write's result may stay unknown. Then no attempt starts, for its
//! outcome could not be recorded; outcomes that are not durable are given again, the same as before; after an unknown result and
//! after a dropped hand-over everything that memory promised is checked by sweep and refill. Snapshots may be old when
//! they arrive: what is in hand, and what left hand since the read began, is not taken from them.
//!
//! **Pausing.** An operator may have sending pause, as after a restore. Then no attempt starts; all else goes on as ever, so that
//! memory stays bounded and what is due is at hand when sending goes on.
//!
//! **What it never does.** Never two attempts of a delivery at once: a row that changes in the store while its attempt
//! is in flight waits for the outcome. Never an attempt early. Never more rows, bodies, outcomes or attempts than its
//! [`Config`] says. Never skips a delivery because others of its lane failed: a failing lane gets fewer slots, no less.
//!
//! Invariants, checked by [`Schedule::check`] (at each step of the simulation):
//! 1. a row is in exactly one place: its lane's `waiting` (with a timer), its `ready`, or in work under a ticket;
//! 2. a row has a slot exactly while it is `Preparing` or `InFlight`; counts by host, lane, business and in all agree;
//! 3. rows, lanes, held bytes, slots and outcomes are within their bounds;
//! 4. a lane with something ready is in a round, parked, full or paused.

mod admission;
mod check;
mod config;
mod gate;
mod lane;
mod left_hand;
mod message;
mod pace;
mod preparing;
mod recording;
mod refill;
mod row;
mod snapshot;
mod sweep;
mod turns;

pub use config::{Config, Safeguard};
pub use message::{Answer, Command, Event, Now, RequestId, Start, StoreFailure, Ticket};
pub use snapshot::Snapshot;

use crate::limits;
use domain::Timestamp;
use gate::Gate;
use lane::Lanes;
use left_hand::LeftHand;
use recording::Outcomes;
use row::{Key, Rows};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use store::queue::{Committed, Lease, Pending};
use sweep::Sweep;
use turns::Turns;

/// The state machine. See the module's head.
#[derive(Debug)]
pub struct Schedule {
    config: Config,
    now: Now,
    leases: Vec<Lease>,
    stopping: bool,
    paused: bool,
    rows: Rows,
    lanes: Lanes,
    turns: Turns,
    timers: BTreeSet<(Duration, Timer)>,
    /// For lanes that memory does not know: none has a pending row before this.
    outer_horizon: Key,
    /// Rows were turned away for want of room.
    pressed: bool,
    left: LeftHand,
    reads: Gate,
    writes: Gate,
    sweep: Sweep,
    loads: VecDeque<u32>,
    loads_under_way: usize,
    to_prepare: Vec<Ticket>,
    preparing: Vec<Batch>,
    to_make_due: VecDeque<Ticket>,
    making_due: Option<Batch>,
    to_cancel: VecDeque<Ticket>,
    cancelling: Option<Batch>,
    outcomes: Outcomes,
    /// Rows that became ready with a job since slots were last given out.
    fresh: Vec<Ticket>,
    held: VecDeque<(Duration, Ticket)>,
    held_bytes: usize,
    starts: Vec<Start>,
    /// Attempts that have started and not ended.
    attempts: usize,
    found_by_sweep: u64,
    sealed: u64,
    request: u64,
}

/// What a moment of the monotonic clock is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Row(u32),
    Lane(u32),
}

/// Rows that were given to the store together.
#[derive(Debug)]
struct Batch {
    request: RequestId,
    tickets: Vec<Ticket>,
    began: Duration,
}

impl Schedule {
    /// A schedule that holds these queues and knows nothing yet; the first tick begins to read.
    #[must_use]
    pub fn new(config: Config, leases: Vec<Lease>, now: Now) -> Self {
        Self {
            config,
            now,
            leases,
            stopping: false,
            paused: false,
            rows: Rows::default(),
            lanes: Lanes::new(),
            turns: Turns::new(&config),
            timers: BTreeSet::new(),
            outer_horizon: Key::FIRST,
            pressed: false,
            left: LeftHand::new(limits::LEFT_HAND_MAX),
            reads: Gate::default(),
            writes: Gate::default(),
            sweep: Sweep::new(now.elapsed),
            loads: VecDeque::new(),
            loads_under_way: 0,
            to_prepare: Vec::new(),
            preparing: Vec::new(),
            to_make_due: VecDeque::new(),
            making_due: None,
            to_cancel: VecDeque::new(),
            cancelling: None,
            outcomes: Outcomes::default(),
            fresh: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            starts: Vec::new(),
            attempts: 0,
            found_by_sweep: 0,
            sealed: 0,
            request: 0,
        }
    }

    /// Takes in an event and says what is to be done now.
    pub fn handle(&mut self, now: Now, event: Event, commands: &mut Vec<Command>) {
        debug_assert!(now.elapsed >= self.now.elapsed, "the monotonic clock never goes back");
        self.now = now;
        match event {
            Event::Tick => {}
            Event::Committed(commits, at) => self.committed(commits, at),
            Event::CommitsLost => self.commits_lost(),
            Event::AttemptEnded(ticket, outcome) => self.attempt_ended(ticket, *outcome),
            Event::AttemptBroke(ticket) => self.attempt_broke(ticket),
            Event::LaneLoaded(request, lane, answer) => self.lane_loaded(request, lane, answer),
            Event::HeadsRead(request, answer) => self.heads_read(request, answer),
            Event::Prepared(request, answer) => self.prepared(request, answer),
            Event::MadeDue(request, answer) => self.made_due(request, answer),
            Event::Cancelled(request, answer) => self.cancelled(request, answer),
            Event::Recorded(request, answer) => self.recorded(request, answer),
            Event::Pause => self.paused = true,
            Event::Resume => self.paused = false,
            Event::Stop => self.stopping = true,
        }
        self.fire_timers();
        self.drop_stale_jobs();
        self.end_idle_failure();
        self.fill_slots();
        self.hold_fresh_jobs();
        self.forget_idle_lanes();
        commands.extend(self.starts.drain(..).map(Command::Start));
        self.ask_the_store(commands);
        debug_assert!(self.turns.in_flight() <= self.config.slots);
        debug_assert!(self.outcomes.len() <= self.config.outcomes_max);
    }

    /// When [`Event::Tick`] is to come, by the monotonic clock, if no other event comes before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let write_under_way =
            self.outcomes.is_under_way() || self.making_due.is_some() || self.cancelling.is_some();
        let writes = (self.writes.is_failing() && !write_under_way).then(|| self.writes.opens_at());
        if self.stopping {
            return writes;
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        let probes = self.turns.wakes_probed_at(&self.config);
        // While writes fail, it is known when they are tried again.
        let outcomes = if self.writes.is_failing() { None } else { self.outcomes.gathered_at() };
        let sweep = self.may_sweep().then(|| self.sweep.at().max(self.reads.opens_at()));
        [timer, probes, sweep, outcomes, writes].into_iter().flatten().min()
    }

    /// Whether no attempt is in flight and every outcome is durable.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.outcomes.is_empty() && self.attempts == 0
    }

    fn committed(&mut self, commits: Vec<Committed>, at: Now) {
        for commit in commits {
            match commit {
                Committed::Planned { pending, wait, job } => {
                    self.planned(pending, at.elapsed + wait, job.map(|job| (job, at.elapsed)));
                }
                Committed::Left(id, _) => self.row_left(id),
                Committed::LaneChanged(lane) => self.lane_changed(lane),
            }
        }
    }

    /// Everything that is to be asked of the store and may be asked now.
    fn ask_the_store(&mut self, commands: &mut Vec<Command>) {
        self.ask_to_record(commands);
        if self.stopping {
            return;
        }
        self.ask_to_make_due(commands);
        self.ask_to_cancel(commands);
        self.ask_to_prepare(commands);
        self.ask_for_loads(commands);
        self.ask_for_heads(commands);
    }

    fn next_request(&mut self) -> RequestId {
        self.request += 1;
        RequestId(self.request)
    }

    /// When a row that is read now is due by the monotonic clock.
    fn due_from_wall(&self, due_at: Timestamp) -> Duration {
        self.now.elapsed_at(due_at)
    }

    fn lease(&self, pending: &Pending) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.queue == pending.queue)
    }
}
