//! The API over a real store in a throw-away folder: one server, typed callers, no network.

mod access;
mod bad_input;
mod calls;
mod configuration;
mod deliveries;
mod document;
mod metrics;
mod recordings;
mod sources;

use super::BASE;
use crate::app::outbound::{FetchFailed, FetchedRecording, Outbound, TestRequest, TestSent};
use crate::app::password::Passwords;
use crate::app::proxy_watch::ProxyWatch;
use crate::app::sign_in_gate::SignInGate;
use crate::app::test_gate::TestGate;
use crate::app::typed_forms::TypedForms;
use crate::app::{App, export, health};
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::api_key::{KeyText, PREFIX, Role};
use domain::delivery::{Attempt, Phases};
use domain::destination::DestinationUrl;
use domain::phone_number::Country;
use domain::secret::Secret;
use domain::{Invalid, Timestamp, World};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::api_key::KeyMaker;
use store::queue::{Change, CommitListener, Committed};
use store::seal::Keyring;
use store::tx::Rules;
use store::{Store, StoreConfig};
use tokio::sync::{broadcast, watch};
use tower::ServiceExt as _;

/// Where the server is reached from outside.
const PUBLIC_URL: &str = "https://calls.example.com";
/// 2026-03-30T14:13:20Z.
const START_MS: i64 = 1_774_880_000_000;

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Anonymous,
    Viewer,
    Member,
    Admin,
    /// An admin of another business.
    Other,
}

/// A clock that is set, and chance that repeats itself from run to run.
struct TestWorld {
    now_ms: AtomicI64,
    drawn: AtomicU64,
}

impl World for TestWorld {
    fn now(&self) -> Timestamp {
        // Every look at the clock is a millisecond later, so that ids are in the order in which they were made.
        Timestamp::from_millis(self.now_ms.fetch_add(1, Ordering::Relaxed))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let drawn = self.drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            [*byte, ..] = (mixed ^ (mixed >> 27)).to_be_bytes();
        }
    }
}

/// Passes hints on and keeps nothing else: nobody sends here.
struct Hints(broadcast::Sender<Change>);

impl CommitListener for Hints {
    fn committed(&self, _: Vec<Committed>) {}

    fn changed(&self, changes: Vec<Change>) {
        for change in changes {
            // Nobody may be listening.
            let _ = self.0.send(change);
        }
    }

    fn unknown(&self) {}
}

/// What a recording's source is to answer.
#[derive(Clone, Debug)]
enum SourceAnswer {
    Audio { status: u16, content_type: Option<&'static str> },
    NotThere,
    Failed,
}

/// A network that notes what is asked of it.
struct FakeNetwork {
    tests: Mutex<Vec<TestRequest>>,
    /// How many tests have begun, and whether they may end.
    tests_begun: watch::Sender<usize>,
    tests_end: watch::Sender<bool>,
    fails: Mutex<bool>,
    recording: Mutex<SourceAnswer>,
    fetched: Mutex<Vec<(String, Option<HeaderValue>)>>,
}

#[async_trait]
impl Outbound for FakeNetwork {
    async fn send_test(&self, test: TestRequest) -> TestSent {
        let url = test.destination.settings.url.as_ref().unwrap().to_string();
        self.tests.lock().unwrap().push(test);
        self.tests_begun.send_modify(|begun| *begun += 1);
        self.tests_end.subscribe().wait_for(|may_end| *may_end).await.unwrap();
        let fails = *self.fails.lock().unwrap();
        let attempt = Attempt {
            attempt: 1,
            started_at: Timestamp::from_millis(START_MS),
            duration_ms: 184,
            status_code: Some(if fails { 404 } else { 200 }),
            error: fails.then(|| "http_404".to_owned()),
            error_detail: fails.then(|| "There is no such address (404).".to_owned()),
            url,
            remote_address: Some("192.0.2.1:443".to_owned()),
            response_headers: vec![("server".to_owned(), "test".to_owned())],
            response_excerpt: Some("ok".to_owned()),
            repeated: false,
            header_names: None,
            phases: Some(Phases {
                dns_ms: 2,
                connect_ms: 31,
                tls_ms: 44,
                wait_ms: 107,
                connection_reused: false,
            }),
        };
        TestSent { attempt, ended_at: Timestamp::from_millis(START_MS + 184) }
    }

