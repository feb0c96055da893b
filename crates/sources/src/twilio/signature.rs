//! Whether a request comes from Twilio: the signature over its address and its parameters.
//!
//! What is signed is the address that Twilio called, as it wrote it (behind a proxy that is the public address), and
//! after it each form parameter's name and value, sorted, each pair once. A body that is no form is covered by its
//! SHA-256 in the address (`bodySHA256`). Twilio's back ends disagree on whether a standard port stands in the signed
//! address, so the address counts with its port and without.
//!
//! A body that nothing covers is refused: otherwise a recorded request without a body, whose signature is over the
//! address alone, could be sent again with any body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-twilio-signature";
/// The header that names key and algorithm of the signature; without it the account's token and HMAC-SHA1 are meant.
pub const SETTINGS_HEADER: &str = "x-twilio-webhooks-signature-settings";

/// What is signed of a request, and its signature.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The whole address as the phone system called it: public address, path and raw query.
    pub url: &'a str,
    /// The decoded form parameters of the body ([`Parameters::form`](super::parameters::Parameters::form)).
    pub form: &'a [(String, String)],
    /// The raw body.
    pub body: &'a [u8],
    /// The value of [`SIGNATURE_HEADER`].
    pub signature: Option<&'a str>,
    /// The value of [`SETTINGS_HEADER`].
    pub settings: Option<&'a str>,
}

/// Why a request is not believed. For the log: the client learns no more than that it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthentic {
    /// There is no signature.
    #[error("the request has no X-Twilio-Signature header")]
    Unsigned,
    /// The signature's algorithm is unknown.
    #[error("the signature's algorithm is neither HMAC_SHA1 nor HMAC_SHA256")]
    UnknownAlgorithm,
    /// The signature does not cover the body.
    #[error("the body is not what the signature covers")]
    Body,
    /// The signature belongs to another address, other parameters or another key.
    #[error(
        "the signature does not match: the auth token, or the public address, differs from what the phone system uses"
    )]
    Mismatch,
}

/// Checks a request's signature. `key` is the account's auth token, or the shared key that the request's settings name.
pub fn verify(key: &Secret, request: &SignedRequest<'_>) -> Result<(), Unauthentic> {
    let given = request.signature.ok_or(Unauthentic::Unsigned)?;
    let algorithm = Algorithm::of(request.settings)?;
    if request.form.is_empty() && !request.body.is_empty() && !is_covered(request) {
        return Err(Unauthentic::Body);
    }
    let parameters = signed_parameters(request.form);
    // Both addresses are always tried: how long the check takes says nothing about which of them matched.
    let matches = signed_urls(request.url).into_iter().fold(Choice::from(0), |matched, url| {
        let expected = algorithm.sign(key, &url, &parameters);
        matched | expected.as_bytes().ct_eq(given.trim().as_bytes())
    });
    if bool::from(matches) { Ok(()) } else { Err(Unauthentic::Mismatch) }
}

/// The signature of a form as Twilio makes it, for those who play Twilio: the demo.
#[must_use]
pub fn sign(auth_token: &Secret, url: &str, form: &[(String, String)]) -> String {
    Algorithm::Sha1.sign(auth_token, url, &signed_parameters(form))
}

#[derive(Clone, Copy)]
enum Algorithm {
    Sha1,
    Sha256,
}

impl Algorithm {
    /// Reads `key=…,algorithm=HMAC_SHA256`.
    fn of(settings: Option<&str>) -> Result<Self, Unauthentic> {
        let named = settings
            .unwrap_or_default()
            .split(',')
            .filter_map(|setting| setting.split_once('='))
            .filter(|(name, _)| name.trim() == "algorithm")
            .map(|(_, value)| value.trim().to_ascii_uppercase())
            .find(|value| !value.is_empty());
        match named.as_deref() {
            None | Some("HMAC_SHA1") => Ok(Self::Sha1),
            Some("HMAC_SHA256") => Ok(Self::Sha256),
            Some(_) => Err(Unauthentic::UnknownAlgorithm),
        }
    }

