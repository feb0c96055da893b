//! Kinds of failures, for whoever counts them: few, and not more however strangely receivers answer.

/// Every kind.
pub const KINDS: [&str; 13] = [
    "http_3xx",
    "http_4xx",
    "http_5xx",
    "http_other",
    "timeout",
    "dns",
    "connect",
    "tls",
    "redirect_limit",
    "redirect_refused",
    "blocked_address",
    "protocol",
    "other",
];

/// The kind of the failure that has this code.
#[must_use]
pub fn kind(code: &str) -> &'static str {
    if let Some(status) = code.strip_prefix("http_") {
        return match status.as_bytes() {
            [b'3', ..] => "http_3xx",
            [b'4', ..] => "http_4xx",
            [b'5', ..] => "http_5xx",
            _ => "http_other",
        };
    }
    KINDS.into_iter().find(|kind| *kind == code).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_of_few_kinds() {
        for (code, expected) in [
            ("http_301", "http_3xx"),
            ("http_404", "http_4xx"),
            ("http_503", "http_5xx"),
            ("http_999", "http_other"),
            ("timeout", "timeout"),
            ("blocked_address", "blocked_address"),
            ("no_url", "other"),
        ] {
            assert_eq!(kind(code), expected, "{code}");
            assert!(KINDS.contains(&expected));
        }
    }
}
