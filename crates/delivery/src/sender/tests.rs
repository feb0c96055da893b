//! The sender against real sockets: receivers that behave, misbehave, redirect and hide.
//!
//! Where a receiver makes the sender wait, time is paused: it moves on when every task of the test waits, so that a case of 10 s
//! takes no time and its duration is exact.

use super::resolver::{Resolve, Resolved};
use super::*;
use bytes::Bytes;
use domain::destination::{DestinationUrl, HeaderList};
use domain::failure::DnsFailure;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

mod answers;
mod blocked;
mod encryption;
mod fetching;
mod hostile;
mod redirects;

const SECONDS_10: Duration = Duration::from_secs(10);

/// Names as a test wants them: a list of answers for each, the last one again and again.
#[derive(Default)]
struct Names(Mutex<HashMap<String, VecDeque<NameAnswer>>>);

type NameAnswer = Result<Vec<IpAddr>, DnsFailure>;

impl Names {
    fn with(self, name: &str, addresses: &[&str]) -> Self {
        self.answering(name, Ok(addresses.iter().map(|address| address.parse().unwrap()).collect()))
    }

    fn answering(self, name: &str, answer: NameAnswer) -> Self {
        self.0.lock().unwrap().entry(name.into()).or_default().push_back(answer);
        self
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolved<'a> {
        let mut names = self.0.lock().unwrap();
        let answer = match names.get_mut(host) {
            Some(answers) if answers.len() > 1 => answers.pop_front().unwrap(),
            Some(answers) => answers[0].clone(),
            None => Err(DnsFailure::NoSuchName),
        };
        Box::pin(async move { answer })
    }
}

/// A sender that may connect to `allow`, beside what is public.
fn sender(allow: &[&str], names: Names) -> Sender {
    sender_trusting(RootCertStore::empty(), allow, names)
}

fn sender_trusting(roots: RootCertStore, allow: &[&str], names: Names) -> Sender {
    Sender::new(SenderConfig {
        deadline: SECONDS_10,
        guard: AddressGuard::new(allow.iter().map(|network| network.parse().unwrap()).collect()),
        resolver: Arc::new(names),
        roots,
    })
}

/// A sender that may connect to this machine.
fn local_sender() -> Sender {
    sender(&["127.0.0.0/8", "::1/128"], Names::default())
}

const BODY: &str = r#"{"event":"call.completed"}"#;

fn request(url: &str) -> Request {
    Request {
        url: DestinationUrl::parse(url).unwrap(),
        headers: HeaderList::new(vec![("X-Token".into(), "hunter2".into())]).unwrap(),
        body: Bytes::from_static(BODY.as_bytes()),
        content_type: "application/json",
        delivery_id: "8f14e45f-ceea-7000-8000-000000000001".into(),
        sent_at: "2026-03-30T14:30:00Z".parse().unwrap(),
        signing: vec![signature::generate([1; 32]), signature::generate([2; 32])],
        test: false,
    }
}

/// A server of a test: counts what connects to it, and keeps what it was asked.
struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// One connection, seen by the server.
struct Peer<S = TcpStream> {
    stream: S,
    /// From 1.
    number: usize,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start<F, Fut>(script: F) -> Self
    where
        F: Fn(Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0", script).await
    }

    async fn start_at<F, Fut>(address: &str, script: F) -> Self
    where
        F: Fn(Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (Arc::clone(&receiver.connections), Arc::clone(&receiver.requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::spawn(script(Peer { stream, number, requests: Arc::clone(&requests) }));
            }
        });
        receiver
    }

    /// Answers every request with the same bytes and keeps the connection.
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |mut peer| {
            let answer = Arc::clone(&answer);
            async move {
                while peer.request().await {
                    peer.send(&answer).await;
                }
            }
        })
        .await
    }

    /// Answers one request with these bytes and closes.
    async fn answering_once(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |mut peer| {
            let answer = Arc::clone(&answer);
            async move {
                peer.request().await;
                peer.send(&answer).await;
            }
        })
        .await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How often a receiver that closes at once was connected, after all that was on its way has arrived: a connection of our own
    /// comes last in its queue.
    async fn connections_settled(&self) -> usize {
        let mut own = TcpStream::connect(self.address).await.unwrap();
        assert_eq!(own.read(&mut [0]).await.unwrap(), 0);
        self.connections.fetch_sub(1, Ordering::SeqCst) - 1
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Reads a whole request; `false`: the sender has closed.
    async fn request(&mut self) -> bool {
        let mut read = Vec::new();
        let head = loop {
            let mut buffer = [0; 4_096];
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return false,
                Ok(bytes) => read.extend_from_slice(&buffer[..bytes]),
            }
            let text = String::from_utf8_lossy(&read).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                break text;
            }
        };
        self.requests.lock().unwrap().push(head);
        true
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The sender may have seen enough.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }
}

impl Peer {
    /// Cuts the connection with a reset.
    fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

/// An answer with a body and its length.
fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let location = "http://user:canary@hooks.test/canary?canary";
    let receiver =
        Receiver::answering(answer(&format!("302 Go\r\nx-a: canary\r\nlocation: {location}"), "canary"))
            .await;
    let mut request = request(&receiver.url("/canary?key=canary"));
    request.headers = HeaderList::new(vec![("X-Token".into(), "canary".into())]).unwrap();
    request.body = Bytes::from_static(b"canary");
    let exchange = local_sender().attempt(&request).await;
    assert!(exchange.url.contains("canary") && exchange.response_excerpt.as_deref() == Some("canary"));
    let mut headers = http::HeaderMap::new();
    headers.insert("x-a", http::HeaderValue::from_static("canary"));
    let authorization = Some(http::HeaderValue::from_static("canary"));
    let fetch = Fetch { url: url::Url::parse(&receiver.url("/canary")).unwrap(), headers, authorization };
    let failure = exchange.failure.as_ref().unwrap();
    let fetched = local_sender().fetch(&fetch).await;
    let printed = format!("{request:?} {exchange:?} {fetch:?} {fetched:?} {failure} {failure:?}");
    assert!(!printed.contains("canary") && printed.contains("127.0.0.1"), "{printed}");
}

#[tokio::test]
async fn an_attempt_in_flight_is_small() {
    let (sender, request) = (local_sender(), request("http://127.0.0.1:1/"));
    // The rest of its memory is the connection's buffer, which has a bound of its own.
    assert!(
        size_of_val(&sender.attempt(&request)) <= 16 * 1_024,
        "{}",
        size_of_val(&sender.attempt(&request))
    );
}

#[track_caller]
fn assert_failed(exchange: &Exchange, code: &str, words: &str) {
    let failure = exchange.failure.as_ref().expect("the attempt has failed");
    assert_eq!(failure.code(), code, "{exchange:?}");
    assert!(failure.words().contains(words), "{:?} lacks {words:?}", failure.words());
}
