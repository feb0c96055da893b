//! Recordings: streamed through, or said not to be there.

use super::{Caller, Server, SourceAnswer};
use axum::body::Body;
use domain::limits::RECORDING_WAIT;
use serde_json::json;

async fn audio_path(server: &Server, call: &str) -> String {
    let got = server.get(Caller::Viewer, &format!("/calls/{call}")).await;
    got.text("/data/call/recording/url").replace("https://calls.example.com/api/v1", "")
}

#[tokio::test]
async fn an_expected_recording_is_waited_for_a_day() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let call = server.call(&flow).await;
    let path = audio_path(&server, &call).await;
    let got = server.get(Caller::Anonymous, &path).await;
    assert_eq!(got.header("retry-after"), Some("30"));
    got.refused(404, None);
    server.advance(RECORDING_WAIT);
    let got = server.get(Caller::Anonymous, &path).await;
    assert_eq!(got.header("retry-after"), None);
    got.refused(404, None);
    assert!(server.network.fetched.lock().unwrap().is_empty());
    server.get(Caller::Anonymous, "/audio/0123456789abcdef0123456789abcdef.mp3").await.refused(404, None);
    server.get(Caller::Anonymous, "/audio/x").await.refused(404, None);
}

#[tokio::test]
async fn the_source_is_passed_through() {
    let server = Server::start().await;
    let flow = server.webhook_flow(false).await;
    let call = server.call(&flow).await;
    let recording = json!({"url": "https://api.example.com/r/1", "duration_seconds": 5});
    let path = format!("/calls/{call}/recording");
    server.send(Caller::Member, "PUT", &path, &recording).await.expect(200);
    let got = server.get(Caller::Viewer, &path).await.expect(200);
    assert_eq!(&got.bytes[..], b"audio");
    for (header, value) in [
        ("content-type", "audio/mpeg"),
        ("cache-control", "private"),
        ("x-content-type-options", "nosniff"),
        ("content-length", "5"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(got.header(header), Some(value), "{header}");
    }
    let link = audio_path(&server, &call).await;
    for (answer, status) in [
        (SourceAnswer::Audio { status: 206, content_type: Some("audio/x-wav") }, 206),
        (SourceAnswer::Audio { status: 416, content_type: Some("text/html") }, 416),
    ] {
        *server.network.recording.lock().unwrap() = answer;
        let request = server.request(Caller::Anonymous, "GET", &link).header("range", "bytes=0-4");
        let got = server.run(request.body(Body::empty()).unwrap()).await.expect(status);
        assert_eq!(got.header("content-range"), Some("bytes 0-4/10"));
        let is_audio = got.header("content-type").is_some_and(|kind| kind.starts_with("audio/"));
        assert_eq!(is_audio, status == 206);
    }
    let fetched = server.network.fetched.lock().unwrap().pop().unwrap();
    assert_eq!(
        (fetched.0.as_str(), fetched.1.unwrap().to_str().unwrap()),
        ("https://api.example.com/r/1", "bytes=0-4")
    );
    *server.network.recording.lock().unwrap() = SourceAnswer::NotThere;
    server.get(Caller::Anonymous, &link).await.refused(404, None);
    *server.network.recording.lock().unwrap() = SourceAnswer::Failed;
    server.get(Caller::Anonymous, &link).await.refused(502, None);
}
