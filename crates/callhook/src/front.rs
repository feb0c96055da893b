//! Connections in: accepted up to a bound, served, and closed where a client keeps silent.

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// Connections at the most, however many files may be open.
const CONNECTIONS_MAX: u64 = 2_048;
/// Open files that are left for the store and for what is sent, at the most: no more than half of what there is.
const FILES_RESERVED_MAX: u64 = 1_024;
/// Open files that every system grants; believed where the limit cannot be read.
const FILES_ASSUMED: u64 = 256;
/// How long a request's head may take, and how long a connection may wait for its next request: longer than the 60 s for which common
/// proxies keep one open, for a report that a proxy sends into a connection that is just being closed would be lost.
const HEAD_WITHIN: Duration = Duration::from_secs(75);
/// How long a new connection may keep silent: whoever opens one has something to say.
const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take nothing of an answer: what it does not read is held for it.
const READ_WITHIN: Duration = Duration::from_mins(1);
/// Headers of a request.
const HEADERS_MAX: usize = 100;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 * 1_024;
/// Bytes that a connection reads ahead.
const BUFFER_BYTES_MAX: usize = 64 * 1_024;
/// How long nothing is accepted after the system refused: its files may be used up, and the log is not to fill.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; who comes later waits in the system's queue.
    pub connections: usize,
    /// How long a new connection may keep silent.
    pub first_byte_within: Duration,
    /// How long a request's head may take, and how long a connection may wait for its next request.
    pub head_within: Duration,
    /// How long a client may take nothing of its answer.
    pub read_within: Duration,
}

impl Limits {
    /// What this process can bear. Raises its limit of open files as far as it may.
    #[must_use]
    pub fn of_this_process() -> Self {
        let files = rlimit::increase_nofile_limit(u64::MAX)
            .or_else(|_| rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(soft, _)| soft))
            .unwrap_or(FILES_ASSUMED);
        Self {
            connections: connections_within(files),
            first_byte_within: FIRST_BYTE_WITHIN,
            head_within: HEAD_WITHIN,
            read_within: READ_WITHIN,
        }
    }
}

/// Serves until `stop`; then accepts nothing more and ends when the requests in flight are answered.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let http = http(limits);
    let places = Arc::new(Semaphore::new(limits.connections));
    let connections = GracefulShutdown::new();
    // Connections that have said nothing yet. A stop waits for none of them.
    let mut silent = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(heard) = silent.join_next(), if !silent.is_empty() => {
                if let Ok(Some((stream, place))) = heard {
                    give_up_after(&stream, limits.read_within);
                    tokio::spawn(converse(http.clone(), stream, router.clone(), connections.watcher(), place));
                }
                continue;
            }
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                silent.spawn(first_byte(stream, place, limits.first_byte_within));
            }
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "No connection can be accepted; callhook tries again in a second");
                tokio::select! {
                    () = &mut stop => break,
                    () = tokio::time::sleep(PAUSE_AFTER_FAILURE) => {}
                }
            }
        }
    }
    drop(listener);
    drop(silent);
    connections.shutdown().await;
}

/// The connection with its place, once its client has said something; `None` where it keeps silent.
async fn first_byte(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    within: Duration,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    // Not `readable`, which may say so when there is nothing.
    let heard = tokio::time::timeout(within, stream.peek(&mut [0])).await;
    matches!(heard, Ok(Ok(1..))).then_some((stream, place))
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Has the system close the connection once what was sent was not taken for so long.
fn give_up_after(stream: &TcpStream, within: Duration) {
    let within = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, within) {
        tracing::debug!(%error, "A client that stops reading is not found out");
    }
}

async fn converse(
    http: http1::Builder,
    stream: TcpStream,
    router: Router,
    watcher: Watcher,
    place: OwnedSemaphorePermit,
) {
    // Only makes small answers leave sooner: no reason to refuse the client.
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok();
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        router.call(request)
    });
    let connection = watcher.watch(http.serve_connection(TokioIo::new(stream), service));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "A connection ended early");
    }
    drop(place);
}

fn http(limits: Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    http
}

fn connections_within(files: u64) -> usize {
    let left = files - FILES_RESERVED_MAX.min(files / 2);
    // Cannot fall back: the bound fits.
    usize::try_from(left.clamp(1, CONNECTIONS_MAX)).unwrap_or(1)
}

