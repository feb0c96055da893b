//! Recordings stream through from their source, or are said not to be there (yet).

use super::App;
use super::outbound::{FetchFailed, FetchedRecording};
use axum::http::HeaderValue;
use domain::call::Call;
use domain::limits::RECORDING_WAIT;

/// Why no audio comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRecording {
    /// It is expected and has not come yet.
    NotYet,
    /// There is none, or none any more.
    None,
    /// The source failed; the words are for the log.
    SourceFailed(String),
}

/// Opens a call's recording at its source, as far as `range` asks for.
pub async fn open(
    app: &App,
    call: &Call,
    range: Option<HeaderValue>,
) -> Result<FetchedRecording, NoRecording> {
    let missing = || if is_awaited(app, call) { NoRecording::NotYet } else { NoRecording::None };
    let recording = call.recording.as_ref().ok_or_else(missing)?;
    match app.outbound.fetch_recording(&recording.url, range).await {
        Ok(fetched) => Ok(fetched),
        // A phone system names the recording's address before the file can be fetched there.
        Err(FetchFailed::NotThere) => Err(missing()),
        Err(FetchFailed::Failed(words)) => Err(NoRecording::SourceFailed(words)),
    }
}

/// A link exists, so one was expected; it may still come within a day of the call's end.
fn is_awaited(app: &App, call: &Call) -> bool {
    call.recording_token.is_some() && app.now() < call.ended_at.after(RECORDING_WAIT)
}
