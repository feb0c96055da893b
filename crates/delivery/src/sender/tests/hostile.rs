//! Receivers that hang, flood, cut and talk nonsense: each ends in time, bounded, and with its reason.

use super::*;

/// No attempt lasts longer, whatever the other side does.
const DURATION_MAX_MS: u32 = 10_250;

#[track_caller]
fn assert_ended_in_time(exchange: &Exchange) {
    assert!((10_000..=DURATION_MAX_MS).contains(&exchange.duration_ms), "{exchange:?}");
}

async fn attempt(receiver: &Receiver) -> Exchange {
    local_sender().attempt(&request(&receiver.url("/hook"))).await
}

/// Waits for the end of the test's own runtime.
async fn forever() {
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_port_where_nothing_listens_refuses() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let exchange = local_sender().attempt(&request(&format!("http://{closed}/hook"))).await;
    assert_failed(&exchange, "connect", &format!("Nothing listens at {closed} (connection refused)"));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_take_the_connection_times_out_while_connecting() {
    // A full queue of connections that nobody accepts: the next one gets no answer.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) = tokio::time::timeout(SECONDS_10, TcpStream::connect(address)).await {
        queued.push(connected.unwrap());
    }
    let exchange = local_sender().attempt(&request(&format!("http://{address}/hook"))).await;
    assert_failed(&exchange, "timeout", "within 10 s (stopped while connecting to 127.0.0.1)");
    assert_ended_in_time(&exchange);

    // A dead address leaves time for the next one.
    let receiver = Receiver::start_at(&format!("127.0.0.2:{}", address.port()), |mut peer| async move {
        peer.request().await;
        peer.send(answer("200 OK", "").as_bytes()).await;
    })
    .await;
    let names = Names::default().with("hooks.test", &["127.0.0.1", "127.0.0.2"]);
    let request = request(&format!("http://hooks.test:{}/", address.port()));
    let exchange = sender(&["127.0.0.0/8"], names).attempt(&request).await;
    assert!(exchange.is_success(), "{exchange:?}");
    assert_eq!((exchange.phases.connect.as_millis(), receiver.connections()), (5_000, 1));
}

