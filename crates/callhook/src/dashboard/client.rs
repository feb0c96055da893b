//! Who asks, as far as a request shows it: the address, also behind a proxy of one's own, and the browser.

use crate::app::App;
use crate::app::sign_in::Client;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Written by proxies, each adding whom it heard.
const FORWARDED_FOR: &str = "x-forwarded-for";

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip().to_canonical());
        let user_agent =
            parts.headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        Ok(Self {
            address: behind_proxies(peer, &parts.headers),
            user_agent: user_agent.unwrap_or_default().into_owned(),
        })
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
}
