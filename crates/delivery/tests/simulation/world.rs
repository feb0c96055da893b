//! A world: the schedule, the model of the store, receivers, people and faults, driven by one clock.

use crate::model::{Model, business_id, lane_id};
use crate::promises::Promises;
use crate::random::Random;
use crate::scenario::{Action, Profile, Receiver, Scenario};
use delivery::schedule::{Command, Event, Now, RequestId, Schedule, Start, StoreFailure};
use domain::Timestamp;
use domain::delivery::Attempt;
use domain::id::DeliveryId;
use domain::retry::{AttemptResult, RetrySchedule};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use store::queue::{Committed, Outcome};

const START_WALL: i64 = 1_774_880_000_000;
/// A world that has not come to rest by then never will.
const REST_BY: u64 = 300_000;

pub struct World {
    pub model: Model,
    pub schedule: Schedule,
    pub profile: Profile,
    pub scenario: Scenario,
    promises: Promises,
    random: Random,
    now_ms: u64,
    wall_offset: i64,
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: HashMap<u64, Happening>,
    sequence: u64,
    generation: u32,
    frozen_until: u64,
    away: bool,
    paused: bool,
    /// Waits that were read from the store by a clock that was set back are longer by that.
    jumped_ms: u64,
    handed_over_at: u64,
    next_tick: Option<u64>,
    ended: BTreeMap<(DeliveryId, u32), u64>,
    trace: Option<Vec<String>>,
}

/// What is going to happen, in which life of the process.
enum Happening {
    Do(Action),
    Tell(u32, Event),
    Tick(u32),
    AtStore(u32, Command),
    AttemptEnds(u32, Box<Start>, bool),
}

impl World {
    pub fn new(seed: u64, profile: Profile, change: impl FnOnce(&mut Scenario, &mut Model)) -> Self {
        let mut random = Random::new(seed);
        let mut scenario = Scenario::of(profile, &mut random);
        scenario.pauses(profile, seed);
        let mut model = Model { epoch: 1, hands_over_own: random.percent(50), ..Model::default() };
        model.body_bytes = scenario.body_bytes;
        change(&mut scenario, &mut model);
        for (number, plan) in scenario.lanes.iter().enumerate() {
            model.lanes.push(crate::model::Lane {
                id: lane_id(number),
                business: business_id(plan.business),
                host: plan.host,
                enabled: true,
                sealed: false,
                revision: 0,
                disabled_true: None,
            });
        }
        let now = Now { wall: Timestamp::from_millis(START_WALL), elapsed: Duration::ZERO };
        let schedule = Schedule::new(scenario.config, vec![model.lease()], now);
        let mut world = Self {
            promises: Promises::new(profile, &scenario),
            model,
            schedule,
            profile,
            random,
            now_ms: 0,
            wall_offset: START_WALL,
            heap: BinaryHeap::new(),
            happenings: HashMap::new(),
            sequence: 0,
            generation: 0,
            frozen_until: 0,
            away: false,
            paused: false,
            jumped_ms: 0,
            handed_over_at: 0,
            next_tick: None,
            ended: BTreeMap::new(),
            trace: None,
            scenario,
        };
        for (at, action) in world.scenario.actions.clone() {
            world.later(at, Happening::Do(action));
        }
        world.later(0, Happening::Tick(0));
        world
    }

    pub fn traced(mut self) -> Self {
        self.trace = Some(Vec::new());
        self
    }

    pub fn trace(&self) -> String {
        self.trace.as_deref().unwrap_or_default().join("\n")
    }

    /// Runs the world to its rest. The error is the promise that was broken.
    pub fn run(&mut self) -> Result<(), String> {
        while let Some(Reverse((at, sequence))) = self.heap.pop() {
            let Some(happening) = self.happenings.remove(&sequence) else { continue };
            self.now_ms = at;
            self.happen(happening)?;
            if at > self.scenario.ends_at && self.is_at_rest() {
                break;
            }
            if at > REST_BY + self.jumped_ms {
                return Err(format!("the world does not come to rest: {}", self.unfinished()));
            }
        }
        let found = self.schedule.snapshot().found_by_sweep_total;
        self.promises.at_the_end(&self.model, found)
    }

