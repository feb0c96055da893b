//! The truth about a business's work, in one line: what waits too long, which destinations fail.

use super::App;
use domain::Timestamp;
use domain::id::{BusinessId, CallFlowId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use store::StoreResult;
use store::delivery::{FAILING_MAX, Failing, WorkState};
use tokio::time::Instant;

/// How long a due delivery may wait for its turn before that is worth a word: a sweep finds within 10 s what nobody had in hand.
const LATE_AFTER: Duration = Duration::from_secs(30);

/// A look that takes longer is not taken for each page: of thousands of flows it asks thousands of rows.
const QUICK: Duration = Duration::from_millis(5);
/// How many times as long as a look took what it saw is taken for true.
const KEPT_TIMES: u32 = 20;

/// What was seen of businesses whose look takes long.
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashMap<BusinessId, (Instant, WorkState)>>);

impl Seen {
    fn recall(&self, business_id: BusinessId) -> Option<WorkState> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&business_id).filter(|(until, _)| Instant::now() < *until).map(|(_, state)| state.clone())
    }

    fn keep(&self, business_id: BusinessId, state: &WorkState, took: Duration) {
        if took < QUICK {
            return;
        }
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, (until, _)| now < *until);
        seen.insert(business_id, (now + took * KEPT_TIMES, state.clone()));
    }
}

/// How the work of a business stands.
#[derive(Clone, Debug)]
pub struct Health {
    /// When the oldest delivery was due that is not sent yet.
    pub oldest_due_at: Option<Timestamp>,
    /// Flows whose destination fails now, so many as are told of.
    pub failing: Vec<Failing>,
    /// Whether nothing is sent until the operator says so.
    pub is_paused: bool,
    now: Timestamp,
}

/// The colour of the dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// All is well.
    Green,
    /// Something waits.
    Amber,
    /// Something fails.
    Red,
}

/// Looks how a business's work stands.
pub async fn of_business(app: &App, business_id: BusinessId) -> StoreResult<Health> {
    let state = if let Some(state) = app.seen.recall(business_id) {
        state
    } else {
        let began = Instant::now();
        let in_vain = match &app.observer {
            Some(observer) => observer.failing(business_id).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let state = app.store.work_state(business_id, in_vain).await?;
        app.seen.keep(business_id, &state, began.elapsed());
        state
    };
    let WorkState { oldest_due_at, failing } = state;
    let now = app.now();
    Ok(Health { oldest_due_at, failing, is_paused: *app.sending_paused.borrow(), now })
}

impl Health {
    /// The colour.
    #[must_use]
    pub fn light(&self) -> Light {
        if !self.failing.is_empty() {
            Light::Red
        } else if self.is_late() || self.is_paused {
            Light::Amber
        } else {
            Light::Green
        }
    }

    /// For how long the oldest due delivery has been due; nothing where none is.
    #[must_use]
    pub fn due_for(&self) -> Option<Duration> {
        self.oldest_due_at.map(|due_at| self.now.since(due_at))
    }

    /// Whether that is too long.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.due_for().is_some_and(|due_for| due_for > LATE_AFTER)
    }

    /// The flow that is to be mended, where it is one.
    #[must_use]
    pub fn only_failing(&self) -> Option<CallFlowId> {
        if let [one] = &self.failing[..] { Some(one.pulse.call_flow_id) } else { None }
    }

    /// Whether this flow's destination fails now.
    #[must_use]
    pub fn is_failing(&self, flow: &CallFlowId) -> bool {
        self.failing.iter().any(|failing| failing.pulse.call_flow_id == *flow)
    }

    /// Whether there may be more that fail than are told of.
    #[must_use]
    pub const fn may_fail_more(&self) -> bool {
        self.failing.len() >= FAILING_MAX
    }

    /// The line.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.failing[..], self.due_for()) {
            ([], _) if self.is_paused => "sending is paused".to_owned(),
            ([], None) => "nothing fails, nothing is due".to_owned(),
            ([], Some(due_for)) if self.is_late() => {
                format!("the oldest delivery is {} late", span(due_for))
            }
            ([], Some(_)) => "nothing fails, the newest are on their way".to_owned(),
            // Within marks of its own, whichever way it is written: else it could turn the rest around.
            ([one], _) => format!("\u{2068}“{}”\u{2069} is failing", one.name),
            (_, _) if self.may_fail_more() => format!("{FAILING_MAX} or more destinations are failing"),
            (several, _) => format!("{} destinations are failing", several.len()),
        }
    }
}

/// `40 s`, `3 min`, `5 h`, `2 days`.
#[must_use]
pub fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::delivery::Pulse;

    /// How it stands at the second minute.
    fn health(failing: Vec<Failing>, due_at_s: Option<i64>) -> Health {
        let oldest_due_at = due_at_s.map(|seconds| Timestamp::from_millis(seconds * 1_000));
        Health { oldest_due_at, failing, is_paused: false, now: Timestamp::from_millis(120_000) }
    }

    #[test]
    fn what_is_due_is_late_after_half_a_minute() {
        let check = |due_at_s, light, words: &str| {
            let health = health(Vec::new(), due_at_s);
            assert_eq!((health.light(), health.words().as_str()), (light, words));
        };
        check(None, Light::Green, "nothing fails, nothing is due");
        check(Some(90), Light::Green, "nothing fails, the newest are on their way");
        check(Some(60), Light::Amber, "the oldest delivery is 60 s late");
    }

    #[test]
    fn so_many_as_are_told_of_are_that_many_or_more() {
        let pulse = Pulse { call_flow_id: CallFlowId::from([1; 16]), beats: Vec::new(), failing_since: None };
        let failing = Failing { pulse, name: "Ads".to_owned(), url: String::new() };
        let words = |count: usize| health(vec![failing.clone(); count], None).words();
        assert_eq!(words(2), "2 destinations are failing");
        assert_eq!(words(FAILING_MAX - 1), "49 destinations are failing");
        assert_eq!(words(FAILING_MAX), "50 or more destinations are failing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_took_long_is_kept_for_a_while_and_a_quick_one_is_not() {
        let (seen, quick, slow) = (Seen::default(), BusinessId::from([1; 16]), BusinessId::from([2; 16]));
        seen.keep(quick, &WorkState::default(), Duration::from_millis(4));
        seen.keep(slow, &WorkState::default(), Duration::from_millis(100));
        assert_eq!((seen.recall(quick), seen.recall(slow)), (None, Some(WorkState::default())));
        tokio::time::advance(Duration::from_millis(1_999)).await;
        assert!(seen.recall(slow).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(seen.recall(slow).is_none());
    }
}
