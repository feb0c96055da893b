//! Every operation × (no key, wrong role, another business's id, own).

use super::{Caller, Server};
use crate::api::{openapi, request};
use crate::telemetry::Requests;
use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An operation: what it is called with, who may, and how it answers then.
struct Operation {
    method: &'static str,
    path: &'static str,
    body: Value,
    least: Caller,
    status: u16,
}

fn operation(method: &'static str, path: &'static str, body: Value, least: Caller, status: u16) -> Operation {
    Operation { method, path, body, least, status }
}

/// In an order in which each finds what it needs.
fn operations() -> Vec<Operation> {
    use Caller::{Admin, Member, Viewer};
    let none = Value::Null;
    let report = json!({"tracking_number": "+15735550000", "caller_number": "anonymous", "status": "busy"});
    vec![
        operation("GET", "/call-flows", none.clone(), Viewer, 200),
        operation("POST", "/call-flows", json!({"name": "x"}), Member, 201),
        operation("GET", "/call-flows/{flow}", none.clone(), Viewer, 200),
        operation("PATCH", "/call-flows/{flow}", json!({"source": "google"}), Member, 200),
        operation("POST", "/call-flows/{flow}/webhook-secret/rotate", none.clone(), Admin, 200),
        operation("POST", "/call-flows/{flow}/test-webhook", none.clone(), Member, 200),
        operation("GET", "/call-flows/{flow}/payload-sample", none.clone(), Viewer, 200),
        operation("GET", "/numbers", none.clone(), Viewer, 200),
        operation("POST", "/numbers", json!({"phone_number": "+15735550001"}), Member, 201),
        operation("GET", "/numbers/{number}", none.clone(), Viewer, 200),
        operation("PATCH", "/numbers/{number}", json!({"friendly_name": "x"}), Member, 200),
        operation("DELETE", "/numbers/{number}", none.clone(), Member, 204),
        operation("GET", "/business", none.clone(), Viewer, 200),
        operation("PATCH", "/business", json!({"retention": {"call_days": 365}}), Admin, 200),
        operation("GET", "/api-keys", none.clone(), Admin, 200),
        operation("POST", "/api-keys", json!({"name": "x", "role": "viewer"}), Admin, 201),
        operation("DELETE", "/api-keys/{key}", none.clone(), Admin, 204),
        operation("GET", "/sources", none.clone(), Admin, 200),
        operation("POST", "/sources", json!({"kind": "twilio", "name": "x", "auth_token": "y"}), Admin, 201),
        operation("GET", "/sources/{source}", none.clone(), Admin, 200),
        operation("PATCH", "/sources/{source}", json!({"dial": false}), Admin, 200),
        operation("DELETE", "/sources/{source}", none.clone(), Admin, 204),
        operation("GET", "/calls", none.clone(), Viewer, 200),
        operation("POST", "/calls", report.clone(), Member, 201),
        operation("POST", "/calls/batch", json!({"calls": [report]}), Member, 200),
        operation("GET", "/calls/export", none.clone(), Viewer, 200),
        operation("GET", "/calls/{call}", none.clone(), Viewer, 200),
        operation("PATCH", "/calls/{call}", json!({"value_cents": 1}), Member, 200),
        operation("PUT", "/calls/{call}/recording", json!({"url": "https://example.com/a.mp3"}), Member, 200),
        operation("GET", "/calls/{call}/recording", none.clone(), Viewer, 200),
        operation("GET", "/webhook-deliveries", none.clone(), Viewer, 200),
        operation("GET", "/webhook-deliveries/stats", none.clone(), Viewer, 200),
        operation("GET", "/webhook-deliveries/{delivery}", none.clone(), Viewer, 200),
        operation("POST", "/webhook-deliveries/{delivery}/cancel", none.clone(), Member, 200),
        operation("POST", "/webhook-deliveries/{delivery}/redeliver", none.clone(), Member, 202),
        operation(
            "POST",
            "/webhook-deliveries/redeliver",
            json!({"filter": {"status": "failed"}}),
            Member,
            202,
        ),
        operation("GET", "/redeliveries/{redelivery}", none.clone(), Viewer, 200),
        operation("PUT", "/calls/{call}/analysis", json!({"transcription": "Hello"}), Member, 200),
        operation("GET", "/calls/{call}/transcription", none.clone(), Viewer, 200),
        operation("DELETE", "/calls/{call}", none.clone(), Member, 204),
        operation("PUT", "/call-flows/{flow}", json!({"name": "y"}), Member, 200),
        operation("DELETE", "/call-flows/{flow}", none, Member, 204),
    ]
}

