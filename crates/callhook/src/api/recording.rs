//! Recordings over HTTP: attached by address, streamed through from their source.

use super::auth::{Member, Viewer};
use super::body::Body;
use super::call::{CallData, shown};
use super::envelope::{Data, Reply};
use super::error::{ApiError, ErrorBody, Reading, Writing};
use super::limits::RECORDING_RETRY_SECONDS;
use super::path::Id;
use crate::app::call::RecordingDocument;
use crate::app::outbound::FetchedRecording;
use crate::app::recording::NoRecording;
use crate::app::{self, App};
use axum::body::Body as ResponseBody;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use domain::call::Call;
use domain::id::CallId;
use std::sync::Arc;

/// What a recording is where its source does not say.
const MP3: &str = "audio/mpeg";
/// What is passed on of anything that is no audio: no browser runs it.
const BYTES: &str = "application/octet-stream";

/// Attaches a recording that lies with the phone system.
#[utoipa::path(put, path = "/calls/{id}/recording", tag = "Calls", params(("id" = String, Path, format = "uuid")),
    request_body = RecordingDocument, responses((status = 200, body = Data<CallData>), Writing))]
pub async fn attach(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<CallId>,
    Body(body): Body<RecordingDocument>,
) -> Result<Reply, ApiError> {
    let recording = body.recording(&app.address_check)?;
    let call = app.store.attach_recording(scope.business_id, id, recording).await?;
    Ok(shown(call, &app.public_url))
}

/// The audio of a call's recording. 404 with `Retry-After` while it is expected.
#[utoipa::path(get, path = "/calls/{id}/recording", tag = "Calls",
    params(("id" = String, Path, format = "uuid"), ("Range" = Option<String>, Header)),
    responses((status = 200, body = Vec<u8>, content_type = "audio/mpeg"), (status = 206, body = Vec<u8>, content_type = "audio/mpeg"),
    (status = 416, description = "The range lies outside the recording."), (status = 502, body = ErrorBody), Reading))]
pub async fn read(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Id(id): Id<CallId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let call = app.store.call(scope.business_id, id).await?;
    stream(&app, &call, &headers).await
}

/// The audio behind a recording link: the token is the secret. 404 with `Retry-After` while it is expected.
#[utoipa::path(get, path = "/audio/{file}", tag = "Calls", security(()),
    params(("file" = String, Path, description = "`{token}.mp3`"), ("Range" = Option<String>, Header)),
    responses((status = 200, body = Vec<u8>, content_type = "audio/mpeg"), (status = 206, body = Vec<u8>, content_type = "audio/mpeg"),
    (status = 416, description = "The range lies outside the recording."), (status = 502, body = ErrorBody), Reading))]
pub async fn audio(
    State(app): State<Arc<App>>,
    Id(file): Id<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("there is no such recording");
    let (token, _) = file.split_once('.').ok_or_else(missing)?;
    let call = app.store.call_by_recording_token(token.to_owned()).await?;
    stream(&app, &call, &headers).await
}

async fn stream(app: &App, call: &Call, headers: &HeaderMap) -> Result<Response, ApiError> {
    let range = headers.get(header::RANGE).cloned();
    match app::recording::open(app, call, range).await {
        Ok(fetched) => Ok(response(fetched)),
        Err(NoRecording::NotYet) => {
            let message = "the recording is not there yet: come again after the time in Retry-After";
            Err(ApiError::not_found(message).retry_after(RECORDING_RETRY_SECONDS))
        }
        Err(NoRecording::None) => Err(ApiError::not_found("this call has no recording")),
        Err(NoRecording::SourceFailed(cause)) => {
            let message = "the phone system did not give the recording: try again later";
            Err(ApiError::bad_gateway(message, cause))
        }
    }
}

fn response(fetched: FetchedRecording) -> Response {
    let content_type = content_type(fetched.content_type.as_deref());
    let mut response = Response::new(ResponseBody::from_stream(fetched.body));
    *response.status_mut() = match fetched.status {
        206 => StatusCode::PARTIAL_CONTENT,
        416 => StatusCode::RANGE_NOT_SATISFIABLE,
        _ => StatusCode::OK,
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if fetched.accepts_ranges {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    if let Some(length) = fetched.content_length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if let Some(range) = fetched.content_range.and_then(|range| HeaderValue::try_from(range).ok()) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    response
}

/// Audio is passed on as what it is; a source that says nothing sends MP3.
fn content_type(given: Option<&str>) -> HeaderValue {
    let Some(given) = given else { return HeaderValue::from_static(MP3) };
    let is_audio = given.trim_start().to_ascii_lowercase().starts_with("audio/");
    is_audio.then(|| HeaderValue::from_str(given).ok()).flatten().unwrap_or(HeaderValue::from_static(BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: Option<&str>, expected: &str) {
        assert_eq!(content_type(given), expected);
    }

    #[test]
    fn only_audio_keeps_its_type() {
        check(None, "audio/mpeg");
        check(Some("audio/x-wav"), "audio/x-wav");
        check(Some("Audio/MPEG"), "Audio/MPEG");
        check(Some("text/html"), "application/octet-stream");
        check(Some("image/svg+xml"), "application/octet-stream");
        check(Some("application/octet-stream"), "application/octet-stream");
        check(Some("audio/mpeg\r\nx: y"), "application/octet-stream");
    }
}
