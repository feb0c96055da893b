//! The shape of a success: `{"data": {…}}`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::idempotency::StoredResponse;
use utoipa::ToSchema;

/// A success.
#[derive(Debug, Serialize, ToSchema)]
pub struct Data<T> {
    /// What was asked for.
    pub data: T,
}

/// A rendered answer, which can be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    status: StatusCode,
    json: Vec<u8>,
}

impl Reply {
    /// Renders a success.
    pub fn new<T: Serialize>(status: StatusCode, data: T) -> Self {
        // Cannot fail: views are plain data with string keys.
        Self { status, json: serde_json::to_vec(&Data { data }).unwrap_or_default() }
    }

    /// Renders what was asked for.
    pub fn ok<T: Serialize>(data: T) -> Self {
        Self::new(StatusCode::OK, data)
    }

    /// Renders what was made.
    pub fn created<T: Serialize>(data: T) -> Self {
        Self::new(StatusCode::CREATED, data)
    }
}

impl From<Reply> for StoredResponse {
    fn from(reply: Reply) -> Self {
        Self { status: reply.status.as_u16(), body: reply.json }
    }
}

impl From<StoredResponse> for Reply {
    fn from(stored: StoredResponse) -> Self {
        Self { status: StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK), json: stored.body }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.json));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
