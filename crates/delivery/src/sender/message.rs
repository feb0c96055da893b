//! What is sent, and how it changes from hop to hop: which headers go where is decided here alone.

use super::fetch::Fetch;
use super::origin::Origin;
use super::request::Request;
use super::signature;
use bytes::Bytes;
use domain::failure::{Failure, ProtocolFailure};
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::Full;
use std::fmt::Write;
use url::{Position, Url};

const AGENT: HeaderValue = HeaderValue::from_static(concat!("callhook/", env!("CARGO_PKG_VERSION")));

/// A message at one of its hops.
#[derive(Clone)]
pub(super) struct Message {
    pub url: Url,
    pub method: Method,
    /// Sent at every hop.
    always: HeaderMap,
    /// The user's secrets: sent to the first URL's origin, and no more once another origin came between.
    own: Option<HeaderMap>,
    /// Sent with a body: its type and signature.
    with_body: HeaderMap,
    body: Bytes,
}

impl Message {
    /// The first hop of an attempt.
    pub fn of_request(request: &Request) -> Result<Self, Failure> {
        let mut message = Self {
            url: request.url.as_url().clone(),
            method: Method::POST,
            always: HeaderMap::new(),
            own: None,
            with_body: HeaderMap::new(),
            body: request.body.clone(),
        };
        message.always.insert(USER_AGENT, AGENT);
        if request.test {
            message.always.insert("callhook-test", HeaderValue::from_static("true"));
        }
        let unsendable = || message.unsendable();
        let mut own = HeaderMap::new();
        for (name, value) in request.headers.iter() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable())?;
            let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| unsendable())?;
            value.set_sensitive(true);
            own.insert(name, value);
        }
        let text = |text: &str| HeaderValue::from_str(text).map_err(|_| unsendable());
        let seconds = request.sent_at.as_seconds();
        let signature = signature::sign(&request.signing, &request.delivery_id, seconds, &request.body);
        let mut with_body = HeaderMap::new();
        with_body.insert(CONTENT_TYPE, text(request.content_type)?);
        with_body.insert("webhook-id", text(&request.delivery_id)?);
        with_body.insert("webhook-timestamp", HeaderValue::from(seconds));
        with_body.insert("webhook-signature", text(&signature)?);
        Ok(Self { own: Some(own), with_body, ..message })
    }

    /// The first hop of a fetch.
    pub fn of_fetch(fetch: &Fetch) -> Self {
        let mut always = fetch.headers.clone();
        always.insert(USER_AGENT, AGENT);
        let authorization = fetch.authorization.clone().map(|mut value| {
            value.set_sensitive(true);
            HeaderMap::from_iter([(http::header::AUTHORIZATION, value)])
        });
        Self {
            url: fetch.url.clone(),
            method: Method::GET,
            always,
            own: authorization,
            with_body: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// The next hop: at `url`, and without a body where the redirect asks for it.
    pub fn redirected(self, url: Url, keeps_body: bool) -> Self {
        let stays = Origin::of(&self.url) == Origin::of(&url);
        let own = self.own.filter(|_| stays);
        if keeps_body {
            Self { url, own, ..self }
        } else {
            Self { url, own, method: Method::GET, with_body: HeaderMap::new(), body: Bytes::new(), ..self }
        }
    }

    /// The request of this hop.
    pub fn to_http(&self) -> Result<http::Request<Full<Bytes>>, Failure> {
        let unsendable = |_| self.unsendable();
        let target: Uri = target(&self.url).parse().map_err(|_| self.unsendable())?;
        let host = HeaderValue::from_str(&self.url[Position::BeforeHost..Position::AfterPort]);
        let mut headers = HeaderMap::with_capacity(self.always.len() + self.with_body.len() + 8);
        headers.insert(HOST, host.map_err(|_| self.unsendable())?);
        // Later ones win: a user's own User-Agent over ours, the signature over everything.
        for set in [Some(&self.always), self.own.as_ref(), Some(&self.with_body)].into_iter().flatten() {
            for (name, value) in set {
                headers.insert(name, value.clone());
            }
        }
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(target)
            .body(Full::new(self.body.clone()))
            .map_err(unsendable)?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn unsendable(&self) -> Failure {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        Failure::Protocol { host, reason: ProtocolFailure::Unsendable }
    }
}

/// Path and query. The URL's rules allow a few characters there that a request line does not: those are escaped.
fn target(url: &Url) -> String {
    let written = &url[Position::BeforePath..Position::AfterQuery];
    let mut target = String::with_capacity(written.len());
    for character in written.chars() {
        match character {
            '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                // Cannot fail: a string takes whatever is written to it.
                let _ = write!(target, "%{:02X}", u32::from(character));
            }
            other => target.push(other),
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_of_a_url_can_be_sent() {
        let ascii: String = (' '..='~').filter(|c| *c != '#').collect();
        let url = Url::parse(&format!("https://example.com/é{ascii}&q={ascii}ü#fragment")).unwrap();
        let target = target(&url);
        assert!(target.parse::<Uri>().is_ok(), "{target}");
        assert!(target.starts_with("/%C3%A9") && target.ends_with("%C3%BC"), "{target}");
    }
}
