//! The door to the network: what the operations ask of it, so that they can be tested without one.

use async_trait::async_trait;
use axum::http::HeaderValue;
use bytes::Bytes;
use domain::Timestamp;
use domain::delivery::Attempt;
use domain::destination::Destination;
use domain::id::DeliveryId;
use domain::payload::FrozenBody;
use domain::secret::Secret;
use futures_util::stream::BoxStream;
use std::io;
use std::sync::Arc;

/// Requests to other machines, every one of them through the address guard.
#[async_trait]
pub trait Outbound: Send + Sync + 'static {
    /// Makes the one attempt of a test webhook: number 1, marked by the header `callhook-test: true`, its body stamped with the
    /// attempt's `started_at`.
    async fn send_test(&self, test: TestRequest) -> TestSent;

    /// Opens a recording at its source, as far as `range` asks for.
    async fn fetch_recording(
        &self,
        url: &Secret,
        range: Option<HeaderValue>,
    ) -> Result<FetchedRecording, FetchFailed>;
}

/// A test webhook to be sent.
#[derive(Clone, Debug)]
pub struct TestRequest {
    /// The payload's `delivery_id`.
    pub delivery_id: DeliveryId,
    /// The settings under test, saved or not, and the flow's signing secrets. The URL is set; `enabled` has no meaning.
    pub destination: Arc<Destination>,
    /// The body but for what changes from attempt to attempt.
    pub body: Arc<FrozenBody>,
}

/// What came of a test webhook.
#[derive(Clone, Debug)]
pub struct TestSent {
    /// The exchange.
    pub attempt: Attempt,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// A recording that is being read from its source.
pub struct FetchedRecording {
    /// 200, 206 or 416: nothing else is a recording.
    pub status: u16,
    /// The source's `Content-Type`.
    pub content_type: Option<String>,
    /// The source's `Content-Length`.
    pub content_length: Option<u64>,
    /// The source's `Content-Range`.
    pub content_range: Option<String>,
    /// Whether the source takes ranges of bytes.
    pub accepts_ranges: bool,
    /// The audio.
    pub body: BoxStream<'static, io::Result<Bytes>>,
}

/// Why a recording could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailed {
    /// The source says that it has none (404, 410), or none yet.
    #[error("the source has no such recording")]
    NotThere,
    /// The source failed. The words are for the log, and hold no secret.
    #[error("{0}")]
    Failed(String),
}
