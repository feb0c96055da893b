//! Sources: masked tokens, signed callbacks, a call out of its legs.

use super::{Caller, Got, Server};
use crate::app::source::run_due;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use std::time::Duration;
use store::source::{LegEffect, LegStep};

const AUTH_TOKEN: &str = "12345";

/// Signs a request as the phone system does.
fn signature(token: &str, url: &str, parameters: &[(&str, &str)]) -> String {
    let mut sorted = parameters.to_vec();
    sorted.sort_unstable();
    let text = sorted.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

async fn callback(server: &Server, url: &str, token: &str, parameters: &[(&str, &str)]) -> Got {
    let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let path = url.replace("https://calls.example.com/api/v1", "");
    let request = server
        .request(Caller::Anonymous, "POST", &path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-twilio-signature", signature(token, url, parameters));
    server.run(request.body(Body::from(body)).unwrap()).await
}

async fn source(server: &Server, dial: bool) -> Value {
    let body = json!({"kind": "twilio", "name": "Main", "auth_token": AUTH_TOKEN, "dial": dial});
    server.send(Caller::Admin, "POST", "/sources", &body).await.expect(201).json()["data"]["source"].clone()
}

fn url<'a>(source: &'a Value, endpoint: &str) -> &'a str {
    source["urls"][endpoint].as_str().unwrap()
}

const COMPLETED: [(&str, &str); 6] = [
    ("CallSid", "CA1"),
    ("CallStatus", "completed"),
    ("Direction", "inbound"),
    ("From", "+13055559876"),
    ("To", "+15735551234"),
    ("CallDuration", "145"),
];

