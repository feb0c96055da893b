//! A change of a delivery as a person or a program reads it.

use domain::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// One change, with what the delivery says about it.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    at: String,
    delivery_id: String,
    call_id: Option<String>,
    call_flow_id: String,
    call_flow_name: Option<String>,
    tracking_number: Option<String>,
    pub(super) event: String,
    pub(super) status: String,
    test: bool,
    attempt_count: u64,
    status_code: Option<u64>,
    duration_ms: Option<u64>,
    pub(super) error: Option<String>,
    error_detail: Option<String>,
    reason: Option<String>,
    next_attempt_at: Option<String>,
}

/// Which change of a delivery: where it stands, after how many attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub status: String,
    /// Attempts so far.
    pub attempt_count: u64,
}

impl State {
    /// What a hint or a row of the list says.
    pub fn of(value: &Value) -> Self {
        Self {
            status: text(&value["status"]).unwrap_or_default(),
            attempt_count: value["attempt_count"].as_u64().unwrap_or_default(),
        }
    }
}

impl Change {
    /// The delivery as it was in that state: it may have gone on since.
    pub fn of(delivery: &Value, state: State, now: Timestamp) -> Self {
        let State { status, attempt_count } = state;
        let attempts = delivery["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let attempt =
            attempts.iter().rev().find(|attempt| attempt["attempt"].as_u64() == Some(attempt_count));
        let none = Value::Null;
        let attempt = attempt.unwrap_or(&none);
        let is_now = State::of(delivery) == State { status: status.clone(), attempt_count };
        let of_now = |name: &str| if is_now { text(&delivery[name]) } else { None };
        Self {
            at: ended_at(attempt).unwrap_or(now).to_string(),
            delivery_id: text(&delivery["id"]).unwrap_or_default(),
            call_id: text(&delivery["call_id"]),
            call_flow_id: text(&delivery["call_flow_id"]).unwrap_or_default(),
            call_flow_name: text(&delivery["payload"]["call_flow_name"]),
            tracking_number: text(&delivery["payload"]["tracking_number"]),
            event: text(&delivery["event"]).unwrap_or_default(),
            test: delivery["test"].as_bool().unwrap_or_default(),
            status_code: attempt["status_code"].as_u64(),
            duration_ms: attempt["duration_ms"].as_u64(),
            error: text(&attempt["error"]),
            error_detail: text(&attempt["error_detail"]),
            reason: of_now("reason"),
            next_attempt_at: of_now("next_attempt_at"),
            status,
            attempt_count,
        }
    }

    /// On one line.
    pub fn line(&self) -> String {
        let mut parts = vec![format!("{}  {:14}  {:14}", self.at, self.status, self.event)];
        parts.push(
            self.call_flow_name
                .as_ref()
                .or(self.tracking_number.as_ref())
                .unwrap_or(&self.call_flow_id)
                .clone(),
        );
        if self.test {
            parts.push("test".to_owned());
        }
        if self.attempt_count > 0 {
            let code = self.status_code.map_or_else(String::new, |code| format!(" {code}"));
            let took = self.duration_ms.map_or_else(String::new, |ms| format!(" in {ms} ms"));
            parts.push(format!("attempt {}{code}{took}", self.attempt_count));
        }
        parts.extend(self.error_detail.clone());
        parts.extend(self.reason.as_ref().map(|reason| format!("because: {reason}")));
        parts.extend(self.next_attempt_at.as_ref().map(|at| format!("next {at}")));
        // Names are the users' text, and details quote endpoints: neither may steer a terminal.
        parts.join("  ").chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    }
}

fn ended_at(attempt: &Value) -> Option<Timestamp> {
    let started: Timestamp = attempt["started_at"].as_str()?.parse().ok()?;
    Some(started.after(Duration::from_millis(attempt["duration_ms"].as_u64()?)))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn delivery() -> Value {
        json!({
            "id": "d", "call_flow_id": "f", "event": "call.completed", "status": "delivered", "attempt_count": 2, "test": false,
            "payload": {"call_flow_name": "Google\u{1b}[2J Ads"},
            "attempts": [
                {"attempt": 1, "started_at": "2026-03-30T14:00:00.000Z", "duration_ms": 1500, "status_code": 503,
                 "error": "http_503", "error_detail": "It refuses work."},
                {"attempt": 2, "started_at": "2026-03-30T14:00:31.000Z", "duration_ms": 20, "status_code": 200},
            ],
        })
    }

    #[track_caller]
    fn check(status: &str, attempt_count: u64, expected: &str) {
        let state = State { status: status.to_owned(), attempt_count };
        let now = "2026-03-30T14:01:00Z".parse().unwrap();
        assert_eq!(Change::of(&delivery(), state, now).line(), expected);
    }

    #[test]
    fn a_line_says_what_happened_then_and_steers_no_terminal() {
        let flow = "Google\u{fffd}[2J Ads";
        check("scheduled", 0, &format!("2026-03-30T14:01:00Z  scheduled       call.completed  {flow}"));
        check(
            "scheduled",
            1,
            &format!(
                "2026-03-30T14:00:01Z  scheduled       call.completed  {flow}  attempt 1 503 in 1500 ms  It refuses work."
            ),
        );
        check(
            "delivered",
            2,
            &format!("2026-03-30T14:00:31Z  delivered       call.completed  {flow}  attempt 2 200 in 20 ms"),
        );
    }
}