/// One of each thing.
struct Things(Vec<(&'static str, String)>);

impl Things {
    async fn make(server: &Server) -> Self {
        let flow = server.webhook_flow(true).await;
        let call = server.call(&flow).await;
        let made = |body: Value, path: &'static str, pointer: &'static str| async move {
            server.send(Caller::Admin, "POST", path, &body).await.expect(201).text(pointer)
        };
        let source = json!({"kind": "twilio", "name": "x", "auth_token": "y"});
        let key = json!({"name": "x", "role": "viewer"});
        let number = json!({"phone_number": "+15735551234"});
        let deliveries = server.get(Caller::Viewer, "/webhook-deliveries").await;
        let none = json!({"filter": {"status": "skipped"}});
        let redelivery = server.send(Caller::Admin, "POST", "/webhook-deliveries/redeliver", &none).await;
        Self(vec![
            ("{flow}", flow),
            ("{call}", call),
            ("{number}", made(number, "/numbers", "/data/number/id").await),
            ("{key}", made(key, "/api-keys", "/data/api_key/id").await),
            ("{source}", made(source, "/sources", "/data/source/id").await),
            ("{delivery}", deliveries.text("/data/webhook_deliveries/0/id")),
            ("{redelivery}", redelivery.text("/data/redelivery_id")),
        ])
    }

    fn path(&self, template: &str) -> String {
        self.0.iter().fold(template.to_owned(), |path, (name, id)| path.replace(name, id))
    }
}

async fn run(server: &Server, caller: Caller, operation: &Operation, path: &str) -> super::Got {
    if operation.body.is_null() {
        server.bare(caller, operation.method, path).await
    } else {
        server.send(caller, operation.method, path, &operation.body).await
    }
}

#[tokio::test]
async fn every_operation_knows_its_caller() {
    let server = Server::start().await;
    let things = Things::make(&server).await;
    for operation in &operations() {
        let path = things.path(operation.path);
        run(&server, Caller::Anonymous, operation, &path).await.refused(401, None);
        for (caller, may) in [
            (Caller::Viewer, operation.least == Caller::Viewer),
            (Caller::Member, operation.least != Caller::Admin),
        ] {
            if !may {
                run(&server, caller, operation, &path).await.refused(403, None);
            }
        }
        if path != operation.path {
            run(&server, Caller::Other, operation, &path).await.refused(404, None);
            let template = operation.path;
            let nobody = template.replacen(['{', '}'], "", 2);
            run(&server, Caller::Admin, operation, &nobody).await.refused(404, None);
        }
    }
    for operation in &operations() {
        let path = things.path(operation.path);
        let got = run(&server, operation.least, operation, &path).await;
        assert_eq!(got.status, operation.status, "{} {path} {:?}", operation.method, got.json());
    }
}

#[test]
fn every_operation_with_a_key_is_in_the_table() {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["security"].is_null() {
                let path = path
                    .trim_start_matches("/api/v1")
                    .split('/')
                    .map(|part| if part.starts_with('{') { "{}" } else { part });
                documented.insert(format!("{method} {}", path.collect::<Vec<_>>().join("/")));
            }
        }
    }
    let mut tested: BTreeSet<String> = operations()
        .iter()
        .map(|operation| {
            let path = operation.path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
            format!("{} {}", operation.method.to_lowercase(), path.collect::<Vec<_>>().join("/"))
        })
        .collect();
    // A stream without an end has tests of its own.
    tested.insert("get /webhook-deliveries/events".to_owned());
    assert_eq!(documented, tested);
}

