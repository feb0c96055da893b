//! Call flows, numbers: merge patches, masked secrets, pages.

use super::{Caller, Server};
use serde_json::{Value, json};

async fn patch(server: &Server, flow: &str, patch: Value) -> super::Got {
    server.send(Caller::Member, "PATCH", &format!("/call-flows/{flow}"), &patch).await
}

/// The header that the test endpoint would really get.
async fn sent_token(server: &Server, flow: &str) -> Option<String> {
    server.bare(Caller::Member, "POST", &format!("/call-flows/{flow}/test-webhook")).await.expect(200);
    let sent = server.network.tests.lock().unwrap().pop().unwrap();
    sent.destination.settings.headers.get("X-Token").map(|secret| secret.reveal().to_owned())
}

#[tokio::test]
async fn only_a_name_is_required() {
    let server = Server::start().await;
    let flow = server.flow(&json!({"name": " Google Ads "})).await;
    let got = server.get(Caller::Viewer, &format!("/call-flows/{flow}")).await.expect(200).json();
    let flow = &got["data"]["call_flow"];
    assert_eq!(flow["name"], "Google Ads");
    assert_eq!((&flow["recording"], &flow["ai"]), (&json!(true), &json!({"enabled": true})));
    let webhook = json!({
        "enabled": false, "url": null, "wait_for_ai": false, "headers": {}, "retry_delays_seconds": null,
        "signing_secret": "whsec_••••",
    });
    assert_eq!(flow["post_call_webhook"], webhook);
    assert_eq!(flow.as_object().unwrap().len(), 8);
}

#[tokio::test]
async fn secrets_are_masked_and_masked_ones_stay() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let path = format!("/call-flows/{flow}");
    let got = server.get(Caller::Viewer, &path).await.json();
    assert_eq!(got["data"]["call_flow"]["post_call_webhook"]["headers"], json!({"X-Token": "••••"}));
    // The whole thing as it was read may be sent back.
    server.send(Caller::Member, "PUT", &path, &got["data"]["call_flow"]).await.expect(200);
    assert_eq!(sent_token(&server, &flow).await.as_deref(), Some("hunter2"));
    patch(&server, &flow, json!({"post_call_webhook": {"url": "https://hooks.example.com/other"}}))
        .await
        .expect(200);
    assert_eq!(sent_token(&server, &flow).await.as_deref(), Some("hunter2"));
    patch(&server, &flow, json!({"post_call_webhook": {"headers": {"X-Token": "new"}}})).await.expect(200);
    assert_eq!(sent_token(&server, &flow).await.as_deref(), Some("new"));
    patch(&server, &flow, json!({"post_call_webhook": {"headers": {"X-Token": null}}})).await.expect(200);
    assert_eq!(sent_token(&server, &flow).await, None);
}

#[tokio::test]
async fn a_masked_header_does_not_follow_the_url_to_another_server() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let field = Some("post_call_webhook.headers.X-Token");
    let away = json!({"post_call_webhook": {"url": "https://evil.example.net/"}});
    patch(&server, &flow, away.clone()).await.refused(422, field);
    let port = json!({"post_call_webhook": {"url": "https://hooks.example.com:8443/x"}});
    patch(&server, &flow, port).await.refused(422, field);
    let test = format!("/call-flows/{flow}/test-webhook");
    let unsaved =
        json!({"post_call_webhook": {"url": "https://evil.example.net/", "headers": {"X-Token": "••••"}}});
    server.send(Caller::Member, "POST", &test, &unsaved).await.refused(422, field);
    // Nor by way of no URL at all.
    patch(&server, &flow, json!({"post_call_webhook": {"enabled": false, "url": null}})).await.expect(200);
    patch(&server, &flow, away).await.refused(422, field);
    assert!(server.network.tests.lock().unwrap().is_empty());
    let both =
        json!({"post_call_webhook": {"url": "https://evil.example.net/", "headers": {"X-Token": "theirs"}}});
    patch(&server, &flow, both).await.expect(200);
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names() {
    let server = Server::start().await;
    let flow = server.webhook_flow(true).await;
    let got = patch(&server, &flow, json!({"source": "google", "ai": {"enabled": false}})).await.expect(200);
    let flow_now = &got.json()["data"]["call_flow"];
    assert_eq!((&flow_now["name"], &flow_now["source"]), (&json!("Google Ads"), &json!("google")));
    assert_eq!(flow_now["ai"]["enabled"], false);
    assert_eq!(flow_now["post_call_webhook"]["wait_for_ai"], true);
    let got = patch(&server, &flow, json!({"source": null, "ai": null})).await.expect(200).json();
    assert_eq!(got["data"]["call_flow"]["source"], Value::Null);
    assert_eq!(got["data"]["call_flow"]["ai"]["enabled"], true);
    patch(&server, &flow, json!({"name": null})).await.refused(422, Some("name"));
    patch(&server, &flow, json!({"id": "018f3c1e-0000-7000-8000-000000000000"}))
        .await
        .refused(422, Some("id"));
    patch(&server, &flow, json!({"ring_seconds": 25})).await.refused(422, Some("ring_seconds"));
    patch(&server, &flow, json!({"post_call_webhook": {"url": null}}))
        .await
        .refused(422, Some("post_call_webhook.url"));
    patch(&server, &flow, json!([])).await.refused(422, None);
}

