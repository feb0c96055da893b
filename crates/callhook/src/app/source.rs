//! Sources: phone systems that report calls by signed callbacks, leg by leg.

use super::App;
use super::document::{self, Change};
use crate::telemetry::trace::Report;
use domain::id::{BusinessId, SourceId};
use domain::limits::NAME_CHARS_MAX;
use domain::secret::{MASK, Secret};
use domain::{Invalid, Timestamp, text};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sources::twilio::callback::{Callback, Endpoint};
use sources::twilio::join::{self, Decision, JoinSettings, LegState};
use sources::twilio::parameters::Parameters;
use sources::twilio::signature::{self, SignedRequest};
use std::time::Duration;
use store::idempotency::{Answer, Once, Render};
use store::source::{LegChange, LegEffect, LegStep, Source, SourceSettings};
use store::{StoreError, StoreResult};
use tokio::time::Instant;
use utoipa::ToSchema;

/// Calls that are looked at again in one go.
const DUE_MAX: usize = 100;
/// After this long a call that could not be ended is looked at again, and logged again.
const STUCK_PAUSE: Duration = Duration::from_mins(10);

/// What a user can set of a source.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SourceInput)]
pub struct SourceDocument {
    /// The kind of phone system.
    #[schema(value_type = SourceKind)]
    pub kind: String,
    /// What people call it.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// What the phone system signs with. Shown as `••••`; a masked value sent back keeps the stored one.
    #[schema(min_length = 1, max_length = 200)]
    pub auth_token: String,
    /// Whether its numbers forward calls by `<Dial>`: then a call waits for its dialled leg, which knows how it ended.
    #[serde(default = "on")]
    #[schema(default = true)]
    pub dial: bool,
}

/// The kinds of phone systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Twilio, and what speaks its language.
    Twilio,
}

const fn on() -> bool {
    true
}

impl SourceDocument {
    fn of(source: &Source) -> Self {
        Self {
            kind: "twilio".to_owned(),
            name: source.name.clone(),
            auth_token: MASK.to_owned(),
            dial: source.dial,
        }
    }

    fn settings(self, before: Option<&Source>) -> Result<SourceSettings, Invalid> {
        document::word(&self.kind, |word| (word == "twilio").then_some(()), &["twilio"])
            .map_err(|refused| refused.within("kind"))?;
        let auth_token = match before {
            Some(source) if self.auth_token.trim() == MASK => source.auth_token.clone(),
            None if self.auth_token.trim() == MASK => {
                return Err(Invalid::field("auth_token", "is masked: give the value itself"));
            }
            _ => Secret::new(
                text::line(&self.auth_token, NAME_CHARS_MAX)
                    .map_err(|refused| refused.within("auth_token"))?,
            ),
        };
        let name = text::line(&self.name, NAME_CHARS_MAX).map_err(|refused| refused.within("name"))?;
        Ok(SourceSettings { name, auth_token, dial: self.dial })
    }
}

/// Makes a source with addresses that nobody can guess.
pub async fn create(
    app: &App,
    business_id: BusinessId,
    once: Option<(Once, Render<Source>)>,
    document: SourceDocument,
) -> StoreResult<Answer<Source>> {
    let settings = document.settings(None)?;
    app.store.create_source(business_id, once, settings, Secret::new(app.random_text())).await
}

/// Changes a source.
pub async fn update(app: &App, business_id: BusinessId, id: SourceId, change: Change) -> StoreResult<Source> {
    let base = app.public_url.clone();
    let change = move |source: &Source| {
        let read_only = [
            ("id", json!(source.id)),
            ("urls", json!(SourceUrls::of(source, &base))),
            ("created_at", json!(source.created_at)),
            ("updated_at", json!(source.updated_at)),
        ];
        // Cannot fail: plain data with string keys.
        let current = serde_json::to_value(SourceDocument::of(source)).unwrap_or_default();
        change.apply::<SourceDocument>(current, &read_only)?.settings(Some(source))
    };
    app.store.update_source(business_id, id, change).await
}

/// The addresses to be entered at the phone system.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SourceUrls {
    /// Status callbacks, of the number and of its dialled legs.
    pub status: String,
    /// The action of `<Dial>`.
    pub dial: String,
    /// Recording callbacks.
    pub recording: String,
}

impl SourceUrls {
    /// The addresses of a source.
    #[must_use]
    pub fn of(source: &Source, public_url: &str) -> Self {
        let url = |endpoint: &str| {
            format!("{public_url}/api/v1/sources/twilio/{}/{endpoint}", source.token.reveal())
        };
        Self { status: url("status"), dial: url("dial"), recording: url("recording") }
    }
}

