//! The borders of every block, and the disguises of an address.

use super::*;

fn guard(allow: &[&str]) -> AddressGuard {
    AddressGuard::new(allow.iter().map(|network| network.parse().unwrap()).collect())
}

#[track_caller]
fn check(allow: &[&str], address: &str, passes: bool) {
    let result = guard(allow).check(address.parse().unwrap());
    assert_eq!(result.is_ok(), passes, "{address} with {allow:?} allowed: {result:?}");
}

#[test]
fn every_special_ipv4_block_is_denied_to_its_borders_and_its_neighbours_pass() {
    // First and last address of a block, then the addresses before and after it where they are public.
    for (first, last, before, after) in [
        ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
        ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
        ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
        ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
        ("168.63.129.16", "168.63.129.16", Some("168.63.129.15"), Some("168.63.129.17")),
        ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
        ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
        ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
        ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
        ("192.31.196.0", "192.31.196.255", Some("192.31.195.255"), Some("192.31.197.0")),
        ("192.52.193.0", "192.52.193.255", Some("192.52.192.255"), Some("192.52.194.0")),
        ("192.88.99.0", "192.88.99.255", Some("192.88.98.255"), Some("192.88.100.0")),
        ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
        ("192.175.48.0", "192.175.48.255", Some("192.175.47.255"), Some("192.175.49.0")),
        ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
        ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
        ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
        ("224.0.0.0", "239.255.255.255", Some("223.255.255.255"), None),
        ("240.0.0.0", "255.255.255.255", None, None),
    ] {
        for denied in [first, last] {
            check(&[], denied, false);
        }
        for passing in [before, after].into_iter().flatten() {
            check(&[], passing, true);
        }
    }
}

#[test]
fn of_ipv6_only_global_unicast_without_its_special_blocks_passes() {
    for (first, last, before, after) in [
        ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, Some("2000::")),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2000:ffff::"), Some("2001:200::")),
        (
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            Some("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"),
            Some("2001:db9::"),
        ),
        (
            "2002::",
            "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            Some("2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            Some("2003::"),
        ),
        (
            "2620:4f:8000::",
            "2620:4f:8000:ffff:ffff:ffff:ffff:ffff",
            Some("2620:4f:7fff:ffff:ffff:ffff:ffff:ffff"),
            Some("2620:4f:8001::"),
        ),
        (
            "3ffe::",
            "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            Some("3ffd:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            None,
        ),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", None, Some("3fff:1000::")),
        (
            "4000::",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            Some("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            None,
        ),
    ] {
        for denied in [first, last] {
            check(&[], denied, false);
        }
        for passing in [before, after].into_iter().flatten() {
            check(&[], passing, true);
        }
    }
    for denied in [
        "::1",
        "::7f00:1",
        "::ffff:8.8.8.8",
        "::ffff:0:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "100:0:0:1::1",
        "2001::1",
        "2001:1::1",
        "2001:2::1",
        "2001:3::1",
        "2001:4:112::1",
        "2001:10::1",
        "2001:20::1",
        "2001:30::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        check(&[], denied, false);
    }
    for passing in ["2606:4700::1111", "2a00:1450:4001::200e", "2400:cb00::1"] {
        check(&[], passing, true);
    }
}

#[test]
fn kinds_say_what_an_address_is_for() {
    for (address, kind) in [
        ("10.0.3.7", AddressKind::Private),
        ("127.0.0.1", AddressKind::Loopback),
        ("::1", AddressKind::Loopback),
        ("169.254.169.254", AddressKind::LinkLocal),
        ("fe80::1", AddressKind::LinkLocal),
        ("100.100.100.200", AddressKind::Provider),
        ("168.63.129.16", AddressKind::Provider),
        ("fd00:ec2::254", AddressKind::Private),
        ("::ffff:10.0.0.1", AddressKind::Translated),
        ("64:ff9b::a00:1", AddressKind::Translated),
        ("2002:a00:1::", AddressKind::Translated),
        ("2001::1", AddressKind::Translated),
        ("::10.0.0.1", AddressKind::Translated),
        ("ff02::1", AddressKind::Multicast),
        ("192.0.2.1", AddressKind::Documentation),
        ("::", AddressKind::Reserved),
        ("0.0.0.0", AddressKind::Reserved),
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(guard(&[]).check(address), Err(Blocked { address, kind }));
    }
}

#[test]
fn an_allowed_network_opens_what_lies_in_it_and_nothing_beside() {
    check(&["10.0.0.0/8"], "10.255.0.1", true);
    check(&["10.0.0.0/8"], "11.0.0.1", true);
    check(&["10.0.0.0/8"], "192.168.0.1", false);
    check(&["10.0.3.0/24"], "10.0.4.0", false);
    check(&["fd00::/8"], "fd12::1", true);
    check(&["fd00::/8"], "fc00::1", false);
    check(&["0.0.0.0/0"], "169.254.169.254", true);
    check(&["0.0.0.0/0"], "::1", false);
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_judged_as_what_is_connected() {
    // The mapped form: only by an IPv4 network.
    check(&["10.0.0.0/8"], "::ffff:10.0.0.1", true);
    check(&["10.0.0.0/8"], "::ffff:127.0.0.1", false);
    check(&["::/0"], "::ffff:127.0.0.1", false);
    check(&["::ffff:0:0/96"], "::ffff:127.0.0.1", false);
    // Through a translator: the operator must allow it, and the address inside must pass.
    check(&["64:ff9b::/96"], "64:ff9b::8.8.8.8", true);
    check(&["64:ff9b::/96"], "64:ff9b::127.0.0.1", false);
    check(&["64:ff9b::/96", "10.0.0.0/8"], "64:ff9b::10.0.0.1", true);
    check(&["10.0.0.0/8"], "64:ff9b::10.0.0.1", false);
    check(&["2002::/16"], "2002:7f00:1::", false);
    check(&["2002::/16"], "2002:808:808::", true);
    check(&["::/0"], "::127.0.0.1", false);
    check(&["::/0"], "::1", true);
}

#[test]
fn a_url_is_refused_when_its_text_shows_a_blocked_address_in_any_spelling() {
    for blocked in [
        "http://127.1/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.0.0.1./",
        "http://0.0.0.0/",
        "http://0/",
        "http://10.0.3.7:8080/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fd00:ec2::254]/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://1%32%37.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://hook.localhost/",
        "http://ｌｏｃａｌｈｏｓｔ/",
    ] {
        let url = DestinationUrl::parse(blocked).unwrap();
        assert!(guard(&[]).check_url(&url).is_err(), "{blocked}");
    }
    for passing in [
        "https://hooks.example.com/",
        "http://8.8.8.8/",
        "https://notlocalhost/",
        "https://localhost.example/",
    ] {
        let url = DestinationUrl::parse(passing).unwrap();
        assert_eq!(guard(&[]).check_url(&url), Ok(()), "{passing}");
    }
    let url = DestinationUrl::parse("http://localhost:3000/").unwrap();
    assert_eq!(guard(&["127.0.0.0/8"]).check_url(&url), Ok(()));
}