    async fn fetch_recording(
        &self,
        url: &Secret,
        range: Option<HeaderValue>,
    ) -> Result<FetchedRecording, FetchFailed> {
        self.fetched.lock().unwrap().push((url.reveal().to_owned(), range));
        match self.recording.lock().unwrap().clone() {
            SourceAnswer::NotThere => Err(FetchFailed::NotThere),
            SourceAnswer::Failed => Err(FetchFailed::Failed("timeout".to_owned())),
            SourceAnswer::Audio { status, content_type } => Ok(FetchedRecording {
                status,
                content_type: content_type.map(str::to_owned),
                content_length: Some(5),
                content_range: (status != 200).then(|| "bytes 0-4/10".to_owned()),
                accepts_ranges: true,
                body: stream::iter([Ok(Bytes::from_static(b"audio"))]).boxed(),
            }),
        }
    }
}

/// A server, its store and its callers.
struct Server {
    app: Arc<App>,
    router: Router,
    world: Arc<TestWorld>,
    network: Arc<FakeNetwork>,
    keys: [KeyText; 4],
    shutdown: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// A value by its JSON pointer, as text without quotes.
    fn text(&self, pointer: &str) -> String {
        match self.json().pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            other => panic!("{pointer} is {other:?} in {}", String::from_utf8_lossy(&self.bytes)),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    /// An error with its status, and the field that it names.
    #[track_caller]
    fn refused(self, status: u16, field: Option<&str>) {
        let error = self.json()["error"].clone();
        let text = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(error["field"].as_str(), field, "{text}");
        assert!(error["code"].is_string() && error["message"].is_string(), "{text}");
        assert!(self.headers.contains_key("x-request-id"));
    }
}

fn refuses_private(url: &DestinationUrl) -> Result<(), Invalid> {
    if url.as_str().contains("127.0.0.1") {
        return Err(Invalid::value("leads to a private address"));
    }
    Ok(())
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Arc::new(TestWorld { now_ms: AtomicI64::new(START_MS), drawn: AtomicU64::new(7) });
        let (changes, _) = broadcast::channel(16);
        let (shutdown, is_ending) = watch::channel(false);
        let config = StoreConfig {
            world: Arc::clone(&world) as Arc<dyn World>,
            keyring: Keyring::new(&Secret::new("a secret key of the tests, long enough"), &[]),
            rules: Rules { public_url: PUBLIC_URL.to_owned(), ai_fallback: Duration::from_mins(5) },
            listener: Arc::new(Hints(changes.clone())),
        };
        let store = Arc::new(Store::open_sqlite(folder.path(), config).await.unwrap());
        let network = Arc::new(FakeNetwork {
            tests: Mutex::default(),
            tests_begun: watch::Sender::new(0),
            tests_end: watch::Sender::new(true),
            fails: Mutex::new(false),
            recording: Mutex::new(SourceAnswer::Audio { status: 200, content_type: None }),
            fetched: Mutex::default(),
        });
        let keys = make_keys(&store).await;
        let app = Arc::new(App {
            store,
            world: Arc::clone(&world) as Arc<dyn World>,
            public_url: PUBLIC_URL.to_owned(),
            own_origin: None,
            address_check: Arc::new(refuses_private),
            outbound: Arc::clone(&network) as Arc<dyn Outbound>,
            tests: TestGate::default(),
            typed: TypedForms::default(),
            streams: App::streams(),
            exports: export::places(),
            forms: App::forms(),
            sign_ins: SignInGate::default(),
            seen: health::Seen::default(),
            proxy: ProxyWatch::default(),
            passwords: Passwords::default(),
            observer: None,
            tracer: None,
            changes,
            sending_paused: watch::Sender::new(false),
            shutdown: is_ending,
        });
        Self {
            router: crate::routes::router(Arc::clone(&app)),
            app,
            world,
            network,
            keys,
            shutdown,
            _folder: folder,
        }
    }

