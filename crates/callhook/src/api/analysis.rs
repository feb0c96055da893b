//! What AI made of a call, over HTTP.

use super::auth::{Member, Viewer};
use super::body::Body;
use super::call::{CallData, shown};
use super::envelope::{Data, Reply};
use super::error::{ApiError, Reading, Writing};
use super::limits::LARGE_BODY_BYTES_MAX;
use super::path::Id;
use crate::app::App;
use crate::app::analysis::AnalysisDocument;
use axum::extract::State;
use domain::id::CallId;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A transcript.
#[derive(Debug, Serialize, ToSchema)]
pub struct TranscriptionData {
    /// The transcript.
    transcription: Transcription,
}

/// Full text of a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct Transcription {
    /// The call.
    #[schema(value_type = String, format = "uuid")]
    call_id: CallId,
    /// Its text.
    text: String,
}

/// Completes AI for a call: what waits for it is sent now.
#[utoipa::path(put, path = "/calls/{id}/analysis", tag = "Calls", params(("id" = String, Path, format = "uuid")),
    request_body = AnalysisDocument, responses((status = 200, body = Data<CallData>), Writing))]
pub async fn finish(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<CallId>,
    Body(body): Body<AnalysisDocument, LARGE_BODY_BYTES_MAX>,
) -> Result<Reply, ApiError> {
    let call = app.store.finish_analysis(scope.business_id, id, body.analysis()?).await?;
    Ok(shown(call, &app.public_url))
}

/// The transcript of a call; 404 while there is none.
#[utoipa::path(get, path = "/calls/{id}/transcription", tag = "Calls", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Data<TranscriptionData>), Reading))]
pub async fn transcription(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Id(id): Id<CallId>,
) -> Result<Reply, ApiError> {
    let call = app.store.call(scope.business_id, id).await?;
    let missing = || ApiError::not_found("this call has no transcription, or none yet");
    let text = call.analysis.transcription.ok_or_else(missing)?;
    Ok(Reply::ok(TranscriptionData { transcription: Transcription { call_id: id, text } }))
}
