//! What must hold at every step of a world, seen from outside the schedule.

use crate::model::{Model, Row, Status, true_ms};
use crate::scenario::{Profile, Scenario};
use delivery::schedule::{Command, Config, Event, Now, Start};
use domain::id::{BusinessId, DeliveryId, DestinationId};
use domain::retry::Verdict;
use std::collections::{BTreeMap, HashMap, HashSet};
use store::queue::{Committed, Outcome, PendingKind, Prepared};

/// A cancelled delivery is not sent later than this after it was cancelled (limits: the age of a job).
const SENT_AFTER_CANCEL_MAX: u64 = 5_000;
/// Failures in a row after which only a few attempts at a time are made.
const PROBE_AFTER: u32 = 5;
/// Rows of a lane go in order, but for what the turns and reads of a moment mix.
const OVERTAKEN_MAX: u64 = 4_000;

/// A lane that has something due gets a turn within this where all take a half second each.
const TURN_MAX: u64 = 4_000;

pub struct Promises {
    profile: Profile,
    config: Config,
    healthy: Vec<bool>,
    quiet_since: u64,
    crashed_at: u64,
    jumps: Vec<u64>,
    flights: BTreeMap<DeliveryId, Flight>,
    lanes: HashMap<DestinationId, LaneHealth>,
    loaded_at: HashMap<DeliveryId, u64>,
    /// When the delivery's attempt ended, or it came from the store, for the last time.
    moved_at: HashMap<DeliveryId, u64>,
    told_revision: HashMap<DestinationId, u64>,
    ended: HashSet<(DeliveryId, u32)>,
    in_flight_at_crash: HashSet<DeliveryId>,
    recording_fails: bool,
    paused: bool,
    woken: (u64, u32),
    turn_at: HashMap<DestinationId, u64>,
    starts: u64,
    /// When the row was first seen to be overtaken by a later one of its lane.
    overtaken_at: HashMap<DeliveryId, u64>,
}

struct Flight {
    lane: DestinationId,
    host: usize,
    business: BusinessId,
    new_lane: bool,
}

#[derive(Default)]
struct LaneHealth {
    succeeded: bool,
    failures: u32,
    probed_since: Option<u64>,
}

impl LaneHealth {
    fn is_unknown(&self) -> bool {
        !self.succeeded && self.failures == 0
    }
}

impl Promises {
    pub fn new(profile: Profile, scenario: &Scenario) -> Self {
        Self {
            profile,
            config: scenario.config,
            healthy: scenario.lanes.iter().map(|lane| lane.healthy).collect(),
            quiet_since: 0,
            crashed_at: 0,
            jumps: Vec::new(),
            flights: BTreeMap::new(),
            lanes: HashMap::new(),
            loaded_at: HashMap::new(),
            moved_at: HashMap::new(),
            told_revision: HashMap::new(),
            ended: HashSet::new(),
            in_flight_at_crash: HashSet::new(),
            recording_fails: false,
            paused: false,
            woken: (0, 0),
            turn_at: HashMap::new(),
            starts: 0,
            overtaken_at: HashMap::new(),
        }
    }

    pub fn nothing_in_flight(&self) -> bool {
        self.flights.is_empty()
    }

    pub fn in_flight(&self, recent: u64) -> Option<DeliveryId> {
        self.flights.keys().copied().nth(usize::try_from(recent % 4).unwrap())
    }

    pub fn overdue(&self, model: &Model, now: Now) -> Option<DeliveryId> {
        let waits = |(id, row): &(&DeliveryId, &Row)| {
            row.status == Status::Scheduled
                && row.attempts.is_empty()
                && row.due_true + 500 < true_ms(now)
                && !self.flights.contains_key(*id)
        };
        model.rows.iter().rev().find(waits).map(|(id, _)| *id)
    }

    pub fn fault(&mut self, at: u64) {
        self.quiet_since = self.quiet_since.max(at);
    }

    pub fn jumped(&mut self, at: u64) {
        self.jumps.push(at);
        self.fault(at);
    }