    fn key(&self, caller: Caller) -> Option<&KeyText> {
        match caller {
            Caller::Anonymous => None,
            Caller::Viewer => Some(&self.keys[0]),
            Caller::Member => Some(&self.keys[1]),
            Caller::Admin => Some(&self.keys[2]),
            Caller::Other => Some(&self.keys[3]),
        }
    }

    /// A request of a caller, without a body.
    fn request(&self, caller: Caller, method: &str, path: &str) -> axum::http::request::Builder {
        let path = if ["/healthz", "/readyz", "/metrics"].contains(&path) {
            path.to_owned()
        } else {
            format!("{BASE}{path}")
        };
        let request = Request::builder().method(method).uri(path);
        match self.key(caller) {
            Some(key) => request.header("authorization", format!("Bearer {}", key.reveal())),
            None => request,
        }
    }

    async fn run(&self, request: Request<Body>) -> Got {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Got { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    /// Sends JSON as it is written.
    async fn send_text(&self, caller: Caller, method: &str, path: &str, json: &str) -> Got {
        let request = self.request(caller, method, path).header("content-type", "application/json");
        self.run(request.body(Body::from(json.to_owned())).unwrap()).await
    }

    async fn send(&self, caller: Caller, method: &str, path: &str, json: &Value) -> Got {
        self.send_text(caller, method, path, &json.to_string()).await
    }

    async fn get(&self, caller: Caller, path: &str) -> Got {
        self.run(self.request(caller, "GET", path).body(Body::empty()).unwrap()).await
    }

    async fn bare(&self, caller: Caller, method: &str, path: &str) -> Got {
        self.run(self.request(caller, method, path).body(Body::empty()).unwrap()).await
    }

    /// Makes a call flow and gives its id.
    async fn flow(&self, document: &Value) -> String {
        let made = self.send(Caller::Member, "POST", "/call-flows", document).await.expect(201);
        made.text("/data/call_flow/id")
    }

    /// A flow whose calls are delivered, at once or with AI.
    async fn webhook_flow(&self, wait_for_ai: bool) -> String {
        let webhook = json!({
            "enabled": true, "url": "https://hooks.example.com/x", "wait_for_ai": wait_for_ai, "headers": {"X-Token": "hunter2"},
        });
        self.flow(&json!({"name": "Google Ads", "post_call_webhook": webhook})).await
    }

    /// Reports a call of a flow and gives its id.
    async fn call(&self, flow: &str) -> String {
        let report = json!({
            "call_flow_id": flow, "caller_number": "+13055559876", "status": "completed", "duration_seconds": 145,
        });
        self.send(Caller::Member, "POST", "/calls", &report).await.expect(201).text("/data/call/id")
    }

    fn advance(&self, wait: Duration) {
        let millis = i64::try_from(wait.as_millis()).unwrap();
        self.world.now_ms.fetch_add(millis, Ordering::Relaxed);
    }
}

/// Keys of a viewer, a member, an admin, and an admin of another business.
async fn make_keys(store: &Store) -> [KeyText; 4] {
    let own = store.create_business("default".to_owned(), Country::US).await.unwrap().id;
    let other = store.create_business("other".to_owned(), Country::US).await.unwrap().id;
    let roles = [(own, Role::Viewer), (own, Role::Member), (own, Role::Admin), (other, Role::Admin)];
    let mut keys = Vec::new();
    for (index, (business_id, role)) in (0_u8..).zip(roles) {
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([index; 32]));
        let key = KeyText::parse(&text).unwrap();
        store
            .create_api_key(
                business_id,
                None,
                role.as_str().to_owned(),
                role,
                key.clone(),
                KeyMaker::Operator,
            )
            .await
            .unwrap();
        keys.push(key);
    }
    keys.try_into().unwrap()
}
