//! Where a call flow's data goes, and how: URL, custom headers, firing mode, retries, signing secrets.

use crate::id::{BusinessId, CallFlowId, DestinationId};
use crate::retry::RetrySchedule;
use crate::secret::{MASK, Secret};
use crate::time::Timestamp;
use crate::{Invalid, limits};
use std::fmt;
use url::{Host, Url};

/// A destination with its secrets in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Also the lane in which its deliveries wait.
    pub id: DestinationId,
    /// Its owner.
    pub business_id: BusinessId,
    /// The flow whose calls go there.
    pub call_flow_id: CallFlowId,
    /// What a user can set.
    pub settings: DestinationSettings,
    /// How its requests are signed.
    pub signing: SigningSecrets,
}

/// What a user can set of a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationSettings {
    /// Whether calls go there.
    pub enabled: bool,
    /// Where to. An enabled destination has one.
    pub url: Option<DestinationUrl>,
    /// When a delivery is due.
    pub firing_mode: FiringMode,
    /// The user's own request headers.
    pub headers: HeaderList,
    /// The flow's own schedule; `None`: the operator's.
    pub retry_schedule: Option<RetrySchedule>,
}

impl DestinationSettings {
    /// Checks what no single field can: an enabled destination has a URL.
    pub fn checked(self) -> Result<Self, Invalid> {
        if self.enabled && self.url.is_none() {
            return Err(Invalid::field("url", "is required for an enabled webhook"));
        }
        Ok(self)
    }

    /// The URL, where calls go there at all.
    #[must_use]
    pub fn target(&self) -> Option<&DestinationUrl> {
        self.url.as_ref().filter(|_| self.enabled)
    }
}

/// When a delivery is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FiringMode {
    /// As soon as the call has ended.
    #[default]
    Immediate,
    /// When transcription and analysis are complete, at the latest at the fallback.
    WaitForAi,
}

/// An address that webhooks may be sent to, as far as its text can tell: http or https, at most 2,048 characters,
/// no user name, password or fragment. Whether the address behind it is public is checked when it is connected to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DestinationUrl(Url);

impl DestinationUrl {
    /// Reads and checks a URL.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.chars().count() > limits::URL_CHARS_MAX {
            return Err(Invalid::value(format!("is too long: at most {} characters", limits::URL_CHARS_MAX)));
        }
        if text.chars().any(char::is_control) {
            return Err(Invalid::value("must not contain control characters"));
        }
        let url =
            Url::parse(text).map_err(|_| Invalid::value("is not a URL: https://host/path is expected"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Invalid::value("must start with https:// or http://"));
        }
        // The parser mends `http:/host` and `http:host`; what is saved should be what was written.
        let written = text.get(url.scheme().len()..).unwrap_or_default();
        if !written.starts_with("://") || written.starts_with(":///") || url.host().is_none() {
            return Err(Invalid::value("must name a host: https://host/path is expected"));
        }
        if let Some(name) = url.domain()
            && (name.len() > 254 || name.split('.').any(|label| label.len() > 63))
        {
            return Err(Invalid::value(
                "names a host that cannot be: 63 characters from dot to dot, 253 in all",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Invalid::value("must not contain a user name or password: use a custom header"));
        }
        if url.fragment().is_some() {
            return Err(Invalid::value("must not contain a fragment (#…): it is never sent"));
        }
        if url.as_str().len() > limits::URL_CHARS_MAX {
            return Err(Invalid::value(format!("is too long: at most {} characters", limits::URL_CHARS_MAX)));
        }
        Ok(Self(url))
    }

    /// The parsed URL.
    #[must_use]
    pub const fn as_url(&self) -> &Url {
        &self.0
    }

    /// The text that is requested.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host; a literal address is already one here, in whatever spelling it was written.
    #[must_use]
    pub fn host(&self) -> Option<Host<&str>> {
        self.0.host()
    }

    /// Whether secret headers may follow from this URL to a changed one: to the same scheme, host and port alone. Another port is another
    /// server, and over http anybody on the way could read them.
    #[must_use]
    pub fn may_pass_secrets_to(&self, changed: &Self) -> bool {
        self.0.origin() == changed.0.origin()
    }
}

