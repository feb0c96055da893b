//! The settings' form: filled with what is stored, or with what was typed, and read into the document that the API takes as well.

use crate::app::call_flow::{AiDocument, CallFlowDocument, PostCallWebhookDocument};
use crate::dashboard::form::Form;
use domain::Invalid;
use domain::call_flow::CallFlow;
use domain::destination::FiringMode;
use domain::retry::RetrySchedule;
use domain::secret::MASK;
use std::collections::BTreeMap;

/// What the editor shows.
#[derive(PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a box to tick")]
pub struct FlowForm {
    pub name: String,
    pub source: String,
    pub recording: bool,
    pub ai_enabled: bool,
    pub enabled: bool,
    pub url: String,
    pub wait_for_ai: bool,
    pub headers: Vec<(String, String)>,
    pub retry_delays: String,
}

impl FlowForm {
    /// The stored settings, secrets masked.
    pub fn of(flow: &CallFlow) -> Self {
        let settings = &flow.post_call_webhook.settings;
        let delays = settings.retry_schedule.as_ref().map(RetrySchedule::delays_seconds);
        let delays = delays.unwrap_or_default().iter().map(ToString::to_string);
        Self {
            name: flow.name.clone(),
            source: flow.source.clone().unwrap_or_default(),
            recording: flow.recording,
            ai_enabled: flow.ai_enabled,
            enabled: settings.enabled,
            url: settings.url.as_ref().map(ToString::to_string).unwrap_or_default(),
            wait_for_ai: settings.firing_mode == FiringMode::WaitForAi,
            headers: settings.headers.iter().map(|(name, _)| (name.to_owned(), MASK.to_owned())).collect(),
            retry_delays: delays.collect::<Vec<_>>().join(", "),
        }
    }

    /// What was typed.
    pub fn read(form: &Form) -> Self {
        let headers = form.all("header_name").zip(form.all("header_value"));
        let headers = headers.filter(|(name, value)| !(name.trim().is_empty() && value.trim().is_empty()));
        Self {
            name: form.text("name").to_owned(),
            source: form.text("source").to_owned(),
            recording: form.is_ticked("recording"),
            ai_enabled: form.is_ticked("ai_enabled"),
            enabled: form.is_ticked("enabled"),
            url: form.text("url").trim().to_owned(),
            wait_for_ai: form.is_ticked("wait_for_ai"),
            headers: headers.map(|(name, value)| (name.trim().to_owned(), value.to_owned())).collect(),
            retry_delays: form.text("retry_delays").to_owned(),
        }
    }

    /// The webhook's settings, as a test takes them.
    pub fn webhook(&self) -> Result<PostCallWebhookDocument, Invalid> {
        let mut headers = BTreeMap::new();
        for (name, value) in &self.headers {
            // Emptying the name takes a stored header away.
            if name.is_empty() && value == MASK {
                continue;
            }
            if name.is_empty() {
                return Err(Invalid::field(
                    "headers",
                    "has a value without a name: name it, or empty the line",
                ));
            }
            if headers.insert(name.clone(), value.clone()).is_some() {
                return Err(Invalid::field(
                    "headers",
                    format!("names {name} twice: each header is sent once"),
                ));
            }
        }
        Ok(PostCallWebhookDocument {
            enabled: self.enabled,
            url: Some(self.url.clone()),
            wait_for_ai: self.wait_for_ai,
            headers,
            retry_delays_seconds: delays(&self.retry_delays)?,
            signing_secret: None,
        })
    }

    /// All settings.
    pub fn document(&self) -> Result<CallFlowDocument, Invalid> {
        Ok(CallFlowDocument {
            name: self.name.clone(),
            source: Some(self.source.clone()),
            recording: self.recording,
            ai: AiDocument { enabled: self.ai_enabled },
            post_call_webhook: self.webhook().map_err(|refused| refused.within("post_call_webhook"))?,
        })
    }
}

/// `30, 120`; nothing is the server's schedule.
fn delays(text: &str) -> Result<Option<Vec<i64>>, Invalid> {
    let mut seconds = Vec::new();
    for word in text.split([',', ' ', ';']).filter(|word| !word.is_empty()) {
        seconds.push(word.parse().map_err(|_| {
            Invalid::field("retry_delays_seconds", "are whole seconds with commas between, such as 30, 120")
        })?);
    }
    Ok(Some(seconds).filter(|seconds| !seconds.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_it_was_typed() {
        let form = Form::read(
            b"name=Google+Ads&url=+https%3A%2F%2Fexample.com&enabled=on&header_name=X-Token&header_value=a+b\
            &header_name=&header_value=&retry_delays=30%2C+120",
        );
        let typed = FlowForm::read(&form);
        assert_eq!(typed.headers, [("X-Token".to_owned(), "a b".to_owned())]);
        let document = typed.document().unwrap();
        assert_eq!(document.post_call_webhook.url.as_deref(), Some("https://example.com"));
        assert_eq!(document.post_call_webhook.retry_delays_seconds, Some(vec![30, 120]));
        assert!(document.post_call_webhook.enabled && !document.recording);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused = |form: &[u8]| FlowForm::read(&Form::read(form)).document().unwrap_err();
        assert_eq!(refused(b"retry_delays=soon").field, "post_call_webhook.retry_delays_seconds");
        let twice = b"header_name=A&header_value=1&header_name=A&header_value=2";
        assert_eq!(refused(twice).field, "post_call_webhook.headers");
    }
}
