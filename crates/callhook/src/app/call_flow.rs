//! Call flows: what a user sends of them, checked; masked secrets stay what they are.

use super::document::{self, Change, within};
use super::{AddressCheck, App, checked_url, given};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::call_flow::CallFlow;
use domain::destination::{DestinationSettings, DestinationUrl, FiringMode, HeaderList, SigningSecret};
use domain::id::{BusinessId, CallFlowId};
use domain::limits::{ATTRIBUTION_CHARS_MAX, NAME_CHARS_MAX, RETRY_SPAN_MAX};
use domain::retry::RetrySchedule;
use domain::secret::{MASK, Secret};
use domain::{Invalid, Timestamp, text};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::StoreResult;
use store::call_flow::CallFlowSettings;
use store::idempotency::{Answer, Once, Render};
use utoipa::ToSchema;

/// What stands in place of a signing secret.
pub const SIGNING_MASK: &str = "whsec_••••";

/// What a user can set of a call flow.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CallFlowInput)]
pub struct CallFlowDocument {
    /// What people call it; goes into every payload.
    #[schema(min_length = 1, max_length = 200, examples("Google Ads"))]
    pub name: String,
    /// Traffic source of calls for which neither report nor number says one.
    #[serde(default)]
    #[schema(max_length = 2048, examples("google"))]
    pub source: Option<String>,
    /// Whether answered calls are recorded by the phone system.
    #[serde(default = "on")]
    #[schema(default = true)]
    pub recording: bool,
    /// What AI does with its calls.
    #[serde(default, deserialize_with = "document::object")]
    pub ai: AiDocument,
    /// Where its calls go.
    #[serde(default, deserialize_with = "document::object")]
    pub post_call_webhook: PostCallWebhookDocument,
}

/// What AI does with a flow's calls.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CallFlowAi)]
pub struct AiDocument {
    /// Whether AI looks at the flow's calls. Off: nothing waits for it.
    #[serde(default = "on")]
    #[schema(default = true)]
    pub enabled: bool,
}

/// The Post-Call Webhook.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = PostCallWebhook)]
pub struct PostCallWebhookDocument {
    /// Whether calls go there. An enabled webhook needs a URL.
    #[schema(default = false)]
    pub enabled: bool,
    /// Where to: http or https, publicly routable, without user name and fragment.
    #[schema(max_length = 2048, examples("https://hooks.example.com/x"))]
    pub url: Option<String>,
    /// Send when transcription and analysis are complete (at the latest 5 minutes after the call), not at once.
    #[schema(default = false)]
    pub wait_for_ai: bool,
    /// The user's own request headers, at most 20. Values are shown as `••••`; a masked value sent back keeps the stored one.
    pub headers: BTreeMap<String, String>,
    /// Waits between the attempts, at most 11 and 72 hours in all; null: the server's schedule (30 s, then 2 min).
    #[schema(max_items = 11, value_type = Option<Vec<u32>>)]
    pub retry_delays_seconds: Option<Vec<i64>>,
    /// Always shown masked. Change it with `POST /call-flows/{id}/webhook-secret/rotate`.
    #[schema(examples("whsec_••••"))]
    pub signing_secret: Option<String>,
}

impl Default for AiDocument {
    fn default() -> Self {
        Self { enabled: true }
    }
}

const fn on() -> bool {
    true
}

impl CallFlowDocument {
    /// The document of a flow, its secrets masked.
    #[must_use]
    pub fn of(flow: &CallFlow) -> Self {
        Self {
            name: flow.name.clone(),
            source: flow.source.clone(),
            recording: flow.recording,
            ai: AiDocument { enabled: flow.ai_enabled },
            post_call_webhook: PostCallWebhookDocument::of(&flow.post_call_webhook.settings),
        }
    }

    /// Checks every field. `before` is what masked values stand for.
    pub fn settings(
        self,
        before: Option<&CallFlow>,
        check: &AddressCheck,
    ) -> Result<CallFlowSettings, Invalid> {
        let stored = before.map(|flow| &flow.post_call_webhook.settings);
        let source = given(self.source).map(|source| text::line(&source, ATTRIBUTION_CHARS_MAX));
        Ok(CallFlowSettings {
            name: text::line(&self.name, NAME_CHARS_MAX).map_err(|refused| refused.within("name"))?,
            source: source.transpose().map_err(|refused| refused.within("source"))?,
            recording: self.recording,
            ai_enabled: self.ai.enabled,
            post_call_webhook: self
                .post_call_webhook
                .settings(stored, check)
                .map_err(|refused| refused.within("post_call_webhook"))?,
        })
    }
}

impl PostCallWebhookDocument {
    fn of(settings: &DestinationSettings) -> Self {
        Self {
            enabled: settings.enabled,
            url: settings.url.as_ref().map(ToString::to_string),
            wait_for_ai: settings.firing_mode == FiringMode::WaitForAi,
            headers: settings.headers.iter().map(|(name, _)| (name.to_owned(), MASK.to_owned())).collect(),
            retry_delays_seconds: settings
                .retry_schedule
                .as_ref()
                .map(|schedule| schedule.delays_seconds().iter().copied().map(i64::from).collect()),
            signing_secret: Some(SIGNING_MASK.to_owned()),
        }
    }

