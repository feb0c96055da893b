//! Times as a person reads them: by the clock of the browser's zone, which its script tells, with UTC beside them.
//!
//! The script writes them anew in the browser's own language; what stands here is what everybody reads.

use super::cookie;
use axum::http::HeaderMap;
use domain::Timestamp;
use jiff::ZonedDateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// A person's clock.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
    now: Timestamp,
}

impl Clock {
    /// The clock of the browser; UTC where it does not say.
    pub fn of(headers: &HeaderMap, now: Timestamp) -> Self {
        let named = cookie::value(headers, cookie::ZONE).map(|name| name.replace("%2F", "/"));
        let zone = named.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC);
        Self { zone, now }
    }

    /// The same clock in another zone; in its own where there is none of that name.
    pub fn within(&self, zone: &str) -> Self {
        let zone = TimeZone::get(zone).unwrap_or_else(|_| self.zone.clone());
        Self { zone, now: self.now }
    }

    /// What its zone is called.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The hour that begins then: `14:00`.
    pub fn hour(&self, at: Timestamp) -> String {
        strtime::format("%H:%M", &self.zoned(at)).unwrap_or_default()
    }

    /// Now.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// When the person's day began, so many days ago.
    pub fn day_began(&self, days_ago: i32) -> Timestamp {
        let today = self.zoned(self.now).date();
        let day = today.checked_sub(jiff::Span::new().days(days_ago)).unwrap_or(today);
        day.to_zoned_datetime(self.zone.clone())
            .map_or(self.now, |began| Timestamp::from_millis(began.timestamp().as_millisecond()))
    }

    /// This time of the person's day, the day before.
    pub fn yesterday_by_now(&self) -> Timestamp {
        let now = self.zoned(self.now);
        let before = now.datetime().checked_sub(jiff::Span::new().days(1)).unwrap_or(now.datetime());
        let before = before.to_zoned_datetime(self.zone.clone());
        before.map_or(self.now, |at| Timestamp::from_millis(at.timestamp().as_millisecond()))
    }

    /// The day of a time: today, yesterday, or its date.
    pub fn day(&self, at: Timestamp) -> String {
        let (day, today) = (self.zoned(at).date(), self.zoned(self.now).date());
        match today.since(day).map(|span| span.get_days()) {
            Ok(0) => "Today".to_owned(),
            Ok(1) => "Yesterday".to_owned(),
            _ if day.year() == today.year() => self.date(at),
            _ => self.element(at, "day", "%Y-%m-%d"),
        }
    }

    /// Day and month.
    pub fn date(&self, at: Timestamp) -> String {
        self.element(at, "date", "%-d %b")
    }

    /// The time of day, where its day is said elsewhere.
    pub fn time(&self, at: Timestamp) -> String {
        self.element(at, "time", "%H:%M")
    }

    /// Day and time with seconds.
    pub fn moment(&self, at: Timestamp) -> String {
        self.element(at, "moment", "%Y-%m-%d %H:%M:%S")
    }

    /// Day and time without seconds; the year only where it is another one.
    pub fn minute(&self, at: Timestamp) -> String {
        let is_this_year = self.zoned(at).year() == self.zoned(self.now).year();
        if is_this_year {
            self.element(at, "minute", "%-d %b %H:%M")
        } else {
            self.element(at, "day", "%Y-%m-%d")
        }
    }

    /// How long until then; the script lets it run.
    pub fn until(&self, at: Timestamp) -> String {
        let wait = at.since(self.now).as_secs();
        let words = if wait == 0 { "now".to_owned() } else { format!("in {}:{:02}", wait / 60, wait % 60) };
        format!("<time datetime=\"{}\" data-until title=\"{}\">{words}</time>", iso(at), utc(at))
    }

    /// The time that a field of a form says.
    pub fn read_field(&self, text: &str) -> Option<Timestamp> {
        // With seconds where the browser gives them. Anything longer says its own zone, and a date alone is the API's to read.
        if !matches!(text.len(), 16 | 19) || !text.is_ascii() {
            return None;
        }
        let local: jiff::civil::DateTime = text.parse().ok()?;
        let at = local.to_zoned_datetime(self.zone.clone()).ok()?;
        Some(Timestamp::from_millis(at.timestamp().as_millisecond()))
    }

    /// A time as a field of a form shows it; with seconds where there are some.
    pub fn write_field(&self, at: Timestamp) -> String {
        let local = self.zoned(at);
        let pattern = if local.second() == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
        strtime::format(pattern, &local).unwrap_or_default()
    }

    fn element(&self, at: Timestamp, form: &str, pattern: &str) -> String {
        let words = strtime::format(pattern, &self.zoned(at)).unwrap_or_default();
        format!("<time datetime=\"{}\" data-form=\"{form}\" title=\"{}\">{words}</time>", iso(at), utc(at))
    }

    fn zoned(&self, at: Timestamp) -> ZonedDateTime {
        // Cannot fall back: a timestamp lies within the years that jiff knows.
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        at.to_zoned_datetime(self.zone.clone())
    }
}

