//! A clock on tokio's time, the model as a store, and receivers that do as they are told.

use crate::model::{Lane, Model, Status, business_id, delivery_id, lane_id};
use async_trait::async_trait;
use delivery::dispatcher::{
    AttemptReport, Attempts, Clock, Dispatcher, HandOver, HandedOver, Parts, hand_over,
};
use delivery::limits;
use delivery::schedule::{Config, Now};
use domain::Timestamp;
use domain::delivery::Attempt;
use domain::id::{DeliveryId, DestinationId};
use domain::retry::{AttemptResult, RetrySchedule};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use store::queue::{
    Change, CommitListener, Committed, Job, LanePage, Lease, Outcome, OutcomeApplied, Pending, Prepared,
    QueueStore,
};
use store::{StoreError, StoreResult};
use tokio::sync::{broadcast, watch};

const START_WALL: i64 = 1_774_880_000_000;

/// Tokio's clock, with a wall clock that can jump.
pub struct TestClock {
    started: tokio::time::Instant,
    jump_ms: AtomicI64,
}

impl TestClock {
    pub fn jump(&self, ms: i64) {
        self.jump_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let elapsed = self.started.elapsed();
        let wall =
            START_WALL + self.jump_ms.load(Ordering::SeqCst) + i64::try_from(elapsed.as_millis()).unwrap();
        Now { wall: Timestamp::from_millis(wall), elapsed }
    }
}

/// What the receiver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    SucceedAfter(Duration),
    Fail,
    FailOnce,
    BreakOffOnce,
    /// Only this lane's receiver answers; the others hang until the sender gives up.
    HangBut(usize),
}

/// An attempt that was begun.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    pub at: Duration,
    pub attempt: u32,
}

pub struct Receiver {
    clock: Arc<TestClock>,
    reply: Mutex<Reply>,
    starts: Mutex<Vec<Started>>,
}

impl Receiver {
    pub fn reply(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    pub fn starts(&self) -> Vec<Started> {
        self.starts.lock().unwrap().clone()
    }
}

#[async_trait]
impl Attempts for Receiver {
    async fn attempt(&self, job: Arc<Job>) -> AttemptReport {
        let started = self.clock.now();
        self.starts.lock().unwrap().push(Started { at: started.elapsed, attempt: job.attempt });
        let reply = *self.reply.lock().unwrap();
        let good = Reply::SucceedAfter(Duration::from_millis(1));
        let success = match reply {
            Reply::SucceedAfter(wait) => {
                tokio::time::sleep(wait).await;
                true
            }
            Reply::Fail => false,
            Reply::HangBut(lane) if job.destination.id == lane_id(lane) => true,
            Reply::HangBut(_) => {
                tokio::time::sleep(Duration::from_secs(10)).await;
                false
            }
            Reply::FailOnce => {
                self.reply(good);
                false
            }
            Reply::BreakOffOnce => {
                self.reply(good);
                panic!("the attempt's task breaks off, as it was told to")
            }
        };
        let result =
            if success { AttemptResult::Success } else { AttemptResult::Failure { retry_after: None } };
        let error = (!success).then(|| "http_503".to_owned());
        let attempt = Attempt { error, ..record(job.attempt, started.wall) };
        AttemptReport { attempt, ended_at: self.clock.now().wall, result }
    }
}

fn record(number: u32, started_at: Timestamp) -> Attempt {
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
        repeated: false,
        header_names: None,
        phases: None,
    }
}

/// The model behind the engine's trait: each operation takes a few milliseconds.
pub struct ModelStore {
    clock: Arc<TestClock>,
    listener: Arc<HandOver>,
    model: Mutex<Model>,
    away: AtomicBool,
    released: AtomicBool,
    reads: AtomicUsize,
    recorded: Mutex<Vec<usize>>,
    repeated: Mutex<Vec<(DeliveryId, bool)>>,
}

impl ModelStore {
    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    pub fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    pub fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }

    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    pub fn recorded(&self) -> Vec<usize> {
        self.recorded.lock().unwrap().clone()
    }

    pub fn repeated(&self) -> Vec<(DeliveryId, bool)> {
        self.repeated.lock().unwrap().clone()
    }

    async fn work(&self) -> StoreResult<Now> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it is away".into()));
        }
        Ok(self.clock.now())
    }

    async fn read(&self) -> StoreResult<Now> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.work().await
    }

    fn commit(&self, committed: Vec<Committed>) {
        if !committed.is_empty() {
            self.listener.committed(committed);
        }
    }
}

#[async_trait]
impl QueueStore for ModelStore {
    async fn adopt_queues(&self) -> StoreResult<Vec<Lease>> {
        Ok(vec![self.model().lease()])
    }

