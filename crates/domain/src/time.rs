//! Time: whole milliseconds UTC inside, RFC 3339 with whole seconds and `Z` outside.

use crate::Invalid;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// 1970-01-01T00:00:00Z: nothing that callhook records is older.
const EARLIEST_MILLIS: i64 = 0;
/// 9999-12-30T21:59:59.999Z: the last time that can be written in every time zone within the year 9999.
const LATEST_MILLIS: i64 = 253_402_207_199_999;

impl Timestamp {
    /// From milliseconds since the epoch; values outside the years 1970 to 9999 are clamped.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < EARLIEST_MILLIS {
            Self(EARLIEST_MILLIS)
        } else if millis > LATEST_MILLIS {
            Self(LATEST_MILLIS)
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, as `webhook-timestamp` wants them.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The time `wait` later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time `wait` earlier.
    #[must_use]
    pub fn before(self, wait: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero where it is not in the past.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// How long to wait from `now` on, so that this time has surely come; zero where it has. Both are cut off to the millisecond: one more
    /// is waited, so that nothing is early by what was cut off.
    #[must_use]
    pub fn wait_from(self, now: Self) -> Duration {
        match self.since(now) {
            Duration::ZERO => Duration::ZERO,
            wait => wait + Duration::from_millis(1),
        }
    }

    /// RFC 3339 with milliseconds, for timelines where seconds are too coarse.
    #[must_use]
    pub fn to_rfc3339_millis(self) -> String {
        format!("{:.3}", self.instant())
    }

    fn instant(self) -> jiff::Timestamp {
        // Cannot fall back: every value was clamped to 1970..=9999, which lies inside jiff's range.
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.instant())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339_millis())
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;

    /// Reads RFC 3339 with any offset; a date without a time is the start of that day in UTC.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::value("is not a time: RFC 3339 such as 2026-03-30T14:30:00Z is expected");
        let bytes = text.as_bytes();
        // jiff also reads ISO 8601's other forms, time zone annotations and years outside 0000..=9999.
        if bytes.len() < 10 || bytes.len() > 35 || !bytes[0].is_ascii_digit() || bytes.contains(&b'[') {
            return Err(wrong());
        }
        let instant: jiff::Timestamp = if bytes.len() == 10 {
            format!("{text}T00:00:00Z").parse().map_err(|_| wrong())?
        } else {
            text.parse().map_err(|_| wrong())?
        };
        let millis = instant.as_millisecond();
        if !(EARLIEST_MILLIS..=LATEST_MILLIS).contains(&millis) {
            return Err(Invalid::value("is out of range: a time between 1970 and 9999 is expected"));
        }
        Ok(Self(millis))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expected: Option<&str>) {
        assert_eq!(input.parse::<Timestamp>().ok().map(|t| t.to_string()).as_deref(), expected, "{input}");
    }

    #[test]
    fn times_are_read_with_any_offset_and_written_in_whole_seconds_utc() {
        check("2026-03-30T14:30:00Z", Some("2026-03-30T14:30:00Z"));
        check("2026-03-30T14:30:00.999Z", Some("2026-03-30T14:30:00Z"));
        check("2026-03-30T10:30:00-04:00", Some("2026-03-30T14:30:00Z"));
        check("2026-03-30", Some("2026-03-30T00:00:00Z"));
        check("2024-02-29T00:00:00Z", Some("2024-02-29T00:00:00Z"));
        for wrong in [
            "",
            "yesterday",
            "2026-02-30T00:00:00Z",
            "2025-02-29",
            "2026-13-01",
            "2026-03-30T25:00:00Z",
            "2026-03-30T14:30:00",
            "-002026-03-30T14:30:00Z",
            "2026-03-30T14:30:00Z[UTC]",
            "1969-12-31T23:59:59Z",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn arithmetic_stays_inside_the_range() {
        let start = Timestamp::from_millis(5);
        assert_eq!(start.before(Duration::from_secs(9)), Timestamp::from_millis(0));
        assert_eq!(start.after(Duration::MAX).to_string(), "9999-12-30T21:59:59Z");
        assert_eq!(start.since(start.after(Duration::from_secs(1))), Duration::ZERO);
    }

    #[test]
    fn what_was_cut_off_of_a_time_makes_nothing_early() {
        let wait = |due, now| Timestamp::from_millis(due).wait_from(Timestamp::from_millis(now));
        // What began at 10.9 ms, on record as 10, waits 2 s: from 11.0 until 2,010.9.
        assert_eq!(wait(2_010, 11), Duration::from_secs(2));
        assert_eq!((wait(11, 11), wait(3, 11)), (Duration::ZERO, Duration::ZERO));
    }
}
