//! What stands around every page: a strict content policy, no caching, and no change on the word of another site.
//!
//! A cookie goes along with what another site sends as well, so a change is taken only where the browser says that it comes from a page
//! of this address (`Origin`, `Sec-Fetch-Site`).

use super::{client, error};
use crate::app::App;
use crate::app::sign_in_gate::network;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use url::{Origin, Url};

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every page.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // A path may hold a one-time token.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];

/// Bytes of a form. Its longest field is a list of headers, 4 KiB of them.
const FORM_BYTES_MAX: usize = 256 * 1_024;
/// How long a form may take to arrive.
const FORM_WITHIN: Duration = Duration::from_secs(20);

/// A form as it was sent. It is read before anybody is asked who sends it, so that what was typed outlives a session.
#[derive(Clone, Debug, Default)]
pub struct Posted(pub Bytes);

/// Runs a request.
pub async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    protected(match admit(&app, request).await {
        Ok(request) => next.run(request).await,
        // What was not read of a form ends the connection, which a browser is told before it sends the next request there.
        Err((status, words)) => {
            let overview = app.own_origin.as_ref().map_or("/", |_| &app.public_url);
            let page = error::page(status, "Not taken", words, Some(overview));
            ([(header::CONNECTION, "close")], page).into_response()
        }
    })
}

/// The page with the headers that keep it safe.
pub fn protected(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn admit(app: &App, request: Request) -> Result<Request, (StatusCode, String)> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request);
    }
    if !comes_from_here(request.headers(), app.own_origin.as_ref()) {
        let place = app.own_origin.as_ref().map_or("its own address", |_| &app.public_url);
        let words = format!(
            "This change came from another site, or from a browser that does not say from where: it was not made. \
            Open the page again at {place}."
        );
        return Err((StatusCode::FORBIDDEN, words));
    }
    if app.own_origin.is_some() && app.public_url.starts_with("https://") {
        // It was encrypted on its way, which this server does not do: something stands before it.
        app.proxy.came_through(client::proxy_taken_for_person(&request));
    }
    let Some(_place) = app.forms.enter(network(client::address(&request))) else {
        let words = "Too many forms are on their way at this moment: send it again shortly.";
        return Err((StatusCode::SERVICE_UNAVAILABLE, words.to_owned()));
    };
    let (mut parts, body) = request.into_parts();
    let form = match tokio::time::timeout(FORM_WITHIN, to_bytes(body, FORM_BYTES_MAX)).await {
        Ok(Ok(form)) => form,
        Ok(Err(_)) => {
            return Err((
                StatusCode::PAYLOAD_TOO_LARGE,
                "The form is too large, or was cut off: send it again.".to_owned(),
            ));
        }
        Err(_) => {
            let words = "The form took too long to arrive: send it again.";
            return Err((StatusCode::REQUEST_TIMEOUT, words.to_owned()));
        }
    };
    parts.extensions.insert(Posted(form));
    Ok(Request::from_parts(parts, Body::empty()))
}

/// Whether a page of this server sent it: one of the origin that the operator has named or, where none is named, of the address by which
/// the request came.
fn comes_from_here(headers: &HeaderMap, named: Option<&Origin>) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else {
        return text(HeaderName::from_static("sec-fetch-site")) == Some("same-origin");
    };
    let Ok(origin) = Url::parse(origin) else { return false };
    if let Some(named) = named {
        return origin.origin() == *named;
    }
    // The scheme is not known here, since a proxy may stand before: it is taken for the page's.
    let host = text(header::HOST).and_then(|host| Url::parse(&format!("{}://{host}", origin.scheme())).ok());
    host.is_some_and(|own| own.origin() == origin.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(named: Option<&str>, headers: &[(&'static str, &'static str)], expected: bool) {
        let named = named.map(|url| Url::parse(url).unwrap().origin());
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        assert_eq!(comes_from_here(&headers.clone().collect(), named.as_ref()), expected, "{headers:?}");
    }

    #[test]
    fn where_an_origin_is_named_only_its_pages_may_change_something() {
        const HTTPS: Option<&str> = Some("https://calls.example.com");
        const HTTP: Option<&str> = Some("http://10.0.0.5:8080");
        for (named, host, origin, expected) in [
            (HTTPS, "calls.example.com", "https://calls.example.com", true),
            (HTTPS, "calls.example.com", "https://calls.example.com:443", true),
            (HTTPS, "calls.example.com", "http://calls.example.com", false),
            (HTTPS, "calls.example.com", "http://calls.example.com:443", false),
            (HTTPS, "calls.example.com", "https://calls.example.com:8443", false),
            (HTTPS, "calls.example.com", "https://calls.example.com.evil.example", false),
            (HTTPS, "calls.example.com", "https://evil.example", false),
            (HTTPS, "calls.example.com", "null", false),
            (HTTPS, "10.0.0.5:8080", "https://calls.example.com", true),
            (HTTPS, "10.0.0.5:8080", "http://10.0.0.5:8080", false),
            (HTTPS, "evil.example", "https://evil.example", false),
            (HTTP, "10.0.0.5:8080", "http://10.0.0.5:8080", true),
            (HTTP, "10.0.0.5:8080", "https://10.0.0.5:8080", false),
            (HTTP, "10.0.0.5:8080", "http://10.0.0.5", false),
        ] {
            check(named, &[("host", host), ("origin", origin)], expected);
        }
        check(HTTPS, &[("origin", "https://calls.example.com")], true);
    }

    #[test]
    fn where_none_is_named_the_pages_of_the_requests_own_address_may() {
        for (host, origin, expected) in [
            ("calls.example.com", "https://calls.example.com", true),
            ("calls.example.com", "http://calls.example.com", true),
            ("Calls.Example.com", "http://calls.example.com", true),
            ("127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("127.0.0.1:8080", "http://127.0.0.1:9090", false),
            ("127.0.0.1:8080", "http://localhost:8080", false),
            ("127.0.0.1:8080", "http://127.0.0.1", false),
            ("calls.example.com", "https://calls.example.com:8443", false),
            ("calls.example.com", "https://calls.example.com.evil.example", false),
            ("calls.example.com", "null", false),
        ] {
            check(None, &[("host", host), ("origin", origin)], expected);
        }
        check(None, &[("origin", "https://calls.example.com")], false);
    }

    #[test]
    fn a_browser_that_sends_no_origin_says_at_least_that_it_is_the_same() {
        for named in [None, Some("https://calls.example.com")] {
            for (site, expected) in
                [("same-origin", true), ("same-site", false), ("cross-site", false), ("none", false)]
            {
                check(named, &[("host", "calls.example.com"), ("sec-fetch-site", site)], expected);
            }
            check(named, &[("host", "calls.example.com")], false);
        }
    }
}
