//! Whether a redirect is followed, and to where: a pure decision, made anew at each hop.

use super::limits;
use super::message::Message;
use super::origin::Origin;
use domain::failure::{Failure, RedirectRefusal};
use http::HeaderValue;
use url::Url;

/// What an answer means for the way of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// It is the final one.
    Final,
    /// It leads on.
    On { url: Url, keeps_body: bool },
    /// It leads where callhook does not go.
    Refused(RedirectRefusal),
}

/// Reads an answer's status and `Location` at `base`. A redirect without a usable address is a final answer.
pub(super) fn direction(base: &Url, status: u16, location: Option<&HeaderValue>) -> Direction {
    let keeps_body = match status {
        301..=303 => false,
        307 | 308 => true,
        _ => return Direction::Final,
    };
    let text = location.and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).map(str::trim);
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Direction::Final };
    if text.chars().count() > limits::LOCATION_CHARS_MAX {
        return Direction::Refused(RedirectRefusal::TooLong);
    }
    let Ok(mut url) = base.join(text) else { return Direction::Final };
    // Never sent, and no part of where it leads.
    url.set_fragment(None);
    match url.scheme() {
        "http" if base.scheme() == "https" => return Direction::Refused(RedirectRefusal::Downgrade),
        "http" | "https" => {}
        _ => return Direction::Refused(RedirectRefusal::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Direction::Refused(RedirectRefusal::UserInfo);
    }
    if url.as_str().len() > limits::LOCATION_CHARS_MAX {
        return Direction::Refused(RedirectRefusal::TooLong);
    }
    Direction::On { url, keeps_body }
}

/// The URLs where an attempt has been.
pub(super) struct Trail(Vec<Url>);

impl Trail {
    pub fn from(message: &Message) -> Self {
        Self(vec![message.url.clone()])
    }

    /// Redirects that were followed so far.
    pub fn redirects(&self) -> usize {
        self.0.len() - 1
    }

    /// The failure of one redirect too many, which leads to `url`.
    pub fn limit(&self, url: &Url) -> Failure {
        Failure::RedirectLimit {
            redirects: u32::try_from(self.0.len()).unwrap_or(u32::MAX),
            last: Origin::of(url).map(|origin| origin.to_string()).unwrap_or_default(),
            circle: self.0.contains(url),
        }
    }

    pub fn go_to(&mut self, url: Url) {
        self.0.push(url);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        base: &str,
        status: u16,
        location: &[u8],
        expected: Result<Option<(&str, bool)>, RedirectRefusal>,
    ) {
        let location = HeaderValue::from_bytes(location).unwrap();
        let expected = match expected {
            Ok(Some((url, keeps_body))) => Direction::On { url: Url::parse(url).unwrap(), keeps_body },
            Ok(None) => Direction::Final,
            Err(refusal) => Direction::Refused(refusal),
        };
        assert_eq!(direction(&Url::parse(base).unwrap(), status, Some(&location)), expected, "{location:?}");
    }

    #[test]
    fn only_307_and_308_keep_the_body() {
        for (status, keeps_body) in [(301, false), (302, false), (303, false), (307, true), (308, true)] {
            check("https://a.test/x", status, b"/y", Ok(Some(("https://a.test/y", keeps_body))));
        }
        for status in [200, 201, 300, 304, 305, 306, 399, 404] {
            check("https://a.test/x", status, b"/y", Ok(None));
        }
    }

    #[test]
    fn locations_are_read_in_every_form() {
        let base = "https://a.test/dir/x?q=1";
        for (location, url) in [
            ("y", "https://a.test/dir/y"),
            ("?q=2", "https://a.test/dir/x?q=2"),
            ("//b.test/z", "https://b.test/z"),
            ("https://b.test:8443/z#part", "https://b.test:8443/z"),
            (" HTTPS://B.test ", "https://b.test/"),
            ("https://b.test/é", "https://b.test/%C3%A9"),
        ] {
            check(base, 307, location.as_bytes(), Ok(Some((url, true))));
        }
        for unusable in ["", "  ", "https://", "https://[::1", "https://a b/", "http://b.test:99999/"] {
            check(base, 302, unusable.as_bytes(), Ok(None));
        }
        check(base, 302, b"https://b.test/\xff", Ok(None));
        assert_eq!(direction(&Url::parse(base).unwrap(), 302, None), Direction::Final);
    }

    #[test]
    fn what_is_unsafe_or_endless_is_refused() {
        let base = "https://a.test/x";
        check(base, 302, b"http://a.test/x", Err(RedirectRefusal::Downgrade));
        check("http://a.test/x", 302, b"https://a.test/x", Ok(Some(("https://a.test/x", false))));
        for scheme in
            ["ftp://b.test/", "file:///etc/passwd", "javascript:alert(1)", "data:,x", "gopher://b.test/"]
        {
            check(base, 302, scheme.as_bytes(), Err(RedirectRefusal::Scheme));
        }
        check(base, 302, b"https://user@b.test/", Err(RedirectRefusal::UserInfo));
        check(base, 302, b"https://:secret@b.test/", Err(RedirectRefusal::UserInfo));
        check(base, 302, "y".repeat(3_000).as_bytes(), Err(RedirectRefusal::TooLong));
        check(base, 302, "é".repeat(1_000).as_bytes(), Err(RedirectRefusal::TooLong));
    }
}