/// Whether a client was gone before it was accepted: the next one is not concerned.
fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use futures_util::stream;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::{Notify, mpsc, oneshot};
    use tokio::task::JoinHandle;

    const SHORT: Duration = Duration::from_millis(200);
    /// Far longer than anything here takes: what hangs fails.
    const HANGS: Duration = Duration::from_secs(20);

    struct Front {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        serving: JoinHandle<()>,
    }

    async fn start(router: Router, connections: usize, head_within: Duration) -> Front {
        start_within(
            router,
            Limits { connections, first_byte_within: head_within, head_within, read_within: HANGS },
        )
        .await
    }

    async fn start_within(router: Router, limits: Limits) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(listener, router, limits, async {
            let _ = stopped.await;
        }));
        Front { address, stop, serving }
    }

    fn hello() -> Router {
        Router::new().route("/", get(|| async { "hello" }))
    }

    impl Front {
        /// A client that has sent this much.
        async fn client(&self, sent: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            stream
        }
    }

    /// All that comes until the server closes.
    async fn until_closed(mut stream: TcpStream) -> String {
        let mut answer = Vec::new();
        tokio::time::timeout(HANGS, stream.read_to_end(&mut answer)).await.expect("closes").unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_client_that_does_not_finish_its_head_is_closed() {
        let front = start(hello(), 8, SHORT).await;
        for sent in ["", "GET / HTTP/1.1\r\nHos"] {
            let answer = until_closed(front.client(sent).await).await;
            assert!(!answer.contains("hello"), "{answer}");
        }
        let idle = front.client("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(until_closed(idle).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn a_new_connection_may_be_silent_for_less_time_than_a_head_may_take() {
        let limits =
            Limits { connections: 10, first_byte_within: SHORT, head_within: HANGS * 10, read_within: HANGS };
        let front = start_within(hello(), limits).await;
        assert_eq!(until_closed(front.client("").await).await, "");
        let slow = front.client("GET / HT").await;
        let heard = tokio::time::timeout(SHORT * 3, until_closed(slow)).await;
        assert!(heard.is_err(), "who has begun may go on");
    }

    #[tokio::test]
    async fn silent_clients_beyond_the_bound_keep_nobody_out_for_long() {
        let front = start(hello(), 2, SHORT).await;
        let mut silent = Vec::new();
        for _ in 0..6 {
            silent.push(front.client("").await);
        }
        let client = front.client("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(until_closed(client).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn no_more_clients_than_the_bound_are_served_at_a_time() {
        let front = start(hello(), 1, SHORT).await;
        let first = front.client("").await;
        let second = front.client("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let order = tokio::sync::Mutex::new(Vec::new());
        let noted = async |name, stream| {
            until_closed(stream).await;
            order.lock().await.push(name);
        };
        tokio::join!(noted("second", second), noted("first", first));
        assert_eq!(order.into_inner(), ["first", "second"]);
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_is_closed() {
        let (sending, mut gone) = mpsc::channel::<()>(1);
        let endless = get(move || {
            let sending = sending.clone();
            let chunk = move || {
                let _is_held = &sending;
                Ok::<_, io::Error>(vec![b'x'; BUFFER_BYTES_MAX])
            };
            async { Body::from_stream(stream::repeat_with(chunk)) }
        });
        let limits =
            Limits { connections: 8, first_byte_within: HANGS, head_within: HANGS, read_within: SHORT };
        let front = start_within(Router::new().route("/", endless), limits).await;
        let reads_nothing = front.client("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        // Nobody sends any more once the router and the answer are gone.
        front.stop.send(()).unwrap();
        tokio::time::timeout(HANGS, gone.recv()).await.expect("closes");
        drop(reads_nothing);
    }

    #[tokio::test]
    async fn a_head_beyond_the_bounds_is_refused() {
        let front = start(hello(), 8, HANGS).await;
        let many = "X-A: b\r\n".repeat(HEADERS_MAX + 1);
        let large = format!("X-A: {}\r\n", "b".repeat(HEAD_BYTES_MAX));
        for headers in [many, large] {
            let client = front.client(&format!("GET / HTTP/1.1\r\n{headers}\r\n")).await;
            let answer = until_closed(client).await;
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_stop_finishes_what_is_in_flight_and_closes_what_is_idle() {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (has_begun, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        let slow = get(move || async move {
            has_begun.notify_one();
            goes_on.notified().await;
            "slow"
        });
        let front = start(Router::new().route("/", slow), 8, HANGS).await;
        let idle = front.client("").await;
        let busy = front.client("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        begun.notified().await;
        front.stop.send(()).unwrap();
        assert_eq!(until_closed(idle).await, "");
        go_on.notify_one();
        assert!(until_closed(busy).await.ends_with("slow"));
        tokio::time::timeout(HANGS, front.serving).await.expect("ends").unwrap();
    }

    #[test]
    fn connections_leave_files_for_the_rest() {
        for (files, connections) in [(0, 1), (256, 128), (1_024, 512), (2_048, 1_024), (3_000, 1_976)] {
            assert_eq!(connections_within(files), connections, "{files}");
        }
        for files in [4_096, 1_048_576, u64::MAX] {
            assert_eq!(connections_within(files), 2_048, "{files}");
        }
    }
}
