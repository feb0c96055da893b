//! Fetching for callhook itself (a recording from the phone system), under the same guard as what is sent.

use super::connect::Connection;
use super::limits;
use bytes::Bytes;
use domain::failure::{Failure, Phase};
use http::{HeaderMap, HeaderValue};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep};
use url::Url;

/// What is fetched, by GET.
#[derive(Clone)]
pub struct Fetch {
    /// From where: http or https.
    pub url: Url,
    /// Headers that any host may see, such as `Range`.
    pub headers: HeaderMap,
    /// The value of `Authorization`, sent to the URL's own origin only.
    pub authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Fetch {
    // Neither the path nor the headers are for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// The final answer, whatever its status; its body is still on its way.
pub struct Fetched {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: FetchBody,
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetched")
            .field("status", &self.status)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// A body that fails when it is silent for too long. Dropping it closes the connection.
pub struct FetchBody {
    body: Incoming,
    connection: Connection,
    silence: Pin<Box<Sleep>>,
}

impl FetchBody {
    pub(super) fn new(body: Incoming, connection: Connection) -> Self {
        Self { body, connection, silence: Box::pin(sleep(limits::FETCH_IDLE_MAX)) }
    }

    fn host(&self) -> String {
        self.connection.origin.host.to_string()
    }
}

impl std::fmt::Debug for FetchBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchBody").field("host", &self.host()).finish_non_exhaustive()
    }
}

impl Body for FetchBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.silence.as_mut().reset(Instant::now() + limits::FETCH_IDLE_MAX);
            let broken =
                |_| Failure::Protocol { host: self.host(), reason: domain::failure::ProtocolFailure::Closed };
            return Poll::Ready(frame.map(|frame| frame.map_err(broken)));
        }
        if self.silence.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Failure::Timeout {
            host: self.host(),
            limit: limits::FETCH_IDLE_MAX,
            phase: Phase::Wait,
            connected_in: None,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
