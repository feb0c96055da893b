//! Deliveries: looked into, sent again, cancelled; tests of a webhook; events.

use super::{Caller, Got, Server};
use axum::body::Body;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

async fn delivery_of(server: &Server, flow: &str) -> String {
    let got = server.get(Caller::Viewer, &format!("/webhook-deliveries?call_flow_id={flow}")).await;
    got.text("/data/webhook_deliveries/0/id")
}

#[tokio::test]
async fn a_delivery_shows_what_it_will_carry() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let call = server.call(&flow).await;
    let id = delivery_of(&server, &flow).await;
    let got = server.get(Caller::Viewer, &format!("/webhook-deliveries/{id}")).await.expect(200).json();
    let delivery = &got["data"]["webhook_delivery"];
    assert_eq!((&delivery["call_id"], &delivery["status"]), (&json!(call), &json!("scheduled")));
    assert_eq!((&delivery["destination_id"], &delivery["kind"]), (&Value::Null, &json!("call")));
    assert_eq!((&delivery["attempts"], &delivery["test"]), (&json!([]), &json!(false)));
    assert_eq!(delivery["payload"].as_object().unwrap().len(), 38);
    assert_eq!(
        (&delivery["payload"]["delivery_id"], &delivery["payload"]["attempt"]),
        (&json!(id), &json!(1))
    );
    let flow = server.webhook_flow(true).await;
    server.call(&flow).await;
    let id = delivery_of(&server, &flow).await;
    let got = server.get(Caller::Viewer, &format!("/webhook-deliveries/{id}")).await.expect(200).json();
    assert_eq!(got["data"]["webhook_delivery"]["payload"], Value::Null);
}

#[tokio::test]
async fn cancelling_and_sending_again_follow_the_states() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    server.call(&flow).await;
    let path = format!("/webhook-deliveries/{}", delivery_of(&server, &flow).await);
    let post = |action: &str| {
        let path = format!("{path}/{action}");
        let server = &server;
        async move { server.bare(Caller::Member, "POST", &path).await }
    };
    post("redeliver").await.refused(409, None);
    assert_eq!(post("cancel").await.expect(200).text("/data/webhook_delivery/status"), "cancelled");
    post("cancel").await.refused(409, None);
    assert_eq!(post("redeliver").await.expect(202).text("/data/webhook_delivery/status"), "scheduled");
}

#[tokio::test]
async fn redelivery_by_filter_counts_first() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    for _ in 0..3 {
        server.call(&flow).await;
    }
    let id = delivery_of(&server, &flow).await;
    server.bare(Caller::Member, "POST", &format!("/webhook-deliveries/{id}/cancel")).await.expect(200);
    let send = |dry_run: bool| {
        let body = json!({"filter": {"call_flow_id": flow, "test": false}, "dry_run": dry_run});
        let server = &server;
        async move { server.send(Caller::Member, "POST", "/webhook-deliveries/redeliver", &body).await }
    };
    assert_eq!(send(true).await.expect(200).json()["data"], json!({"redelivered": 1, "skipped": 2}));
    let begun = send(false).await.expect(202).json()["data"].clone();
    let id = &begun["redelivery_id"];
    assert_eq!(begun, json!({"redelivered": 1, "skipped": 2, "redelivery_id": id}));
    assert_eq!(send(true).await.expect(200).json()["data"], json!({"redelivered": 0, "skipped": 3}));
    let path = format!("/redeliveries/{}", id.as_str().unwrap());
    let redelivery = server.get(Caller::Viewer, &path).await.expect(200).json()["data"]["redelivery"].clone();
    let reasons = json!({"test": 0, "pending": 2, "switched_off": 0, "without_payload": 0, "unreadable": 0});
    let expected = json!({
        "id": id, "filter": {"call_flow_id": flow, "test": false}, "status": "ended", "matched": 3, "estimated": 1, "redelivered": 1,
        "skipped": 2, "skipped_for": reasons, "created_at": redelivery["created_at"], "resumes_at": null,
        "ended_at": redelivery["created_at"],
    });
    assert_eq!(redelivery, expected);
}

