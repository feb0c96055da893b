//! Fetching: the same guard, authorization that stays at home, a body that may not fall silent.

use super::*;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use url::Url;

fn fetch(url: &str) -> Fetch {
    let mut headers = HeaderMap::new();
    headers.insert("range", HeaderValue::from_static("bytes=0-9"));
    let authorization = Some(HeaderValue::from_static("Basic aHVudGVyMg=="));
    Fetch { url: Url::parse(url).unwrap(), headers, authorization }
}

#[tokio::test]
async fn a_fetch_gives_status_headers_and_the_whole_body() {
    let body = "x".repeat(200_000);
    let receiver =
        Receiver::answering(answer("206 Partial Content\r\ncontent-range: bytes 0-9/10", &body)).await;
    let fetched = local_sender().fetch(&fetch(&receiver.url("/recording.mp3"))).await.unwrap();
    assert_eq!((fetched.status, fetched.headers["content-range"].as_bytes()), (206, &b"bytes 0-9/10"[..]));
    assert_eq!(fetched.body.collect().await.unwrap().to_bytes(), body.as_bytes());
    let request = receiver.requests()[0].clone();
    assert!(request.starts_with("GET /recording.mp3 HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("range: bytes=0-9\r\n") && request.contains("authorization: Basic "),
        "{request}"
    );
    assert!(!request.contains("webhook-") && !request.contains("content-"), "{request}");
}

#[tokio::test]
async fn authorization_does_not_leave_its_origin_and_other_headers_do() {
    let target = Receiver::answering(answer("200 OK", "audio")).await;
    let receiver = Receiver::answering(answer(&format!("302 Go\r\nlocation: {}", target.url("/")), "")).await;
    local_sender().fetch(&fetch(&receiver.url("/"))).await.unwrap();
    assert!(receiver.requests()[0].contains("authorization: "));
    assert!(!target.requests()[0].contains("authorization: "));
    assert!(target.requests()[0].contains("range: bytes=0-9"));
}

#[tokio::test]
async fn a_fetch_is_guarded_and_its_redirects_are_bounded() {
    let receiver = Receiver::answering(answer("302 Go\r\nlocation: /", "")).await;
    let failure = sender(&[], Names::default()).fetch(&fetch(&receiver.url("/"))).await.unwrap_err();
    assert_eq!((failure.code().as_str(), receiver.connections()), ("blocked_address", 0));
    let failure = local_sender().fetch(&fetch(&receiver.url("/"))).await.unwrap_err();
    assert_eq!(failure.code(), "redirect_limit");
    let failure = local_sender().fetch(&fetch("ftp://127.0.0.1/")).await.unwrap_err();
    assert_eq!(failure.code(), "protocol");
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_slow_but_not_silent() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await;
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n").await;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            peer.send(b"x").await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    let started = Instant::now();
    let mut body = local_sender().fetch(&fetch(&receiver.url("/"))).await.unwrap().body;
    for _ in 0..5 {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "x");
    }
    let failure = body.frame().await.unwrap().unwrap_err();
    assert_eq!((failure.code().as_str(), started.elapsed().as_secs()), ("timeout", 130));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    let receiver = Receiver::answering_once("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await;
    let fetched = local_sender().fetch(&fetch(&receiver.url("/"))).await.unwrap();
    assert_eq!(fetched.body.collect().await.unwrap_err().code(), "protocol");
}
