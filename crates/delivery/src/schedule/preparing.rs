//! Rows in slots that are read again, fallbacks that are made due, and rows of switched-off destinations.

use super::message::{Answer, Command, RequestId, Start, StoreFailure, Ticket};
use super::row::State;
use super::{Batch, Schedule, Timer};
use crate::limits;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use store::queue::{Job, Pending, PendingKind, Prepared};

impl Schedule {
    /// Starts the row in its slot where its job is still true, else has it read again first.
    pub(super) fn begin(&mut self, row: u32) {
        if self.job_is_fresh(row) {
            self.start(row);
        } else {
            self.rows.get_mut(row).job = None;
            let ticket = self.rows.ticket(row, State::Preparing);
            self.to_prepare.push(ticket);
        }
    }

    pub(super) fn ask_to_prepare(&mut self, commands: &mut Vec<Command>) {
        while self.preparing.len() < limits::PREPARES_MAX
            && !self.to_prepare.is_empty()
            && self.reads.is_open(self.now.elapsed)
        {
            let count = self.to_prepare.len().min(limits::BATCH_ROWS_MAX);
            let tickets: Vec<Ticket> = self.to_prepare.drain(..count).collect();
            if let Some((batch, rows)) = self.batch(tickets) {
                commands.push(Command::Prepare(batch.request, rows));
                self.preparing.push(batch);
            }
        }
    }

    pub(super) fn ask_to_make_due(&mut self, commands: &mut Vec<Command>) {
        if self.making_due.is_none() && self.writes.is_open(self.now.elapsed) {
            let tickets = first_of(&mut self.to_make_due);
            if let Some((batch, rows)) = self.batch(tickets) {
                commands.push(Command::MakeDue(batch.request, rows));
                self.making_due = Some(batch);
            }
        }
    }

    pub(super) fn ask_to_cancel(&mut self, commands: &mut Vec<Command>) {
        if self.cancelling.is_none() && self.writes.is_open(self.now.elapsed) {
            let tickets = first_of(&mut self.to_cancel);
            if let Some((batch, rows)) = self.batch(tickets) {
                commands.push(Command::CancelSwitchedOff(batch.request, rows));
                self.cancelling = Some(batch);
            }
        }
    }

    /// The rows of the tickets that still fit. An answer is true for the lane's settings as they are now.
    fn batch(&mut self, mut tickets: Vec<Ticket>) -> Option<(Batch, Vec<Pending>)> {
        tickets.retain(|&ticket| self.rows.find(ticket).is_some());
        let mut rows = Vec::with_capacity(tickets.len());
        for ticket in &tickets {
            let row = self.rows.get_mut(ticket.row);
            row.lane_changes = self.lanes.get(row.lane).changes;
            rows.push(row.pending);
        }
        let request = self.next_request();
        (!rows.is_empty()).then_some((Batch { request, tickets, began: self.now.elapsed }, rows))
    }

    pub(super) fn prepared(&mut self, request: RequestId, answer: Answer<Vec<Prepared>>) {
        let Some(place) = self.preparing.iter().position(|batch| batch.request == request) else { return };
        let batch = self.preparing.swap_remove(place);
        match answer {
            Ok(answers) if answers.len() == batch.tickets.len() => {
                self.reads.succeeded();
                for (ticket, answer) in batch.tickets.into_iter().zip(answers) {
                    if let Some(index) = self.rows.find(ticket) {
                        self.take_answer(index, answer, batch.began);
                    }
                }
            }
            _ => {
                self.read_failed();
                for ticket in batch.tickets {
                    if let Some(index) = self.rows.find(ticket) {
                        self.back_to_lane(index);
                    }
                }
            }
        }
    }

    pub(super) fn made_due(&mut self, request: RequestId, answer: Answer<Vec<Prepared>>) {
        let Some(batch) = self.making_due.take_if(|batch| batch.request == request) else { return };
        match answer {
            Ok(answers) if answers.len() == batch.tickets.len() => {
                self.writes.succeeded();
                for (ticket, answer) in batch.tickets.into_iter().zip(answers) {
                    if let Some(index) = self.rows.find(ticket) {
                        self.take_answer(index, answer, batch.began);
                    }
                }
            }
            answer => {
                self.write_failed(answer.err());
                batch.tickets.into_iter().rev().for_each(|ticket| self.to_make_due.push_front(ticket));
            }
        }
    }

    pub(super) fn cancelled(&mut self, request: RequestId, answer: Answer<()>) {
        let Some(batch) = self.cancelling.take_if(|batch| batch.request == request) else { return };
        match answer {
            Ok(()) => {
                self.writes.succeeded();
                for ticket in batch.tickets {
                    if let Some(index) = self.rows.find(ticket) {
                        self.rows.get_mut(index).due = self.now.elapsed + limits::SWITCHED_OFF_PAUSE;
                        self.settle(index);
                    }
                }
            }
            Err(failure) => {
                self.write_failed(Some(failure));
                batch.tickets.into_iter().rev().for_each(|ticket| self.to_cancel.push_front(ticket));
            }
        }
    }