#[tokio::test]
async fn many_are_redelivered_in_the_background_and_the_same_request_again_names_the_same() {
    let server = Server::start().await;
    let flow = server.webhook_flow(true).await;
    let report = json!({"status": "completed", "caller_number": "+13055559876", "call_flow_id": flow});
    for calls in [400, 300] {
        let calls: Vec<_> = std::iter::repeat_n(&report, calls).collect();
        server.send(Caller::Member, "POST", "/calls/batch", &json!({"calls": calls})).await.expect(200);
    }
    let switch = async |enabled: bool| {
        let change = json!({"post_call_webhook": {"enabled": enabled}});
        server.send(Caller::Member, "PATCH", &format!("/call-flows/{flow}"), &change).await.expect(200);
        while server.app.store.run_job_step().await.unwrap() {}
    };
    switch(false).await;
    switch(true).await;
    let ask = async || {
        let request = server.request(Caller::Member, "POST", "/webhook-deliveries/redeliver");
        let request = request.header("content-type", "application/json").header("idempotency-key", "once");
        let body = json!({"filter": {"status": "cancelled"}}).to_string();
        server.run(request.body(Body::from(body)).unwrap()).await.expect(202).json()["data"].clone()
    };
    let begun = ask().await;
    let path = format!("/redeliveries/{}", begun["redelivery_id"].as_str().unwrap());
    let read =
        async || server.get(Caller::Viewer, &path).await.expect(200).json()["data"]["redelivery"].clone();
    let so_far = read().await;
    assert_eq!((&so_far["status"], &so_far["redelivered"]), (&json!("under_way"), &json!(500)));
    assert_eq!((&so_far["estimated"], &so_far["ended_at"]), (&json!(700), &Value::Null));
    assert_eq!(ask().await, begun);
    while server.app.store.run_job_step().await.unwrap() {}
    let ended = read().await;
    assert_eq!((&ended["status"], &ended["redelivered"]), (&json!("ended"), &json!(700)));
    assert_eq!(ask().await, begun, "also when it has ended");
}