#[tokio::test(start_paused = true)]
async fn name_servers_that_hang_time_out_with_the_phase() {
    struct Hanging;
    impl Resolve for Hanging {
        fn resolve<'a>(&'a self, _: &'a str) -> Resolved<'a> {
            Box::pin(std::future::pending())
        }
    }
    let sender = Sender::new(SenderConfig {
        deadline: SECONDS_10,
        guard: AddressGuard::default(),
        resolver: Arc::new(Hanging),
        roots: RootCertStore::empty(),
    });
    let exchange = sender.attempt(&request("http://hooks.test/")).await;
    assert_failed(&exchange, "timeout", "asking for the address of hooks.test");
    assert_eq!(exchange.phases.dns.as_millis(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn receivers_that_hang_before_the_status_time_out() {
    for sent in
        ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: ", "HTTP/1.1 100 Continue\r\n\r\n"]
    {
        let receiver = Receiver::start(move |mut peer| async move {
            peer.request().await;
            peer.send(sent.as_bytes()).await;
            forever().await;
        })
        .await;
        let exchange = attempt(&receiver).await;
        assert_failed(&exchange, "timeout", "waiting for the answer of 127.0.0.1, after connecting in");
        assert_ended_in_time(&exchange);
        assert_eq!((exchange.status_code, exchange.phases.wait.as_millis() >= 9_990), (None, true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_no_byte_times_out() {
    let receiver = Receiver::start(|peer| async move {
        forever().await;
        drop(peer);
    })
    .await;
    let mut request = request(&receiver.url("/"));
    request.body = Bytes::from(vec![b'x'; 16 * 1_048_576]);
    let exchange = local_sender().attempt(&request).await;
    assert_failed(&exchange, "timeout", "waiting for the answer");
    assert_ended_in_time(&exchange);
}

#[tokio::test(start_paused = true)]
async fn headers_that_trickle_time_out() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await;
        peer.send(b"HTTP/1.1 200 OK\r\nx-slow: ").await;
        loop {
            peer.send(b"x").await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
    let exchange = attempt(&receiver).await;
    assert_failed(&exchange, "timeout", "within 10 s");
    assert_ended_in_time(&exchange);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_ends_with_the_deadline_and_takes_nothing_from_the_status() {
    for (status, is_success) in [("200 OK", true), ("500 No", false)] {
        for delay in [Duration::from_millis(250), Duration::from_hours(1)] {
            let receiver = Receiver::start(move |mut peer| async move {
                peer.request().await;
                peer.send(format!("HTTP/1.1 {status}\r\ncontent-length: 1000000\r\n\r\nab").as_bytes()).await;
                loop {
                    tokio::time::sleep(delay).await;
                    peer.send(b"c").await;
                }
            })
            .await;
            let exchange = attempt(&receiver).await;
            assert_eq!(exchange.is_success(), is_success, "{exchange:?}");
            assert!(exchange.response_excerpt.as_deref().unwrap().starts_with("ab"), "{exchange:?}");
            assert_ended_in_time(&exchange);
        }
    }
}

#[tokio::test]
async fn of_an_endless_body_4_kib_are_read_and_the_connection_is_closed() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1073741824\r\n\r\n",
    ] {
        let (closed, seen) = tokio::sync::oneshot::channel();
        let closed = Mutex::new(Some(closed));
        let receiver = Receiver::start(move |mut peer| {
            let closed = closed.lock().unwrap().take().unwrap();
            async move {
                peer.request().await;
                peer.send(head.as_bytes()).await;
                let mut bytes = 0_u64;
                while peer.stream.write_all(&[b'x'; 8_192]).await.is_ok() {
                    bytes += 8_192;
                }
                let _ = closed.send(bytes);
            }
        })
        .await;
        let exchange = attempt(&receiver).await;
        assert!(exchange.is_success(), "{exchange:?}");
        assert_eq!(exchange.response_excerpt.unwrap(), "x".repeat(4_096));
        // What was written beyond lay in the system's socket buffers.
        assert!(seen.await.unwrap() < 64 * 1_048_576);
    }
}

#[tokio::test]
async fn an_endless_chunked_body_is_cut_too() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await;
        peer.send(b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n").await;
        while peer.stream.write_all(b"5\r\nhello\r\n").await.is_ok() {}
    })
    .await;
    let exchange = attempt(&receiver).await;
    assert_failed(&exchange, "http_404", "no such address");
    assert_eq!(exchange.response_excerpt.unwrap().len(), 4_096);
}

#[tokio::test]
async fn a_body_that_breaks_off_takes_nothing_from_the_status() {
    for sent in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nnonsense",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nffffffffffffffffffffff\r\n",
    ] {
        let receiver = Receiver::answering_once(sent).await;
        let exchange = attempt(&receiver).await;
        assert!(exchange.is_success(), "{exchange:?}");
        assert_eq!(exchange.response_excerpt.unwrap(), "ab");
    }
}

#[tokio::test]
async fn connections_that_are_cut_fail_with_the_reason() {
    let closing = Receiver::start(|peer| async move { drop(peer) }).await;
    let code = |exchange: &Exchange| exchange.failure.as_ref().unwrap().code();
    assert_eq!(code(&attempt(&closing).await), "protocol");
    let resetting = Receiver::start(|peer| async move { peer.reset() }).await;
    assert_eq!(code(&attempt(&resetting).await), "protocol");

    for sent in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nx-a: b\r\n"] {
        let closing = Receiver::answering_once(sent).await;
        assert_failed(
            &attempt(&closing).await,
            "protocol",
            "closed the connection without a complete answer",
        );
        let resetting = Receiver::start(move |mut peer| async move {
            peer.request().await;
            peer.send(sent.as_bytes()).await;
            peer.reset();
        })
        .await;
        assert_failed(&attempt(&resetting).await, "protocol", "127.0.0.1");
    }
}

#[tokio::test]
async fn what_is_not_http_is_called_so() {
    for nonsense in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "220 mail.example.com ESMTP\r\n",
        "\x15\x03\x01\x00\x02\x02\x28",
        "hello\n\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "HTTP/3.7 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        "\u{1}\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let receiver = Receiver::answering_once(nonsense).await;
        assert_failed(&attempt(&receiver).await, "protocol", "was not HTTP");
    }
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let many = "x-flood: a\r\n".repeat(101);
    let long = format!("x-long: {}\r\n", "a".repeat(20_000));
    for headers in [many, long] {
        let receiver = Receiver::answering_once(format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).await;
        assert_failed(&attempt(&receiver).await, "protocol", "more headers than callhook reads");
    }
    let endless = Receiver::start(|mut peer| async move {
        peer.request().await;
        peer.send(b"HTTP/1.1 200 OK\r\n").await;
        while peer.stream.write_all(b"x-flood: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").await.is_ok() {}
    })
    .await;
    assert_failed(&attempt(&endless).await, "protocol", "more headers than callhook reads");
}

#[tokio::test]
async fn floods_of_interim_answers_are_refused_and_a_few_are_skipped() {
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"] {
        let flooding = Receiver::start(move |mut peer| async move {
            peer.request().await;
            while peer.stream.write_all(interim.as_bytes()).await.is_ok() {}
        })
        .await;
        assert_failed(&attempt(&flooding).await, "protocol", "interim answers");

        let polite =
            Receiver::answering_once(format!("{}{}", interim.repeat(3), answer("201 Created", "ok"))).await;
        let exchange = attempt(&polite).await;
        assert_eq!((exchange.status_code, exchange.is_success()), (Some(201), true));
    }
}

#[tokio::test]
async fn bytes_after_the_answer_are_never_taken_for_the_next_answer() {
    let receiver = Receiver::start(|mut peer| async move {
        while peer.request().await {
            let (mine, next) = (answer("200 OK", "ok"), answer("200 OK", "smuggled"));
            peer.send(format!("{mine}{next}").as_bytes()).await;
        }
    })
    .await;
    let sender = local_sender();
    for _ in 0..5 {
        let exchange = sender.attempt(&request(&receiver.url("/"))).await;
        assert_eq!(exchange.response_excerpt.as_deref(), Some("ok"), "{exchange:?}");
    }
}

#[tokio::test]
async fn an_early_answer_to_a_large_body_counts() {
    let receiver = Receiver::start(|mut peer| async move {
        let mut some = [0; 1_024];
        let _ = peer.stream.read(&mut some).await;
        peer.send(answer("413 Payload Too Large", "too large").as_bytes()).await;
        forever().await;
    })
    .await;
    let mut request = request(&receiver.url("/"));
    request.body = Bytes::from(vec![b'x'; 16 * 1_048_576]);
    let exchange = local_sender().attempt(&request).await;
    assert_failed(&exchange, "http_413", "too large");
    assert_eq!(exchange.response_excerpt.as_deref(), Some("too large"));
}
