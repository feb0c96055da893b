//! The load: calls reported over kept connections, as fast as they are acknowledged or at a fixed pace.

use crate::client::Connection;
use crate::receiver::{MARK, MARK_DIGITS};
use crate::{Failure, Outcome};
use bytes::Bytes;
use domain::Timestamp;
use http::Method;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinSet;

/// Where a pace cannot be kept, what was planned is reported no longer than so many times the length: that shows it well enough.
const LENGTHS_MAX: u32 = 2;

/// Who calls, where to, and how fast.
#[derive(Clone)]
pub struct Load {
    /// What is measured.
    pub address: SocketAddr,
    /// The flow that the calls run; none for the bare pipeline.
    pub call_flow_id: Option<String>,
    /// Connections that are kept open.
    pub connections: usize,
    /// For how long.
    pub length: Duration,
    /// Calls per second over all connections; none: each connection reports as soon as it may.
    pub rate: Option<u32>,
    /// Calls are numbered from here.
    pub first: usize,
    /// The clock that the receiver has too.
    pub clock: Instant,
}

/// An acknowledged call.
#[derive(Clone, Copy)]
pub struct Acknowledged {
    /// Its number.
    pub number: usize,
    /// When it was to be reported: earlier than it was where the connection still waited for another answer.
    pub planned: Duration,
    /// When it was sent: its end, as it was reported, is no later.
    pub sent: Duration,
    /// When the acknowledgement was read.
    pub answered: Duration,
}

impl Acknowledged {
    /// From the planned report to the acknowledgement.
    pub fn waited(&self) -> Duration {
        self.answered.saturating_sub(self.planned)
    }
}

impl Load {
    /// Reports calls; each that was acknowledged comes back.
    pub async fn run(self) -> Outcome<Vec<Acknowledged>> {
        let next = Arc::new(AtomicUsize::new(self.first));
        let started = self.clock.elapsed();
        let mut workers = JoinSet::new();
        for _ in 0..self.connections {
            workers.spawn(report(self.clone(), started, Arc::clone(&next)));
        }
        let mut all = Vec::new();
        while let Some(done) = workers.join_next().await {
            all.append(&mut done.map_err(|error| Failure::new(error.to_string()))??);
        }
        Ok(all)
    }
}

async fn report(load: Load, started: Duration, next: Arc<AtomicUsize>) -> Outcome<Vec<Acknowledged>> {
    let mut connection = Connection::open(load.address).await?;
    let body = Body::new(load.call_flow_id.as_deref());
    let mut acknowledged = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let planned = match load.rate {
            Some(rate) => {
                let index = u32::try_from(number - load.first).unwrap();
                let planned = started + Duration::from_secs(index.into()) / rate;
                let is_late = load.clock.elapsed() > planned;
                tokio::time::sleep_until((load.clock + planned).into()).await;
                // A timer's own lateness is not the program's; that of a connection which was still waiting is.
                if is_late { planned } else { load.clock.elapsed() }
            }
            None => load.clock.elapsed(),
        };
        if planned >= started + load.length || load.clock.elapsed() >= started + load.length * LENGTHS_MAX {
            return Ok(acknowledged);
        }
        let (report, sent) = (body.of(number, now()), load.clock.elapsed());
        let (status, answer) = connection.send(Method::POST, "/calls", report).await?;
        if !status.is_success() {
            return Err(Failure::new(format!(
                "a call was refused: {status} {}",
                String::from_utf8_lossy(&answer)
            )));
        }
        acknowledged.push(Acknowledged { number, planned, sent, answered: load.clock.elapsed() });
    }
}

/// The report of a call: some 1.2 KB.
pub struct Body {
    before: String,
    after: String,
}

impl Body {
    /// Of calls that run this flow.
    pub fn new(call_flow_id: Option<&str>) -> Self {
        let call = call(call_flow_id.unwrap_or("01900000-0000-7000-8000-000000000000"));
        let text = call.to_string();
        let digits = text.find(MARK).unwrap() + MARK.len();
        let after = text[digits + MARK_DIGITS..].strip_suffix('}').unwrap();
        Self { before: text[..digits].to_owned(), after: after.to_owned() }
    }

    /// Of the call of this number.
    pub fn of(&self, number: usize, ended_at: Timestamp) -> Bytes {
        let Self { before, after } = self;
        let millis = ended_at.to_rfc3339_millis();
        Bytes::from(format!("{before}{number:0MARK_DIGITS$}{after},\"ended_at\":\"{millis}\"}}"))
    }

    /// Of a batch.
    pub fn batch(&self, numbers: std::ops::Range<usize>) -> Bytes {
        let calls: Vec<_> = numbers.map(|number| self.of(number, now())).collect();
        let mut body = b"{\"calls\":[".to_vec();
        body.extend(calls.join(&b","[..]));
        body.extend(b"]}");
        Bytes::from(body)
    }
}

fn call(call_flow_id: &str) -> Value {
    serde_json::json!({
        "call_flow_id": call_flow_id, "tracking_number": "+15735551234", "caller_number": "+13055559876",
        "destination_number": "+13055554567", "direction": "inbound", "status": "completed", "duration_seconds": 145,
        "transcription": "Hello, I found you through the search and I would like to know what a new roof costs, and when somebody could \
            come and have a look. We live in the old part of the town, the house is from the fifties, and after the storm last week there is \
            water in the attic. The insurance wants an estimate by Friday. You can reach me under this number all day, or in the evening.",
        "value_cents": 25_000, "cost_cents": 150,
        "attribution": {
            "source": "google_ads", "landing_page_url": "https://www.example.com/roofing/storm-damage?campaign=spring",
            "referrer_url": "https://www.google.com/", "utm_source": "google", "utm_medium": "cpc", "utm_campaign": "spring-roofing",
            "utm_content": "headline-b", "gclid": "Cj0KCQjw4ZWkBhC4ARIsAEHwOdWGXmVbMzQ", "utm_term": "n000000000",
        },
    })
}

/// The machine's time.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

/// The same in milliseconds.
pub fn now_ms() -> u64 {
    u64::try_from(now().as_millis()).unwrap()
}

/// Reports a batch, all of which has to be taken.
pub async fn send_batch(connection: &mut Connection, body: Bytes) -> Outcome<()> {
    let (status, answer) = connection.send(Method::POST, "/calls/batch", body).await?;
    if status.is_success() {
        return Ok(());
    }
    Err(Failure::new(format!("a batch was refused: {status} {}", String::from_utf8_lossy(&answer))))
}
