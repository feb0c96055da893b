//! Receivers that behave: what they get, what is made of their answers, connections used again.

use super::*;

#[tokio::test]
async fn every_final_2xx_is_a_success() {
    for head in ["200 OK", "201 Created", "202 Accepted", "204 No Content", "299 Fine"] {
        let text = if head.starts_with("204") {
            "HTTP/1.1 204 No Content\r\n\r\n".into()
        } else {
            answer(head, "ok")
        };
        let receiver = Receiver::answering(text).await;
        let exchange = local_sender().attempt(&request(&receiver.url("/hook"))).await;
        assert!(exchange.is_success(), "{exchange:?}");
        assert_eq!(exchange.status_code.unwrap().to_string(), head[..3]);
        assert_eq!(exchange.remote_address, Some(receiver.address.to_string()));
        assert_eq!(exchange.url, receiver.url("/hook"));
    }
}

#[tokio::test]
async fn everything_else_is_a_failure_with_its_number() {
    for status in [101, 300, 304, 400, 401, 404, 410, 418, 429, 500, 503, 599, 999] {
        let receiver = Receiver::answering_once(answer(&format!("{status} Because"), "no")).await;
        let exchange = local_sender().attempt(&request(&receiver.url("/hook"))).await;
        assert_failed(&exchange, &format!("http_{status}"), &status.to_string());
        assert_eq!(exchange.status_code, Some(status));
    }
}

#[tokio::test]
async fn a_request_is_a_signed_post_with_the_users_headers() {
    let receiver = Receiver::answering(answer("200 OK", "")).await;
    let mut request = request(&receiver.url("/hook?key=1|2"));
    local_sender().attempt(&request).await;
    request.test = true;
    request.headers =
        HeaderList::new(vec![("user-agent".into(), "mine".into()), ("X-B".into(), "a\tb".into())]).unwrap();
    local_sender().attempt(&request).await;

    let signature = signature::sign(&request.signing, &request.delivery_id, 1_774_881_000, BODY.as_bytes());
    let agent = concat!("user-agent: callhook/", env!("CARGO_PKG_VERSION"));
    let host = format!("host: {}", receiver.address);
    let mut expected = vec![
        "POST /hook?key=1%7C2 HTTP/1.1".to_owned(),
        "content-length: 26".into(),
        "content-type: application/json".into(),
        host.clone(),
        agent.into(),
        "webhook-id: 8f14e45f-ceea-7000-8000-000000000001".into(),
        format!("webhook-signature: {signature}"),
        "webhook-timestamp: 1774881000".into(),
        "x-token: hunter2".into(),
    ];
    let (first, second) = (sorted_head(&receiver.requests()[0]), sorted_head(&receiver.requests()[1]));
    assert_eq!(first, expected);
    assert!(receiver.requests()[0].ends_with(&format!("\r\n\r\n{BODY}")));

    expected.retain(|line| line != agent && line != "x-token: hunter2");
    expected.extend(["user-agent: mine".into(), "x-b: a\tb".into(), "callhook-test: true".into()]);
    expected[1..].sort();
    assert_eq!(second, expected);
}