    pub fn crashed(&mut self, at: u64) {
        self.fault(at);
        self.crashed_at = at;
        let flights = std::mem::take(&mut self.flights);
        self.in_flight_at_crash = flights.into_keys().collect();
        self.lanes.clear();
        self.ended.clear();
        self.told_revision.clear();
        self.recording_fails = false;
    }

    pub fn woken_at_once(&mut self, at: u64) -> Result<(), String> {
        let times = if self.woken.0 == at { self.woken.1 + 1 } else { 0 };
        self.woken = (at, times);
        if times > 1_000 { Err("it wants to be woken again and again without effect".into()) } else { Ok(()) }
    }

    pub fn told(&mut self, event: &Event, now: Now) {
        match event {
            Event::AttemptEnded(_, outcome) => self.health(outcome, true_ms(now)),
            Event::Pause => self.paused = true,
            Event::Resume => {
                self.paused = false;
                self.fault(true_ms(now));
            }
            Event::Recorded(_, answer) => self.recording_fails = answer.is_err(),
            Event::MadeDue(_, Ok(answers)) if self.recording_fails => {
                // The store takes writes again.
                self.recording_fails = false;
                self.note_changed(answers, now);
            }
            Event::Cancelled(_, Ok(())) => self.recording_fails = false,
            Event::LaneLoaded(_, _, Ok(page)) => {
                for row in &page.rows {
                    self.loaded_at.insert(row.id, true_ms(now));
                    self.moved_at.insert(row.id, true_ms(now));
                }
            }
            Event::Prepared(_, Ok(answers)) | Event::MadeDue(_, Ok(answers)) => {
                self.note_changed(answers, now);
            }
            Event::Committed(commits, _) => {
                for commit in commits {
                    if let Committed::LaneChanged(lane) = commit {
                        *self.told_revision.entry(*lane).or_default() += 1;
                    }
                }
            }
            _ => {}
        }
    }

    fn note_changed(&mut self, answers: &[Prepared], now: Now) {
        for answer in answers {
            if let Prepared::Changed(row) = answer {
                self.loaded_at.insert(row.id, true_ms(now));
            }
        }
    }

    /// What has a slot and is read again counts as on its way, whatever the order of the commands of a moment.
    pub fn asks(&mut self, commands: &[Command], now: Now) {
        for command in commands {
            if let Command::Prepare(_, rows) = command {
                self.moved_at.extend(rows.iter().map(|row| (row.id, true_ms(now))));
            }
        }
    }

