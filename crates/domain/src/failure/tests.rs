//! The table of failures in words, row by row.

use super::*;

#[track_caller]
fn check(failure: &Failure, code: &str, parts: &[&str]) {
    assert_eq!(failure.code(), code);
    let words = failure.words();
    for part in parts {
        assert!(words.contains(part), "{words:?} lacks {part:?}");
    }
    assert!(words.ends_with('.') || words.ends_with('?'), "{words:?} is no sentence");
    assert!(words.len() < 400 && !words.contains('!') && !words.contains("  "), "{words:?}");
}

fn host() -> String {
    "hooks.example.com".into()
}

#[test]
fn every_status_is_said_with_its_number_and_what_to_do() {
    for (status, parts) in [
        (101, ["101", "should answer 200"]),
        (301, ["301", "address behind the redirect"]),
        (304, ["304", "Copy the URL again"]),
        (400, ["400", "another format"]),
        (422, ["422", "Slack format"]),
        (401, ["401", "custom headers"]),
        (403, ["403", "custom headers"]),
        (404, ["404", "copy it again"]),
        (410, ["410", "copy it again"]),
        (405, ["405", "not of a webhook"]),
        (406, ["406", "JSON"]),
        (415, ["415", "JSON"]),
        (407, ["407", "proxy"]),
        (408, ["408", "a later attempt may succeed"]),
        (409, ["409", "already"]),
        (413, ["413", "transcript"]),
        (418, ["418", "refused the request"]),
        (421, ["421", "host"]),
        (429, ["429", "fewer requests"]),
        (431, ["431", "custom headers"]),
        (500, ["500", "Nothing is wrong with the data"]),
        (502, ["502", "could not reach it"]),
        (503, ["503", "refuses work"]),
        (504, ["504", "could not reach it"]),
        (599, ["599", "error of its own"]),
        (999, ["999", "neither yes nor no"]),
    ] {
        check(&Failure::Status { status, retry_at: None }, &format!("http_{status}"), &parts);
    }
}

#[test]
fn a_wait_that_was_asked_for_is_said_with_its_end() {
    let retry_at = Some("2026-03-30T14:35:10Z".parse().unwrap());
    for status in [429, 503] {
        check(
            &Failure::Status { status, retry_at },
            &format!("http_{status}"),
            &["until 14:35:10 UTC on 30 March 2026", "grants up to 15 minutes"],
        );
    }
}

#[test]
fn a_timeout_says_where_it_was_stopped() {
    let limit = Duration::from_secs(10);
    let timeout = |phase, connected_in| Failure::Timeout { host: host(), limit, phase, connected_in };
    let millis = |millis| Some(Duration::from_millis(millis));
    for (failure, parts) in [
        (timeout(Phase::Dns, None), ["within 10 s", "asking for the address of hooks.example.com"]),
        (timeout(Phase::Connect, None), ["within 10 s", "connecting to hooks.example.com"]),
        (timeout(Phase::Tls, millis(31)), ["within 10 s", "agreeing on encryption"]),
        (timeout(Phase::Wait, millis(31)), ["after connecting in 31 ms", "let it answer first"]),
        (timeout(Phase::Wait, millis(1_250)), ["after connecting in 1.2 s", "waiting for the answer"]),
        (timeout(Phase::Wait, None), ["(stopped while waiting for the answer of hooks.example.com)", "10 s"]),
    ] {
        check(&failure, "timeout", &parts);
    }
}

#[test]
fn names_that_lead_nowhere_are_said_with_the_name() {
    for (reason, part) in [
        (DnsFailure::NoSuchName, "does not exist"),
        (DnsFailure::NoAddress, "has no address"),
        (DnsFailure::InvalidName, "spelled right"),
        (DnsFailure::ServerFailed, "could not say"),
        (DnsFailure::NoAnswer, "No name server answered"),
        (DnsFailure::NoServer, "/etc/resolv.conf"),
    ] {
        check(&Failure::Dns { host: host(), reason }, "dns", &[part, "hooks.example.com"]);
    }
}

#[test]
fn connections_that_fail_are_said_with_host_and_port() {
    for (reason, part) in [
        (ConnectFailure::Refused, "connection refused"),
        (ConnectFailure::Reset, "reset"),
        (ConnectFailure::Unreachable, "no way to"),
        (ConnectFailure::NoAnswer, "firewall"),
        (ConnectFailure::Forbidden, "not permitted"),
        (ConnectFailure::Exhausted, "ulimit -n"),
        (ConnectFailure::Other(Some(97)), "system error 97"),
        (ConnectFailure::Other(None), "could be made."),
    ] {
        let failure = Failure::Connect { host: host(), port: 8443, reason };
        check(&failure, "connect", &[part, "hooks.example.com:8443"]);
    }
}

