//! Who asks, as far as a request shows it: the address, also behind a proxy of one's own, and the browser.

use crate::app::App;
use crate::app::sign_in::Client;
use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Written by proxies, each adding whom it heard.
const FORWARDED_FOR: &str = "x-forwarded-for";

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Infallible> {
        let peer = peer(&parts.extensions);
        let user_agent =
            parts.headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        Ok(Self {
            address: behind_proxies(peer, &parts.headers),
            user_agent: user_agent.unwrap_or_default().into_owned(),
        })
    }
}

/// Where the request came from.
pub fn address(request: &Request) -> IpAddr {
    behind_proxies(peer(request.extensions()), request.headers())
}

fn peer(extensions: &Extensions) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip().to_canonical())
}

/// Of a request that came through a proxy: the proxy's own address, where that is taken for the person's.
///
/// A public address is nobody's proxy for sure: whoever reaches this server directly could have written the request.
pub fn proxy_taken_for_person(request: &Request) -> Option<IpAddr> {
    let peer = peer(request.extensions());
    Some(peer).filter(|peer| is_near(*peer) && behind_proxies(*peer, request.headers()) == *peer)
}

/// Whether it is of this machine or of a network that no stranger is in.
const fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// A proxy on this machine is believed whom it heard; anybody else could write what they like.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !peer.is_loopback() {
        return peer;
    }
    let mut lists = headers.get_all(FORWARDED_FOR).into_iter().filter_map(|list| list.to_str().ok());
    let last = lists.next_back().and_then(|list| list.rsplit(',').next());
    last.and_then(|address| address.trim().parse().ok()).unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_of_this_machine_says_for_whom_it_speaks() {
        let headers = |list: &'static str| {
            HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), list.parse().unwrap())])
        };
        let check = |peer: &str, list, expected: &str| {
            assert_eq!(behind_proxies(peer.parse().unwrap(), &headers(list)).to_string(), expected, "{list}");
        };
        check("127.0.0.1", "6.6.6.6, 198.51.100.7", "198.51.100.7");
        check("::1", "2001:db8::1", "2001:db8::1");
        check("127.0.0.1", "nonsense", "127.0.0.1");
        check("203.0.113.9", "198.51.100.7", "203.0.113.9");
    }

    #[test]
    fn a_proxy_is_taken_for_the_person_unless_it_is_near_and_says_for_whom_it_speaks() {
        for (peer, list, expected) in [
            ("127.0.0.1", None, Some("127.0.0.1")),
            ("127.0.0.1", Some("198.51.100.7"), None),
            ("::ffff:127.0.0.1", Some("nonsense"), Some("127.0.0.1")),
            ("172.17.0.1", Some("198.51.100.7"), Some("172.17.0.1")),
            ("fd00::7", None, Some("fd00::7")),
            ("203.0.113.9", None, None),
        ] {
            let peer = SocketAddr::new(peer.parse().unwrap(), 4_711);
            let mut request = Request::new(axum::body::Body::empty());
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(list) = list {
                request.headers_mut().insert(FORWARDED_FOR, list.parse().unwrap());
            }
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(proxy_taken_for_person(&request), expected, "{peer} {list:?}");
        }
    }
}