fn sorted_head(request: &str) -> Vec<String> {
    let mut lines: Vec<String> = request.split("\r\n\r\n").next().unwrap().lines().map(Into::into).collect();
    lines[1..].sort();
    lines
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_read_on_429_and_503_only() {
    for (status, value, expected_seconds) in [
        (429, "120", Some(120)),
        (503, "Mon, 30 Mar 2026 14:35:10 GMT", Some(310)),
        (500, "120", None),
        (200, "120", None),
        (429, "soon", None),
    ] {
        let head = format!("{status} X\r\nretry-after: {value}");
        let receiver = Receiver::answering(answer(&head, "")).await;
        let exchange = local_sender().attempt(&request(&receiver.url("/"))).await;
        // A date is read against the time of the answer, some milliseconds after the attempt began.
        let (wait, expected) = (exchange.retry_after, expected_seconds.map(Duration::from_secs));
        let is_near = wait.zip(expected).is_none_or(|(wait, expected)| expected.abs_diff(wait).as_secs() < 5);
        assert!(is_near && wait.is_some() == expected.is_some(), "{status} {value}: {wait:?}");
    }
}

#[tokio::test]
async fn the_first_4_kib_and_the_headers_are_kept() {
    let body = "é".repeat(4_000);
    let receiver = Receiver::answering(answer("500 Broken\r\nx-why: caf\u{e9}", &body)).await;
    let exchange = local_sender().attempt(&request(&receiver.url("/"))).await;
    assert_eq!(exchange.response_excerpt.unwrap(), "é".repeat(2_048));
    assert!(exchange.response_headers.contains(&("x-why".into(), "café".into())));
}

#[tokio::test]
async fn connections_are_used_again_one_attempt_after_the_other() {
    let receiver = Receiver::answering(answer("200 OK", "ok")).await;
    let sender = local_sender();
    let first = sender.attempt(&request(&receiver.url("/"))).await;
    assert!(!first.phases.reused);
    wait_for_idle(&sender).await;
    for _ in 0..5 {
        let exchange = sender.attempt(&request(&receiver.url("/"))).await;
        assert!(exchange.is_success() && exchange.phases.reused, "{exchange:?}");
        assert_eq!(exchange.remote_address, Some(receiver.address.to_string()));
        wait_for_idle(&sender).await;
    }
    assert_eq!(receiver.connections(), 1);
}

/// Lets the task run that puts the connection back.
async fn wait_for_idle(sender: &Sender) {
    while sender.pool.idle_connections() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_costs_no_attempt() {
    let receiver = Receiver::answering_once(answer("200 OK", "ok")).await;
    let sender = local_sender();
    for _ in 0..3 {
        let exchange = sender.attempt(&request(&receiver.url("/"))).await;
        assert!(exchange.is_success(), "{exchange:?}");
        // The closing has arrived when the driver of the connection has seen it.
        while sender.pool.idle_connections() > 0 && sender.pool.sweep() > 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test]
async fn a_request_that_met_a_closed_connection_is_sent_once_more() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (close, closing) = std::sync::mpsc::channel();
    let (closed, closed_seen) = std::sync::mpsc::channel();
    let mut control = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = std::thread::spawn(move || {
        let (mut control, _) = listener.accept().unwrap();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(BODY.as_bytes()) {
                let mut buffer = [0; 1_024];
                let bytes = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..bytes]);
            }
            stream.write_all(answer("200 OK", "ok").as_bytes()).unwrap();
            let _ = closing.recv();
            drop(stream);
            control.write_all(b"x").unwrap();
            let _ = closed.send(());
        }
    });
    let sender = local_sender();
    assert!(sender.attempt(&request(&url)).await.is_success());
    wait_for_idle(&sender).await;
    // The thread closes while this one stands still. Then the runtime learns of the closing and of the byte at once, and this task
    // runs before the connection's driver.
    close.send(()).unwrap();
    closed_seen.recv().unwrap();
    control.read_exact(&mut [0]).await.unwrap();
    assert_eq!(sender.pool.idle_connections(), 1);
    let exchange = sender.attempt(&request(&url)).await;
    assert!(exchange.is_success() && !exchange.phases.reused, "{exchange:?}");
    drop(close);
    server.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_for_as_long_as_its_server_says() {
    for (head, seconds, reused) in [
        ("200 OK", 3, true),
        ("200 OK", 4, false),
        ("200 OK\r\nkeep-alive: timeout=15, max=100", 13, true),
        ("200 OK\r\nkeep-alive: timeout=15", 14, false),
        ("200 OK\r\nkeep-alive: max=5, Timeout=600", 29, true),
        ("200 OK\r\nkeep-alive: timeout=600", 30, false),
        ("200 OK\r\nkeep-alive: timeout=1", 0, false),
        ("200 OK\r\nconnection: close", 0, false),
    ] {
        let receiver = Receiver::answering(answer(head, "ok")).await;
        let sender = local_sender();
        sender.attempt(&request(&receiver.url("/"))).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        tokio::time::advance(Duration::from_secs(seconds)).await;
        let exchange = sender.attempt(&request(&receiver.url("/"))).await;
        assert_eq!(
            (exchange.is_success(), exchange.phases.reused),
            (true, reused),
            "{head} after {seconds} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_though_nothing_is_sent() {
    let receiver = Receiver::answering(answer("200 OK", "ok")).await;
    let sender = local_sender();
    sender.attempt(&request(&receiver.url("/"))).await;
    wait_for_idle(&sender).await;
    tokio::time::sleep(limits::IDLE_DURATION_MAX * 2).await;
    assert_eq!(sender.pool.idle_connections(), 0);
}

#[tokio::test]
async fn names_lead_to_the_first_address_that_answers() {
    let receiver = Receiver::answering(answer("200 OK", "ok")).await;
    let port = receiver.address.port();
    let names = Names::default().with("hooks.test", &["127.0.0.9", "127.0.0.1"]);
    let exchange =
        sender(&["127.0.0.0/8"], names).attempt(&request(&format!("http://hooks.test:{port}/"))).await;
    assert!(exchange.is_success(), "{exchange:?}");
    assert_eq!(exchange.remote_address, Some(receiver.address.to_string()));
    assert!(receiver.requests()[0].contains(&format!("host: hooks.test:{port}\r\n")));
}

#[tokio::test]
async fn names_that_lead_nowhere_fail_with_the_reason() {
    for (reason, words) in [
        (DnsFailure::NoSuchName, "does not exist"),
        (DnsFailure::NoAddress, "has no address"),
        (DnsFailure::ServerFailed, "could not say"),
        (DnsFailure::NoAnswer, "No name server answered"),
        (DnsFailure::NoServer, "resolv.conf"),
    ] {
        let names = Names::default().answering("hooks.test", Err(reason));
        let exchange = sender(&[], names).attempt(&request("http://hooks.test/secret?key=1")).await;
        assert_failed(&exchange, "dns", words);
        assert!(!exchange.failure.unwrap().words().contains("secret"));
        assert_eq!((exchange.status_code, exchange.remote_address), (None, None));
    }
    let exchange =
        sender(&[], Names::default().with("hooks.test", &[])).attempt(&request("http://hooks.test/")).await;
    assert_failed(&exchange, "dns", "has no address");
}