#[test]
fn certificates_are_said_with_their_dates_and_names() {
    let day: Timestamp = "2026-03-03T23:59:59Z".parse().unwrap();
    for (reason, part) in [
        (TlsFailure::Expired { since: Some(day) }, "expired on 3 March 2026. Its owner must renew it."),
        (TlsFailure::Expired { since: None }, "expired. Its owner"),
        (TlsFailure::NotYetValid { from: Some(day) }, "not valid before 3 March 2026 yet"),
        (TlsFailure::NotYetValid { from: None }, "not valid yet"),
        (TlsFailure::WrongName { names: vec!["a.test".into(), "b.test".into()] }, "is for a.test, b.test."),
        (TlsFailure::WrongName { names: vec![] }, "another name"),
        (TlsFailure::UnknownIssuer, "self-signed"),
        (TlsFailure::Revoked, "revoked"),
        (TlsFailure::BadCertificate, "broken"),
        (TlsFailure::NotTls, "does not speak https"),
        (TlsFailure::NothingInCommon, "TLS 1.2"),
        (TlsFailure::ClientCertificateWanted, "client certificate"),
        (TlsFailure::NameNotServed, "does not serve the name"),
        (TlsFailure::Alert("InternalError".into()), "(InternalError)"),
        (TlsFailure::Closed, "cut the connection"),
        (TlsFailure::Broken, "faulty"),
    ] {
        check(&Failure::Tls { host: host(), reason }, "tls", &[part, "hooks.example.com"]);
    }
}

#[test]
fn redirects_are_said_with_where_they_lead() {
    let limit = |circle| Failure::RedirectLimit { redirects: 4, last: "https://d.example".into(), circle };
    check(&limit(false), "redirect_limit", &["4 redirects", "https://d.example"]);
    check(&limit(true), "redirect_limit", &["in a circle", "https://d.example"]);
    for (reason, part) in [
        (RedirectRefusal::Downgrade, "from https to plain http"),
        (RedirectRefusal::Scheme, "neither http nor https"),
        (RedirectRefusal::UserInfo, "user name or password"),
        (RedirectRefusal::TooLong, "2,048"),
    ] {
        let failure = Failure::RedirectRefused { host: host(), reason };
        check(&failure, "redirect_refused", &[part, "hooks.example.com"]);
    }
}

#[test]
fn blocked_addresses_are_said_with_the_network_to_allow_where_one_can_be_meant() {
    for (address, kind, part) in [
        ("10.0.3.7", AddressKind::Private, "`--allow-network 10.0.3.0/24`"),
        ("127.0.0.2", AddressKind::Loopback, "`--allow-network 127.0.0.0/8`"),
        ("::1", AddressKind::Loopback, "`--allow-network ::1/128`"),
        ("169.254.169.254", AddressKind::LinkLocal, "`--allow-network 169.254.169.254/32`"),
        ("100.64.1.2", AddressKind::Provider, "`--allow-network 100.64.1.0/24`"),
        ("168.63.129.16", AddressKind::Provider, "`--allow-network 168.63.129.16/32`"),
        ("fd12:3456::1", AddressKind::Private, "`--allow-network fd12:3456::/64`"),
        ("::ffff:10.0.0.1", AddressKind::Translated, "public address"),
        ("192.0.2.1", AddressKind::Documentation, "public address"),
        ("224.0.0.1", AddressKind::Multicast, "public address"),
        ("240.0.0.1", AddressKind::Reserved, "public address"),
    ] {
        let address: IpAddr = address.parse().unwrap();
        let named = |host: String| Failure::BlockedAddress { host, address, kind };
        let leads = format!("hooks.example.com leads to {address}, {}", kind.words());
        check(&named(host()), "blocked_address", &[part, &leads]);
        check(
            &named(address.to_string()),
            "blocked_address",
            &[part, &format!("{address} is {}", kind.words())],
        );
    }
}

#[test]
fn answers_that_are_no_http_are_said() {
    for (reason, part) in [
        (ProtocolFailure::NotHttp, "was not HTTP"),
        (ProtocolFailure::Http2, "HTTP/2"),
        (ProtocolFailure::Closed, "closed the connection"),
        (ProtocolFailure::Reset, "reset"),
        (ProtocolFailure::HeadersTooLarge, "16 KiB"),
        (ProtocolFailure::TooManyInterim, "1xx"),
        (ProtocolFailure::Unsendable, "odd characters"),
    ] {
        check(&Failure::Protocol { host: host(), reason }, "protocol", &[part, "hooks.example.com"]);
    }
}
