//! Which changes are shown.

use super::change::{Change, State};
use crate::cli::Failure;
use domain::delivery::DeliveryStatus;
use domain::event::Event;
use domain::failure;
use domain::id::CallFlowId;
use serde_json::Value;

/// All conditions hold together; of several values of one, any.
#[derive(Clone, Debug, clap::Args)]
pub struct Filter {
    /// Only of this call flow (repeatable)
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    call_flow: Vec<String>,
    /// Only in this state: scheduled, delivered, failed … (repeatable)
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Only of this event: call.completed, call.missed … (repeatable)
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    event: Vec<String>,
    /// Only where the attempt failed so: timeout, connect, tls … (repeatable)
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    error: Vec<String>,
}

impl Filter {
    /// Refuses what could never match.
    pub fn check(&self) -> Result<(), Failure> {
        for id in &self.call_flow {
            id.parse::<CallFlowId>()
                .map_err(|refused| Failure::new(refused.within("--call-flow").to_string()))?;
        }
        known("--status", &self.status, &DeliveryStatus::ALL.map(DeliveryStatus::as_str))?;
        known("--event", &self.event, &Event::ALL.map(Event::as_str))?;
        let words: Vec<_> = failure::KINDS
            .into_iter()
            .filter(|kind| *kind != "other" && !kind.starts_with("http_"))
            .collect();
        let is_code = |code: &String| words.contains(&&**code) || is_status(code);
        if self.error.iter().all(is_code) {
            return Ok(());
        }
        Err(Failure::new(format!("--error is wrong: one of {} or http_503 is expected", words.join(", "))))
    }

    /// What a hint alone can tell: whether the delivery need be read at all.
    pub fn may_pass(&self, hint: &Value, state: &State) -> bool {
        let flow = hint["call_flow_id"].as_str().unwrap_or_default();
        passes(&self.call_flow, Some(flow)) && passes(&self.status, Some(&state.status))
    }

    /// The rest.
    pub fn passes(&self, change: &Change) -> bool {
        passes(&self.event, Some(&change.event)) && passes(&self.error, change.error.as_deref())
    }
}

fn passes(wanted: &[String], value: Option<&str>) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| Some(&**wanted) == value)
}

/// Whether the code is that of an answer: `http_` and its status.
fn is_status(code: &str) -> bool {
    code.strip_prefix("http_")
        .is_some_and(|status| status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()))
}

fn known(flag: &str, given: &[String], words: &[&str]) -> Result<(), Failure> {
    match given.iter().find(|given| !words.contains(&&***given)) {
        None => Ok(()),
        Some(_) => Err(Failure::new(format!("{flag} is wrong: one of {} is expected", words.join(", ")))),
    }
}