    async fn release_queues(&self) -> StoreResult<()> {
        self.released.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn lane_heads(
        &self,
        due_by: Timestamp,
        after: Option<DestinationId>,
        limit: usize,
    ) -> StoreResult<Vec<Pending>> {
        self.read().await?;
        Ok(self.model().lane_heads(due_by, after, limit))
    }

    async fn load_lane(&self, lane: DestinationId, limit: usize) -> StoreResult<LanePage> {
        self.read().await?;
        Ok(self.model().load_lane(lane, limit))
    }

    async fn prepare(&self, rows: Vec<Pending>) -> StoreResult<Vec<Prepared>> {
        self.read().await?;
        Ok(self.model().prepare(&rows))
    }

    async fn make_due(&self, rows: Vec<Pending>) -> StoreResult<Vec<Prepared>> {
        let now = self.work().await?;
        let (answers, committed) = self.model().make_due(now, &rows);
        self.commit(committed);
        Ok(answers)
    }

    async fn cancel_switched_off(&self, rows: Vec<Pending>) -> StoreResult<()> {
        let now = self.work().await?;
        let committed = self.model().cancel_switched_off(now, &rows);
        self.commit(committed);
        Ok(())
    }

    async fn record_outcomes(&self, outcomes: Arc<Vec<Outcome>>) -> StoreResult<Vec<OutcomeApplied>> {
        let now = self.work().await?;
        self.recorded.lock().unwrap().push(outcomes.len());
        let repeated = outcomes.iter().map(|outcome| (outcome.pending.id, outcome.attempt.repeated));
        self.repeated.lock().unwrap().extend(repeated);
        let (answers, committed) = self.model().record(now, &outcomes, |_| crate::model::true_ms(now));
        self.commit(committed);
        Ok(answers)
    }
}

/// A dispatcher with all that is around it.
pub struct Setup {
    pub clock: Arc<TestClock>,
    pub listener: Arc<HandOver>,
    pub store: Arc<ModelStore>,
    pub receiver: Arc<Receiver>,
    pub changes: broadcast::Receiver<Change>,
    pub sending_paused: watch::Sender<bool>,
    pub outcome_wait: Duration,
    handed_over: Mutex<Option<HandedOver>>,
}

impl Setup {
    pub fn new() -> Self {
        Self::with_lanes(2)
    }

    /// Destinations of one business, each at a host of its own.
    pub fn with_lanes(count: usize) -> Self {
        let clock = Arc::new(TestClock { started: tokio::time::Instant::now(), jump_ms: AtomicI64::new(0) });
        let (sender, changes) = broadcast::channel(limits::CHANGES_MAX);
        let (listener, handed_over) = hand_over(Arc::clone(&clock) as Arc<dyn Clock>, sender);
        let lanes = (0..count).map(|number| Lane {
            id: lane_id(number),
            business: business_id(0),
            host: number,
            enabled: true,
            sealed: false,
            revision: 0,
            disabled_true: None,
        });
        let model = Model { epoch: 1, lanes: lanes.collect(), ..Model::default() };
        let store = ModelStore {
            clock: Arc::clone(&clock),
            listener: Arc::clone(&listener),
            model: Mutex::new(model),
            away: AtomicBool::new(false),
            released: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
            recorded: Mutex::new(Vec::new()),
            repeated: Mutex::new(Vec::new()),
        };
        let receiver = Receiver {
            clock: Arc::clone(&clock),
            reply: Mutex::new(Reply::SucceedAfter(Duration::from_millis(1))),
            starts: Mutex::new(Vec::new()),
        };
        let (store, receiver) = (Arc::new(store), Arc::new(receiver));
        let (sending_paused, _) = watch::channel(false);
        let handed_over = Mutex::new(Some(handed_over));
        let outcome_wait = Duration::ZERO;
        Self { clock, listener, store, receiver, changes, sending_paused, outcome_wait, handed_over }
    }

    pub async fn start(&self) -> Dispatcher {
        let parts = Parts {
            config: Config { outcome_wait: self.outcome_wait, ..Config::default() },
            store: Arc::clone(&self.store) as Arc<dyn QueueStore>,
            attempts: Arc::clone(&self.receiver) as Arc<dyn Attempts>,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            retry_schedule: RetrySchedule::default(),
            sending_paused: self.sending_paused.subscribe(),
            handed_over: self.handed_over.lock().unwrap().take().unwrap(),
        };
        Dispatcher::start(parts).await.unwrap()
    }

    /// Lets time pass: with time paused, everything that is to happen by then happens first.
    pub async fn settle(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub fn report(&self, lane: usize, wait_for_ai_ms: Option<u64>) -> DeliveryId {
        let mut model = self.store.model();
        let committed = model.report(self.clock.now(), lane, wait_for_ai_ms);
        let id = delivery_id(model.next);
        drop(model);
        self.listener.committed(committed);
        id
    }

    /// The wall clock jumps after the commit has reckoned its times and before anybody hears of it.
    pub fn report_over_a_jump(&self, lane: usize, wait_for_ai_ms: Option<u64>, jump_ms: i64) -> DeliveryId {
        let mut model = self.store.model();
        let committed = model.report(self.clock.now(), lane, wait_for_ai_ms);
        let id = delivery_id(model.next);
        drop(model);
        self.clock.jump(jump_ms);
        self.listener.committed(committed);
        id
    }

    pub fn report_without_hand_over(&self, lane: usize) -> DeliveryId {
        let mut model = self.store.model();
        model.report(self.clock.now(), lane, None);
        delivery_id(model.next)
    }

    /// Where the delivery stands, and how many attempts are on record.
    pub fn status(&self, id: DeliveryId) -> (Status, usize) {
        let model = self.store.model();
        let row = &model.rows[&id];
        (row.status, row.attempts.len())
    }
}
