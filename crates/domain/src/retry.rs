//! When a failed attempt is made again (seed document, "Retry Logic").

use crate::{Invalid, Timestamp, limits};
use std::time::Duration;

/// The waits between the attempts of one series; one attempt more than there are waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule(Vec<u32>);

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// One more attempt, not before then.
    RetryAt(Timestamp),
    /// The series is at its end.
    Failed,
}

/// How an attempt ended, as far as the schedule cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// A final 2xx in time.
    Success,
    /// Anything else; `retry_after` is what a 429 or 503 asked for.
    Failure {
        /// The wait that the receiver asked for.
        retry_after: Option<Duration>,
    },
}

impl RetrySchedule {
    /// Checks a schedule in seconds: at most 11 waits of at least 1 s, 72 h in all.
    pub fn new(delays_seconds: Vec<u32>) -> Result<Self, Invalid> {
        if delays_seconds.len() >= limits::ATTEMPTS_MAX {
            return Err(Invalid::value(format!(
                "has too many entries: at most {} retries, {} attempts in all",
                limits::ATTEMPTS_MAX - 1,
                limits::ATTEMPTS_MAX
            )));
        }
        if delays_seconds.contains(&0) {
            return Err(Invalid::value("must not contain 0: the shortest delay is 1 second"));
        }
        let span: u64 = delays_seconds.iter().map(|&seconds| u64::from(seconds)).sum();
        if span > limits::RETRY_SPAN_MAX.as_secs() {
            return Err(Invalid::value("is too long: at most 72 hours (259200 seconds) in all"));
        }
        Ok(Self(delays_seconds))
    }

    /// The waits in seconds.
    #[must_use]
    pub fn delays_seconds(&self) -> &[u32] {
        &self.0
    }

    /// What follows from the attempt with number `attempt_in_series` (from 1) that ended at `ended_at`.
    #[must_use]
    pub fn verdict(&self, attempt_in_series: u32, ended_at: Timestamp, result: AttemptResult) -> Verdict {
        let AttemptResult::Failure { retry_after } = result else { return Verdict::Delivered };
        let made = usize::try_from(attempt_in_series.max(1)).unwrap_or(usize::MAX);
        let Some(&delay) = self.0.get(made - 1) else { return Verdict::Failed };
        let asked = retry_after.unwrap_or_default().min(limits::RETRY_AFTER_MAX);
        Verdict::RetryAt(ended_at.after(Duration::from_secs(u64::from(delay)).max(asked)))
    }
}

impl Default for RetrySchedule {
    /// The seed's: 30 seconds, then 2 minutes.
    fn default() -> Self {
        Self(vec![30, 120])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: AttemptResult = AttemptResult::Failure { retry_after: None };

    #[track_caller]
    fn check(attempt: u32, result: AttemptResult, expected_seconds: Option<u64>) {
        let ended_at = Timestamp::from_millis(1_774_880_000_000);
        let expected = expected_seconds
            .map_or(Verdict::Failed, |s| Verdict::RetryAt(ended_at.after(Duration::from_secs(s))));
        assert_eq!(RetrySchedule::default().verdict(attempt, ended_at, result), expected);
    }

    #[test]
    fn the_seeds_schedule_is_30_seconds_then_2_minutes_then_failed() {
        check(1, FAILURE, Some(30));
        check(2, FAILURE, Some(120));
        check(3, FAILURE, None);
        check(4, FAILURE, None);
    }

    #[test]
    fn retry_after_waits_for_the_later_of_the_two_at_most_15_minutes() {
        let asked = |seconds| AttemptResult::Failure { retry_after: Some(Duration::from_secs(seconds)) };
        check(1, asked(5), Some(30));
        check(1, asked(60), Some(60));
        check(1, asked(86_400), Some(900));
        check(3, asked(60), None);
    }

    #[test]
    fn a_success_is_delivered_whatever_the_number() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.verdict(7, Timestamp::default(), AttemptResult::Success), Verdict::Delivered);
    }

    #[test]
    fn an_own_schedule_has_at_most_12_attempts_over_72_hours() {
        assert!(RetrySchedule::new(vec![]).is_ok());
        assert!(RetrySchedule::new(vec![23_563; 11]).is_ok());
        assert!(RetrySchedule::new(vec![1; 12]).is_err());
        assert!(RetrySchedule::new(vec![0]).is_err());
        assert!(RetrySchedule::new(vec![259_200]).is_ok());
        assert!(RetrySchedule::new(vec![259_201]).is_err());
        assert!(RetrySchedule::new(vec![u32::MAX; 11]).is_err());
    }
}
