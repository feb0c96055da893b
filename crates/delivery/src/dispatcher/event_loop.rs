//! The one task that owns the schedule.

use super::{AttemptReport, Attempts, Clock, HandedOver, Parts, Query, Stopped};
use crate::figures::Figures;
use crate::schedule::{Answer, Command, Event, Schedule, Start, StoreFailure, Ticket};
use domain::delivery::DeliveryKind;
use domain::retry::{AttemptResult, RetrySchedule, Verdict};
use failpoint::{Point, reach};
use std::sync::Arc;
use std::time::Duration;
use store::queue::{Job, Lease, Outcome, QueueStore};
use store::{StoreError, StoreResult};
use tokio::sync::{mpsc, oneshot, watch};

/// Requests to the store that can be under way at once, with room to spare.
const REQUESTS_MAX: usize = 32;
/// Events taken in before what they asked for is done.
const EVENTS_AT_ONCE: usize = 256;
/// The longest wait without an event: no harm, should a wake-up ever be missed.
const IDLE_WAIT: Duration = Duration::from_secs(10);

pub(super) struct EventLoop {
    schedule: Schedule,
    store: Arc<dyn QueueStore>,
    attempts: Arc<dyn Attempts>,
    clock: Arc<dyn Clock>,
    retry_schedule: Arc<RetrySchedule>,
    sending_paused: watch::Receiver<bool>,
    handed_over: HandedOver,
    events: mpsc::Receiver<Event>,
    tell: mpsc::Sender<Event>,
    commands: Vec<Command>,
    figures: Arc<Figures>,
}

/// When the loop is to end, if it has been asked to.
type Deadline = Option<tokio::time::Instant>;

impl EventLoop {
    pub fn new(parts: Parts, leases: Vec<Lease>, figures: Arc<Figures>) -> Self {
        let Parts { config, store, attempts, clock, retry_schedule, sending_paused, handed_over } = parts;
        // Each attempt and each request says one thing at its end, so there is always room.
        let (tell, events) = mpsc::channel(config.slots + REQUESTS_MAX);
        Self {
            schedule: Schedule::new(config, leases, clock.now()),
            store,
            attempts,
            clock,
            retry_schedule: Arc::new(retry_schedule),
            sending_paused,
            handed_over,
            events,
            tell,
            commands: Vec::new(),
            figures,
        }
    }

    pub async fn run(
        mut self,
        mut queries: mpsc::Receiver<Query>,
        mut stop: oneshot::Receiver<Duration>,
    ) -> Stopped {
        let mut deadline: Deadline = None;
        // Before anything is known that could be sent.
        self.take_in_pause();
        self.take_in(Event::Tick);
        loop {
            self.take_in_what_waits();
            self.carry_out();
            if let Some(deadline) = deadline
                && (self.schedule.is_drained() || tokio::time::Instant::now() >= deadline)
            {
                return self.end().await;
            }
            let wake_at = self.wake_at(deadline);
            tokio::select! {
                asked = &mut stop, if deadline.is_none() => {
                    // A dispatcher that was dropped stops as if it had no time left.
                    deadline = Some(tokio::time::Instant::now() + asked.unwrap_or_default());
                    self.take_in(Event::Stop);
                }
                Some(query) = queries.recv() => self.answer(query),
                Some((commits, at)) = self.handed_over.commits.recv() => {
                    self.take_in(Event::Committed(commits, at));
                }
                () = self.handed_over.loss.noticed() => {}
                Ok(()) = self.sending_paused.changed() => self.take_in_pause(),
                Some(event) = self.events.recv() => {
                    self.take_in_commits();
                    self.take_in(event);
                }
                () = tokio::time::sleep_until(wake_at) => self.take_in(Event::Tick),
            }
        }
    }

    fn take_in(&mut self, event: Event) {
        if let Event::AttemptEnded(_, outcome) = &event {
            self.figures.ended(&outcome.attempt);
        }
        self.schedule.handle(self.clock.now(), event, &mut self.commands);
    }

    /// Who asked may have gone.
    fn answer(&self, query: Query) {
        match query {
            Query::Snapshot(answer) => drop(answer.send(self.schedule.snapshot())),
            Query::Failing(business_id, answer) => drop(answer.send(self.schedule.failing(business_id))),
        }
    }

    fn take_in_pause(&mut self) {
        let paused = *self.sending_paused.borrow_and_update();
        self.take_in(if paused { Event::Pause } else { Event::Resume });
    }

    /// What was committed before an answer was given is taken in before the answer.
    fn take_in_commits(&mut self) {
        while let Ok((commits, at)) = self.handed_over.commits.try_recv() {
            self.take_in(Event::Committed(commits, at));
        }
        if self.handed_over.loss.take() {
            self.take_in(Event::CommitsLost);
        }
    }

    fn take_in_what_waits(&mut self) {
        self.take_in_commits();
        for _ in 0..EVENTS_AT_ONCE {
            let Ok(event) = self.events.try_recv() else { break };
            self.take_in_commits();
            self.take_in(event);
        }
    }

    fn wake_at(&self, deadline: Deadline) -> tokio::time::Instant {
        let now = tokio::time::Instant::now();
        let elapsed = self.clock.now().elapsed;
        let wait = self.schedule.wake_at().map_or(IDLE_WAIT, |at| at.saturating_sub(elapsed));
        let wake_at = now + wait.min(IDLE_WAIT);
        deadline.map_or(wake_at, |deadline| wake_at.min(deadline))
    }