    /// A write failed: nothing starts until one succeeds. Where its result is unknown, memory may have missed it.
    pub(super) fn write_failed(&mut self, failure: Option<StoreFailure>) {
        self.writes.failed(self.now.elapsed);
        if failure == Some(StoreFailure::Unknown) {
            self.commits_lost();
        }
    }

    /// The store failed to write what nobody wants written any more: the next attempt will show whether it is back.
    pub(super) fn end_idle_failure(&mut self) {
        let nothing_to_write = self.outcomes.is_empty()
            && self.making_due.is_none()
            && self.cancelling.is_none()
            && !self
                .to_make_due
                .iter()
                .chain(&self.to_cancel)
                .any(|&ticket| self.rows.find(ticket).is_some());
        if self.writes.is_failing() && self.writes.is_open(self.now.elapsed) && nothing_to_write {
            self.writes.succeeded();
        }
    }

    /// What the store says of a row that is being prepared or made due.
    fn take_answer(&mut self, index: u32, answer: Prepared, began: Duration) {
        match answer {
            Prepared::Send(job) => self.take_job(index, job, began),
            Prepared::Changed(pending) => {
                let due = self.due_from_wall(pending.due_at);
                self.replan(index, pending, due, None);
            }
            Prepared::Gone(_) => {
                let version = self.rows.get(index).pending.version;
                self.drop_row(index, version);
            }
            Prepared::SwitchedOff(pending) => {
                self.release_slot(index);
                self.rows.get_mut(index).pending = pending;
                let ticket = self.rows.ticket(index, State::Cancelling);
                self.to_cancel.push_back(ticket);
            }
            Prepared::Unreadable(_) => self.pause_lane(index),
        }
    }

    fn take_job(&mut self, index: u32, job: Arc<Job>, began: Duration) {
        let row = self.rows.get_mut(index);
        row.pending = job.pending;
        let lane_index = row.lane;
        let is_current = row.lane_changes == self.lanes.get(lane_index).changes;
        self.lanes.get_mut(lane_index).pause = Duration::ZERO;
        if !is_current {
            self.back_to_lane(index);
            return;
        }
        self.give_job(index, Some((job, began)));
        let host = self.lanes.get(lane_index).host;
        let in_slot = self.may_send() && host.is_none_or(|host| self.move_slot_to(index, host));
        if in_slot && self.rows.get(index).slot.is_some() && self.job_is_fresh(index) {
            self.start(index);
        } else {
            self.back_to_lane(index);
        }
    }

    pub(super) fn back_to_lane(&mut self, index: u32) {
        self.release_slot(index);
        self.settle(index);
    }

    /// The secrets or values of a row cannot be read. Its lane waits, longer each time; the operator hears of it.
    fn pause_lane(&mut self, index: u32) {
        self.sealed += 1;
        let lane_index = self.rows.get(index).lane;
        let lane = self.lanes.get_mut(lane_index);
        if lane.paused_until.is_none() {
            let pause = (lane.pause * 2).clamp(limits::UNREADABLE_PAUSE_MIN, limits::UNREADABLE_PAUSE_MAX);
            let until = self.now.elapsed + pause;
            (lane.pause, lane.paused_until) = (pause, Some(until));
            self.timers.insert((until, Timer::Lane(lane_index)));
        }
        let until = self.lanes.get(lane_index).paused_until.unwrap_or(self.now.elapsed);
        let row = self.rows.get_mut(index);
        if row.pending.kind == PendingKind::Fallback {
            row.due = until;
        }
        self.back_to_lane(index);
    }

    /// The row in its slot is sent.
    pub(super) fn start(&mut self, index: u32) {
        let ticket = self.rows.ticket(index, State::InFlight);
        let row = self.rows.get_mut(index);
        let Some(job) = row.job.take() else { return };
        let first = !std::mem::replace(&mut row.attempted, true);
        let late = self.now.elapsed.saturating_sub(row.due);
        let (broke, pending) = (std::mem::take(&mut row.broke), job.pending);
        let lease = self.lease(&pending);
        let unclean =
            lease.and_then(|lease| lease.unclean_until).is_some_and(|until| until >= pending.due_at);
        let epoch = lease.map_or(0, |lease| lease.epoch);
        self.attempts += 1;
        self.starts.push(Start { ticket, job, epoch, repeated: broke || first && unclean, late });
    }
}

fn first_of(queue: &mut VecDeque<Ticket>) -> Vec<Ticket> {
    let count = queue.len().min(limits::BATCH_ROWS_MAX);
    queue.drain(..count).collect()
}
