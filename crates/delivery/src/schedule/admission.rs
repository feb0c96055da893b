//! Which rows are in memory: arrivals, departures, the horizon of each lane, and the budgets.

use super::config::Safeguard;
use super::lane::Load;
use super::message::Ticket;
use super::row::{Key, Row, State};
use super::{Schedule, Timer};
use crate::limits;
use domain::id::{DeliveryId, DestinationId};
use std::sync::Arc;
use std::time::Duration;
use store::queue::{Job, Pending, PendingKind};

/// A job, and the monotonic time as of which it is true.
pub(super) type JobAsOf = (Arc<Job>, Duration);

impl Schedule {
    /// A commit planned the delivery.
    pub(super) fn planned(&mut self, pending: Pending, due: Duration, job: Option<JobAsOf>) {
        if let Some(index) = self.rows.index_of(pending.id) {
            self.replanned(index, pending, due, job);
            return;
        }
        self.left.supersede(pending.id, pending.version);
        let key = Key::of(&pending);
        let Some(lane) = self.lane_for(&pending) else {
            self.turn_away(key);
            return;
        };
        if key >= self.lanes.get(lane).horizon && self.config.keeps(Safeguard::HeldBack) {
            self.hold_back(lane, key);
        } else if let Some(row) = self.admit(lane, pending, due) {
            self.give_job(row, job);
            self.settle(row);
        }
    }

    /// The store says that a row in memory now stands so.
    pub(super) fn replanned(&mut self, index: u32, pending: Pending, due: Duration, job: Option<JobAsOf>) {
        let row = self.rows.get_mut(index);
        if pending.version <= row.pending.version {
            return;
        }
        let in_flight = matches!(row.state, State::InFlight | State::Recording);
        if in_flight && self.config.keeps(Safeguard::Successor) {
            if row.successor.is_none_or(|(known, _)| known.version < pending.version) {
                row.successor = Some((pending, due));
            }
            return;
        }
        self.replan(index, pending, due, job);
    }

    /// Plans a row that is in memory anew: it may leave for the store, if it now belongs behind the horizon.
    pub(super) fn replan(&mut self, index: u32, pending: Pending, due: Duration, job: Option<JobAsOf>) {
        self.unsettle(index);
        self.release_slot(index);
        let lane = self.rows.get(index).lane;
        let key = Key::of(&pending);
        if key >= self.lanes.get(lane).horizon && self.config.keeps(Safeguard::HeldBack) {
            let version = self.rows.get(index).pending.version;
            self.left.note(pending.id, version.min(pending.version.saturating_sub(1)));
            self.take_out(index);
            self.hold_back(lane, key);
            return;
        }
        let row = self.rows.get_mut(index);
        (row.pending, row.due) = (pending, due);
        row.successor = None;
        row.retry = None;
        row.job = None;
        self.give_job(index, job);
        self.settle(index);
        if self.lanes.get(lane).idle_rows() > self.config.lane_rows_max {
            self.evict_last_of(lane);
        }
    }

    /// A pending delivery ended without an attempt.
    pub(super) fn row_left(&mut self, id: DeliveryId) {
        let Some(index) = self.rows.index_of(id) else {
            self.left.note(id, u64::MAX);
            return;
        };
        let row = self.rows.get_mut(index);
        if matches!(row.state, State::InFlight | State::Recording) {
            row.successor = None;
            return;
        }
        self.drop_row(index, u64::MAX);
    }

    /// Takes the row out of memory for good: no read that is under way may bring back a version up to this one.
    pub(super) fn drop_row(&mut self, index: u32, version: u64) {
        self.unsettle(index);
        self.release_slot(index);
        let id = self.rows.get(index).pending.id;
        self.left.note(id, version);
        let lane = self.rows.get(index).lane;
        self.take_out(index);
        self.consider_load(lane);
    }

    fn take_out(&mut self, index: u32) -> Row {
        let row = self.rows.remove(index);
        let lane = self.lanes.get_mut(row.lane);
        lane.rows -= 1;
        if lane.rows == 0 && lane.load == Load::No {
            self.lanes.set_idle(row.lane, Some(self.now.elapsed));
        }
        row
    }

    /// The row's lane, made where it is new. `None`: there is no room for another.
    pub(super) fn lane_for(&mut self, pending: &Pending) -> Option<u32> {
        if let Some(lane) = self.lanes.index_of(pending.lane) {
            return Some(lane);
        }
        if self.lanes.len() >= self.config.lanes_max {
            let (_, idle) = self.lanes.longest_idle()?;
            self.forget_lane(idle);
        }
        let business = self.turns.business(pending.business_id);
        let lane = self.lanes.insert(pending.lane, business, self.outer_horizon, self.sweep.losses());
        self.lanes.set_idle(lane, Some(self.now.elapsed));
        Some(lane)
    }

