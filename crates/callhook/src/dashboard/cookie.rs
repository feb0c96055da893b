//! The cookies of a browser that is signed in: who it is, and which zone its clock is in.

use axum::http::{HeaderMap, HeaderName, header};
use domain::secret::Secret;
use std::time::Duration;

const SESSION: &str = "callhook_session";
/// Kept by the browser only over an encrypted connection, and for this very host.
const SESSION_SECURE: &str = "__Host-callhook_session";
/// Set by the script: `Europe/Berlin`.
pub const ZONE: &str = "zone";
/// As long as a session may last at the most.
const KEPT: Duration = Duration::from_hours(90 * 24);

/// The session's token that a browser shows.
pub fn session(public_url: &str, headers: &HeaderMap) -> Option<String> {
    value(headers, name(public_url)).map(str::to_owned)
}

/// Over an encrypted connection only the name that no other host and no plain connection can set.
fn name(public_url: &str) -> &'static str {
    if public_url.starts_with("https://") { SESSION_SECURE } else { SESSION }
}

/// The header that gives a browser its session.
pub fn keep_session(public_url: &str, token: &Secret) -> (HeaderName, String) {
    set(public_url, token.reveal(), KEPT)
}

/// The header that takes it away.
pub fn drop_session(public_url: &str) -> (HeaderName, String) {
    set(public_url, "", Duration::ZERO)
}

fn set(public_url: &str, value: &str, kept: Duration) -> (HeaderName, String) {
    let name = name(public_url);
    let secure = if name == SESSION_SECURE { "; Secure" } else { "" };
    let max_age = kept.as_secs();
    (header::SET_COOKIE, format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}"))
}

/// A cookie's value.
pub fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = [("cookie", "a=1; callhook_session=x=y"), ("cookie", "zone=Europe%2FBerlin")];
        let headers: HeaderMap = headers
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .into_iter()
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            });
        assert_eq!(session("http://127.0.0.1:8080", &headers).as_deref(), Some("x=y"));
        assert_eq!(session("https://calls.example.com", &headers), None);
        assert_eq!(value(&headers, ZONE), Some("Europe%2FBerlin"));
        assert_eq!(value(&headers, "b"), None);
    }

    #[test]
    fn over_https_the_session_goes_nowhere_else() {
        let (_, secure) = keep_session("https://calls.example.com", &Secret::new("t"));
        assert!(secure.starts_with("__Host-callhook_session=t; Path=/; HttpOnly; SameSite=Lax"), "{secure}");
        assert!(secure.ends_with("; Secure"), "{secure}");
        let (_, plain) = drop_session("http://127.0.0.1:8080");
        assert_eq!(plain, "callhook_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }
}
