//! `Idempotency-Key`: read from any POST; an answer that was kept is given again.

use super::envelope::Reply;
use super::error::ApiError;
use super::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};
use store::idempotency::{Answer, Once, Render};
use utoipa::IntoParams;

/// The header's name.
pub const HEADER: &str = "idempotency-key";

/// The header, for the documentation of every POST.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "the struct is the header's documentation; it is read below")]
pub struct IdempotencyKey {
    /// The same key with the same request gives the first answer again for 24 hours; with another request: 409.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

/// What the client says of repetitions: its key, and the hash of method, path and body.
pub fn once(parts: &Parts, body: &[u8]) -> Result<Option<Once>, ApiError> {
    let Some(value) = parts.headers.get(HEADER) else { return Ok(None) };
    let bytes = value.as_bytes();
    let fits =
        (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    if !fits || parts.headers.get_all(HEADER).iter().count() > 1 {
        return Err(ApiError::malformed(format!(
            "the Idempotency-Key cannot be used: one of 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters is expected"
        )));
    }
    let mut hash = Sha256::new();
    // Neither a method nor a path holds a line feed: no two requests have the same text.
    for part in [parts.method.as_str().as_bytes(), b"\n", parts.uri.to_string().as_bytes(), b"\n", body] {
        hash.update(part);
    }
    let key = String::from_utf8_lossy(bytes).into_owned();
    Ok(Some(Once { key, request_hash: hash.finalize().into() }))
}

/// What the store keeps of an answer, where the client named a key.
pub fn keep<T>(
    once: Option<Once>,
    render: impl Fn(&T) -> Reply + Send + 'static,
) -> Option<(Once, Render<T>)> {
    once.map(|once| {
        let render: Render<T> = Box::new(move |result| render(result).into());
        (once, render)
    })
}

/// The answer: rendered now, or as it was given the first time.
pub fn reply<T>(answer: Answer<T>, render: impl FnOnce(&T) -> Reply) -> Reply {
    match answer {
        Answer::New(result) => render(&result),
        Answer::Repeated(response) => response.into(),
    }
}