    fn sign(self, key: &Secret, url: &str, parameters: &str) -> String {
        match self {
            Self::Sha1 => mac::<Hmac<Sha1>>(key, url, parameters),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, url, parameters),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &Secret, url: &str, parameters: &str) -> String {
    let Ok(mac) = <M as KeyInit>::new_from_slice(key.reveal().as_bytes()) else {
        unreachable!("HMAC takes a key of any length (RFC 2104)");
    };
    STANDARD.encode(mac.chain_update(url).chain_update(parameters).finalize().into_bytes())
}

fn signed_parameters(form: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = form.iter().collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.into_iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect()
}

/// Whether the address carries the body's SHA-256 in hexadecimal, and the right one.
fn is_covered(request: &SignedRequest<'_>) -> bool {
    let query = request.url.split_once('?').map_or("", |(_, query)| query);
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let Some((_, expected)) = parameters.find(|(name, _)| name == "bodySHA256") else {
        return false;
    };
    let nibbles = Sha256::digest(request.body).into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let actual: String = nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect();
    bool::from(actual.as_bytes().ct_eq(expected.as_bytes()))
}

/// The address without a port, and with one: its own, or else the scheme's.
///
/// The text is cut and never parsed and written again: a normalised address would no longer be the signed one.
fn signed_urls(url: &str) -> [String; 2] {
    let Some((scheme, rest)) = url.split_once("://") else {
        return [url.to_owned(), url.to_owned()];
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let standard = if scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    // Only digits are a port: a colon stands inside an IPv6 address and before a password too.
    let (host, port) = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .unwrap_or((authority, standard));
    [format!("{scheme}://{host}{path}"), format!("{scheme}://{host}:{port}{path}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::parameters::Parameters;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const FORM: &str =
        "CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309";
    const SIGNATURE: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
    const SIGNATURE_SHA256: &str = "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s=";
    const JSON: &str = r#"{"property": "value", "boolean": true}"#;
    const JSON_URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    const JSON_SIGNATURE: &str = "a9nBmqA0ju/hNViExpshrM61xv4=";

    struct Case {
        key: &'static str,
        url: &'static str,
        body: &'static str,
        is_form: bool,
        signature: Option<&'static str>,
        settings: Option<&'static str>,
    }

    /// The documented example; the rows below say what is different.
    const EXAMPLE: Case = Case {
        key: "12345",
        url: URL,
        body: FORM,
        is_form: true,
        signature: Some(SIGNATURE),
        settings: None,
    };
    const JSON_EXAMPLE: Case =
        Case { url: JSON_URL, body: JSON, is_form: false, signature: Some(JSON_SIGNATURE), ..EXAMPLE };

    #[track_caller]
    fn check(name: &str, case: &Case, expected: Result<(), Unauthentic>) {
        let form = if case.is_form { case.body } else { "" };
        let parameters = Parameters::read("", form.as_bytes());
        let request = SignedRequest {
            url: case.url,
            form: parameters.form(),
            body: case.body.as_bytes(),
            signature: case.signature,
            settings: case.settings,
        };
        assert_eq!(verify(&Secret::new(case.key), &request), expected, "{name}");
    }

    #[test]
    fn published_signatures_are_accepted() {
        let accepted = |name, case: Case| check(name, &case, Ok(()));
        accepted("the example", EXAMPLE);
        accepted(
            "the port was not signed",
            Case { url: "https://mycompany.com:443/myapp.php?foo=1&bar=2", ..EXAMPLE },
        );
        accepted("the port was signed", Case { signature: Some("kvajT1Ptam85bY51eRf/AJRuM3w="), ..EXAMPLE });
        accepted(
            "the port of http was signed",
            Case {
                url: "http://mycompany.com/myapp.php?foo=1&bar=2",
                signature: Some("0ZXoZLH/DfblKGATFgpif+LLRf4="),
                ..EXAMPLE
            },
        );
        accepted(
            "a port of one's own was signed",
            Case {
                url: "http://mycompany.com:1234/myapp.php?foo=1&bar=2",
                signature: Some("Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
                ..EXAMPLE
            },
        );
        accepted(
            "a repeated parameter",
            Case {
                body: "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=5678",
                signature: Some("IK+Dwps556ElfBT0I3Rgjkr1wJU="),
                ..EXAMPLE
            },
        );
        accepted("a JSON body", JSON_EXAMPLE);
        accepted(
            "a shared key with SHA-256",
            Case {
                signature: Some(SIGNATURE_SHA256),
                settings: Some("key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"),
                ..EXAMPLE
            },
        );
        accepted("settings without an algorithm", Case { settings: Some("key=1,algorithm="), ..EXAMPLE });
        accepted("the algorithm in small letters", Case { settings: Some("algorithm=hmac_sha1"), ..EXAMPLE });
    }

    #[test]
    fn anything_changed_is_refused() {
        use Unauthentic::{Body, Mismatch, UnknownAlgorithm, Unsigned};
        let refused = |name, case: Case, why| check(name, &case, Err(why));
        refused("no header", Case { signature: None, ..EXAMPLE }, Unsigned);
        refused("an empty header", Case { signature: Some(""), ..EXAMPLE }, Mismatch);
        refused("another token", Case { key: "12346", ..EXAMPLE }, Mismatch);
        refused("an empty token", Case { key: "", ..EXAMPLE }, Mismatch);
        refused(
            "another host",
            Case { url: "https://mycompany.org/myapp.php?foo=1&bar=2", ..EXAMPLE },
            Mismatch,
        );
        refused(
            "another scheme",
            Case { url: "http://mycompany.com/myapp.php?foo=1&bar=2", ..EXAMPLE },
            Mismatch,
        );
        refused(
            "another port",
            Case { url: "https://mycompany.com:444/myapp.php?foo=1&bar=3", ..EXAMPLE },
            Mismatch,
        );
        refused(
            "another query",
            Case { url: "https://mycompany.com/myapp.php?foo=1&bar=3", ..EXAMPLE },
            Mismatch,
        );
        refused(
            "a parameter changed",
            Case { body: "CallSid=CA1234567890ABCDE&Digits=1235", ..EXAMPLE },
            Mismatch,
        );
        refused("no parameters", Case { body: "", ..EXAMPLE }, Mismatch);
        refused(
            "a truncated signature",
            Case { signature: Some("RSOYDt4T1cUTdK1PDd93/VVr8B8"), ..EXAMPLE },
            Mismatch,
        );
        refused("a prefix of the signature", Case { signature: Some("RSOY"), ..EXAMPLE }, Mismatch);
        refused("no base64", Case { signature: Some("ä!"), ..EXAMPLE }, Mismatch);
        refused(
            "another letter case",
            Case { signature: Some("rsOYDt4T1cUTdK1PDd93/VVr8B8="), ..EXAMPLE },
            Mismatch,
        );
        refused(
            "an unknown algorithm",
            Case { settings: Some("key=1,algorithm=NONE"), ..EXAMPLE },
            UnknownAlgorithm,
        );
        refused(
            "SHA-256 announced, SHA-1 given",
            Case { settings: Some("algorithm=HMAC_SHA256"), ..EXAMPLE },
            Mismatch,
        );
        refused("SHA-256 not announced", Case { signature: Some(SIGNATURE_SHA256), ..EXAMPLE }, Mismatch);
        refused("another JSON body", Case { body: "{}", ..JSON_EXAMPLE }, Body);
        refused("a JSON body without its hash", Case { url: URL, ..JSON_EXAMPLE }, Body);
        refused("a JSON body under another key", Case { key: "1", ..JSON_EXAMPLE }, Mismatch);
    }

    #[test]
    fn a_signature_over_the_address_alone_admits_no_body() {
        let bare = SignedRequest { url: URL, form: &[], body: b"", signature: None, settings: None };
        let key = Secret::new("12345");
        let signature = Algorithm::Sha1.sign(&key, URL, "");
        let signed = SignedRequest { signature: Some(&signature), ..bare };
        assert_eq!(verify(&key, &signed), Ok(()));
        assert_eq!(verify(&key, &SignedRequest { body: b"&", ..signed }), Err(Unauthentic::Body));
    }

    #[test]
    fn addresses_are_cut_and_not_rewritten() {
        #[track_caller]
        fn check(url: &str, without: &str, with: &str) {
            assert_eq!(signed_urls(url), [without, with], "{url}");
        }
        check("https://a.example", "https://a.example", "https://a.example:443");
        check("https://a.example?q=x:1", "https://a.example?q=x:1", "https://a.example:443?q=x:1");
        check("http://A.example/%7e/x:9", "http://A.example/%7e/x:9", "http://A.example:80/%7e/x:9");
        check("https://[::1]/x", "https://[::1]/x", "https://[::1]:443/x");
        check("https://[::1]:8443/x", "https://[::1]/x", "https://[::1]:8443/x");
        check("https://u:p@a.example/x", "https://u:p@a.example/x", "https://u:p@a.example:443/x");
        check("no address", "no address", "no address");
    }
}
