//! The tenant that owns everything else.

use crate::Invalid;
use crate::id::BusinessId;
use crate::limits::RETENTION_DAYS_MAX;
use crate::phone_number::Country;
use crate::time::Timestamp;
use std::time::Duration;

/// A tenant: an agency, one of its clients, a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Business {
    /// Goes into every payload as `business_id`.
    pub id: BusinessId,
    /// Unique, so that the command line can name it.
    pub name: String,
    /// How numbers without `+` are read.
    pub default_country: Country,
    /// How long it keeps what has ended.
    pub retention: Retention,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How long a business keeps what has ended. What is still on its way is kept however old it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Bodies and attempts of deliveries; the deliveries themselves stay listed.
    pub payload: Option<RetentionDays>,
    /// Calls, with all that belongs to them.
    pub call: Option<RetentionDays>,
}

impl Retention {
    /// Whether something is kept for less time than by `before`.
    #[must_use]
    pub fn is_less_than(self, before: Self) -> bool {
        let is_less = |days: Option<RetentionDays>, before: Option<RetentionDays>| {
            days.is_some_and(|days| before.is_none_or(|before| days < before))
        };
        is_less(self.payload, before.payload) || is_less(self.call, before.call)
    }
}

/// A number of days, counted from a call's report or a delivery's making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetentionDays(u16);

impl RetentionDays {
    /// 1 to 3,650 days.
    pub fn new(days: i64) -> Result<Self, Invalid> {
        let refused =
            || Invalid::value(format!("must be a whole number of days from 1 to {RETENTION_DAYS_MAX}"));
        u16::try_from(days)
            .ok()
            .filter(|days| (1..=RETENTION_DAYS_MAX).contains(days))
            .map(Self)
            .ok_or_else(refused)
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// What is older than this, at `now`, is past its time.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Timestamp {
        now.before(Duration::from_hours(u64::from(self.0) * 24))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_kept_where_either_has_fewer_days() {
        let kept = |payload: Option<u16>, call: Option<u16>| Retention {
            payload: payload.map(RetentionDays),
            call: call.map(RetentionDays),
        };
        let before = kept(Some(30), None);
        for (kept, expected) in [
            (before, false),
            (kept(Some(29), None), true),
            (kept(Some(31), None), false),
            (kept(None, None), false),
            (kept(None, Some(3_650)), true),
        ] {
            assert_eq!(kept.is_less_than(before), expected, "{kept:?}");
        }
    }

    #[test]
    fn days_lie_between_one_and_ten_years() {
        for (days, expected) in
            [(0, false), (1, true), (3_650, true), (3_651, false), (-1, false), (65_537, false)]
        {
            assert_eq!(RetentionDays::new(days).is_ok(), expected, "{days}");
        }
    }

    #[test]
    fn what_is_older_than_its_days_is_past_its_time() {
        let now = Timestamp::from_millis(10 * 86_400_000 + 5);
        assert_eq!(RetentionDays(3).before(now), Timestamp::from_millis(7 * 86_400_000 + 5));
    }
}
