//! The truth about a business's work, in one line: what waits too long, which destinations fail.

use super::App;
use domain::Timestamp;
use domain::id::BusinessId;
use std::time::Duration;
use store::StoreResult;
use store::delivery::{Failing, WorkState};

/// How long a due delivery may wait for its turn before that is worth a word: a sweep finds within 10 s what nobody had in hand.
const LATE_AFTER: Duration = Duration::from_secs(30);

/// How the work of a business stands.
#[derive(Clone, Debug)]
pub struct Health {
    /// Since when the oldest due delivery waits, where that is too long.
    pub late_since: Option<Timestamp>,
    /// Flows whose destination fails now.
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
    let WorkState { oldest_due_at, failing } = app.store.work_state(business_id).await?;
    let now = app.now();
    let late_since = oldest_due_at.filter(|due_at| now.since(*due_at) > LATE_AFTER);
    Ok(Health { late_since, failing, is_paused: *app.sending_paused.borrow(), now })
}

impl Health {
    /// The colour.
    #[must_use]
    pub const fn light(&self) -> Light {
        if !self.failing.is_empty() {
            Light::Red
        } else if self.late_since.is_some() || self.is_paused {
            Light::Amber
        } else {
            Light::Green
        }
    }

    /// The line.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.failing[..], self.late_since) {
            ([], _) if self.is_paused => "sending is paused".to_owned(),
            ([], None) => "nothing waits, nothing fails".to_owned(),
            ([], Some(since)) => format!("the oldest delivery is {} late", span(self.now.since(since))),
            ([one], _) => format!("{} is failing", one.name),
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
