//! The resolver against a name server of the test's own, which answers, refuses, lies and hangs.

use super::*;
use hickory_resolver::config::NameServerConfig;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::UdpSocket;

#[derive(Clone, Copy)]
enum Reply {
    /// A response code and the IPv4 addresses to answer with.
    Answer(u8, &'static [[u8; 4]]),
    /// An IPv4 address, and silence to all other questions.
    Ipv4Only([u8; 4]),
    /// Bytes that are no answer.
    Garbage,
    Silence,
}

/// A name server that gives one reply to every question; its port, and the number of questions.
async fn server(reply: Reply) -> (u16, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut question = [0; 1_024];
        while let Ok((bytes, from)) = socket.recv_from(&mut question).await {
            count.fetch_add(1, Ordering::SeqCst);
            let reply = match reply {
                Reply::Answer(code, addresses) => answer(&question[..bytes], code, addresses),
                Reply::Ipv4Only(address) if asks_for_ipv4(&question[..bytes]) => {
                    answer(&question[..bytes], 0, &[address])
                }
                Reply::Garbage => b"nonsense".to_vec(),
                Reply::Ipv4Only(_) | Reply::Silence => continue,
            };
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    (port, asked)
}

/// The wire form of an answer (RFC 1035, section 4): header, the question again, address records that point to its name.
fn answer(question: &[u8], code: u8, addresses: &[[u8; 4]]) -> Vec<u8> {
    let name_length = question[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let question_end = 12 + name_length + 4;
    let addresses = if asks_for_ipv4(question) { addresses } else { &[] };
    let count = u8::try_from(addresses.len()).unwrap();
    let mut reply = vec![question[0], question[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
    reply.extend_from_slice(&question[12..question_end]);
    for address in addresses {
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend_from_slice(address);
    }
    reply
}

fn asks_for_ipv4(question: &[u8]) -> bool {
    let name_length = question[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    question[12 + name_length..][..2] == [0, 1]
}

fn resolver(port: u16) -> SystemResolver {
    let mut server = NameServerConfig::udp(IpAddr::V4(Ipv4Addr::LOCALHOST));
    server.connections[0].port = port;
    SystemResolver::new(ResolverConfig::from_name_servers(vec![server]), ResolverOpts::default())
}

async fn ask(reply: Reply, name: &str) -> Result<Vec<IpAddr>, DnsFailure> {
    let (port, _) = server(reply).await;
    resolver(port).resolve(name).await
}

#[tokio::test]
async fn answers_and_refusals_are_told_apart() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let found = ask(Reply::Answer(0, &[[192, 0, 2, 1], [10, 0, 0, 1]]), "hooks.example.com").await.unwrap();
    assert!(
        found.len() == 2 && found.contains(&address("192.0.2.1")) && found.contains(&address("10.0.0.1"))
    );
    for (reply, expected) in [
        (Reply::Answer(3, &[]), DnsFailure::NoSuchName),
        (Reply::Answer(0, &[]), DnsFailure::NoAddress),
        (Reply::Answer(1, &[]), DnsFailure::ServerFailed),
        (Reply::Answer(2, &[]), DnsFailure::ServerFailed),
        (Reply::Answer(4, &[]), DnsFailure::ServerFailed),
        (Reply::Answer(5, &[]), DnsFailure::ServerFailed),
    ] {
        assert_eq!(ask(reply, "hooks.example.com").await, Err(expected));
    }
}

#[tokio::test]
async fn servers_that_keep_silent_about_ipv6_are_not_waited_for() {
    let started = tokio::time::Instant::now();
    let found = ask(Reply::Ipv4Only([192, 0, 2, 1]), "hooks.example.com").await.unwrap();
    assert_eq!(found, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert!(started.elapsed() < QUESTION_TIMEOUT, "the question for IPv6 still waits for its answer");
}

#[tokio::test(start_paused = true)]
async fn servers_that_say_nothing_usable_have_not_answered() {
    for reply in [Reply::Silence, Reply::Garbage] {
        let started = tokio::time::Instant::now();
        assert_eq!(ask(reply, "hooks.example.com").await, Err(DnsFailure::NoAnswer));
        assert!(started.elapsed() < Duration::from_secs(9), "an attempt has time left to say so");
    }
}

#[tokio::test]
async fn names_that_cannot_be_asked_for_are_not() {
    let (port, asked) = server(Reply::Answer(3, &[])).await;
    let resolver = resolver(port);
    for wrong in [format!("{}.example.com", "a".repeat(64)), "a..example.com".into(), ["a"; 200].join(".")] {
        assert_eq!(resolver.resolve(&wrong).await, Err(DnsFailure::InvalidName), "{wrong}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn without_a_name_server_every_name_but_the_machines_own_says_so() {
    let resolver = SystemResolver::new(ResolverConfig::default(), ResolverOpts::default());
    assert_eq!(resolver.resolve("hooks.example.com").await, Err(DnsFailure::NoServer));
    let found = resolver.resolve("localhost").await.unwrap();
    assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
}

#[tokio::test]
async fn answers_are_kept_for_their_time() {
    let (port, asked) = server(Reply::Answer(0, &[[192, 0, 2, 1]])).await;
    let resolver = resolver(port);
    resolver.resolve("hooks.example.com").await.unwrap();
    let questions = asked.load(Ordering::SeqCst);
    resolver.resolve("hooks.example.com").await.unwrap();
    // Only the question for IPv6 addresses, which has no answer to keep, may be asked again.
    assert!(asked.load(Ordering::SeqCst) <= questions + 1);
}
