//! `Retry-After`: how long an endpoint asks to be left alone.

use domain::Timestamp;
use std::time::{Duration, UNIX_EPOCH};

/// Reads the header of a 429 or 503: seconds, or a date; `None` where it asks for no wait.
pub(super) fn parse(status: u16, value: &[u8], now: Timestamp) -> Option<Duration> {
    if !matches!(status, 429 | 503) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More seconds than a number holds is a long wait; who schedules caps it.
        Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX)))
    } else {
        let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let date = Timestamp::from_millis(i64::try_from(date.as_millis()).ok()?);
        date.since(now)
    };
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected_seconds: Option<u64>) {
        let now: Timestamp = "2026-03-30T14:30:00Z".parse().unwrap();
        for status in [429, 503] {
            assert_eq!(
                parse(status, value.as_bytes(), now),
                expected_seconds.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(parse(500, value.as_bytes(), now), None);
    }

    #[test]
    fn seconds_and_dates_are_read_and_nonsense_is_not() {
        check("120", Some(120));
        check(" 5 ", Some(5));
        check("0", None);
        check("99999999999999999999999", Some(u64::from(u32::MAX)));
        check("Mon, 30 Mar 2026 14:35:10 GMT", Some(310));
        check("Monday, 30-Mar-26 14:30:05 GMT", Some(5));
        check("Mon, 30 Mar 2026 14:29:59 GMT", None);
        for wrong in ["", "soon", "-5", "1.5", "+5", "Mon, 31 Feb 2026 14:35:10 GMT"] {
            check(wrong, None);
        }
    }
}
