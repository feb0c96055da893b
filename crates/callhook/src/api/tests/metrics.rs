//! `/metrics` over a real store: what it counts, what it never names, and what it costs to ask.

use super::{Caller, Server};
use serde_json::json;
use std::time::Duration;

impl Server {
    async fn metrics(&self) -> String {
        let got = self.get(Caller::Anonymous, "/metrics").await.expect(200);
        assert_eq!(got.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        String::from_utf8(got.bytes.to_vec()).unwrap()
    }
}

#[track_caller]
fn check(page: &str, expected: &str) {
    assert!(page.lines().any(|line| line == expected), "{expected} is not on the page:\n{page}");
}

#[tokio::test]
async fn requests_are_shown_by_route_and_not_by_path() {
    let server = Server::start().await;
    let id = "0198f0a0-0000-7000-8000-000000000001";
    server.get(Caller::Admin, &format!("/calls/{id}")).await.expect(404);
    server.get(Caller::Admin, "/calls").await.expect(200);
    let page = server.metrics().await;
    let count = |route, status| {
        format!(r#"callhook_http_requests_total{{method="GET",route="{route}",status="{status}"}} 1"#)
    };
    check(&page, &count("/api/v1/calls/{id}", "4xx"));
    check(&page, &count("/api/v1/calls", "2xx"));
    assert!(!page.contains(id), "{page}");
}

#[tokio::test]
async fn reports_are_shown_by_what_became_of_them() {
    let server = Server::start().await;
    let report = |caller: &str| json!({"source_call_id": "CA1", "status": "completed", "caller_number": caller, "tracking_number": "+15735551234"});
    server.send(Caller::Member, "POST", "/calls", &report("+13055559876")).await.expect(201);
    server.send(Caller::Member, "POST", "/calls", &report("+13055559876")).await.expect(200);
    server.send(Caller::Member, "POST", "/calls", &report("x\ny")).await.expect(422);
    let batch = json!({"calls": [report("+13055559876"), report("x\ny")]});
    server.send(Caller::Member, "POST", "/calls/batch", &batch).await.expect(200);
    let page = server.metrics().await;
    for (result, count) in [("created", 1), ("known", 2), ("refused", 2)] {
        check(&page, &format!(r#"callhook_calls_reported_total{{result="{result}"}} {count}"#));
    }
}

#[tokio::test]
async fn the_oldest_due_delivery_is_shown_by_the_stores_account_and_nobody_is_named() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let call = server.call(&flow).await;
    server.advance(Duration::from_secs(90));
    let page = server.metrics().await;
    check(&page, "callhook_deliveries_due 1");
    check(&page, "callhook_deliveries_waiting 0");
    check(&page, "callhook_destinations_pending 1");
    let age = page.lines().find_map(|line| line.strip_prefix("callhook_oldest_due_seconds ")).unwrap();
    assert!((90.0..91.0).contains(&age.parse().unwrap()), "{age}");
    for named in ["hooks.example.com", "Google Ads", "3055559876", &flow, &call, "default"] {
        assert!(!page.contains(named), "{named} is on the page");
    }
}

#[tokio::test]
async fn the_backlog_is_read_once_in_five_seconds_however_often_it_is_asked_for() {
    let server = Server::start().await;
    check(&server.metrics().await, "callhook_deliveries_due 0");
    let flow = server.webhook_flow(false).await;
    server.call(&flow).await;
    let page = server.metrics().await;
    check(&page, "callhook_deliveries_due 0");
    check(&page, r#"callhook_calls_reported_total{result="created"} 1"#);
    server.advance(Duration::from_secs(5));
    check(&server.metrics().await, "callhook_deliveries_due 1");
}