    /// Brings the row into memory if there is room; the caller settles it.
    pub(super) fn admit(&mut self, lane: u32, pending: Pending, due: Duration) -> Option<u32> {
        let key = Key::of(&pending);
        let full = self.lanes.get(lane).idle_rows() >= self.config.lane_rows_max;
        let own_last = self.lanes.get(lane).last_key();
        if full && self.config.keeps(Safeguard::RowBudget) {
            if own_last.is_none_or(|last| last < key) {
                self.lower_horizon(lane, key);
                return None;
            }
            self.evict_last_of(lane);
        }
        if !self.make_room(lane, key) {
            self.pressed = true;
            self.lower_horizon(lane, key);
            return None;
        }
        self.lanes.get_mut(lane).rows += 1;
        self.lanes.set_idle(lane, None);
        Some(self.rows.insert(pending, lane, due))
    }

    fn make_room(&mut self, lane: u32, key: Key) -> bool {
        if self.rows.len() < self.config.rows_max || !self.config.keeps(Safeguard::RowBudget) {
            return true;
        }
        self.pressed = true;
        if let Some(fuller) = self.lanes.fuller_than(lane) {
            self.evict_last_of(fuller);
            return true;
        }
        if self.lanes.get(lane).last_key().is_some_and(|last| last > key) {
            self.evict_last_of(lane);
            return true;
        }
        // Who waits for long gives way to who is due soon; a sweep brings it back in time.
        let latest = self.timers.iter().next_back().copied();
        if let Some((due, Timer::Row(row))) = latest
            && due > self.now.elapsed + limits::SWEEP_AHEAD
            && due > self.due_from_wall(key.due_at)
        {
            self.evict(row);
            return true;
        }
        false
    }

    fn evict_last_of(&mut self, lane: u32) {
        let lane = self.lanes.get(lane);
        let Some(last) = lane.last_key() else { return };
        if let Some(&row) = lane.waiting.get(&last).or_else(|| lane.ready.get(&last)) {
            self.evict(row);
        }
    }

    /// Leaves a row that waits to the store.
    fn evict(&mut self, index: u32) {
        debug_assert!(self.rows.get(index).is_idle(), "what is in work stays in hand");
        self.unsettle(index);
        let row = self.take_out(index);
        self.lower_horizon(row.lane, row.key());
    }

    fn lower_horizon(&mut self, lane: u32, key: Key) {
        let lane = self.lanes.get_mut(lane);
        lane.horizon = lane.horizon.min(key);
        lane.missed = lane.missed.min(key);
    }

    fn hold_back(&mut self, lane: u32, key: Key) {
        self.lower_horizon(lane, key);
        self.consider_load(lane);
    }

    /// A row of a lane for which there is no room.
    pub(super) fn turn_away(&mut self, key: Key) {
        self.pressed = true;
        self.lower_outer_horizon(key);
    }

    fn lower_outer_horizon(&mut self, key: Key) {
        self.outer_horizon = self.outer_horizon.min(key);
        self.sweep.lower_horizon(key);
    }

    pub(super) fn lane_changed(&mut self, id: DestinationId) {
        if !self.config.keeps(Safeguard::LaneChanges) {
            return;
        }
        if let Some(index) = self.lanes.index_of(id) {
            let lane = self.lanes.get_mut(index);
            lane.changes = lane.changes.wrapping_add(1);
            self.end_pause(index);
        }
    }

    /// Puts a row that is in no place where it belongs by its time.
    pub(super) fn settle(&mut self, index: u32) {
        let row = self.rows.get_mut(index);
        let (key, lane_index) = (row.key(), row.lane);
        if row.due > self.now.elapsed {
            row.state = State::Waiting;
            row.job = None;
            self.timers.insert((row.due, Timer::Row(index)));
            self.lanes.get_mut(lane_index).waiting.insert(key, index);
        } else if row.pending.kind == PendingKind::Fallback {
            let ticket = self.rows.ticket(index, State::MakingDue);
            self.to_make_due.push_back(ticket);
        } else {
            let ticket = self.rows.ticket(index, State::Ready);
            if self.rows.get(index).job.is_some() {
                self.fresh.push(ticket);
            }
            let lane = self.lanes.get_mut(lane_index);
            lane.ready.insert(key, index);
            self.enlist(lane_index);
        }
        self.lanes.resized(lane_index);
    }

    /// Takes a row out of the place where it waits. A ticket on it does not fit any more when it is settled again.
    pub(super) fn unsettle(&mut self, index: u32) {
        let row = self.rows.get_mut(index);
        let (key, lane_index) = (row.key(), row.lane);
        match row.state {
            State::Waiting => {
                self.timers.remove(&(row.due, Timer::Row(index)));
                self.lanes.get_mut(lane_index).waiting.remove(&key);
            }
            State::Ready => {
                self.held_bytes -= std::mem::take(&mut row.held_bytes);
                let lane = self.lanes.get_mut(lane_index);
                lane.ready.remove(&key);
            }
            _ => return,
        }
        self.lanes.resized(lane_index);
        // A ticket keeps what held the row while it waited from fitting the row in work.
        self.rows.ticket(index, State::Preparing);
    }

