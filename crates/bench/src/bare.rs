//! The bare pipeline: what the same work costs where nothing is stored, nobody is authenticated and nothing is retried.
//!
//! A report is parsed and checked by callhook's own types; its payload is made, signed and sent by a plain pooled client. Between
//! the two lies a bounded channel in memory.

use crate::Outcome;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callhook::app::call::CallDocument;
use domain::Timestamp;
use domain::analysis::Analysis;
use domain::call::{Call, EndedCall};
use domain::id::{BusinessId, CallId, DeliveryId};
use domain::payload::{AiFields, FrozenBody, Payload};
use domain::phone_number::Country;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Uri;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::Sha256;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

/// Calls that wait to be sent; beyond it the acknowledgement waits.
const QUEUE_MAX: usize = 4_096;
/// Attempts in flight, as many as callhook has slots.
const IN_FLIGHT_MAX: usize = 256;
/// Any key: its length is what counts.
const SIGNING_KEY: &[u8; 32] = b"a key of as many bytes as a hash";

struct Pipeline {
    queue: Option<mpsc::Sender<Call>>,
    acknowledged: AtomicU64,
}

/// Serves until the process is ended.
pub async fn serve(listen: SocketAddr, forward: Option<Uri>) -> Outcome<()> {
    let queue = forward.map(|target| {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(send_all(waiting, target));
        queue
    });
    let pipeline = Arc::new(Pipeline { queue, acknowledged: AtomicU64::new(0) });
    let router = Router::new()
        .route("/readyz", get(|| async { "ready" }))
        .route("/api/v1/calls", post(report))
        .with_state(pipeline);
    let listener = TcpListener::bind(listen).await?;
    Ok(axum::serve(listener, router).await?)
}

async fn report(State(pipeline): State<Arc<Pipeline>>, body: Bytes) -> Response {
    let number = pipeline.acknowledged.fetch_add(1, Ordering::Relaxed);
    let Some(call) = parse(&body, number) else { return StatusCode::BAD_REQUEST.into_response() };
    let answer = format!(r#"{{"data":{{"call":{{"id":"{}"}}}}}}"#, call.id);
    if let Some(queue) = &pipeline.queue
        && queue.send(call).await.is_err()
    {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    (StatusCode::CREATED, [("content-type", "application/json")], answer).into_response()
}

fn parse(body: &[u8], number: u64) -> Option<Call> {
    let document: CallDocument = serde_json::from_slice(body).ok()?;
    let country: Country = "US".parse().ok()?;
    let ended = document.ended_call(country, now(), &(Arc::new(|_: &_| Ok(())) as _)).ok()?;
    Some(call(ended, number))
}

/// A call as it would be stored.
fn call(ended: EndedCall, number: u64) -> Call {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let now = now();
    Call {
        id: CallId::from_bytes(id),
        business_id: BusinessId::from_bytes([1; 16]),
        reported_by: "api".to_owned(),
        source_call_id: ended.source_call_id,
        call_flow_id: ended.call_flow_id,
        call_flow_name: Some("Google Ads".to_owned()),
        number_id: None,
        tracking_number: ended.tracking_number,
        caller_number: ended.caller_number,
        destination_number: ended.destination_number,
        direction: ended.direction,
        status: ended.status,
        duration_seconds: ended.duration_seconds,
        started_at: ended.started_at,
        ended_at: ended.ended_at,
        recording_token: None,
        recording: ended.recording,
        analysis: Analysis { transcription: ended.transcription, ..Analysis::default() },
        ai_processed: false,
        attribution: ended.attribution,
        value_cents: ended.value_cents,
        cost_cents: ended.cost_cents,
        reported_at: now,
        updated_at: now,
    }
}

async fn send_all(mut waiting: mpsc::Receiver<Call>, target: Uri) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    while let Some(call) = waiting.recv().await {
        let slot = Arc::clone(&slots).acquire_owned().await;
        let (client, target) = (client.clone(), target.clone());
        tokio::spawn(async move {
            send(&client, target, &call).await;
            drop(slot);
        });
    }
}

async fn send(client: &Client<HttpConnector, Full<Bytes>>, target: Uri, call: &Call) {
    let id = DeliveryId::from_bytes(*call.id.as_bytes());
    let sent_at = now();
    let body = FrozenBody::freeze(&Payload::of(call, AiFields::AsReported, "http://127.0.0.1"));
    let body = body.stamped(sent_at, id, 1);
    let id = id.to_string();
    let request = http::Request::post(target)
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", (sent_at.as_millis() / 1_000).to_string())
        .header("webhook-signature", sign(&id, &body))
        .body(Full::from(body))
        .unwrap();
    if let Ok(answer) = client.request(request).await {
        // Read to its end, so that the connection can be used again.
        let _ = answer.into_body().collect().await;
    }
}

fn sign(id: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SIGNING_KEY).unwrap();
    mac.update(id.as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn now() -> Timestamp {
    Timestamp::from_millis(crate::load::now().as_millis())
}