#[tokio::test]
async fn a_key_must_be_whole_and_valid() {
    let server = Server::start().await;
    let key = server.keys[0].reveal().to_owned();
    for header in [
        key.clone(),
        format!("Basic {key}"),
        format!("Bearer {}", &key[1..]),
        "Bearer ".to_owned(),
        "Bearer ch_key_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0".to_owned(),
    ] {
        let request = server.request(Caller::Anonymous, "GET", "/calls").header("authorization", &header);
        let got = server.run(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(got.header("www-authenticate"), Some("Bearer"), "{header}");
        got.refused(401, None);
    }
    let request =
        server.request(Caller::Anonymous, "GET", "/calls").header("authorization", format!("bearer {key}"));
    server.run(request.body(axum::body::Body::empty()).unwrap()).await.expect(200);
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_at_once() {
    let server = Server::start().await;
    server.get(Caller::Viewer, "/calls").await.expect(200);
    let keys = server.get(Caller::Admin, "/api-keys").await.json();
    let keys = keys["data"]["api_keys"].as_array().unwrap();
    let viewer = keys.iter().find(|key| key["role"] == "viewer").unwrap();
    let path = format!("/api-keys/{}", viewer["id"].as_str().unwrap());
    server.bare(Caller::Admin, "DELETE", &path).await.expect(204);
    server.get(Caller::Viewer, "/calls").await.refused(401, None);
    let listed = server.get(Caller::Admin, "/api-keys").await.json();
    let revoked = listed["data"]["api_keys"].as_array().unwrap().iter().find(|key| key["id"] == viewer["id"]);
    assert!(revoked.unwrap()["revoked_at"].is_string());
}

#[tokio::test]
async fn a_new_key_is_shown_once_and_opens_its_business() {
    let server = Server::start().await;
    let body = json!({"name": "CI", "role": "member"});
    let made = server.send(Caller::Admin, "POST", "/api-keys", &body).await.expect(201);
    let key = made.text("/data/api_key/key");
    assert_eq!(made.text("/data/api_key/hint"), key["ch_key_".len()..][..8]);
    let request =
        server.request(Caller::Anonymous, "GET", "/calls").header("authorization", format!("Bearer {key}"));
    server.run(request.body(axum::body::Body::empty()).unwrap()).await.expect(200);
    let listed = server.get(Caller::Admin, "/api-keys").await;
    assert!(!String::from_utf8_lossy(&listed.bytes).contains(&key));
    // Three of the harness, this one, and six more.
    for _ in 0..6 {
        server.send(Caller::Admin, "POST", "/api-keys", &body).await.expect(201);
    }
    server.send(Caller::Admin, "POST", "/api-keys", &body).await.refused(409, None);
}

#[tokio::test]
async fn a_panic_is_a_fault_in_the_envelope() {
    async fn panics() {
        panic!("a secret in the panic's message");
    }
    let mut server = Server::start().await;
    let around = (Arc::clone(&server.app), Arc::new(Requests::new([])));
    let around = axum::middleware::from_fn_with_state(around, request::around);
    server.router = Router::new().route("/healthz", get(panics)).layer(around);
    let got = server.get(Caller::Anonymous, "/healthz").await;
    assert!(!String::from_utf8_lossy(&got.bytes).contains("secret"));
    got.refused(500, None);
}

#[tokio::test]
async fn what_is_nowhere_and_what_does_not_fit_is_said_in_the_envelope() {
    let server = Server::start().await;
    server.get(Caller::Admin, "/nothing").await.refused(404, None);
    server.get(Caller::Admin, "/call-flows/x/destinations").await.refused(404, None);
    server.bare(Caller::Admin, "DELETE", "/calls").await.refused(405, None);
    server.bare(Caller::Admin, "TRACE", "/healthz").await.refused(405, None);
    server.get(Caller::Admin, "/calls/%ff").await.refused(404, None);
    server.get(Caller::Anonymous, "/healthz").await.expect(200);
    server.get(Caller::Anonymous, "/readyz").await.expect(200);
    server.get(Caller::Anonymous, "/metrics").await.expect(200);
}
