//! A store in a folder or a schema of its own, a clock that the test sets, and a listener that keeps what it hears.

use domain::Timestamp;
use domain::World;
use domain::api_key::KeyText;
use domain::attribution::Attribution;
use domain::call::{CallStatus, Direction, EndedCall};
use domain::call_flow::CallFlow;
use domain::delivery::{Attempt, Phases};
use domain::destination::{DestinationSettings, DestinationUrl, FiringMode, HeaderList, SigningSecret};
use domain::id::{BusinessId, CallFlowId, DeliveryId, UserId};
use domain::phone_number::{Country, Party, PhoneNumber};
use domain::retry::Verdict;
use domain::secret::Secret;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::call::{Recorded, Reporter};
use store::call_flow::CallFlowSettings;
use store::delivery::{BegunBy, DeliveryFilter, Redelivery};
use store::engine::postgres::Database;
use store::idempotency::Answer;
use store::queue::{Change, CommitListener, Committed, Job, Lease, Outcome, Pending, QueueStore};
use store::seal::Keyring;
use store::tx::Rules;
use store::{Store, StoreConfig, StoreResult};
use tempfile::TempDir;

pub const NOW: i64 = 1_774_880_000_000;
pub const SECRET: &str = "a secret of at least thirty-two characters";

/// A clock that stands still until it is set, and bytes that never repeat.
#[derive(Default)]
pub struct TestWorld {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl TestWorld {
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl TestWorld {
    pub fn set_back(&self, by: Duration) {
        self.now.fetch_sub(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub fn now_before(&self, by: Duration) -> Timestamp {
        self.now().before(by)
    }
}

impl World for TestWorld {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let drawn = self.drawn.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        for (byte, drawn) in bytes.iter_mut().rev().zip(drawn.iter().rev()) {
            *byte = *drawn;
        }
    }
}

#[derive(Default)]
pub struct Heard {
    pub commits: Mutex<Vec<Committed>>,
    pub changes: Mutex<Vec<Change>>,
    pub unknown: AtomicU64,
}

impl CommitListener for Heard {
    fn committed(&self, mut commits: Vec<Committed>) {
        self.commits.lock().unwrap().append(&mut commits);
    }

    fn changed(&self, mut changes: Vec<Change>) {
        self.changes.lock().unwrap().append(&mut changes);
    }

    fn unknown(&self) {
        self.unknown.fetch_add(1, Ordering::SeqCst);
    }
}

pub struct Harness {
    pub store: Store,
    pub world: Arc<TestWorld>,
    pub heard: Arc<Heard>,
    pub business: BusinessId,
    pub leases: Vec<Lease>,
    pub place: Place,
}

/// Where a store lies.
#[derive(Clone)]
pub enum Place {
    Folder(Arc<TempDir>),
    Schema(String),
    /// A copy of another's folder.
    Copy(PathBuf),
}

impl Place {
    /// As the store is told.
    pub fn of_store(&self) -> store::Place {
        match self {
            Self::Schema(schema) => {
                let url = Secret::new(crate::server::server().url());
                store::Place::Database(Database { url, schema: schema.clone() })
            }
            folder => store::Place::Folder(folder.folder().to_owned()),
        }
    }

    pub fn new() -> Self {
        static SCHEMAS: AtomicU64 = AtomicU64::new(0);
        if crate::IS_POSTGRES {
            Self::Schema(format!("test_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed)))
        } else {
            Self::Folder(Arc::new(tempfile::tempdir().unwrap()))
        }
    }

    #[allow(dead_code, reason = "the other suite has no schemas")]
    pub fn schema(&self) -> &str {
        let Self::Schema(schema) = self else { panic!("this store lies in no database") };
        schema
    }

    pub fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder.path(),
            Self::Copy(folder) => folder,
            Self::Schema(_) => panic!("this store lies in no folder"),
        }
    }
}

impl From<&Path> for Place {
    fn from(folder: &Path) -> Self {
        Self::Copy(folder.to_owned())
    }
}

impl Harness {
    pub async fn start() -> Self {
        Self::start_in(Place::new()).await
    }

    /// A store in a place that another suite's may be.
    pub async fn start_in(place: Place) -> Self {
        let world = Arc::new(TestWorld { now: AtomicI64::new(NOW), drawn: AtomicU64::new(1) });
        let heard = Arc::new(Heard::default());
        let store = open(&place, &world, &heard, SECRET).await.unwrap();
        let business = store.create_business("Acme".into(), Country::US).await.unwrap().id;
        let leases = store.adopt_queues().await.unwrap();
        Self { store, world, heard, business, leases, place }
    }

    /// Closes the store and opens it again, as a restart does.
    pub async fn restart(self) -> Self {
        let Self { store, world, business, place, .. } = self;
        drop(store);
        let heard = Arc::new(Heard::default());
        let store = open(&place, &world, &heard, SECRET).await.unwrap();
        let leases = store.adopt_queues().await.unwrap();
        Self { store, world, heard, business, leases, place }
    }

    pub async fn flow(&self, change: impl FnOnce(&mut CallFlowSettings)) -> CallFlow {
        let mut settings = settings();
        change(&mut settings);
        let secret = SigningSecret::from_secret(Secret::new("whsec_c2VjcmV0"));
        new(self.store.create_call_flow(self.business, None, settings, secret).await)
    }

    pub async fn waiting_flow(&self) -> CallFlow {
        self.flow(|flow| flow.post_call_webhook.firing_mode = FiringMode::WaitForAi).await
    }

    pub fn reporter(&self) -> Reporter {
        Reporter { business_id: self.business, key_id: None, reported_by: "api".into() }
    }

    pub async fn report(&self, call: EndedCall) -> StoreResult<Recorded> {
        match self.store.record_call(self.reporter(), None, call).await? {
            Answer::New(recorded) => Ok(recorded),
            Answer::Repeated(_) => panic!("no key was given"),
        }
    }

    /// Changes rows behind the store's back, as a fault of the disk would. Values stand in the text, bytes as `x'00ff'`.
    pub fn damage(&self, sql: &str) {
        match &self.place {
            Place::Schema(schema) => {
                let sql = sql.replace("x'", "'\\x");
                crate::server::server().run(&format!("SET search_path TO {schema}; {sql}"));
            }
            folder => {
                let path = folder.folder().join(store::engine::sqlite::FILE_NAME);
                let changed = rusqlite::Connection::open(path).unwrap().execute(sql, []).unwrap();
                assert!(changed > 0, "{sql} changes nothing");
            }
        }
    }

    /// Reports a call of the flow and takes what was planned for it.
    pub async fn planned(&self, flow: &CallFlow) -> (Recorded, Pending, Option<Arc<Job>>) {
        let recorded = self.report(self.call(flow.id)).await.unwrap();
        let mut planned = self.take_planned();
        assert_eq!(planned.len(), 1);
        let (pending, job) = planned.remove(0);
        (recorded, pending, job)
    }

    /// Begins to send again all that match, as somebody who is not known.
    pub async fn redeliver(&self, filter: DeliveryFilter) -> Redelivery {
        let by = BegunBy::User(UserId::from_bytes([9; 16]));
        new(self.store.redeliver_matching(self.business, by, None, filter).await)
    }

    /// Deliveries that hints were given of, in order.
    pub fn changed(&self) -> Vec<DeliveryId> {
        let changed = |change: &Change| match change {
            Change::Delivery(change) => Some(change.delivery_id),
            Change::Redelivery(_) => None,
        };
        self.heard.changes.lock().unwrap().iter().filter_map(changed).collect()
    }

    /// What was planned since this was last asked.
    pub fn take_planned(&self) -> Vec<(Pending, Option<Arc<Job>>)> {
        let take = |committed| match committed {
            Committed::Planned { pending, job, .. } => Some((pending, job)),
            _ => None,
        };
        self.heard.commits.lock().unwrap().drain(..).filter_map(take).collect()
    }

    pub fn call(&self, flow: CallFlowId) -> EndedCall {
        EndedCall {
            source_call_id: None,
            call_flow_id: Some(flow),
            tracking_number: None,
            caller_number: Party::parse("+13055559876", Country::US).unwrap(),
            destination_number: None,
            direction: Direction::Inbound,
            status: CallStatus::Completed,
            duration_seconds: 145,
            started_at: self.world.now().before(Duration::from_secs(145)),
            ended_at: self.world.now(),
            recording: None,
            recording_expected: None,
            transcription: None,
            attribution: Attribution::default(),
            value_cents: None,
            cost_cents: None,
            robo_score: None,
        }
    }

    /// An outcome of an attempt that has just ended.
    pub fn outcome(&self, pending: Pending, attempt: u32, verdict: Verdict) -> Outcome {
        let failed = verdict != Verdict::Delivered;
        let status_code = Some(if failed { 503 } else { 200 });
        Outcome {
            pending,
            epoch: self.leases.iter().find(|lease| lease.queue == pending.queue).unwrap().epoch,
            attempt: Attempt {
                attempt,
                started_at: self.world.now(),
                duration_ms: 40,
                status_code,
                error: failed.then(|| "http_503".to_owned()),
                error_detail: failed.then(|| "It is up but refuses work.".to_owned()),
                url: "https://hooks.example.com/x".into(),
                remote_address: Some("192.0.2.1:443".into()),
                response_headers: vec![("content-type".into(), "text/plain".into())],
                response_excerpt: Some("ok".into()),
                repeated: false,
                header_names: Some(vec!["X-Token".into()]),
                phases: Some(Phases { dns_ms: 2, connect_ms: 8, wait_ms: 30, ..Phases::default() }),
            },
            ended_at: self.world.now(),
            verdict,
        }
    }
}

pub async fn open(
    place: &Place,
    world: &Arc<TestWorld>,
    heard: &Arc<Heard>,
    secret: &str,
) -> StoreResult<Store> {
    open_with(place, world, heard, secret, &[]).await
}

pub async fn open_with(
    place: &Place,
    world: &Arc<TestWorld>,
    heard: &Arc<Heard>,
    secret: &str,
    older: &[&str],
) -> StoreResult<Store> {
    Store::open(&place.of_store(), config(world, heard, secret, older)).await
}

pub fn config(world: &Arc<TestWorld>, heard: &Arc<Heard>, secret: &str, older: &[&str]) -> StoreConfig {
    let older: Vec<_> = older.iter().copied().map(Secret::new).collect();
    StoreConfig {
        world: Arc::clone(world) as Arc<dyn World>,
        keyring: Keyring::new(&Secret::new(secret), &older),
        rules: Rules { public_url: "https://calls.example.com".into(), ai_fallback: Duration::from_mins(5) },
        listener: Arc::clone(heard) as Arc<dyn CommitListener>,
    }
}

pub fn settings() -> CallFlowSettings {
    CallFlowSettings {
        name: "Google Ads".into(),
        source: Some("google".into()),
        recording: true,
        ai_enabled: true,
        post_call_webhook: DestinationSettings {
            enabled: true,
            url: DestinationUrl::parse("https://hooks.example.com/x").ok(),
            firing_mode: FiringMode::Immediate,
            headers: HeaderList::new(vec![("X-Token".into(), "hush-hush-header".into())]).unwrap(),
            retry_schedule: None,
        },
    }
}

pub fn number(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text, Country::US).unwrap()
}

pub fn key(letter: char) -> KeyText {
    KeyText::parse(&format!("ch_key_{}", letter.to_string().repeat(43))).unwrap()
}

#[track_caller]
pub fn new<T>(answer: StoreResult<Answer<T>>) -> T {
    match answer.unwrap() {
        Answer::New(value) => value,
        Answer::Repeated(_) => panic!("the operation was answered from before"),
    }
}

/// Bytes as a statement of [`Harness::damage`] writes them.
pub fn bytes(id: &[u8; 16]) -> String {
    format!("x'{:032x}'", u128::from_be_bytes(*id))
}