    pub fn asked(&mut self, command: &Command, model: &Model, now: Now) -> Result<(), String> {
        match command {
            Command::Start(start) => {
                if let Some(row) = model.rows.get(&start.job.pending.id) {
                    self.check_row(start, row, model, now)?;
                    self.check_time(start.job.pending.id, start.job.pending.lane, row, now)?;
                    let touched = row.waits_for_ai || model.lanes[row.lane].revision > 0;
                    if self.profile.is_faultless() && !touched {
                        self.check_order(start, row, model, true_ms(now))?;
                    }
                }
                self.check_shares(start, model, now)?;
                self.starts += 1;
                if self.profile == Profile::Crowd {
                    self.check_turns(start, model, true_ms(now))?;
                }
                self.takes_off(start, model)
            }
            Command::MakeDue(_, rows) => {
                for asked in rows {
                    if let Some(row) = model.rows.get(&asked.id).filter(|row| row.version == asked.version) {
                        self.check_early(asked.id, row, now)?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_row(&self, start: &Start, row: &Row, model: &Model, now: Now) -> Result<(), String> {
        let (id, number) = (start.job.pending.id, start.job.attempt);
        if start.job.pending.kind == PendingKind::Fallback {
            return Err(format!("{id} is sent before it was made due"));
        }
        if self.ended.contains(&(id, number)) {
            return Err(format!("attempt {number} of {id} has ended, and is made again"));
        }
        if row.is_pending() && row.version == start.job.pending.version {
            let next = row.attempts.len() + 1;
            if usize::try_from(number).unwrap() != next {
                return Err(format!("{id} has {} attempts on record and starts number {number}", next - 1));
            }
        }
        let off = model.lanes[row.lane].disabled_true.filter(|_| !model.lanes[row.lane].enabled);
        for (since, what) in [(row.cancelled_true, "cancelled"), (off, "switched off")] {
            if since.is_some_and(|since| true_ms(now) > since + SENT_AFTER_CANCEL_MAX) {
                return Err(format!("{id} is sent and was {what} at {since:?}"));
            }
        }
        let told = self.told_revision.get(&start.job.pending.lane).copied().unwrap_or(0);
        if Model::revision_of(start) < told && self.profile.is_faultless() {
            return Err(format!("{id} is sent with settings of which the schedule knew that they are old"));
        }
        if self.paused {
            return Err(format!("{id} is sent while sending pauses"));
        }
        if self.recording_fails {
            return Err(format!("{id} is sent while outcomes cannot be recorded"));
        }
        if self.in_flight_at_crash.contains(&id)
            && row.planned_true < self.crashed_at
            && !start.repeated
            && !self.profile.jumps()
        {
            return Err(format!("{id} was in flight at the crash and is not marked as repeated"));
        }
        Ok(())
    }

    fn check_time(&self, id: DeliveryId, lane: DestinationId, row: &Row, now: Now) -> Result<(), String> {
        self.check_early(id, row, now)?;
        let due = row.due_true.max(self.quiet_since);
        let lateness = true_ms(now).saturating_sub(due);
        // A lane without a success waits behind others of its kind, and those may hang.
        let proven = self.lanes.get(&lane).is_some_and(|lane| lane.succeeded);
        if proven
            && self.healthy[row.lane]
            && row.is_pending()
            && !self.read_after_jump(id, row)
            && lateness > self.profile.lateness_max()
        {
            return Err(format!("{id} of a healthy lane is {lateness} ms late"));
        }
        Ok(())
    }

    fn read_after_jump(&self, id: DeliveryId, row: &Row) -> bool {
        let read_since = |jump: u64| self.loaded_at.get(&id).is_some_and(|&loaded| loaded >= jump);
        self.jumps.iter().any(|&jump| row.planned_true <= jump && read_since(jump))
    }

    /// Early is only what was read from the store after the wall clock had jumped.
    fn check_early(&self, id: DeliveryId, row: &Row, now: Now) -> Result<(), String> {
        if row.is_pending() && true_ms(now) < row.due_true && !self.read_after_jump(id, row) {
            return Err(format!("{id} comes {} ms early", row.due_true - true_ms(now)));
        }
        Ok(())
    }

    /// Who is overtaken may have a slot already and wait for the batch that reads it again; but not for long.
    fn check_order(&mut self, start: &Start, row: &Row, model: &Model, now: u64) -> Result<(), String> {
        self.overtaken_at.remove(&start.job.pending.id);
        let overtaken = model.rows.iter().filter(|(id, other)| {
            other.lane == row.lane
                && other.status == Status::Scheduled
                && other.due_true + OVERTAKEN_MAX < row.due_true
                && !self.flights.contains_key(*id)
                && self.moved_at.get(*id).is_none_or(|moved| moved + 200 < now)
        });
        for (id, other) in overtaken {
            let since = *self.overtaken_at.entry(*id).or_insert(now);
            if since + 300 < now && since > other.due_true {
                let first = start.job.pending.id;
                let earlier = row.due_true - other.due_true;
                return Err(format!("{first} is sent before {id}, due {earlier} ms earlier in its lane"));
            }
        }
        Ok(())
    }

    fn check_shares(&self, start: &Start, model: &Model, now: Now) -> Result<(), String> {
        let lane = start.job.pending.lane;
        let host = host_of(model, lane);
        let of_lane = self.flights.values().filter(|flight| flight.lane == lane).count();
        let of_host = self.flights.values().filter(|flight| flight.host == host).count();
        let new = self.flights.values().filter(|flight| flight.new_lane).count();
        let health = self.lanes.get(&lane);
        let is_new = health.is_none_or(|health| !health.succeeded);
        let probed = health.and_then(|health| health.probed_since);
        let shares = [
            ("in all", self.flights.len() >= self.config.slots),
            ("of the host", of_host >= self.config.host_slots()),
            ("of the lane", of_lane >= self.config.lane_slots()),
            ("of lanes without a success", is_new && new >= self.config.unproven_slots()),
            (
                "of a lane of which nothing is known",
                of_lane >= 1 && health.is_none_or(LaneHealth::is_unknown),
            ),
            (
                "of a failing lane",
                of_lane >= 2 && probed.is_some_and(|since| true_ms(now) > since.max(self.quiet_since) + 100),
            ),
        ];
        match shares.into_iter().find(|(_, exceeded)| *exceeded) {
            Some((share, _)) => Err(format!("too many attempts {share}: {of_host} {of_lane} {new}")),
            None => Ok(()),
        }
    }

    /// No lane waits for a turn while others have theirs again and again.
    fn check_turns(&mut self, start: &Start, model: &Model, now: u64) -> Result<(), String> {
        self.turn_at.insert(start.job.pending.lane, now);
        if !self.starts.is_multiple_of(8) {
            // A look at all rows: now and then is enough.
            return Ok(());
        }
        let waits = |(id, row): &(&DeliveryId, &Row)| {
            let turn = self.turn_at.get(&model.lanes[row.lane].id).copied().unwrap_or(0);
            row.status == Status::Scheduled
                && row.due_true.max(turn) + TURN_MAX < now
                && !self.flights.contains_key(*id)
                && self.moved_at.get(*id).is_none_or(|moved| moved + 200 < now)
        };
        match model.rows.iter().find(waits) {
            Some((id, row)) => Err(format!("lane {} gets no turn for {id}", row.lane)),
            None => Ok(()),
        }
    }

    fn takes_off(&mut self, start: &Start, model: &Model) -> Result<(), String> {
        let pending = start.job.pending;
        let new_lane = self.lanes.get(&pending.lane).is_none_or(|health| !health.succeeded);
        let flight = Flight {
            lane: pending.lane,
            host: host_of(model, pending.lane),
            business: pending.business_id,
            new_lane,
        };
        self.in_flight_at_crash.remove(&pending.id);
        if let Some(other) = self.flights.insert(pending.id, flight) {
            return Err(format!("two attempts of {} are in flight ({:?})", pending.id, other.business));
        }
        Ok(())
    }

    pub fn attempt_ended(&mut self, start: &Start, at: u64) {
        let id = start.job.pending.id;
        self.flights.remove(&id);
        self.ended.insert((id, start.job.attempt));
        self.moved_at.insert(id, at);
    }

    fn health(&mut self, outcome: &Outcome, at: u64) {
        let health = self.lanes.entry(outcome.pending.lane).or_default();
        if outcome.verdict == Verdict::Delivered {
            *health = LaneHealth { succeeded: true, failures: 0, probed_since: None };
        } else {
            health.failures += 1;
            if health.failures == PROBE_AFTER {
                health.probed_since = Some(at);
            }
        }
    }

    pub fn at_the_end(&self, model: &Model, found_by_sweep: u64) -> Result<(), String> {
        if found_by_sweep > 0 && self.profile.is_faultless() {
            return Err(format!("a sweep found {found_by_sweep} rows that memory should have held"));
        }
        for (id, row) in &model.rows {
            let last = row.attempts.last().copied();
            let fits = match row.status {
                Status::Delivered => last == Some(true),
                Status::Failed => row.series.len() == 3 && row.series.iter().all(|success| !success),
                Status::Cancelled => true,
                Status::Waiting | Status::Scheduled => false,
            };
            let never_fired = row.status == Status::Cancelled && row.waits_for_ai;
            if !fits || row.fired > 1 || (row.fired == 0 && !never_fired) {
                return Err(format!("{id} came to a wrong end: {row:?}"));
            }
            if row.cancelled_true.is_some() && !matches!(row.status, Status::Cancelled | Status::Delivered) {
                return Err(format!("{id} was cancelled and came to life again: {row:?}"));
            }
        }
        Ok(())
    }
}

fn host_of(model: &Model, lane: DestinationId) -> usize {
    model.lanes.iter().find(|known| known.id == lane).map_or(usize::MAX, |lane| lane.host)
}