/// A callback as it came in.
#[derive(Clone, Copy, Debug)]
pub struct CallbackRequest<'a> {
    /// Which of the source's addresses was called.
    pub endpoint: Endpoint,
    /// Path and raw query.
    pub path_and_query: &'a str,
    /// The raw query.
    pub query: &'a str,
    /// Whether the body is a form.
    pub is_form: bool,
    /// The raw body.
    pub body: &'a [u8],
    /// The signature's header.
    pub signature: Option<&'a str>,
    /// The header that says how it was made.
    pub settings: Option<&'a str>,
}

/// Why a callback is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CallbackRefused {
    /// It is not the phone system's.
    #[error("{0}")]
    Unauthentic(#[from] signature::Unauthentic),
    /// It could not be kept, or its address is nobody's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes a callback in: state, and the call that it ends, in one transaction.
pub async fn take_callback(
    app: &App,
    token: Secret,
    request: CallbackRequest<'_>,
) -> Result<(), CallbackRefused> {
    let source = app.store.source_by_token(token).await?;
    let form = if request.is_form { request.body } else { &[] };
    let parameters = Parameters::read(request.query, form);
    let url = format!("{}{}", app.public_url, request.path_and_query);
    signature::verify(
        &source.auth_token,
        &SignedRequest {
            url: &url,
            form: parameters.form(),
            body: request.body,
            signature: request.signature,
            settings: request.settings,
        },
    )?;
    let read = Callback::read(request.endpoint, &parameters, source.default_country);
    let Some(callback) = read.map_err(StoreError::from)? else { return Ok(()) };
    let settings = JoinSettings { dial: source.dial };
    let call_sid = callback.call_sid.clone();
    let change = move |state: Option<&str>, now: Timestamp| {
        let (state, decision) = join::apply(read_state(state)?, callback.clone(), settings, now);
        Ok(step(&state, decision))
    };
    step_traced(app, source.business_id, source.id, call_sid, Box::new(change)).await?;
    Ok(())
}

/// Ends the calls whose last callback was waited for long enough. One that cannot be ended does not hold up the others: it
/// is looked at again later.
pub async fn run_due(app: &App) -> StoreResult<()> {
    loop {
        let now = app.now();
        let due = app.store.due_source_calls(now, DUE_MAX).await?;
        if due.is_empty() {
            return Ok(());
        }
        for (business_id, source_id, call_sid) in due {
            let stepped = step_traced(app, business_id, source_id, call_sid.clone(), Box::new(expire)).await;
            match stepped {
                Ok(()) => {}
                Err(error) if error.is_of_data() => {
                    let until = now.after(STUCK_PAUSE);
                    // Where nothing is due any more, the call was erased between the two.
                    if app.store.put_off_source_call(business_id, source_id, call_sid, until).await? {
                        tracing::error!(%error, %source_id, "A call that a source reported cannot be ended");
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The call that a step ends is reported by it.
async fn step_traced(
    app: &App,
    business_id: BusinessId,
    source_id: SourceId,
    call_sid: String,
    change: LegChange,
) -> StoreResult<()> {
    let (began_at, began) = (app.now(), Instant::now());
    let made = app.store.step_source_call(business_id, source_id, call_sid, change).await?;
    if let (Some(tracer), Some(call)) = (&app.tracer, made) {
        let report = Report { began_at, read_in: Duration::ZERO, took: began.elapsed(), reporter: None };
        tracer.reported(&report, call, true);
    }
    Ok(())
}

fn expire(state: Option<&str>, now: Timestamp) -> StoreResult<LegStep> {
    let state = read_state(state)?.ok_or(StoreError::NotFound("call in progress"))?;
    let (state, decision) = join::expire(state, now);
    Ok(step(&state, decision))
}

fn read_state(state: Option<&str>) -> StoreResult<Option<LegState>> {
    let read = |text| serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()));
    state.map(read).transpose()
}

fn step(state: &LegState, decision: Decision) -> LegStep {
    // Cannot fail: plain data with string keys.
    let state = serde_json::to_string(state).unwrap_or_default();
    let (due_at, effect) = match decision {
        Decision::Wait { until } => (Some(until), LegEffect::Nothing),
        Decision::Ended(call) => (None, LegEffect::Ended(call)),
        Decision::Recording { recording, .. } => (None, LegEffect::Recorded(recording)),
        Decision::Nothing => (None, LegEffect::Nothing),
    };
    LegStep { state, due_at, effect }
}