impl fmt::Display for DestinationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DestinationUrl {
    // A path may be a secret (Slack, Zapier): only the host is for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/…", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

/// Custom request headers in the order in which they were given. Their values are secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderList(Vec<(String, Secret)>);

/// Names that belong to the request itself or to the signature.
const HEADERS_REFUSED: [&str; 9] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
];
/// Beginnings of such names.
const HEADER_PREFIXES_REFUSED: [&str; 3] = ["proxy-", "webhook-", "callhook-"];

impl HeaderList {
    /// Checks names, values, number and size.
    pub fn new(headers: Vec<(String, String)>) -> Result<Self, Invalid> {
        if headers.len() > limits::HEADERS_MAX {
            return Err(Invalid::value(format!("has too many entries: at most {}", limits::HEADERS_MAX)));
        }
        let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > limits::HEADER_BYTES_MAX {
            return Err(Invalid::value(format!(
                "is too large: at most {} bytes in all",
                limits::HEADER_BYTES_MAX
            )));
        }
        let mut checked: Vec<(String, Secret)> = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            check_header_name(&name).map_err(|refused| refused.within(&printable(&name)))?;
            if checked.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                return Err(Invalid::field(
                    printable(&name),
                    "is given twice; names are the same in capitals and small letters",
                ));
            }
            let value = check_header_value(&value).map_err(|refused| refused.within(&printable(&name)))?;
            checked.push((name, Secret::new(value)));
        }
        Ok(Self(checked))
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The names alone, which are no secret.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

fn check_header_name(name: &str) -> Result<(), Invalid> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(Invalid::value("is not a header name: letters, digits and hyphens are expected"));
    }
    let lower = name.to_ascii_lowercase();
    if HEADERS_REFUSED.contains(&lower.as_str())
        || HEADER_PREFIXES_REFUSED.iter().any(|p| lower.starts_with(p))
    {
        return Err(Invalid::value("is a header that callhook sets itself or never sends"));
    }
    Ok(())
}

fn check_header_value(value: &str) -> Result<String, Invalid> {
    if value.trim() == MASK {
        return Err(Invalid::value("is masked: give the value itself"));
    }
    let value = value.trim_matches([' ', '\t']);
    if value.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
        Ok(value.to_owned())
    } else {
        Err(Invalid::value(
            "has characters that a header cannot carry: visible ASCII, spaces and tabs are expected",
        ))
    }
}

/// A name as it may stand in an error message.
fn printable(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The secrets that sign requests by Standard Webhooks: two during a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSecrets {
    /// Signs first.
    pub current: SigningSecret,
    /// Signs beside it until the given time.
    pub previous: Option<(SigningSecret, Timestamp)>,
}

impl SigningSecrets {
    /// The secrets that sign at `now`, the current one first.
    pub fn valid_at(&self, now: Timestamp) -> impl Iterator<Item = &SigningSecret> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        std::iter::once(&self.current).chain(previous)
    }
}

/// `whsec_` and the base64 of 24 to 64 bytes (Standard Webhooks, "Signature scheme").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSecret(Secret);

impl SigningSecret {
    /// What every such secret starts with.
    pub const PREFIX: &'static str = "whsec_";

    /// Takes a secret that was made or stored by callhook.
    #[must_use]
    pub const fn from_secret(secret: Secret) -> Self {
        Self(secret)
    }

