//! Calls: reported once, matched, corrected, completed by AI, exported; repeated requests.

use super::{Caller, Got, Server};
use axum::body::Body;
use serde_json::{Value, json};

async fn report(server: &Server, call: &Value) -> Got {
    server.send(Caller::Member, "POST", "/calls", call).await
}

#[tokio::test]
async fn a_report_is_completed_and_rendered_whole() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let number = json!({"phone_number": "+15735551234", "call_flow_id": flow, "utm_source": "google", "utm_term": "default"});
    server.send(Caller::Member, "POST", "/numbers", &number).await.expect(201);
    let got = report(
        &server,
        &json!({
            "source_call_id": "CA123", "tracking_number": "573-555-1234", "caller_number": "(305) 555-9876",
            "destination_number": "", "status": "completed", "started_at": "2026-03-30T10:30:00-04:00",
            "ended_at": "2026-03-30T14:32:25Z", "recording": {"url": "https://api.example.com/r/1", "duration_seconds": 138},
            "transcription": "Hi\u{0} 😀", "attribution": {"utm_term": "ac repair"}, "value_cents": 5000, "robo_score": 0,
        }),
    )
    .await
    .expect(201)
    .json();
    let call = &got["data"]["call"];
    assert_eq!(call["tracking_number"], "+15735551234");
    assert_eq!(call["caller_number"], "+13055559876");
    assert_eq!(call["destination_number"], Value::Null);
    assert_eq!((&call["direction"], &call["duration_seconds"]), (&json!("inbound"), &json!(145)));
    assert_eq!(call["started_at"], "2026-03-30T14:30:00Z");
    assert_eq!((&call["call_flow_id"], &call["call_flow_name"]), (&json!(flow), &json!("Google Ads")));
    assert_eq!(call["transcription"], "Hi\u{fffd} 😀");
    assert_eq!(call["attribution"]["utm_source"], "google");
    assert_eq!(call["attribution"]["utm_term"], "ac repair");
    assert_eq!(call["attribution"].as_object().unwrap().len(), 11);
    assert_eq!(call["recording"]["duration_seconds"], 138);
    let link = call["recording"]["url"].as_str().unwrap();
    assert!(link.starts_with("https://calls.example.com/api/v1/audio/"), "{link}");
    assert!(!got.to_string().contains("api.example.com"));
    let read = server.get(Caller::Viewer, &format!("/calls/{}", call["id"].as_str().unwrap())).await;
    assert_eq!(read.json(), got);
}

#[tokio::test]
async fn the_same_report_again_is_the_call_as_it_stands() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let body = json!({"source_call_id": "CA1", "call_flow_id": flow, "caller_number": "anonymous", "status": "busy"});
    let first = report(&server, &body).await.expect(201);
    let again = report(&server, &body).await.expect(200);
    assert_eq!(first.text("/data/call/id"), again.text("/data/call/id"));
    let deliveries = server.get(Caller::Viewer, "/webhook-deliveries").await.json();
    assert_eq!(deliveries["data"]["webhook_deliveries"].as_array().unwrap().len(), 1);
    // An erased call stays erased.
    let path = format!("/calls/{}", first.text("/data/call/id"));
    server.bare(Caller::Member, "DELETE", &path).await.expect(204);
    server.get(Caller::Viewer, &path).await.refused(404, None);
    report(&server, &body).await.refused(409, None);
}

#[tokio::test]
async fn a_call_for_an_unknown_number_is_kept_as_unmatched() {
    let server = Server::start().await;
    let body = json!({"tracking_number": "+15735550000", "caller_number": "sip:alice@example.com", "status": "no-answer"});
    let got = report(&server, &body).await.expect(201).json();
    assert_eq!(got["data"]["call"]["call_flow_id"], Value::Null);
    assert_eq!(got["data"]["call"]["caller_number"], "sip:alice@example.com");
    assert_eq!(got["data"]["call"]["recording"], Value::Null);
}

