//! Blocked addresses: not one connection, however they are written, named or changed.

use super::*;
use url::Url;

#[tokio::test]
async fn no_spelling_of_this_machine_is_connected() {
    let v4 = Receiver::start(|_| async {}).await;
    let v6 = Receiver::start_at(&format!("[::1]:{}", v4.address.port()), |_| async {}).await;
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0177.0x0.0.1",
        "127.0.0.1.",
        "0.0.0.0",
        "0",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "LocalHost",
        "localhost.",
        "a.localhost",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "1%32%37.0.0.1",
        "rebound.test",
        "mapped.test",
    ] {
        let names = Names::default()
            .with("localhost", &["127.0.0.1"])
            .with("rebound.test", &["127.0.0.1", "::1"])
            .with("mapped.test", &["::ffff:127.0.0.1"]);
        let url = format!("http://{host}:{}/", v4.address.port());
        let exchange = sender(&[], names).attempt(&request(&url)).await;
        assert_failed(&exchange, "blocked_address", "callhook sends nothing there");
        assert_eq!((v4.connections_settled().await, v6.connections_settled().await), (0, 0), "{host}");
    }
}

#[tokio::test]
async fn private_link_local_and_metadata_addresses_are_blocked_over_https_too() {
    for host in [
        "10.0.3.7",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "[fd00:ec2::254]",
    ] {
        let exchange = sender(&[], Names::default()).attempt(&request(&format!("https://{host}/"))).await;
        assert_failed(&exchange, "blocked_address", "--allow-network");
    }
}

#[tokio::test]
async fn a_name_that_changes_its_answer_is_judged_at_each_connection() {
    let outside = Receiver::answering_once(answer("200 OK\r\nconnection: close", "")).await;
    let inside = Receiver::start_at(&format!("127.0.0.2:{}", outside.address.port()), |_| async {}).await;
    let names = Names::default().with("hooks.test", &["127.0.0.1"]).with("hooks.test", &["127.0.0.2"]);
    let sender = sender(&["127.0.0.1/32"], names);
    let request = request(&format!("http://hooks.test:{}/", outside.address.port()));
    assert!(sender.attempt(&request).await.is_success());
    for _ in 0..3 {
        let exchange = sender.attempt(&request).await;
        assert_failed(&exchange, "blocked_address", "hooks.test leads to 127.0.0.2");
    }
    assert_eq!((outside.connections(), inside.connections_settled().await), (1, 0));
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_allowed_is_connected() {
    let outside = Receiver::answering(answer("200 OK", "")).await;
    let inside = Receiver::start_at(&format!("127.0.0.2:{}", outside.address.port()), |_| async {}).await;
    let names = Names::default().with("hooks.test", &["127.0.0.2", "10.0.0.1", "127.0.0.1"]);
    let request = request(&format!("http://hooks.test:{}/", outside.address.port()));
    let exchange = sender(&["127.0.0.1/32"], names).attempt(&request).await;
    assert!(exchange.is_success(), "{exchange:?}");
    assert_eq!((outside.connections(), inside.connections_settled().await), (1, 0));
}

#[tokio::test]
async fn a_mapped_address_of_an_allowed_network_is_connected_as_ipv4() {
    let receiver = Receiver::answering(answer("200 OK", "")).await;
    let url = format!("http://[::ffff:127.0.0.1]:{}/", receiver.address.port());
    let exchange = sender(&["127.0.0.0/8"], Names::default()).attempt(&request(&url)).await;
    assert_eq!(exchange.remote_address, Some(receiver.address.to_string()), "{exchange:?}");
}

#[tokio::test]
async fn the_last_step_before_connecting_asks_the_guard_itself() {
    let receiver = Receiver::start(|_| async {}).await;
    let sender = sender(&[], Names::default());
    let origin = origin::Origin::of(&Url::parse(&receiver.url("/")).unwrap()).unwrap();
    let failure = sender.connector.dial(&origin, receiver.address.ip()).await.unwrap_err();
    assert_eq!((failure.code().as_str(), receiver.connections_settled().await), ("blocked_address", 0));
}
