//! What one attempt sends, as a destination's kind has made it.

use bytes::Bytes;
use domain::Timestamp;
use domain::destination::{DestinationUrl, HeaderList, SigningSecret};
use std::fmt;

/// One attempt's request. `Host`, `Content-Length` and `User-Agent` are the sender's own.
#[derive(Clone)]
pub struct Request {
    /// Where to.
    pub url: DestinationUrl,
    /// The user's own headers; one of them may be another `User-Agent`.
    pub headers: HeaderList,
    /// The body.
    pub body: Bytes,
    /// Its type.
    pub content_type: &'static str,
    /// The value of `webhook-id`.
    pub delivery_id: String,
    /// When the attempt begins: the value of `webhook-timestamp`, in seconds.
    pub sent_at: Timestamp,
    /// The secrets that sign it, the current one first.
    pub signing: Vec<SigningSecret>,
    /// Whether a person pressed the test button: said in the header `callhook-test`.
    pub test: bool,
}

impl fmt::Debug for Request {
    // Nothing of what is sent is for logs; the URL shows its host only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("url", &self.url).field("delivery_id", &self.delivery_id).finish_non_exhaustive()
    }
}