#[tokio::test]
async fn put_takes_the_defaults_for_what_is_left_out() {
    let server = Server::start().await;
    let flow = server.webhook_flow(true).await;
    let path = format!("/call-flows/{flow}");
    let got = server.send(Caller::Member, "PUT", &path, &json!({"name": "y"})).await.expect(200).json();
    assert_eq!(got["data"]["call_flow"]["post_call_webhook"]["url"], Value::Null);
    assert_eq!(got["data"]["call_flow"]["post_call_webhook"]["headers"], json!({}));
}

#[tokio::test]
async fn a_rotated_secret_is_shown_once() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let path = format!("/call-flows/{flow}/webhook-secret/rotate");
    let got = server.bare(Caller::Admin, "POST", &path).await.expect(200);
    let secret = got.text("/data/signing_secret");
    assert!(secret.starts_with("whsec_") && secret.len() > 40);
    let flow_now = server.get(Caller::Admin, &format!("/call-flows/{flow}")).await;
    assert!(!String::from_utf8_lossy(&flow_now.bytes).contains(&secret));
    server.send(Caller::Admin, "POST", &path, &json!({"x": 1})).await.refused(422, Some("x"));
}

#[tokio::test]
async fn pages_stay_in_order_while_rows_are_added() {
    let server = Server::start().await;
    for index in 0..5 {
        server.flow(&json!({"name": format!("flow {index}")})).await;
    }
    let mut names = Vec::new();
    let mut path = "/call-flows?limit=2".to_owned();
    loop {
        let page = server.get(Caller::Viewer, &path).await.expect(200).json();
        let rows = page["data"]["call_flows"].as_array().unwrap();
        names.extend(rows.iter().map(|flow| flow["name"].as_str().unwrap().to_owned()));
        server.flow(&json!({"name": "added"})).await;
        match page["data"]["next_cursor"].as_str() {
            Some(cursor) => path = format!("/call-flows?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(names, ["flow 4", "flow 3", "flow 2", "flow 1", "flow 0"]);
}

#[tokio::test]
async fn numbers_are_normalised_and_unique() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let body = json!({"phone_number": "(573) 555-1234", "call_flow_id": flow, "utm_source": "google", "friendly_name": ""});
    let made = server.send(Caller::Member, "POST", "/numbers", &body).await.expect(201);
    assert_eq!(made.text("/data/number/phone_number"), "+15735551234");
    assert_eq!(made.json()["data"]["number"]["friendly_name"], Value::Null);
    server.send(Caller::Member, "POST", "/numbers", &body).await.refused(409, None);
    let path = format!("/numbers/{}", made.text("/data/number/id"));
    let change = json!({"call_flow_id": null, "utm_medium": "cpc"});
    let got = server.send(Caller::Member, "PATCH", &path, &change).await.expect(200).json();
    assert_eq!(got["data"]["number"]["call_flow_id"], Value::Null);
    assert_eq!(got["data"]["number"]["utm_source"], "google");
    assert_eq!(got["data"]["number"]["utm_medium"], "cpc");
    let nobody = json!({"call_flow_id": "018f3c1e-0000-7000-8000-000000000000"});
    server.send(Caller::Member, "PATCH", &path, &nobody).await.refused(422, Some("call_flow_id"));
}

#[tokio::test]
async fn retention_is_set_by_days_and_null_keeps_for_good() {
    let server = Server::start().await;
    let business = server.get(Caller::Viewer, "/business").await.expect(200).json();
    let business = &business["data"]["business"];
    assert_eq!(business["retention"], json!({"payload_days": null, "call_days": null}));
    let set = |body: Value| {
        let server = &server;
        async move { server.send(Caller::Admin, "PATCH", "/business", &body).await }
    };
    let got = set(json!({"retention": {"payload_days": 30}})).await.expect(200).json();
    assert_eq!(got["data"]["business"]["retention"], json!({"payload_days": 30, "call_days": null}));
    let got = set(json!({"retention": {"call_days": 365}})).await.expect(200).json();
    assert_eq!(got["data"]["business"]["retention"], json!({"payload_days": 30, "call_days": 365}));
    // The whole thing as it was read may be sent back.
    set(got["data"]["business"].clone()).await.expect(200);
    for days in [json!(0), json!(3_651), json!(-1)] {
        set(json!({"retention": {"payload_days": days}})).await.refused(422, Some("retention.payload_days"));
    }
    set(json!({"retention": {"call_days": "9"}})).await.refused(422, Some("retention.call_days"));
    set(json!({"name": "Other"})).await.refused(422, Some("name"));
    let got = set(json!({"retention": null})).await.expect(200).json();
    assert_eq!(got["data"]["business"]["retention"], json!({"payload_days": null, "call_days": null}));
}