fn iso(at: Timestamp) -> String {
    at.to_rfc3339_millis()
}

fn utc(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use axum::http::header::COOKIE;

    fn clock(zone: &'static str) -> Clock {
        let headers = [(COOKIE, HeaderValue::from_static(zone))].into_iter().collect();
        Clock::of(&headers, "2026-03-30T23:30:00Z".parse().unwrap())
    }

    #[test]
    fn times_are_those_of_the_browsers_zone_with_utc_beside_them() {
        let at = "2026-03-30T22:31:15Z".parse().unwrap();
        assert_eq!(
            clock("zone=Europe%2FBerlin").moment(at),
            "<time datetime=\"2026-03-30T22:31:15.000Z\" data-form=\"moment\" title=\"2026-03-30 22:31:15 UTC\">2026-03-31 00:31:15</time>"
        );
        assert!(clock("zone=nonsense").minute(at).contains(">30 Mar 22:31<"));
        assert!(clock("zone=..%2F..%2Fetc%2Fpasswd").minute(at).contains(">30 Mar 22:31<"));
        assert!(clock("zone=UTC").minute("2025-03-30T22:31:15Z".parse().unwrap()).contains(">2025-03-30<"));
    }

    #[test]
    fn a_day_begins_where_the_person_is() {
        assert_eq!(clock("zone=Europe%2FBerlin").day_began(0).to_string(), "2026-03-30T22:00:00Z");
        // The clocks went forward the night before.
        assert_eq!(clock("zone=Europe%2FBerlin").day_began(2).to_string(), "2026-03-28T23:00:00Z");
    }

    #[test]
    fn a_day_is_called_as_it_is_where_the_person_is() {
        let clock = clock("zone=Europe%2FBerlin");
        let day = |at: &str| clock.day(at.parse().unwrap());
        assert_eq!([day("2026-03-30T22:00:00Z"), day("2026-03-30T21:59:59Z")], ["Today", "Yesterday"]);
        // Which only a phone system's clock says.
        assert!(day("2026-03-31T22:00:00Z").contains(">1 Apr<"));
        assert!(day("2026-03-29T21:00:00Z").contains(">29 Mar<"));
        assert!(day("2025-12-31T12:00:00Z").contains(">2025-12-31<"));
        assert!(clock.time("2026-03-30T22:31:15Z".parse().unwrap()).ends_with(">00:31</time>"));
    }

    #[test]
    fn yesterday_ends_at_the_same_time_of_day_whatever_the_clocks_did() {
        let at = |now: &str| {
            let headers = [(COOKIE, HeaderValue::from_static("zone=Europe%2FBerlin"))].into_iter().collect();
            Clock::of(&headers, now.parse().unwrap()).yesterday_by_now().to_string()
        };
        assert_eq!(at("2026-03-30T21:30:00Z"), "2026-03-29T21:30:00Z");
        // The 29th has 23 hours: half past eleven in the evening is half past eleven.
        assert_eq!(at("2026-03-29T21:30:00Z"), "2026-03-28T22:30:00Z");
    }

    #[test]
    fn what_a_form_says_is_meant_in_the_persons_zone() {
        let clock = clock("zone=America%2FNew_York");
        let at = "2026-03-30T14:30:00Z".parse().unwrap();
        assert_eq!(clock.read_field("2026-03-30T10:30"), Some(at));
        assert_eq!(clock.write_field(at), "2026-03-30T10:30");
        assert_eq!(clock.write_field("2026-03-30T14:30:05Z".parse().unwrap()), "2026-03-30T10:30:05");
        for other in ["tomorrow", "2026-03-30", "2026-03-30T14:30:00Z", "2026-03-30T14:30:00+02:00"] {
            assert_eq!(clock.read_field(other), None, "{other}");
        }
    }

    #[test]
    fn a_clock_can_be_read_in_the_zone_that_a_form_was_drawn_in() {
        let new_york = clock("zone=America%2FNew_York");
        let read = |zone| new_york.within(zone).read_field("2026-03-30T10:30").unwrap().to_string();
        assert_eq!(new_york.zone(), "America/New_York");
        assert_eq!([read("UTC"), read("nonsense")], ["2026-03-30T10:30:00Z", "2026-03-30T14:30:00Z"]);
        assert_eq!(clock("zone=nonsense").zone(), "UTC");
    }

    #[test]
    fn a_wait_is_a_running_clock() {
        let clock = clock("zone=UTC");
        assert!(clock.until("2026-03-30T23:31:12Z".parse().unwrap()).contains(" data-until "));
        assert!(clock.until("2026-03-30T23:31:12Z".parse().unwrap()).ends_with(">in 1:12</time>"));
        assert!(clock.until("2026-03-30T23:00:00Z".parse().unwrap()).ends_with(">now</time>"));
    }
}
