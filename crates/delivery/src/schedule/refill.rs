//! Loads the earliest rows of a lane, and moves its horizon on.

use super::config::Safeguard;
use super::lane::Load;
use super::message::{Answer, Command, RequestId};
use super::row::{Key, State};
use super::{Schedule, sweep};
use crate::limits;
use domain::id::DestinationId;
use store::queue::{LanePage, Pending};

impl Schedule {
    /// Asks for more of the lane where little waits in memory and more is due soon in the store.
    pub(super) fn consider_load(&mut self, index: u32) {
        let lane = self.lanes.get(index);
        let soon = sweep::due_soon(self.now.wall);
        let low = self.refill_rows() / limits::LANE_REFILL_SHARE;
        if !lane.is_complete() && lane.idle_rows() <= low && lane.horizon.due_at <= soon {
            self.want_load(index);
        }
    }

    pub(super) fn want_load(&mut self, index: u32) {
        let lane = self.lanes.get_mut(index);
        if lane.load == Load::No {
            lane.load = Load::Queued;
            self.lanes.set_idle(index, None);
            self.loads.push_back(index);
        }
    }

    /// Rows that a refill asks for: an equal share of the budget.
    fn refill_rows(&self) -> usize {
        let share = self.config.rows_max / self.lanes.busy().max(1);
        share.clamp(self.config.lane_refill_min, self.config.lane_rows_max)
    }

    pub(super) fn ask_for_loads(&mut self, commands: &mut Vec<Command>) {
        while self.loads_under_way < limits::LOADS_MAX && self.reads.is_open(self.now.elapsed) {
            let Some(index) = self.loads.pop_front() else { break };
            let request = self.next_request();
            let (began, checks) = (self.left.read_begins(), self.sweep.losses());
            let refill = self.refill_rows();
            let lane = self.lanes.get_mut(index);
            lane.load = Load::UnderWay { request: request.0, began, checks };
            lane.missed = Key::END;
            self.loads_under_way += 1;
            // What is in memory already comes first in the answer.
            commands.push(Command::LoadLane(request, lane.id, lane.rows + refill));
        }
    }

    pub(super) fn lane_loaded(&mut self, request: RequestId, id: DestinationId, answer: Answer<LanePage>) {
        let Some(index) = self.lanes.index_of(id) else { return };
        let Load::UnderWay { request: asked, began, checks } = self.lanes.get(index).load else { return };
        if asked != request.0 {
            return;
        }
        self.loads_under_way -= 1;
        self.lanes.get_mut(index).load = Load::No;
        match answer {
            Err(_) => self.read_failed(),
            Ok(_) if !self.left.can_check(began) => self.reads.succeeded(),
            Ok(page) => {
                self.reads.succeeded();
                self.take_page(index, page, began);
                self.left.read_ended(began);
                self.lanes.get_mut(index).checked = checks;
                self.consider_load(index);
                if self.lanes.get(index).rows == 0 && self.lanes.get(index).load == Load::No {
                    self.lanes.set_idle(index, Some(self.now.elapsed));
                }
                return;
            }
        }
        self.left.read_ended(began);
        self.want_load(index);
    }

    fn take_page(&mut self, index: u32, page: LanePage, began: u64) {
        let lane = self.lanes.get_mut(index);
        let claimed = lane.horizon;
        let behind = page.rows.last().filter(|_| page.more).map_or(Key::END, |last| Key::of(last).next());
        lane.horizon = behind.min(lane.missed);
        for pending in page.rows {
            if !self.take_row(index, pending, claimed, began) {
                break;
            }
        }
        self.lanes.get_mut(index).missed = Key::END;
    }

    /// False: there is no room for this row, nor for what comes behind it.
    fn take_row(&mut self, lane: u32, pending: Pending, claimed: Key, began: u64) -> bool {
        let promised = Key::of(&pending) < claimed;
        if let Some(known) = self.rows.index_of(pending.id) {
            let row = self.rows.get(known);
            if row.is_idle() {
                if row.pending.version < pending.version {
                    self.found_by_sweep += u64::from(promised);
                    self.replan(known, pending, self.due_from_wall(pending.due_at), None);
                }
                return true;
            }
            if self.config.keeps(Safeguard::InHand) {
                // What it became while in flight is planned when the outcome is durable.
                self.replanned_in_flight(known, pending);
                return true;
            }
        }
        if self.left.is_gone(began, pending.id, pending.version) && self.config.keeps(Safeguard::LeftHand) {
            return true;
        }
        let due = self.due_from_wall(pending.due_at);
        let Some(row) = self.admit(lane, pending, due) else { return false };
        self.found_by_sweep += u64::from(promised);
        self.settle(row);
        true
    }

    fn replanned_in_flight(&mut self, known: u32, pending: Pending) {
        if matches!(self.rows.get(known).state, State::InFlight | State::Recording) {
            let due = self.due_from_wall(pending.due_at);
            self.replanned(known, pending, due, None);
        }
    }

    /// The next look at the store is a sweep: it shows whether the store is back, and what was missed.
    pub(super) fn read_failed(&mut self) {
        self.reads.failed(self.now.elapsed);
        self.sweep.want(self.now.elapsed);
    }
}