async fn calls(server: &Server) -> Vec<Value> {
    server.get(Caller::Viewer, "/calls").await.json()["data"]["calls"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_tokens_mask_keeps_it() {
    let server = Server::start().await;
    let made = source(&server, false).await;
    assert_eq!((&made["auth_token"], &made["kind"]), (&json!("••••"), &json!("twilio")));
    let path = format!("/sources/{}", made["id"].as_str().unwrap());
    let got = server.get(Caller::Admin, &path).await.expect(200).json()["data"]["source"].clone();
    assert_eq!(got, made);
    let patched = server.send(Caller::Admin, "PATCH", &path, &made).await.expect(200).json();
    assert_eq!(patched["data"]["source"]["urls"], made["urls"]);
    callback(&server, url(&made, "status"), AUTH_TOKEN, &COMPLETED).await.expect(204);
    let moved = json!({"urls": {"status": "x"}});
    server.send(Caller::Admin, "PATCH", &path, &moved).await.refused(422, Some("urls"));
    server.send(Caller::Admin, "PATCH", &path, &json!({"auth_token": "new"})).await.expect(200);
    callback(&server, url(&made, "status"), AUTH_TOKEN, &COMPLETED).await.refused(403, None);
}

#[tokio::test]
async fn a_signed_callback_records_the_call_once() {
    let server = Server::start().await;
    let made = source(&server, false).await;
    let status = url(&made, "status");
    callback(&server, status, "wrong", &COMPLETED).await.refused(403, None);
    let unsigned =
        server.request(Caller::Anonymous, "POST", &status.replace("https://calls.example.com/api/v1", ""));
    server.run(unsigned.body(Body::empty()).unwrap()).await.refused(403, None);
    assert!(calls(&server).await.is_empty());
    for _ in 0..2 {
        callback(&server, status, AUTH_TOKEN, &COMPLETED).await.expect(204);
    }
    let calls = calls(&server).await;
    assert_eq!(calls.len(), 1);
    assert_eq!((&calls[0]["source_call_id"], &calls[0]["duration_seconds"]), (&json!("CA1"), &json!(145)));
    assert_eq!(calls[0]["reported_by"], made["id"]);
    let recording = [
        ("CallSid", "CA1"),
        ("RecordingUrl", "https://api.twilio.example/r/1"),
        ("RecordingStatus", "completed"),
        ("RecordingDuration", "138"),
    ];
    callback(&server, url(&made, "recording"), AUTH_TOKEN, &recording).await.expect(204);
    assert_eq!(super::sources::calls(&server).await[0]["recording"]["duration_seconds"], 138);
}

#[tokio::test]
async fn a_call_waits_for_its_leg_and_ends_without_it() {
    let server = Server::start().await;
    let made = source(&server, true).await;
    callback(&server, url(&made, "status"), AUTH_TOKEN, &COMPLETED).await.expect(204);
    assert!(calls(&server).await.is_empty());
    server.advance(Duration::from_secs(8));
    run_due(&server.app).await.unwrap();
    assert!(calls(&server).await.is_empty(), "the leg is waited for");
    let dial = [
        ("CallSid", "CA1"),
        ("DialCallSid", "CA2"),
        ("DialCallStatus", "no-answer"),
        ("Direction", "inbound"),
        ("From", "+13055559876"),
        ("To", "+15735551234"),
    ];
    let answer = callback(&server, url(&made, "dial"), AUTH_TOKEN, &dial).await.expect(200);
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    assert!(String::from_utf8_lossy(&answer.bytes).ends_with("<Response/>"));
    server.advance(Duration::from_secs(11));
    run_due(&server.app).await.unwrap();
    let calls = calls(&server).await;
    assert_eq!((calls.len(), &calls[0]["status"]), (1, &json!("no-answer")));
}

#[tokio::test]
async fn calls_that_cannot_be_ended_do_not_hold_up_the_others() {
    let server = Server::start().await;
    let made = source(&server, true).await;
    let store = &server.app.store;
    let token = url(&made, "status").rsplit('/').nth(1).unwrap().to_owned();
    let found = store.source_by_token(Secret::new(token)).await.unwrap();
    let now = server.app.now();
    for number in 0..150 {
        let change = Box::new(move |_: Option<&str>, _| {
            Ok(LegStep { state: "nonsense".into(), due_at: Some(now), effect: LegEffect::Nothing })
        });
        store.step_source_call(found.business_id, found.id, format!("stuck {number}"), change).await.unwrap();
    }
    callback(&server, url(&made, "status"), AUTH_TOKEN, &COMPLETED).await.expect(204);
    server.advance(Duration::from_mins(1));
    run_due(&server.app).await.unwrap();
    assert_eq!(calls(&server).await.len(), 1);
    assert!(store.due_source_calls(server.app.now(), 1).await.unwrap().is_empty(), "they are put off");
    let later = server.app.now().after(Duration::from_mins(10));
    assert_eq!(store.due_source_calls(later, 500).await.unwrap().len(), 150, "and looked at again");
}

#[tokio::test]
async fn callbacks_of_nobody_and_wrong_ones_are_refused() {
    let server = Server::start().await;
    let made = source(&server, false).await;
    let nobody = "https://calls.example.com/api/v1/sources/twilio/x/status";
    callback(&server, nobody, AUTH_TOKEN, &COMPLETED).await.refused(404, None);
    let status = url(&made, "status");
    callback(&server, status, AUTH_TOKEN, &[("CallStatus", "completed")]).await.refused(422, Some("CallSid"));
    let large = "x".repeat(70_000);
    callback(&server, status, AUTH_TOKEN, &[("CallSid", &large)]).await.refused(413, None);
    let query = "CallSid=CA9&CallStatus=busy&From=%2B13055559876&To=%2B15735551234";
    let get_url = format!("{status}?{query}");
    let request = server
        .request(Caller::Anonymous, "GET", &get_url.replace("https://calls.example.com/api/v1", ""))
        .header("x-twilio-signature", signature(AUTH_TOKEN, &get_url, &[]));
    server.run(request.body(Body::empty()).unwrap()).await.expect(204);
    assert_eq!(calls(&server).await[0]["status"], "busy");
}
