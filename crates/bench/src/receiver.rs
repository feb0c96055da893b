//! The receiver: answers as it is told to, and notes when which call arrived.

use crate::{Failure, Outcome};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What stands before a call's number, in its report and in its payload.
pub const MARK: &str = "\"utm_term\":\"n";
/// Digits of a call's number.
pub const MARK_DIGITS: usize = 9;
/// Longer than any attempt waits.
const HANG: Duration = Duration::from_mins(1);

/// What the receiver does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers 200.
    Accept,
    /// Answers 503 to the first attempt of a delivery, 200 to the others.
    FailFirst,
    /// Reads the request and never answers.
    Hang,
}

/// When a call's attempts arrived, by the call's number.
#[derive(Default)]
pub struct Arrivals {
    first: Vec<AtomicU64>,
    second: Vec<AtomicU64>,
    count: AtomicU64,
}

/// A receiver on a port of its own.
pub struct Receiver {
    address: SocketAddr,
    arrivals: Arc<Arrivals>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Takes calls of numbers below `calls`.
    pub async fn start(behaviour: Behaviour, calls: usize, clock: Instant) -> Outcome<Self> {
        Self::start_at("127.0.0.1", behaviour, calls, clock).await
    }

    /// The same at another address of this machine: a host of its own to callhook.
    pub async fn start_at(host: &str, behaviour: Behaviour, calls: usize, clock: Instant) -> Outcome<Self> {
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr()?;
        let slots = || (0..calls).map(|_| AtomicU64::new(0)).collect();
        let arrivals = Arc::new(Arrivals { first: slots(), second: slots(), count: AtomicU64::new(0) });
        let noted = Arc::clone(&arrivals);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Only makes answers leave sooner.
                let _ = stream.set_nodelay(true);
                let arrivals = Arc::clone(&noted);
                let answer =
                    service_fn(move |request| take(request, behaviour, Arc::clone(&arrivals), clock));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Ok(Self { address, arrivals, task })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// How many first attempts have arrived.
    pub fn count(&self) -> u64 {
        self.arrivals.count.load(Ordering::Relaxed)
    }

    /// When a call's first attempt arrived, by the clock that the receiver was given.
    pub fn first(&self, number: usize) -> Option<Duration> {
        noted(&self.arrivals.first, number)
    }

    /// When its second attempt did.
    pub fn second(&self, number: usize) -> Option<Duration> {
        noted(&self.arrivals.second, number)
    }

    /// Waits until so many first attempts are there; fails when none comes for a while.
    pub async fn wait_for(&self, count: u64) -> Outcome<()> {
        let (mut before, mut still) = (self.count(), Instant::now());
        while self.count() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if self.count() > before {
                (before, still) = (self.count(), Instant::now());
            } else if still.elapsed() > Duration::from_secs(20) {
                let text = format!("only {before} of {count} calls arrived, and none in the last 20 s");
                return Err(Failure::new(text));
            }
        }
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    request: Request<Incoming>,
    behaviour: Behaviour,
    arrivals: Arc<Arrivals>,
    clock: Instant,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let arrived = clock.elapsed();
    let mut answer = Response::new(Empty::new());
    let Ok(body) = request.into_body().collect().await else { return Ok(answer) };
    let body = body.to_bytes();
    let is_first = body.ends_with(b"\"attempt\":1}") || !body.ends_with(b"}");
    if let Some(number) = number(&body) {
        arrivals.note(number, is_first, arrived);
    }
    match behaviour {
        Behaviour::Hang => tokio::time::sleep(HANG).await,
        Behaviour::FailFirst if is_first => *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        Behaviour::Accept | Behaviour::FailFirst => {}
    }
    Ok(answer)
}

impl Arrivals {
    fn note(&self, number: usize, is_first: bool, at: Duration) {
        let slots = if is_first { &self.first } else { &self.second };
        let Some(slot) = slots.get(number) else { return };
        let nanos = u64::try_from(at.as_nanos()).unwrap();
        let is_new = slot.compare_exchange(0, nanos, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_new && is_first {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn noted(slots: &[AtomicU64], number: usize) -> Option<Duration> {
    let nanos = slots.get(number)?.load(Ordering::Relaxed);
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

fn number(body: &[u8]) -> Option<usize> {
    let digits = memchr::memmem::find(body, MARK.as_bytes())? + MARK.len();
    std::str::from_utf8(body.get(digits..digits + MARK_DIGITS)?).ok()?.parse().ok()
}