    async fn end(self) -> Stopped {
        if !self.schedule.is_drained() {
            let snapshot = self.schedule.snapshot();
            tracing::warn!(
                in_flight = snapshot.in_flight,
                outcomes_waiting = snapshot.outcomes_waiting,
                "stopped before every attempt was recorded; they are made again after the next start"
            );
            return Stopped::Unclean;
        }
        reach(Point::DeliveriesDrained);
        if *self.sending_paused.borrow() {
            // The next start has to know, too, that what is due may have been sent by the store before this one.
            return Stopped::Clean;
        }
        match self.store.release_queues().await {
            Ok(()) => {
                reach(Point::QueuesReleased);
                Stopped::Clean
            }
            Err(error) => {
                tracing::warn!(%error, "the queues could not be released; the next start takes them over");
                Stopped::Unclean
            }
        }
    }

    fn carry_out(&mut self) {
        for command in std::mem::take(&mut self.commands) {
            match command {
                Command::Start(start) => self.start(start),
                command => self.ask(command),
            }
        }
    }

    fn start(&self, start: Start) {
        let Start { ticket, job, epoch, repeated, late } = start;
        self.figures.started(late, repeated);
        if repeated {
            tracing::warn!(
                delivery_id = %job.pending.id,
                attempt = job.attempt,
                "An attempt may be a repetition: callhook ended while it may have been in flight"
            );
        }
        let mut report_back = ReportBack { ticket, tell: self.tell.clone(), reported: false };
        let (attempts, operators) = (Arc::clone(&self.attempts), Arc::clone(&self.retry_schedule));
        tokio::spawn(async move {
            reach(Point::AttemptBegun);
            let report = attempts.attempt(Arc::clone(&job)).await;
            reach(Point::AttemptEnded);
            report_back.report(outcome(&job, epoch, repeated, report, &operators));
        });
    }

    fn ask(&self, command: Command) {
        let (store, tell) = (Arc::clone(&self.store), self.tell.clone());
        let lost = if_it_breaks(&command);
        let asking = tokio::spawn(async move { ask(&*store, command).await });
        tokio::spawn(async move {
            let event = asking.await.map_or(lost, |event| event);
            if let Some(event) = event {
                // Closed only when the loop has ended, and then nobody wants the answer.
                let _ = tell.send(event).await;
            }
        });
    }
}

/// Tells how an attempt ended; if its task breaks off, that it did.
struct ReportBack {
    ticket: Ticket,
    tell: mpsc::Sender<Event>,
    reported: bool,
}

impl ReportBack {
    fn report(&mut self, outcome: Outcome) {
        self.reported = true;
        // There is room for one message of each slot.
        let _ = self.tell.try_send(Event::AttemptEnded(self.ticket, Box::new(outcome)));
    }
}

impl Drop for ReportBack {
    fn drop(&mut self) {
        if !self.reported {
            let _ = self.tell.try_send(Event::AttemptBroke(self.ticket));
        }
    }
}

fn outcome(
    job: &Job,
    epoch: u64,
    repeated: bool,
    report: AttemptReport,
    operators: &RetrySchedule,
) -> Outcome {
    let AttemptReport { mut attempt, ended_at, result } = report;
    attempt.repeated = repeated;
    let retries = job.destination.settings.retry_schedule.as_ref().unwrap_or(operators);
    let verdict = match (job.kind, result) {
        // A test is one attempt, whatever comes of it.
        (DeliveryKind::Test, AttemptResult::Failure { .. }) => Verdict::Failed,
        (DeliveryKind::Test | DeliveryKind::Call, result) => {
            retries.verdict(job.attempt_in_series, ended_at, result)
        }
    };
    Outcome { pending: job.pending, epoch, attempt, ended_at, verdict }
}

/// Asks the store, and makes its answer an event.
async fn ask(store: &dyn QueueStore, command: Command) -> Option<Event> {
    Some(match command {
        Command::LoadLane(request, lane, limit) => {
            Event::LaneLoaded(request, lane, answer(store.load_lane(lane, limit).await))
        }
        Command::ReadHeads(request, due_by, after, limit) => {
            let heads = store.lane_heads(due_by, after, limit).await;
            reach(Point::FirstRowsRead);
            Event::HeadsRead(request, answer(heads))
        }
        Command::Prepare(request, rows) => Event::Prepared(request, answer(store.prepare(rows).await)),
        Command::MakeDue(request, rows) => Event::MadeDue(request, answer(store.make_due(rows).await)),
        Command::CancelSwitchedOff(request, rows) => {
            Event::Cancelled(request, answer(store.cancel_switched_off(rows).await))
        }
        Command::Record(request, outcomes) => {
            reach(Point::OutcomesGiven);
            let recorded = store.record_outcomes(outcomes).await;
            reach(Point::OutcomesRecorded);
            Event::Recorded(request, answer(recorded))
        }
        Command::Start(_) => return None,
    })
}

/// What the schedule is told if the task that asks the store breaks off.
fn if_it_breaks(command: &Command) -> Option<Event> {
    let unknown = StoreFailure::Unknown;
    Some(match command {
        Command::LoadLane(request, lane, _) => Event::LaneLoaded(*request, *lane, Err(unknown)),
        Command::ReadHeads(request, ..) => Event::HeadsRead(*request, Err(unknown)),
        Command::Prepare(request, _) => Event::Prepared(*request, Err(unknown)),
        Command::MakeDue(request, ..) => Event::MadeDue(*request, Err(unknown)),
        Command::CancelSwitchedOff(request, ..) => Event::Cancelled(*request, Err(unknown)),
        Command::Record(request, _) => Event::Recorded(*request, Err(unknown)),
        Command::Start(_) => return None,
    })
}

fn answer<T>(result: StoreResult<T>) -> Answer<T> {
    result.map_err(|error| {
        tracing::warn!(%error, "the store failed; sending pauses until it answers");
        match error {
            StoreError::Unknown(_) => StoreFailure::Unknown,
            _ => StoreFailure::Failed,
        }
    })
}