#[tokio::test]
async fn a_test_uses_the_latest_call_or_the_sample_and_is_recorded() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let path = format!("/call-flows/{flow}/test-webhook");
    let got = server.bare(Caller::Member, "POST", &path).await.expect(200).json();
    let data = &got["data"];
    assert_eq!(
        (&data["ok"], &data["status_code"], &data["duration_ms"]),
        (&json!(true), &json!(200), &json!(184))
    );
    assert_eq!(
        (&data["payload"]["transcription"], &data["payload"]["ai_score"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(data["payload"]["delivery_id"], data["delivery_id"]);
    let sent = server.network.tests.lock().unwrap().pop().unwrap();
    assert_eq!(sent.delivery_id.to_string(), data["delivery_id"].as_str().unwrap());
    let listed = server.get(Caller::Viewer, "/webhook-deliveries?test=true").await.json();
    let listed = &listed["data"]["webhook_deliveries"][0];
    assert_eq!(
        (&listed["id"], &listed["kind"], &listed["call_id"]),
        (&data["delivery_id"], &json!("test"), &Value::Null)
    );
    let detail =
        server.get(Caller::Viewer, &format!("/webhook-deliveries/{}", listed["id"].as_str().unwrap())).await;
    assert_eq!(detail.json()["data"]["webhook_delivery"]["payload"], data["payload"]);

    let call = server.call(&flow).await;
    *server.network.fails.lock().unwrap() = true;
    let got = server.bare(Caller::Member, "POST", &path).await.expect(200).json();
    assert_eq!((&got["data"]["ok"], &got["data"]["error"]), (&json!(false), &json!("http_404")));
    assert_eq!(got["data"]["payload"]["call_id"], json!(call));
}

#[tokio::test]
async fn a_test_takes_settings_that_are_not_saved() {
    let server = Server::start().await;
    let flow = server.flow(&json!({"name": "x"})).await;
    let path = format!("/call-flows/{flow}/test-webhook");
    server.bare(Caller::Member, "POST", &path).await.refused(422, Some("post_call_webhook.url"));
    let body = json!({"post_call_webhook": {"url": "https://hooks.example.com/new", "wait_for_ai": true}});
    let got = server.send(Caller::Member, "POST", &path, &body).await.expect(200).json();
    assert_eq!(got["data"]["payload"]["ai_score"], 85);
    let private = json!({"post_call_webhook": {"url": "http://127.0.0.1/"}});
    server.send(Caller::Member, "POST", &path, &private).await.refused(422, Some("post_call_webhook.url"));
    let saved = server.get(Caller::Viewer, &format!("/call-flows/{flow}")).await.json();
    assert_eq!(saved["data"]["call_flow"]["post_call_webhook"]["url"], Value::Null);
    assert_eq!(server.network.tests.lock().unwrap().len(), 1);
}

/// Sends a test in a task of its own.
fn send_test(server: &Server, caller: Caller, flow: &str, key: Option<&str>) -> JoinHandle<u16> {
    let mut request = server.request(caller, "POST", &format!("/call-flows/{flow}/test-webhook"));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let sending = server.router.clone().oneshot(request.body(Body::empty()).unwrap());
    tokio::spawn(async { sending.await.unwrap().status().as_u16() })
}

#[tokio::test]
async fn a_business_has_four_tests_under_way_at_the_most() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let webhook = json!({"url": "https://hooks.example.com/x"});
    let other = json!({"name": "x", "post_call_webhook": webhook});
    let other = server.send(Caller::Other, "POST", "/call-flows", &other).await.expect(201);
    let other = other.text("/data/call_flow/id");
    let path = format!("/call-flows/{flow}/test-webhook");
    let mut begun = server.network.tests_begun.subscribe();
    server.network.tests_end.send_replace(false);
    let mut sending: Vec<_> = (0..4).map(|_| send_test(&server, Caller::Member, &flow, None)).collect();
    begun.wait_for(|begun| *begun == 4).await.unwrap();
    let fifth = server.bare(Caller::Member, "POST", &path).await;
    assert!(fifth.header("retry-after").is_some());
    fifth.refused(503, None);
    sending.push(send_test(&server, Caller::Other, &other, None));
    begun.wait_for(|begun| *begun == 5).await.unwrap();
    server.network.tests_end.send_replace(true);
    for sent in sending {
        assert_eq!(sent.await.unwrap(), 200);
    }
    server.bare(Caller::Member, "POST", &path).await.expect(200);
}

#[tokio::test]
async fn a_test_that_is_under_way_is_not_sent_twice() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let mut begun = server.network.tests_begun.subscribe();
    server.network.tests_end.send_replace(false);
    let first = send_test(&server, Caller::Member, &flow, Some("t1"));
    begun.wait_for(|begun| *begun == 1).await.unwrap();
    assert_eq!(send_test(&server, Caller::Member, &flow, Some("t1")).await.unwrap(), 409);
    server.network.tests_end.send_replace(true);
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(send_test(&server, Caller::Member, &flow, Some("t1")).await.unwrap(), 200);
    assert_eq!(server.network.tests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_repeated_test_is_not_sent_again() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let send = || async {
        let request = server
            .request(Caller::Member, "POST", &format!("/call-flows/{flow}/test-webhook"))
            .header("idempotency-key", "t1");
        server.run(request.body(Body::empty()).unwrap()).await.expect(200)
    };
    assert_eq!(send().await.bytes, send().await.bytes);
    assert_eq!(server.network.tests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_sample_shows_all_fields_in_the_seeds_order() {
    let server = Server::start().await;
    let flow = server.webhook_flow(true).await;
    let got = server.get(Caller::Viewer, &format!("/call-flows/{flow}/payload-sample")).await.expect(200);
    let json = got.json();
    let sample = &json["data"]["payload_sample"];
    assert_eq!((sample.as_object().unwrap().len(), &sample["ai_score"]), (38, &json!(85)));
    let text = String::from_utf8_lossy(&got.bytes).into_owned();
    assert!(text.starts_with(r#"{"data":{"payload_sample":{"event":"call.completed","call_id":"#), "{text}");
}

#[tokio::test]
async fn statistics_count_what_ended() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    server.call(&flow).await;
    server.call(&flow).await;
    let id = delivery_of(&server, &flow).await;
    server.bare(Caller::Member, "POST", &format!("/webhook-deliveries/{id}/cancel")).await.expect(200);
    let got: Got =
        server.get(Caller::Viewer, &format!("/webhook-deliveries/stats?call_flow_id={flow}")).await;
    let stats = got.expect(200).json()["data"]["stats"].clone();
    assert_eq!((&stats["by_status"]["cancelled"], &stats["by_status"]["scheduled"]), (&json!(1), &json!(1)));
    assert_eq!((&stats["success_rate"], &stats["latency"]["p50_ms"]), (&Value::Null, &Value::Null));
    assert_eq!(stats["bucket_seconds"], 900);
    let last = stats["series"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["cancelled"], 1);
}

#[tokio::test]
async fn events_are_the_businesss_own_and_end_with_the_key_or_the_program() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let open = |caller: Caller| {
        let request =
            server.request(caller, "GET", "/webhook-deliveries/events").body(Body::empty()).unwrap();
        server.router.clone().oneshot(request)
    };
    server.get(Caller::Anonymous, "/webhook-deliveries/events").await.refused(401, None);
    let own = open(Caller::Viewer).await.unwrap();
    assert_eq!(own.headers()["content-type"], "text/event-stream");
    let other = open(Caller::Other).await.unwrap();
    let call = server.call(&flow).await;
    let mut own = own.into_body().into_data_stream();
    let event = String::from_utf8(own.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(event.starts_with("event: delivery\ndata: {\"delivery_id\":"), "{event}");
    assert!(event.contains(&call) && event.contains("\"scheduled\""), "{event}");
    for _ in 0..20 {
        server.call(&flow).await;
    }
    let event = String::from_utf8(own.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(event.starts_with("event: lagged\n"), "{event}");
    let keys = server.get(Caller::Admin, "/api-keys").await.json();
    let viewer = keys["data"]["api_keys"].as_array().unwrap().iter().find(|key| key["role"] == "viewer");
    let path = format!("/api-keys/{}", viewer.unwrap()["id"].as_str().unwrap());
    server.bare(Caller::Admin, "DELETE", &path).await.expect(204);
    assert!(own.next().await.is_none());
    server.shutdown.send_replace(true);
    let mut other = other.into_body().into_data_stream();
    assert!(other.next().await.is_none(), "nothing of another business was heard");
}
