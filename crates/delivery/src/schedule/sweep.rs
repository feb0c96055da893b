//! The sweep: looks at the earliest row of each lane in the store and takes up what memory does not hold.

use super::Schedule;
use super::config::Safeguard;
use super::message::{Answer, Command, RequestId};
use super::row::Key;
use crate::limits;
use domain::Timestamp;
use domain::id::DestinationId;
use std::time::Duration;
use store::queue::Pending;

/// When the next sweep is, and how far the one under way has come.
#[derive(Debug)]
pub(super) struct Sweep {
    at: Duration,
    last_began: Option<Duration>,
    pass: Option<Pass>,
    /// The next page of the pass is to be asked for.
    page_due: bool,
    completed: bool,
    /// Counts what may have been committed without a word to this process.
    losses: u64,
}

#[derive(Debug)]
struct Pass {
    request: RequestId,
    began: u64,
    due_by: Timestamp,
    after: Option<DestinationId>,
    /// What the outer horizon may become when the pass has ended.
    reach: Key,
    losses: u64,
}

impl Sweep {
    pub fn new(elapsed: Duration) -> Self {
        Self { at: elapsed, last_began: None, pass: None, page_due: false, completed: false, losses: 0 }
    }

    pub fn at(&self) -> Duration {
        self.at
    }

    pub fn has_completed(&self) -> bool {
        self.completed
    }

    pub fn losses(&self) -> u64 {
        self.losses
    }

    /// A sweep at once, but not one on the heels of another.
    pub fn want(&mut self, elapsed: Duration) {
        let earliest = self.last_began.map_or(elapsed, |began| elapsed.max(began + limits::SWEEP_PAUSE));
        self.at = self.at.min(earliest);
    }

    /// A row was turned away while a pass is under way.
    pub fn lower_horizon(&mut self, key: Key) {
        if let Some(pass) = &mut self.pass {
            pass.reach = pass.reach.min(key);
        }
    }
}

/// Work that is due by then belongs into memory.
pub(super) fn due_soon(wall: Timestamp) -> Timestamp {
    wall.after(limits::SWEEP_AHEAD)
}

impl Schedule {
    /// Something may have been committed of which memory does not know.
    pub(super) fn commits_lost(&mut self) {
        if self.config.keeps(Safeguard::LostSwept) {
            self.sweep.losses += 1;
            self.sweep.want(self.now.elapsed);
        }
    }

    pub(super) fn ask_for_heads(&mut self, commands: &mut Vec<Command>) {
        self.ask_for_next_page(commands);
        if self.pressed && self.rows.len() < self.config.rows_max / 4 * 3 {
            self.pressed = false;
            self.sweep.want(self.now.elapsed);
        }
        let elapsed = self.now.elapsed;
        if !self.may_sweep() || elapsed < self.sweep.at || !self.reads.is_open(elapsed) {
            return;
        }
        // While everything fits into memory, one look at all that is pending makes memory complete.
        let roomy = self.outer_horizon < Key::END && self.rows.len() <= self.config.rows_max / 2;
        let due_by = if roomy || !self.sweep.completed { Key::END.due_at } else { due_soon(self.now.wall) };
        let reach = Key { due_at: due_by, id: Key::END.id };
        let pass = Pass {
            request: self.next_request(),
            began: self.left.read_begins(),
            due_by,
            after: None,
            reach,
            losses: self.sweep.losses,
        };
        commands.push(Command::ReadHeads(pass.request, due_by, None, self.config.sweep_page_rows));
        self.sweep.pass = Some(pass);
        self.sweep.last_began = Some(elapsed);
        self.sweep.at = elapsed + limits::SWEEP_INTERVAL;
    }

    pub(super) fn heads_read(&mut self, request: RequestId, answer: Answer<Vec<Pending>>) {
        let Some(pass) = self.sweep.pass.take_if(|pass| pass.request == request) else { return };
        let checkable = self.left.can_check(pass.began);
        match answer {
            Ok(heads) if checkable => {
                self.reads.succeeded();
                let last = heads.last().map(|head| head.lane);
                let is_last_page = heads.len() < self.config.sweep_page_rows;
                let began = pass.began;
                self.sweep.pass = Some(pass);
                for head in heads {
                    self.look_at_head(&head, began);
                }
                self.left.read_ended(began);
                self.next_page(last, is_last_page);
            }
            answer => {
                self.left.read_ended(pass.began);
                if answer.is_err() {
                    self.reads.failed(self.now.elapsed);
                }
                self.sweep.want(self.now.elapsed);
            }
        }
    }

    fn next_page(&mut self, last: Option<DestinationId>, is_last_page: bool) {
        let Some(mut pass) = self.sweep.pass.take() else { return };
        if is_last_page {
            self.outer_horizon = self.outer_horizon.max(pass.reach);
            self.sweep.completed = true;
            if self.sweep.losses > pass.losses {
                self.sweep.want(self.now.elapsed);
            }
        } else {
            pass.after = last;
            self.sweep.pass = Some(pass);
            self.sweep.page_due = true;
        }
    }

    /// Whether the next sweep only waits for its time.
    pub(super) fn may_sweep(&self) -> bool {
        let wanted = self.config.keeps(Safeguard::Sweep) || !self.sweep.completed;
        self.sweep.pass.is_none() && wanted
    }

    /// The next page of the pass under way.
    fn ask_for_next_page(&mut self, commands: &mut Vec<Command>) {
        if std::mem::take(&mut self.sweep.page_due) {
            let request = self.next_request();
            let began = self.left.read_begins();
            if let Some(pass) = &mut self.sweep.pass {
                (pass.request, pass.began) = (request, began);
                let limit = self.config.sweep_page_rows;
                commands.push(Command::ReadHeads(request, pass.due_by, pass.after, limit));
            }
        }
    }

    /// The earliest row of a lane: memory holds it, or the lane is loaded.
    fn look_at_head(&mut self, head: &Pending, began: u64) {
        let key = Key::of(head);
        let is_new_lane = self.lanes.index_of(head.lane).is_none();
        let Some(lane) = self.lane_for(head) else {
            self.turn_away(key);
            return;
        };
        if is_new_lane && head.due_at > due_soon(self.now.wall) && self.outer_horizon <= key {
            // Nothing of the lane comes before this: a later sweep loads it in time.
            self.lanes.get_mut(lane).horizon = key;
            return;
        }
        let doubtful = self.lanes.get(lane).checked < self.sweep.losses;
        if doubtful || !self.is_known(head, began) {
            self.want_load(lane);
        } else {
            self.consider_load(lane);
        }
    }

    fn is_known(&self, head: &Pending, began: u64) -> bool {
        match self.rows.index_of(head.id) {
            Some(index) => {
                let row = self.rows.get(index);
                !row.is_idle() || row.pending.version >= head.version
            }
            None => self.left.is_gone(began, head.id, head.version),
        }
    }
}
