//! Redirects: how far, with what, and where not.

use super::*;

async fn redirecting(status: u16, location: &str) -> Receiver {
    Receiver::answering(answer(&format!("{status} Go\r\nlocation: {location}"), "moved")).await
}

fn head_of(request: &str) -> (&str, bool, bool, bool) {
    let has = |text: &str| request.contains(text);
    (request.lines().next().unwrap(), has("x-token: hunter2"), has("webhook-signature: "), has(BODY))
}

#[tokio::test]
async fn only_307_and_308_repeat_the_post_and_only_the_same_origin_gets_the_users_headers() {
    for (status, repeats) in [(301, false), (302, false), (303, false), (307, true), (308, true)] {
        let method = if repeats { "POST" } else { "GET" };
        let target = Receiver::answering(answer("200 OK", "done")).await;
        let receiver = redirecting(status, &target.url("/there?x=1#part")).await;
        let exchange = local_sender().attempt(&request(&receiver.url("/here"))).await;
        assert!(exchange.is_success(), "{exchange:?}");
        assert_eq!(exchange.url, target.url("/there?x=1"));
        assert_eq!(exchange.remote_address, Some(target.address.to_string()));
        assert_eq!(exchange.response_excerpt.as_deref(), Some("done"));
        assert_eq!(head_of(&receiver.requests()[0]), ("POST /here HTTP/1.1", true, true, true));
        let line = format!("{method} /there?x=1 HTTP/1.1");
        assert_eq!(head_of(&target.requests()[0]), (line.as_str(), false, repeats, repeats));
        assert_eq!(target.requests()[0].contains("content-"), repeats, "{}", target.requests()[0]);

        let relative = Receiver::start(move |mut peer| async move {
            while peer.request().await {
                let is_first = peer.requests.lock().unwrap().len() == 1;
                let head = format!("{status} Go\r\nlocation: ../there");
                peer.send(if is_first { answer(&head, "") } else { answer("204 Fine", "") }.as_bytes()).await;
            }
        })
        .await;
        let exchange = local_sender().attempt(&request(&relative.url("/a/b"))).await;
        assert!(exchange.is_success(), "{exchange:?}");
        let line = format!("{method} /there HTTP/1.1");
        assert_eq!(head_of(&relative.requests()[1]), (line.as_str(), true, repeats, repeats));
    }
}

#[tokio::test]
async fn the_users_headers_are_not_regained_on_the_way_back() {
    let home = Receiver::start(|mut peer| async move {
        while peer.request().await {
            let request = peer.requests.lock().unwrap().last().unwrap().clone();
            let text = match request.split_once("?away=") {
                Some((_, rest)) => {
                    let away = rest.split_once(' ').unwrap().0.to_owned();
                    answer(&format!("307 Go\r\nlocation: {away}"), "")
                }
                None => answer("200 OK", ""),
            };
            peer.send(text.as_bytes()).await;
        }
    })
    .await;
    let away = redirecting(307, &home.url("/back")).await;
    let url = home.url(&format!("/?away={}", away.url("/")));
    let exchange = local_sender().attempt(&request(&url)).await;
    assert!(exchange.is_success(), "{exchange:?}");
    let back = home.requests()[1].clone();
    assert_eq!(head_of(&back), ("POST /back HTTP/1.1", false, true, true));
}

#[tokio::test]
async fn a_post_that_became_a_get_stays_one() {
    let target = Receiver::answering(answer("200 OK", "")).await;
    let second = redirecting(307, &target.url("/c")).await;
    let first = redirecting(302, &second.url("/b")).await;
    local_sender().attempt(&request(&first.url("/a"))).await;
    assert_eq!(head_of(&target.requests()[0]), ("GET /c HTTP/1.1", false, false, false));
}

#[tokio::test]
async fn three_redirects_are_followed_and_a_fourth_is_not() {
    let target = Receiver::answering(answer("200 OK", "")).await;
    let third = redirecting(302, &target.url("/secret")).await;
    let second = redirecting(302, &third.url("/")).await;
    let first = redirecting(302, &second.url("/")).await;
    let exchange = local_sender().attempt(&request(&first.url("/"))).await;
    assert!(exchange.is_success(), "{exchange:?}");

    let before = redirecting(302, &first.url("/")).await;
    let exchange = local_sender().attempt(&request(&before.url("/"))).await;
    let last = format!("4 redirects, the last one to http://{}", target.address);
    assert_failed(&exchange, "redirect_limit", &last);
    assert!(!exchange.failure.unwrap().words().contains("secret"));
    assert_eq!((exchange.status_code, exchange.url), (Some(302), third.url("/")));
    assert_eq!(target.connections(), 1);
}

#[tokio::test]
async fn a_circle_is_called_so() {
    let receiver = redirecting(307, "/hook").await;
    let exchange = local_sender().attempt(&request(&receiver.url("/hook"))).await;
    assert_failed(&exchange, "redirect_limit", "in a circle");
    assert_eq!(receiver.requests().len(), 4);
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_its_own_answer() {
    for location in [
        "",
        "location: \r\n",
        "location: http://\r\n",
        "location: http://[::1\r\n",
        "location: http://a b/\r\n",
    ] {
        let receiver =
            Receiver::answering(format!("HTTP/1.1 302 Go\r\n{location}content-length: 0\r\n\r\n")).await;
        let exchange = local_sender().attempt(&request(&receiver.url("/"))).await;
        assert_failed(&exchange, "http_302", "without an address that can be followed");
    }
}

#[tokio::test]
async fn unsafe_redirects_are_refused() {
    for (location, words) in [
        ("ftp://files.example.com/", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("http://user:pass@hooks.example.com/", "user name or password"),
    ] {
        let receiver = redirecting(302, location).await;
        let exchange = local_sender().attempt(&request(&receiver.url("/"))).await;
        assert_failed(&exchange, "redirect_refused", words);
        assert_eq!(exchange.status_code, Some(302));
    }
}

#[tokio::test]
async fn a_redirect_to_a_blocked_address_is_not_connected() {
    for (location, address) in [
        ("http://127.0.0.2:PORT/", "127.0.0.2"),
        ("http://127.2:PORT/", "127.0.0.2"),
        ("http://0x7f000002:PORT/", "127.0.0.2"),
        ("http://[::ffff:127.0.0.2]:PORT/", "::ffff:127.0.0.2"),
        ("http://inside.test:PORT/", "127.0.0.2"),
    ] {
        for status in [302, 307] {
            let inside = Receiver::start_at("127.0.0.2:0", |_| async {}).await;
            let location = location.replace("PORT", &inside.address.port().to_string());
            let receiver = redirecting(status, &location).await;
            let names = Names::default().with("inside.test", &["127.0.0.2"]);
            let exchange = sender(&["127.0.0.1/32"], names).attempt(&request(&receiver.url("/"))).await;
            assert_failed(&exchange, "blocked_address", address);
            assert_eq!((inside.connections_settled().await, exchange.status_code), (0, None));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_one_for_all_hops() {
    let slow = Receiver::start(|mut peer| async move {
        while peer.request().await {
            tokio::time::sleep(Duration::from_secs(4)).await;
            peer.send(answer("307 Go\r\nlocation: /again", "").as_bytes()).await;
        }
    })
    .await;
    let exchange = local_sender().attempt(&request(&slow.url("/"))).await;
    assert_failed(&exchange, "timeout", "within 10 s");
    assert_eq!((exchange.duration_ms, exchange.phases.wait.as_millis() >= 9_990), (10_000, true));
}