    /// Notes what the row's next attempt needs.
    pub(super) fn give_job(&mut self, index: u32, job: Option<JobAsOf>) {
        let Some((job, read_at)) = job else { return };
        let lane_index = self.rows.get(index).lane;
        if let Some(host) = job.destination.settings.url.as_ref().and_then(|url| url.as_url().host_str()) {
            self.set_host(lane_index, host);
        }
        let lane_changes = self.lanes.get(lane_index).changes;
        let row = self.rows.get_mut(index);
        (row.job, row.read_at, row.lane_changes) = (Some(job), read_at, lane_changes);
    }

    pub(super) fn job_is_fresh(&self, index: u32) -> bool {
        let row = self.rows.get(index);
        let young = self.now.elapsed.saturating_sub(row.read_at) <= limits::JOB_AGE_MAX
            || !self.config.keeps(Safeguard::ReadAgain);
        row.job.is_some() && young && row.lane_changes == self.lanes.get(row.lane).changes
    }

    /// Jobs that got no slot at once are held within the budget of bodies; the longest held give way.
    pub(super) fn hold_fresh_jobs(&mut self) {
        for ticket in std::mem::take(&mut self.fresh) {
            let Some(index) = self.rows.find(ticket) else { continue };
            let row = self.rows.get_mut(index);
            let Some(job) = &row.job else { continue };
            row.held_bytes = job.body.as_bytes().len();
            self.held_bytes += row.held_bytes;
            self.held.push_back((row.read_at, ticket));
        }
        while self.held_bytes > self.config.body_bytes_max && self.config.keeps(Safeguard::BodyBudget) {
            let Some((_, ticket)) = self.held.pop_front() else { break };
            self.drop_job(ticket);
        }
    }

    pub(super) fn drop_stale_jobs(&mut self) {
        if !self.config.keeps(Safeguard::ReadAgain) {
            return;
        }
        while let Some(&(read_at, ticket)) = self.held.front()
            && self.now.elapsed.saturating_sub(read_at) > limits::JOB_AGE_MAX
        {
            self.held.pop_front();
            self.drop_job(ticket);
        }
    }

    fn drop_job(&mut self, ticket: Ticket) {
        if let Some(index) = self.rows.find(ticket) {
            let row = self.rows.get_mut(index);
            row.job = None;
            self.held_bytes -= std::mem::take(&mut row.held_bytes);
        }
    }

    pub(super) fn fire_timers(&mut self) {
        while let Some(&(at, timer)) = self.timers.first()
            && at <= self.now.elapsed
        {
            match timer {
                Timer::Row(row) => {
                    self.unsettle(row);
                    self.settle(row);
                }
                Timer::Lane(lane) => self.end_pause(lane),
            }
        }
        if !self.config.keeps(Safeguard::Monotonic) {
            self.fire_by_wall();
        }
    }

    /// What a schedule without monotonic waiting would do.
    fn fire_by_wall(&mut self) {
        let by_wall = |row: &Row| row.state == State::Waiting && row.pending.due_at <= self.now.wall;
        let due: Vec<u32> =
            self.rows.iter().filter(|(_, row)| by_wall(row)).map(|(index, _)| index).collect();
        for index in due {
            self.unsettle(index);
            self.rows.get_mut(index).due = self.now.elapsed;
            self.settle(index);
        }
    }

    /// Forgets who has been without work for long.
    pub(super) fn forget_idle_lanes(&mut self) {
        while let Some((since, lane)) = self.lanes.longest_idle()
            && self.now.elapsed.saturating_sub(since) > limits::IDLE_LANE_RETENTION
        {
            if self.lanes.get(lane).is_complete() {
                self.forget_lane(lane);
            } else {
                // Its horizon is worth more than its memory.
                self.lanes.set_idle(lane, None);
                self.lanes.set_idle(lane, Some(self.now.elapsed));
            }
        }
    }

    fn forget_lane(&mut self, index: u32) {
        self.end_pause(index);
        self.delist(index);
        let lane = self.lanes.remove(index);
        debug_assert!(lane.rows == 0 && lane.load == Load::No, "only idle lanes are forgotten");
        self.turns.leave_business(lane.business);
        if let Some(host) = lane.host {
            self.turns.leave_host(host);
        }
        if !lane.is_complete() {
            self.lower_outer_horizon(lane.horizon);
        }
    }

    /// The lane may be sent to again.
    pub(super) fn end_pause(&mut self, index: u32) {
        if let Some(until) = self.lanes.get_mut(index).paused_until.take() {
            self.timers.remove(&(until, Timer::Lane(index)));
            self.enlist(index);
        }
    }
}
