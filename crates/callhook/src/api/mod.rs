//! The HTTP API: a handler parses, authorises, runs one operation of [`crate::app`] or of the store, and renders.
//!
//! In reading order: [`auth`] says who asks, [`path`], [`list`] and [`body`] read what is asked, [`idempotency`] answers what was
//! asked before, [`envelope`] and [`error`] are the two shapes of an answer, [`request`] goes around all of it, [`kept`] holds
//! what is given again. Then a file for each noun. The OpenAPI document is made of the same routes, so that no path can be missing in it.

#![allow(unused_qualifications, reason = "the macros that document the operations qualify what they name")]

pub mod analysis;
pub mod api_key;
pub mod auth;
pub mod body;
pub mod business;
pub mod call;
pub mod call_flow;
pub mod delivery;
pub mod envelope;
pub mod error;
pub mod event;
pub mod export;
pub mod health;
pub mod idempotency;
pub mod kept;
pub mod limits;
pub mod list;
pub mod metrics;
pub mod number;
pub mod path;
pub mod recording;
pub mod redelivery;
pub mod request;
pub mod source;
pub mod source_callback;
pub mod statistics;
pub mod trace;

use crate::app::App;
use crate::telemetry::Requests;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use error::ErrorBody;
use std::sync::{Arc, OnceLock};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The base path of everything but health.
pub const BASE: &str = "/api/v1";

/// The API with health and metrics, and the counts of requests that it shows.
pub fn router() -> (Router<Arc<App>>, Arc<Requests>) {
    let (api, document) = documented().split_for_parts();
    let openapi_path = format!("{BASE}/openapi.json");
    let others = [&openapi_path, "/healthz", "/readyz", metrics::PATH].map(str::to_owned);
    let requests = Arc::new(Requests::new(document.paths.paths.into_keys().chain(others)));
    let api = api
        .route(&openapi_path, get(openapi_json))
        .merge(health::router())
        .merge(metrics::router(Arc::clone(&requests)));
    (api, requests)
}

/// The OpenAPI document of everything under [`BASE`].
#[must_use]
pub fn openapi() -> OpenApi {
    documented().into_openapi()
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "callhook",
        description = "Reports of phone calls in, webhooks out: retried, signed, every attempt on record.\n\n\
            Answers are `{\"data\": …}` or `{\"error\": {\"code\", \"message\", \"field\"}}`; every answer has an `X-Request-Id`."
    ),
    components(schemas(ErrorBody)),
    security(("api_key" = [])),
    modifiers(&ApiKeyScheme)
)]
struct Document;

struct ApiKeyScheme;

impl Modify for ApiKeyScheme {
    fn modify(&self, document: &mut OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some("An API key: `ch_key_` and 43 characters.".to_owned());
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("api_key", SecurityScheme::Http(scheme));
    }
}

fn documented() -> OpenApiRouter<Arc<App>> {
    let api = OpenApiRouter::new()
        .merge(configuration())
        .merge(calls())
        .merge(deliveries())
        .routes(routes!(recording::audio))
        .routes(routes!(source_callback::status, source_callback::status_by_get))
        .routes(routes!(source_callback::dial, source_callback::dial_by_get))
        .routes(routes!(source_callback::recording, source_callback::recording_by_get));
    OpenApiRouter::with_openapi(Document::openapi()).nest(BASE, api)
}

fn configuration() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(call_flow::list, call_flow::create))
        .routes(routes!(call_flow::read, call_flow::replace, call_flow::patch, call_flow::delete))
        .routes(routes!(call_flow::rotate_secret))
        .routes(routes!(call_flow::test_webhook))
        .routes(routes!(call_flow::payload_sample))
        .routes(routes!(number::list, number::create))
        .routes(routes!(number::read, number::patch, number::delete))
        .routes(routes!(business::read, business::patch))
        .routes(routes!(api_key::list, api_key::create))
        .routes(routes!(api_key::revoke))
        .routes(routes!(source::list, source::create))
        .routes(routes!(source::read, source::patch, source::delete))
}

fn calls() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(call::list, call::report))
        .routes(routes!(call::report_batch))
        .routes(routes!(export::export))
        .routes(routes!(call::read, call::patch, call::erase))
        .routes(routes!(recording::read, recording::attach))
        .routes(routes!(analysis::transcription))
        .routes(routes!(analysis::finish))
}

fn deliveries() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(delivery::list))
        .routes(routes!(redelivery::redeliver_matching))
        .routes(routes!(redelivery::read))
        .routes(routes!(statistics::read))
        .routes(routes!(event::stream))
        .routes(routes!(delivery::read))
        .routes(routes!(delivery::redeliver))
        .routes(routes!(delivery::cancel))
}

async fn openapi_json() -> Response {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    // Cannot fail: the document is plain data with string keys.
    let json = DOCUMENT.get_or_init(|| openapi().to_json().unwrap_or_default());
    ([("content-type", "application/json")], json.as_str()).into_response()
}

#[cfg(test)]
mod tests;