    /// The whole text, prefix included.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_url(input: &str, expected: Result<&str, &str>) {
        match (DestinationUrl::parse(input), expected) {
            (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected),
            (Err(refused), Err(part)) => assert!(refused.reason.contains(part), "{input}: {refused}"),
            (got, _) => panic!("{input}: {got:?}"),
        }
    }

    #[test]
    fn only_plain_http_addresses_are_destinations() {
        check_url("https://hooks.example.com/x?y=1", Ok("https://hooks.example.com/x?y=1"));
        check_url(" http://Example.COM:8080 ", Ok("http://example.com:8080/"));
        check_url("http://0x7f.1/", Ok("http://127.0.0.1/"));
        check_url("http://bücher.example/", Ok("http://xn--bcher-kva.example/"));
        check_url("ftp://example.com/", Err("https://"));
        check_url("javascript:alert(1)", Err("https://"));
        check_url("example.com/x", Err("not a URL"));
        check_url("https:///path", Err("host"));
        check_url("https:example.com", Err("host"));
        check_url("https://user:pass@example.com/", Err("user name"));
        check_url("https://example.com/#top", Err("fragment"));
        check_url("https://exa\nmple.com/", Err("control"));
        check_url(&format!("https://{}.example.com/", "x".repeat(64)), Err("63"));
        check_url(&format!("https://{}com/", "x.".repeat(126)), Err("253"));
        check_url(&format!("https://example.com/{}", "x".repeat(2_048)), Err("too long"));
        check_url("", Err("not a URL"));
    }

    #[test]
    fn a_url_prints_no_path() {
        let url = DestinationUrl::parse("https://hooks.slack.com/services/T0/B0/secret").unwrap();
        assert_eq!(format!("{url:?}"), "https://hooks.slack.com/…");
    }

    #[test]
    fn secrets_follow_to_the_same_scheme_host_and_port_alone() {
        let url = |text: &str| DestinationUrl::parse(text).unwrap();
        for (from, to, may) in [
            ("https://a.example/x", "https://a.example/y?z=1", true),
            ("https://a.example/x", "https://A.example:443/x", true),
            ("http://a.example:8080/x", "http://a.example:8080/y", true),
            ("https://a.example/x", "https://a.example:8443/x", false),
            ("http://a.example:8080/x", "http://a.example/x", false),
            ("http://a.example:8080/x", "https://a.example:8080/x", false),
            ("http://a.example/x", "https://a.example/x", false),
            ("https://a.example/x", "http://a.example/x", false),
            ("https://a.example/x", "https://b.example/x", false),
            ("https://a.example/x", "https://a.example.evil.example/x", false),
        ] {
            assert_eq!(url(from).may_pass_secrets_to(&url(to)), may, "{from} {to}");
        }
    }

    #[track_caller]
    fn check_header(name: &str, value: &str, expected: Result<(), &str>) {
        let list = HeaderList::new(vec![(name.into(), value.into())]);
        match (list, expected) {
            (Ok(_), Ok(())) => {}
            (Err(refused), Err(part)) => assert!(refused.reason.contains(part), "{name}: {refused}"),
            (got, _) => panic!("{name}: {value:?}: {got:?}"),
        }
    }

    #[test]
    fn headers_that_would_change_the_request_are_refused() {
        check_header("X-Token", "abc \t def", Ok(()));
        check_header("Authorization", "Bearer x", Ok(()));
        check_header("X-Empty", "", Ok(()));
        for own in [
            "Host",
            "content-length",
            "Content-Type",
            "Transfer-Encoding",
            "Connection",
            "Upgrade",
            "TE",
            "Trailer",
            "Expect",
            "Proxy-Authorization",
            "webhook-id",
            "Callhook-Test",
        ] {
            check_header(own, "x", Err("sets itself"));
        }
        for name in ["", "a b", "a:b", "ä", "a\r\nb"] {
            check_header(name, "x", Err("header name"));
        }
        for value in ["a\r\nb", "a\nb", "ä", "a\0", "a\u{7f}"] {
            check_header("X-Token", value, Err("cannot carry"));
        }
        check_header("X-Token", "••••", Err("masked"));
        check_header("X-Token", &"x".repeat(4_096), Err("too large"));
    }

    #[test]
    fn headers_are_bounded_in_number_and_unique() {
        let many = (0..21).map(|i| (format!("X-{i}"), "v".to_owned())).collect();
        assert!(HeaderList::new(many).unwrap_err().reason.contains("at most 20"));
        let twice = vec![("X-A".to_owned(), "1".to_owned()), ("x-a".to_owned(), "2".to_owned())];
        assert!(HeaderList::new(twice).unwrap_err().reason.contains("twice"));
    }

    #[test]
    fn the_previous_secret_signs_until_its_time() {
        let secret = |text: &str| SigningSecret::from_secret(Secret::new(text));
        let until = Timestamp::from_millis(1_000);
        let both = SigningSecrets { current: secret("whsec_b"), previous: Some((secret("whsec_a"), until)) };
        let at = |millis| {
            both.valid_at(Timestamp::from_millis(millis)).map(SigningSecret::reveal).collect::<Vec<_>>()
        };
        assert_eq!(at(999), ["whsec_b", "whsec_a"]);
        assert_eq!(at(1_000), ["whsec_b"]);
    }
}