    /// Checks every field. `stored` is what masked values stand for.
    pub fn settings(
        self,
        stored: Option<&DestinationSettings>,
        check: &AddressCheck,
    ) -> Result<DestinationSettings, Invalid> {
        if self.signing_secret.is_some_and(|secret| secret != SIGNING_MASK) {
            return Err(Invalid::field(
                "signing_secret",
                "cannot be set: rotate it with POST /call-flows/{id}/webhook-secret/rotate",
            ));
        }
        let url = given(self.url).map(|url| checked_url(&url, check)).transpose();
        let url = url.map_err(|refused| refused.within("url"))?;
        let headers =
            headers(self.headers, url.as_ref(), stored).map_err(|refused| refused.within("headers"))?;
        let retry_schedule = self.retry_delays_seconds.map(retry_schedule).transpose()?;
        let firing_mode = if self.wait_for_ai { FiringMode::WaitForAi } else { FiringMode::Immediate };
        DestinationSettings { enabled: self.enabled, url, firing_mode, headers, retry_schedule }.checked()
    }
}

fn retry_schedule(delays: Vec<i64>) -> Result<RetrySchedule, Invalid> {
    const FIELD: &str = "retry_delays_seconds";
    let longest = i64::try_from(RETRY_SPAN_MAX.as_secs()).unwrap_or(i64::MAX);
    let seconds = delays.into_iter().enumerate().map(|(index, delay)| {
        within(delay, 1, longest).map_err(|refused| refused.within(&format!("{FIELD}[{index}]")))
    });
    RetrySchedule::new(seconds.collect::<Result<_, _>>()?).map_err(|refused| refused.within(FIELD))
}

/// A masked value stands for the stored one, but never follows the URL to another server: whoever may change the URL could else
/// have the secrets sent to themselves.
fn headers(
    sent: BTreeMap<String, String>,
    url: Option<&DestinationUrl>,
    stored: Option<&DestinationSettings>,
) -> Result<HeaderList, Invalid> {
    let follows = match (url, stored.and_then(|stored| stored.url.as_ref())) {
        (Some(new), Some(old)) => old.may_pass_secrets_to(new),
        (Some(_), None) => false,
        (None, _) => true,
    };
    let mut values = Vec::with_capacity(sent.len());
    for (name, value) in sent {
        let kept = stored.filter(|_| value == MASK).and_then(|stored| stored.headers.get(&name));
        match kept {
            Some(secret) if follows => values.push((name, secret.reveal().to_owned())),
            Some(_) => {
                let reason = "is masked, and does not follow the URL to another scheme, host or port: give the value again";
                return Err(Invalid::field(name, reason));
            }
            None => values.push((name, value)),
        }
    }
    HeaderList::new(values)
}

/// Makes a call flow with a signing secret of its own.
pub async fn create(
    app: &App,
    business_id: BusinessId,
    once: Option<(Once, Render<CallFlow>)>,
    document: CallFlowDocument,
) -> StoreResult<Answer<CallFlow>> {
    let settings = document.settings(None, &app.address_check)?;
    app.store.create_call_flow(business_id, once, settings, new_signing_secret(app)).await
}

/// The field that a change is refused for where somebody else was faster: what was seen of the flow.
pub const OVERTAKEN: &str = "version";

/// Changes a call flow; where `seen` is given, only if it was not changed since it stood so.
pub async fn update(
    app: &App,
    business_id: BusinessId,
    id: CallFlowId,
    change: Change,
    seen: Option<Timestamp>,
) -> StoreResult<CallFlow> {
    let check = Arc::clone(&app.address_check);
    let change = move |flow: &CallFlow| {
        if seen.is_some_and(|seen| seen != flow.updated_at) {
            let reason = "were changed by somebody else meanwhile. What you typed stands here; save again, and it replaces the other change";
            return Err(Invalid::field(OVERTAKEN, reason));
        }
        let read_only = [
            ("id", json!(flow.id)),
            ("created_at", json!(flow.created_at)),
            ("updated_at", json!(flow.updated_at)),
        ];
        let document: CallFlowDocument = change.apply(value(&CallFlowDocument::of(flow)), &read_only)?;
        document.settings(Some(flow), &check)
    };
    app.store.update_call_flow(business_id, id, change).await
}

/// Makes a signing secret.
#[must_use]
pub fn new_signing_secret(app: &App) -> SigningSecret {
    let text = format!("{}{}", SigningSecret::PREFIX, STANDARD.encode(app.world.random::<32>()));
    SigningSecret::from_secret(Secret::new(text))
}

fn value(document: &CallFlowDocument) -> Value {
    // Cannot fail: plain data with string keys.
    serde_json::to_value(document).unwrap_or_default()
}
