//! Outcomes on their way to the disk: gathered while a commit runs, kept until one succeeds.

use super::Schedule;
use super::config::Safeguard;
use super::lane::Place;
use super::message::{Answer, Command, RequestId, StoreFailure, Ticket};
use super::row::State;
use crate::limits;
use domain::retry::Verdict;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use store::queue::{Outcome, OutcomeApplied, Pending};

/// Outcomes that are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    waiting: VecDeque<(Ticket, Outcome)>,
    /// Until when those that wait, wait for more.
    gathers_until: Duration,
    batch: Option<OutcomeBatch>,
}

/// Given to the store together, and again the same while it fails.
#[derive(Debug)]
struct OutcomeBatch {
    outcomes: Arc<Vec<Outcome>>,
    tickets: Vec<Ticket>,
    under_way: Option<RequestId>,
}

impl Outcomes {
    pub fn len(&self) -> usize {
        self.waiting.len() + self.batch.as_ref().map_or(0, |batch| batch.tickets.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_under_way(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.under_way.is_some())
    }

    fn push(&mut self, ticket: Ticket, outcome: Outcome, gathers_until: Duration) {
        if self.waiting.is_empty() {
            self.gathers_until = gathers_until;
        }
        self.waiting.push_back((ticket, outcome));
    }

    /// When those that wait have waited for more, if that is what they wait for.
    pub fn gathered_at(&self) -> Option<Duration> {
        (self.batch.is_none() && !self.waiting.is_empty()).then_some(self.gathers_until)
    }

    fn gather(&mut self, now: Duration) {
        let is_full = self.waiting.len() >= limits::BATCH_ROWS_MAX;
        if self.gathered_at().is_some_and(|at| is_full || at <= now) {
            let count = self.waiting.len().min(limits::BATCH_ROWS_MAX);
            let (tickets, outcomes) = self.waiting.drain(..count).unzip();
            self.batch = Some(OutcomeBatch { outcomes: Arc::new(outcomes), tickets, under_way: None });
        }
    }
}

impl Schedule {
    pub(super) fn attempt_ended(&mut self, ticket: Ticket, outcome: Outcome) {
        self.attempts -= 1;
        let gathers_until = self.now.elapsed + self.config.outcome_wait;
        let Some(index) = self.rows.find(ticket) else {
            self.outcomes.push(ticket, outcome, gathers_until);
            return;
        };
        let row = self.rows.get_mut(index);
        if let Verdict::RetryAt(at) = outcome.verdict {
            // The wait begins when the attempt ends: from here on it is monotonic.
            row.retry = Some((at, self.now.elapsed + at.since(outcome.ended_at)));
        }
        let lane = row.lane;
        self.note_health(lane, outcome.verdict == Verdict::Delivered);
        self.release_slot(index);
        let ticket = self.rows.ticket(index, State::Recording);
        self.outcomes.push(ticket, outcome, gathers_until);
    }

    /// Nobody knows how the attempt ended: it is made again with the same number.
    pub(super) fn attempt_broke(&mut self, ticket: Ticket) {
        self.attempts -= 1;
        let Some(index) = self.rows.find(ticket) else { return };
        let lane = self.rows.get(index).lane;
        self.note_health(lane, false);
        if let Some((successor, due)) = self.rows.get_mut(index).successor.take() {
            self.replan(index, successor, due, None);
            return;
        }
        let row = self.rows.get_mut(index);
        row.broke = true;
        row.due = self.now.elapsed + limits::BROKEN_ATTEMPT_PAUSE;
        self.back_to_lane(index);
    }

    fn note_health(&mut self, index: u32, success: bool) {
        let lane = self.lanes.get_mut(index);
        if success {
            lane.proven = true;
            lane.failures = 0;
        } else {
            lane.failures = lane.failures.saturating_add(1);
        }
        // It may have waited for room among those whom it belongs to no longer.
        if matches!(lane.place, Place::New | Place::Failing | Place::Probed) {
            self.delist(index);
        }
        self.enlist(index);
    }

    pub(super) fn ask_to_record(&mut self, commands: &mut Vec<Command>) {
        // Who stops waits for nobody.
        self.outcomes.gather(if self.stopping { Duration::MAX } else { self.now.elapsed });
        if self.outcomes.is_under_way() || !self.writes.is_open(self.now.elapsed) {
            return;
        }
        let request = self.next_request();
        if let Some(batch) = &mut self.outcomes.batch {
            batch.under_way = Some(request);
            commands.push(Command::Record(request, Arc::clone(&batch.outcomes)));
        }
    }

    pub(super) fn recorded(&mut self, request: RequestId, answer: Answer<Vec<OutcomeApplied>>) {
        let is_asked = |batch: &mut OutcomeBatch| batch.under_way == Some(request);
        let Some(mut batch) = self.outcomes.batch.take_if(is_asked) else { return };
        match answer {
            Ok(applied) if applied.len() == batch.tickets.len() => {
                self.writes.succeeded();
                for (ticket, applied) in batch.tickets.into_iter().zip(applied) {
                    if let Some(index) = self.rows.find(ticket) {
                        self.outcome_applied(index, applied);
                    }
                }
            }
            answer => {
                self.write_failed(answer.err().or(Some(StoreFailure::Unknown)));
                if self.config.keeps(Safeguard::OutcomesKept) {
                    batch.under_way = None;
                    self.outcomes.batch = Some(batch);
                } else {
                    for ticket in batch.tickets {
                        if let Some(index) = self.rows.find(ticket) {
                            self.leave(index, None);
                        }
                    }
                }
            }
        }
    }

    fn outcome_applied(&mut self, index: u32, applied: OutcomeApplied) {
        let row = self.rows.get_mut(index);
        let successor = row.successor.take();
        match applied {
            OutcomeApplied::Next(next)
                if successor.is_none_or(|(known, _)| known.version <= next.version) =>
            {
                let planned = row.retry.filter(|(at, _)| *at == next.due_at).map(|(_, due)| due);
                let due = planned.unwrap_or_else(|| self.due_from_wall(next.due_at));
                self.replan(index, next, due, None);
            }
            OutcomeApplied::Unrecorded if successor.is_none() => {
                // Most likely the next attempt's outcome fits no better: the receiver is not to be called over and over.
                row.broke = true;
                row.due = self.now.elapsed + limits::UNRECORDED_PAUSE;
                self.back_to_lane(index);
            }
            OutcomeApplied::Unrecorded
            | OutcomeApplied::Ended
            | OutcomeApplied::Next(_)
            | OutcomeApplied::Late
            | OutcomeApplied::Gone => {
                self.leave(index, successor);
            }
        }
    }

    /// The row's work is done; if it became something new meanwhile, that is planned.
    fn leave(&mut self, index: u32, successor: Option<(Pending, Duration)>) {
        let version = self.rows.get(index).pending.version;
        self.drop_row(index, version);
        if let Some((successor, due)) = successor {
            self.planned(successor, due, None);
        }
    }
}