    fn now(&self) -> Now {
        let wall = self.wall_offset + i64::try_from(self.now_ms).unwrap();
        Now { wall: Timestamp::from_millis(wall), elapsed: Duration::from_millis(self.now_ms) }
    }

    fn later(&mut self, at: u64, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence)));
        self.happenings.insert(self.sequence, happening);
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7} ms  {}", self.now_ms, text()));
        }
    }

    fn is_at_rest(&self) -> bool {
        self.promises.nothing_in_flight()
            && self.schedule.is_drained()
            && self.model.rows.values().all(|row| !row.is_pending())
    }

    fn unfinished(&self) -> String {
        let pending: Vec<_> = self.model.rows.iter().filter(|(_, row)| row.is_pending()).take(3).collect();
        format!("{pending:?} {:?}", self.schedule.snapshot())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Do(action) => {
                self.note(|| format!("{action:?}"));
                self.act(action);
                Ok(())
            }
            Happening::Tick(life) => {
                self.next_tick = None;
                self.tell(life, Event::Tick)
            }
            Happening::Tell(life, event) => self.tell(life, event),
            Happening::AtStore(life, command) => {
                if life == self.generation {
                    self.at_store(command);
                }
                Ok(())
            }
            Happening::AttemptEnds(life, start, success) => self.attempt_ends(life, &start, success),
        }
    }

    fn tell(&mut self, life: u32, event: Event) -> Result<(), String> {
        if life != self.generation {
            return Ok(());
        }
        if self.now_ms < self.frozen_until {
            let happening = if matches!(event, Event::Tick) {
                Happening::Tick(life)
            } else {
                Happening::Tell(life, event)
            };
            self.later(self.frozen_until, happening);
            return Ok(());
        }
        self.note(|| format!("-> {event:?}"));
        self.promises.told(&event, self.now());
        let mut commands = Vec::new();
        self.schedule.handle(self.now(), event, &mut commands);
        self.promises.asks(&commands, self.now());
        for command in commands {
            self.note(|| format!("<- {command:?}"));
            self.promises.asked(&command, &self.model, self.now())?;
            match command {
                Command::Start(start) => self.start(start),
                command => {
                    let at = self.now_ms + self.random.between(1, 8);
                    self.later(at, Happening::AtStore(life, command));
                }
            }
        }
        self.schedule.check()?;
        self.wake()
    }

    fn wake(&mut self) -> Result<(), String> {
        let Some(at) = self.schedule.wake_at() else { return Ok(()) };
        let at = u64::try_from(at.as_millis()).unwrap();
        if self.next_tick.is_none_or(|next| at < next) {
            if at <= self.now_ms {
                self.promises.woken_at_once(self.now_ms)?;
            }
            let at = at.max(self.now_ms);
            self.next_tick = Some(at);
            self.later(at, Happening::Tick(self.generation));
        }
        Ok(())
    }

    fn start(&mut self, start: Start) {
        let id = start.job.pending.id;
        let lane = self.model.rows.get(&id).map_or(0, |row| row.lane);
        let (takes, success) = match self.scenario.lanes[lane].receiver {
            Receiver::Good(ms) => (ms + self.random.between(0, 5), true),
            Receiver::Failing => (self.random.between(1, 30), false),
            Receiver::Hanging => (10_000, false),
            Receiver::Flaky => (self.random.between(1, 400), self.random.percent(50)),
        };
        let at = self.now_ms + takes;
        self.later(at, Happening::AttemptEnds(self.generation, Box::new(start), success));
    }

    fn attempt_ends(&mut self, life: u32, start: &Start, success: bool) -> Result<(), String> {
        if life != self.generation {
            return Ok(());
        }
        let now = self.now();
        let job = &start.job;
        self.ended.insert((job.pending.id, job.attempt), self.now_ms);
        self.promises.attempt_ended(start, self.now_ms);
        let result =
            if success { AttemptResult::Success } else { AttemptResult::Failure { retry_after: None } };
        let outcome = Outcome {
            pending: job.pending,
            epoch: start.epoch,
            attempt: attempt(job.attempt, now.wall, start.repeated),
            ended_at: now.wall,
            verdict: retries().verdict(job.attempt_in_series, now.wall, result),
        };
        self.tell(life, Event::AttemptEnded(start.ticket, Box::new(outcome)))
    }

    fn act(&mut self, action: Action) {
        let now = self.now();
        let committed = match action {
            Action::Report { lane, wait_for_ai } => self.model.report(now, lane, wait_for_ai),
            Action::AiEnds { recent } => match self.recent(recent, |row| row.waits_for_ai) {
                Some(id) => self.model.ai_ends(now, id),
                None => return,
            },
            Action::Cancel { recent } => match self.recent(recent, |_| true) {
                Some(id) => self.model.cancel(now, id),
                None => return,
            },
            Action::CancelOverdue => match self.promises.overdue(&self.model, now) {
                Some(id) => self.model.cancel(now, id),
                None => return,
            },
            Action::Erase { recent } => match self.recent(recent, |_| true) {
                Some(id) => self.model.erase(id),
                None => return,
            },
            Action::Redeliver { recent } => match self.recent(recent, |row| !row.is_pending()) {
                Some(id) => self.model.redeliver(now, id),
                None => return,
            },
            Action::CancelAndRedeliver { recent } => self.cancel_and_redeliver(now, recent),
            Action::ChangeLane { lane, enabled } => self.model.change_lane(now, lane, enabled),
            action => return self.act_on_world(action),
        };
        self.hand_over(committed);
    }

    fn cancel_and_redeliver(&mut self, now: Now, recent: u64) -> Vec<Committed> {
        // Most telling while the attempt is in flight.
        let Some(id) = self.promises.in_flight(recent).or_else(|| self.recent(recent, |_| true)) else {
            return Vec::new();
        };
        let mut committed = self.model.cancel(now, id);
        committed.extend(self.model.redeliver(now, id));
        committed
    }

    fn act_on_world(&mut self, action: Action) {
        match action {
            Action::Seal { lane, sealed } => self.model.lanes[lane].sealed = sealed,
            Action::Receiver { lane, receiver } => self.scenario.lanes[lane].receiver = receiver,
            Action::StoreAway(away) => {
                self.away = away;
                self.promises.fault(self.now_ms);
            }
            Action::Freeze(ms) => {
                self.frozen_until = self.now_ms + ms;
                self.promises.fault(self.frozen_until);
            }
            Action::Jump(ms) => {
                self.wall_offset += ms;
                self.jumped_ms += ms.unsigned_abs();
                self.promises.jumped(self.now_ms);
            }
            Action::Pause(paused) => self.pause(paused),
            Action::Crash => self.crash(),
            _ => {}
        }
    }

    fn crash(&mut self) {
        self.generation += 1;
        self.model.epoch += 1;
        self.model.unclean_until = Some(self.now().wall);
        self.frozen_until = 0;
        self.next_tick = None;
        self.promises.crashed(self.now_ms);
        self.schedule = Schedule::new(self.scenario.config, vec![self.model.lease()], self.now());
        self.pause(self.paused);
        self.later(self.now_ms, Happening::Tick(self.generation));
    }

    /// Survives a crash: the next life is told before anything else.
    fn pause(&mut self, paused: bool) {
        self.paused = paused;
        let event = if paused { Event::Pause } else { Event::Resume };
        self.later(self.now_ms, Happening::Tell(self.generation, event));
    }

    fn recent(&self, recent: u64, fits: impl Fn(&crate::model::Row) -> bool) -> Option<DeliveryId> {
        let fitting = self.model.rows.iter().rev().filter(|(_, row)| fits(row));
        fitting.map(|(id, _)| *id).nth(usize::try_from(recent).unwrap())
    }

    /// The committer tells what it committed, in order, unless the hand-over overflows.
    fn hand_over(&mut self, committed: Vec<Committed>) {
        if committed.is_empty() {
            return;
        }
        let (now, life) = (self.now(), self.generation);
        self.handed_over_at = self.handed_over_at.max(self.now_ms + self.random.between(0, 2));
        let at = self.handed_over_at;
        if self.profile.loses() && self.now_ms < self.scenario.ends_at && self.random.percent(15) {
            self.note(|| format!("lost: {committed:?}"));
            self.promises.fault(self.now_ms);
            self.later(at, Happening::Tell(life, Event::CommitsLost));
        } else {
            self.later(at, Happening::Tell(life, Event::Committed(committed, now)));
        }
    }

    fn at_store(&mut self, command: Command) {
        if self.away {
            // Only a write may have been applied by a store that does not answer.
            let unknown = self.random.percent(30);
            let failure = if unknown { StoreFailure::Unknown } else { StoreFailure::Failed };
            let failed = failed(&command, failure);
            if unknown && self.random.percent(50) {
                self.note(|| "applied without an answer".to_owned());
                self.answer(command);
            }
            self.tell_later(failed);
        } else {
            let answer = self.answer(command);
            self.tell_later(answer);
        }
    }

    fn tell_later(&mut self, event: Event) {
        // The driver takes hand-overs before answers.
        let at = self.handed_over_at.max(self.now_ms + self.random.between(0, 12));
        self.later(at, Happening::Tell(self.generation, event));
    }

    fn answer(&mut self, command: Command) -> Event {
        let now = self.now();
        match command {
            Command::LoadLane(request, lane, limit) => {
                Event::LaneLoaded(request, lane, Ok(self.model.load_lane(lane, limit)))
            }
            Command::ReadHeads(request, due_by, after, limit) => {
                Event::HeadsRead(request, Ok(self.model.lane_heads(due_by, after, limit)))
            }
            Command::Prepare(request, rows) => Event::Prepared(request, Ok(self.model.prepare(&rows))),
            Command::MakeDue(request, rows) => {
                let (answers, committed) = self.model.make_due(now, &rows);
                self.hand_over(committed);
                Event::MadeDue(request, Ok(answers))
            }
            Command::CancelSwitchedOff(request, rows) => {
                let committed = self.model.cancel_switched_off(now, &rows);
                self.hand_over(committed);
                Event::Cancelled(request, Ok(()))
            }
            Command::Record(request, outcomes) => self.record(request, &outcomes),
            Command::Start(_) => unreachable!("attempts are not the store's"),
        }
    }

    fn record(&mut self, request: RequestId, outcomes: &Arc<Vec<Outcome>>) -> Event {
        let ended = &self.ended;
        let ended_true = |outcome: &Outcome| {
            ended.get(&(outcome.pending.id, outcome.attempt.attempt)).copied().unwrap_or_default()
        };
        let (answers, committed) = self.model.record(self.now(), outcomes, ended_true);
        self.hand_over(committed);
        Event::Recorded(request, Ok(answers))
    }
}

fn failed(command: &Command, failure: StoreFailure) -> Event {
    match command {
        Command::LoadLane(request, lane, _) => Event::LaneLoaded(*request, *lane, Err(failure)),
        Command::ReadHeads(request, ..) => Event::HeadsRead(*request, Err(failure)),
        Command::Prepare(request, _) => Event::Prepared(*request, Err(failure)),
        Command::MakeDue(request, ..) => Event::MadeDue(*request, Err(failure)),
        Command::CancelSwitchedOff(request, ..) => Event::Cancelled(*request, Err(failure)),
        Command::Record(request, _) => Event::Recorded(*request, Err(failure)),
        Command::Start(_) => unreachable!("attempts are not the store's"),
    }
}

/// Two short waits: three attempts in a series.
pub fn retries() -> RetrySchedule {
    RetrySchedule::new(vec![2, 4]).unwrap()
}

fn attempt(number: u32, started_at: Timestamp, repeated: bool) -> Attempt {
    Attempt {
        attempt: number,
        started_at,
        duration_ms: 1,
        status_code: None,
        error: None,
        error_detail: None,
        url: String::new(),
        remote_address: None,
        response_headers: Vec::new(),
        response_excerpt: None,
        repeated,
        header_names: None,
        phases: None,
    }
}
