//! What came of an attempt, bounded: the final answer's head, the first bytes of its body, times, and the failure in facts.

use super::hop::Answer;
use super::limits;
use super::pool::Pool;
use super::timeline::Phases;
use bytes::Bytes;
use domain::failure::Failure;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Body;
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What came of an attempt.
#[derive(Clone, PartialEq, Eq)]
pub struct Exchange {
    /// From the start until nothing more was read.
    pub duration_ms: u32,
    /// The final answer's status; `None` where there was none.
    pub status_code: Option<u16>,
    /// Why it failed; `None`: the final answer was a 2xx.
    pub failure: Option<Failure>,
    /// How long a 429 or 503 asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The address that gave the final answer, or at which the attempt ended.
    pub url: String,
    /// The address that was really connected there.
    pub remote_address: Option<String>,
    /// The final answer's headers, at most 50, their values cut to 1 KiB.
    pub response_headers: Vec<(String, String)>,
    /// The first 4 KiB of its body, as text.
    pub response_excerpt: Option<String>,
    /// How long the steps took.
    pub phases: Phases,
}

impl Exchange {
    /// Whether the destination has acknowledged the delivery.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.failure.is_none()
    }
}

impl fmt::Debug for Exchange {
    // Neither the URL's path nor what came back is for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("status_code", &self.status_code)
            .field("failure", &self.failure)
            .field("retry_after", &self.retry_after)
            .field("remote_address", &self.remote_address)
            .field("duration_ms", &self.duration_ms)
            .field("phases", &self.phases)
            .finish_non_exhaustive()
    }
}

/// The headers as they are kept.
pub(super) fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let kept = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let bytes = value.as_bytes();
        let is_cut = bytes.len() > limits::RESPONSE_HEADER_VALUE_BYTES_MAX;
        let shown = &bytes[..bytes.len().min(limits::RESPONSE_HEADER_VALUE_BYTES_MAX)];
        (name.as_str().to_owned(), text(shown, is_cut, limits::RESPONSE_HEADER_VALUE_BYTES_MAX))
    };
    headers.iter().take(limits::RESPONSE_HEADERS_KEPT_MAX).map(kept).collect()
}

/// Reads the first bytes of the answer's body until `deadline`, and keeps the connection if that was all of it. A body that is slow,
/// endless or broken takes nothing from the status, which has come.
pub(super) async fn excerpt(answer: Answer, pool: &Pool, deadline: Instant) -> String {
    let Answer { response, connection } = answer;
    let mut body = response.into_body();
    let mut read = Vec::new();
    while read.len() < limits::EXCERPT_BYTES_MAX {
        match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_else(|_| Bytes::new());
                let wanted = data.len().min(limits::EXCERPT_BYTES_MAX - read.len());
                read.extend_from_slice(&data[..wanted]);
            }
            Ok(None) => break,
            Ok(Some(Err(_))) | Err(_) => return text(&read, true, limits::EXCERPT_BYTES_MAX),
        }
    }
    let is_whole = body.is_end_stream();
    if is_whole {
        pool.give_back(connection);
    }
    text(&read, !is_whole, limits::EXCERPT_BYTES_MAX)
}

/// Bytes as text that every store takes, of at most so many bytes: what is no text takes three for each of its own. Half a character
/// at the place where the text was cut is left out.
fn text(bytes: &[u8], is_cut: bool, bytes_max: usize) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if is_cut && error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    let mut text = String::from_utf8_lossy(whole).replace('\0', "\u{fffd}");
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_text_that_can_be_stored() {
        for (bytes, is_cut, expected) in [
            (&b"ok"[..], false, "ok"),
            (b"a\0b", false, "a\u{fffd}b"),
            (b"\xff\xfeab", false, "\u{fffd}\u{fffd}ab"),
            ("caf\u{e9}".as_bytes(), true, "café"),
            (b"caf\xc3", true, "caf"),
            (b"caf\xc3", false, "caf\u{fffd}"),
            (b"\xff caf\xc3", true, "\u{fffd} caf\u{fffd}"),
        ] {
            assert_eq!(text(bytes, is_cut, 64), expected);
        }
    }

    #[test]
    fn bytes_that_are_no_text_take_no_more_room_than_text() {
        for (byte, characters) in [(0xff, 21), (0, 21), (b'x', 64)] {
            let kept = text(&[byte; 64], true, 64);
            assert_eq!((kept.chars().count(), kept.len() <= 64), (characters, true), "{byte}");
        }
    }

    #[test]
    fn headers_are_kept_within_bounds() {
        let mut headers = HeaderMap::new();
        for number in 0..60 {
            let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
            headers.insert(name, "é".repeat(1_000).parse().unwrap());
        }
        let kept = kept_headers(&headers);
        assert_eq!(kept.len(), 50);
        assert!(kept.iter().all(|(_, value)| *value == "é".repeat(512)));
    }
}
