//! When a delivery is due (product specification, "From a call to a delivery", 3 to 5).

use crate::call::EndedCall;
use crate::call_flow::CallFlow;
use crate::destination::FiringMode;
use crate::{Timestamp, limits};
use std::time::Duration;

/// When a delivery is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// When AI is done, and at this time whatever AI does.
    WhenAiIsDone {
        /// The fallback.
        fallback_at: Timestamp,
    },
}

/// What is known about the AI of a call when it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectations {
    /// A recording is there or will come: the call gets a recording link.
    pub recording: bool,
    /// There will be something for AI to look at, and it may look.
    pub ai: bool,
}

impl Expectations {
    /// A report's own word about the recording wins; else answered calls of a recording flow have one.
    #[must_use]
    pub fn of(call: &EndedCall, flow: Option<&CallFlow>) -> Self {
        let by_flow = call.status.is_answered() && flow.is_some_and(|flow| flow.recording);
        let recording = call.recording.is_some() || call.recording_expected.unwrap_or(by_flow);
        let ai = flow.is_some_and(|flow| flow.ai_enabled) && (recording || call.transcription.is_some());
        Self { recording, ai }
    }
}

/// When the delivery of a call that was reported at `reported_at` is due.
///
/// `fallback` is the operator's `--ai-fallback` (seed: 5 minutes), counted from the call's end. The end is clamped so that
/// a call reported late or with an end in the future leaves AI at least a minute and waits at most the fallback.
#[must_use]
pub fn due(
    mode: FiringMode,
    expected: Expectations,
    ended_at: Timestamp,
    reported_at: Timestamp,
    fallback: Duration,
) -> Due {
    if mode == FiringMode::Immediate || !expected.ai {
        return Due::Now;
    }
    let earliest_end = reported_at.before(fallback.saturating_sub(limits::AI_WAIT_MIN));
    let end = ended_at.clamp(earliest_end, reported_at.max(earliest_end));
    Due::WhenAiIsDone { fallback_at: end.after(fallback) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FALLBACK: Duration = Duration::from_mins(5);
    const EXPECTED: Expectations = Expectations { recording: true, ai: true };

    #[track_caller]
    fn check_fallback(ended_before_report_seconds: i64, expected_after_report_seconds: i64) {
        let reported_at = Timestamp::from_millis(1_774_880_000_000);
        let ended_at = Timestamp::from_millis(reported_at.as_millis() - ended_before_report_seconds * 1_000);
        let due = due(FiringMode::WaitForAi, EXPECTED, ended_at, reported_at, FALLBACK);
        let fallback_at =
            Timestamp::from_millis(reported_at.as_millis() + expected_after_report_seconds * 1_000);
        assert_eq!(due, Due::WhenAiIsDone { fallback_at });
    }

    #[test]
    fn the_fallback_is_5_minutes_after_the_end_within_1_to_5_minutes_of_the_report() {
        check_fallback(0, 300);
        check_fallback(10, 290);
        check_fallback(239, 61);
        check_fallback(240, 60);
        check_fallback(241, 60);
        check_fallback(86_400, 60);
        check_fallback(-1, 300);
        check_fallback(-86_400, 300);
    }

    #[test]
    fn a_fallback_shorter_than_ais_least_wait_counts_from_the_report() {
        let reported_at = Timestamp::from_millis(1_774_880_000_000);
        let due = due(
            FiringMode::WaitForAi,
            EXPECTED,
            reported_at.before(FALLBACK),
            reported_at,
            Duration::from_secs(2),
        );
        assert_eq!(due, Due::WhenAiIsDone { fallback_at: reported_at.after(Duration::from_secs(2)) });
    }

    #[test]
    fn nothing_is_waited_for_that_will_not_come() {
        let now = Timestamp::from_millis(1_774_880_000_000);
        let no_ai = Expectations { recording: true, ai: false };
        assert_eq!(due(FiringMode::WaitForAi, no_ai, now, now, FALLBACK), Due::Now);
        assert_eq!(due(FiringMode::Immediate, EXPECTED, now, now, FALLBACK), Due::Now);
    }
}