#[tokio::test]
async fn a_wrong_call_of_a_batch_is_refused_alone() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let good = |id: &str| json!({"source_call_id": id, "call_flow_id": flow, "caller_number": "x", "status": "busy"});
    let nobody = json!({"call_flow_id": "018f3c1e-0000-7000-8000-000000000000", "caller_number": "x", "status": "busy"});
    let calls = json!({"calls": [
        good("1"), {"caller_number": "x"}, good("1"), nobody, 5,
        {"call_flow_id": flow, "caller_number": "x", "status": "busy", "attribution": {"utm": 1}}, good("2"),
    ]});
    let got = server.send(Caller::Member, "POST", "/calls/batch", &calls).await.expect(200).json();
    let results = got["data"]["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 422, 200, 422, 422, 422, 201]);
    let fields: Vec<_> = results.iter().map(|result| result["error"]["field"].as_str()).collect();
    assert_eq!(
        fields,
        [None, Some("status"), None, Some("call_flow_id"), None, Some("attribution.utm"), None]
    );
    let many = json!({"calls": vec![good("3"); 501]});
    server.send(Caller::Member, "POST", "/calls/batch", &many).await.refused(422, Some("calls"));
    let most = json!({"calls": (0..500).map(|index| good(&format!("b{index}"))).collect::<Vec<_>>()});
    server.send(Caller::Member, "POST", "/calls/batch", &most).await.expect(200);
}

#[tokio::test]
async fn an_idempotency_key_gives_the_first_answer_again() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let send = |path: &'static str, key: String, body: Value| {
        let server = &server;
        async move {
            let request = server
                .request(Caller::Admin, "POST", path)
                .header("content-type", "application/json")
                .header("idempotency-key", key);
            server.run(request.body(Body::from(body.to_string())).unwrap()).await
        }
    };
    let call = json!({"call_flow_id": flow, "caller_number": "x", "status": "busy"});
    let first = send("/calls", "k1".into(), call.clone()).await.expect(201);
    let again = send("/calls", "k1".into(), call.clone()).await.expect(201);
    assert_eq!(first.bytes, again.bytes);
    let other = json!({"call_flow_id": flow, "caller_number": "y", "status": "busy"});
    send("/calls", "k1".into(), other).await.refused(409, None);
    send("/calls/batch", "k1".into(), json!({"calls": []})).await.refused(409, None);
    // A key whose request was refused is free.
    send("/calls", "k2".into(), json!({})).await.refused(422, Some("caller_number"));
    send("/calls", "k2".into(), call.clone()).await.expect(201);
    // What is shown once is shown again to whoever repeats the request.
    let key = json!({"name": "x", "role": "viewer"});
    let made = send("/api-keys", "k3".into(), key.clone()).await.expect(201);
    assert_eq!(send("/api-keys", "k3".into(), key).await.expect(201).bytes, made.bytes);
    for wrong in ["x".repeat(256), "a b".to_owned(), String::new()] {
        send("/calls", wrong, call.clone()).await.refused(400, None);
    }
    send("/calls", "x".repeat(255), call.clone()).await.expect(201);
    server.advance(std::time::Duration::from_hours(24));
    let later = send("/calls", "k1".into(), call).await.expect(201);
    assert_ne!(later.text("/data/call/id"), first.text("/data/call/id"));
}

#[tokio::test]
async fn a_correction_is_a_merge_patch() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let body = json!({
        "call_flow_id": flow, "caller_number": "x", "status": "busy", "value_cents": 5,
        "attribution": {"source": "google", "gclid": "g"},
    });
    let path = format!("/calls/{}", report(&server, &body).await.expect(201).text("/data/call/id"));
    let change =
        json!({"value_cents": null, "cost_cents": -15, "attribution": {"gclid": null, "fbclid": "f"}});
    let got = server.send(Caller::Member, "PATCH", &path, &change).await.expect(200).json();
    let call = &got["data"]["call"];
    assert_eq!((&call["value_cents"], &call["cost_cents"]), (&Value::Null, &json!(-15)));
    assert_eq!(call["attribution"]["source"], "google");
    assert_eq!((&call["attribution"]["gclid"], &call["attribution"]["fbclid"]), (&Value::Null, &json!("f")));
}

#[tokio::test]
async fn an_analysis_completes_ai_and_frees_what_waits() {
    let server = Server::start().await;
    let flow = server.webhook_flow(true).await;
    let call = server.call(&flow).await;
    let path = format!("/calls/{call}");
    server.get(Caller::Viewer, &format!("{path}/transcription")).await.refused(404, None);
    let waiting = server.get(Caller::Viewer, "/webhook-deliveries?status=waiting_for_ai").await.json();
    assert_eq!(waiting["data"]["webhook_deliveries"].as_array().unwrap().len(), 1);
    let analysis = r#"{"transcription": "Hi \ud83d there", "ai_score": 85, "ai_category": "lead", "qualified_ai": true}"#;
    let got = server
        .send_text(Caller::Member, "PUT", &format!("{path}/analysis"), analysis)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&got["data"]["call"]["ai_score"], &got["data"]["call"]["ai_processed"]),
        (&json!(85), &json!(true))
    );
    let text = server.get(Caller::Viewer, &format!("{path}/transcription")).await.expect(200);
    assert_eq!(text.text("/data/transcription/text"), "Hi \u{fffd} there");
    assert_eq!(text.text("/data/transcription/call_id"), call);
    let due = server.get(Caller::Viewer, "/webhook-deliveries?status=scheduled").await.json();
    assert_eq!(due["data"]["webhook_deliveries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    for (caller, status, source, seconds) in
        [("+13055550001", "completed", "google", 100), ("+13055550002", "busy", "bing", 0)]
    {
        let body = json!({
            "call_flow_id": flow, "caller_number": caller, "status": status, "duration_seconds": seconds,
            "attribution": {"source": source}, "started_at": "2026-03-30T10:00:00Z",
        });
        report(&server, &body).await.expect(201);
    }
    let other = "018f3c1e-0000-7000-8000-000000000000";
    for (query, expected) in [
        (String::new(), 2),
        ("status=busy".to_owned(), 1),
        ("direction=outbound".to_owned(), 0),
        ("source=google".to_owned(), 1),
        (format!("call_flow_id={flow}"), 2),
        (format!("call_flow_id={other}"), 0),
        ("min_duration=100".to_owned(), 1),
        ("max_duration=99".to_owned(), 1),
        ("search=550002".to_owned(), 1),
        ("start_date=2026-03-30&end_date=2026-03-30".to_owned(), 2),
        ("end_date=2026-03-29".to_owned(), 0),
        ("start_date=2026-03-31".to_owned(), 0),
        ("qualified=true".to_owned(), 0),
        ("min_ai_score=1".to_owned(), 0),
        ("status=busy&source=google".to_owned(), 0),
    ] {
        let got = server.get(Caller::Viewer, &format!("/calls?{query}")).await.expect(200).json();
        assert_eq!(got["data"]["calls"].as_array().unwrap().len(), expected, "{query}");
    }
}

#[tokio::test]
async fn an_export_is_safe_csv_of_all_that_match() {
    let server = Server::start().await;
    let flow = server.flow(&json!({"name": "=HYPERLINK(\"x\")"})).await;
    let call = |id: usize| json!({"source_call_id": id.to_string(), "call_flow_id": flow, "caller_number": "+13055559876", "status": "busy"});
    for batch in [0..500, 500..700] {
        let calls = json!({"calls": batch.map(call).collect::<Vec<_>>()});
        server.send(Caller::Member, "POST", "/calls/batch", &calls).await.expect(200);
    }
    let got = server.get(Caller::Viewer, "/calls/export?status=busy").await.expect(200);
    assert_eq!(got.header("content-type"), Some("text/csv; charset=utf-8"));
    let mut reader = csv::Reader::from_reader(&got.bytes[..]);
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 700);
    assert_eq!(&rows[0][column("caller_number")], "'+13055559876");
    assert_eq!(&rows[0][column("call_flow_name")], "'=HYPERLINK(\"x\")");
    let ids: Vec<_> = rows.iter().map(|row| row[column("source_call_id")].to_owned()).collect();
    let expected: Vec<_> = (0..700).rev().map(|id| id.to_string()).collect();
    assert_eq!(ids, expected);
    assert_eq!(headers.len(), 23 + 11 + 3);
    let none = server.get(Caller::Viewer, "/calls/export?status=failed").await.expect(200);
    assert_eq!(String::from_utf8_lossy(&none.bytes).lines().count(), 1);
    server.get(Caller::Viewer, "/calls/export?limit=5").await.refused(422, Some("limit"));
}
