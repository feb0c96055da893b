//! A test webhook: one attempt now, through the settings as saved or as given, recorded and never retried.

use super::call_flow::PostCallWebhookDocument;
use super::outbound::TestRequest;
use super::{App, document};
use domain::Invalid;
use domain::call::Call;
use domain::call_flow::CallFlow;
use domain::delivery::Attempt;
use domain::destination::{Destination, FiringMode};
use domain::event::Event;
use domain::id::{BusinessId, CallFlowId, DeliveryId};
use domain::payload::{AiFields, FrozenBody, Payload};
use domain::sample;
use serde::Deserialize;
use std::sync::Arc;
use store::delivery::TestRun;
use store::idempotency::{Answer, Once, Render};
use store::{StoreError, StoreResult};
use utoipa::ToSchema;

/// What is tested; without settings, the saved ones.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = TestWebhookInput)]
pub struct TestDocument {
    /// Settings that are not saved yet. Masked header values stand for the saved ones, unless the URL changes its scheme, host
    /// or port.
    #[serde(deserialize_with = "document::object_or_null")]
    pub post_call_webhook: Option<PostCallWebhookDocument>,
}

/// A test that was sent.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// Its delivery, listed with `test: true`.
    pub delivery_id: DeliveryId,
    /// Where it went to; redirects may have led on.
    pub url: String,
    /// The exchange.
    pub attempt: Attempt,
    /// The exact body that was sent.
    pub payload: Vec<u8>,
}

/// How a result becomes the response that is kept.
pub type RenderTest = Box<dyn Fn(&TestResult) -> store::idempotency::StoredResponse + Send>;

/// Sends a test and records it.
pub async fn run(
    app: &App,
    business_id: BusinessId,
    once: Option<(Once, RenderTest)>,
    id: CallFlowId,
    document: TestDocument,
) -> StoreResult<Answer<TestResult>> {
    // Before anything is looked up, so that two requests with one key cannot both find that there is no answer yet.
    let place = app.tests.enter(business_id, once.as_ref().map(|(once, _)| once.key.as_str()))?;
    if let Some((once, _)) = &once
        && let Some(response) = app.store.find_response(business_id, once.clone()).await?
    {
        return Ok(Answer::Repeated(response));
    }
    let flow = app.store.call_flow(business_id, id).await?;
    let destination = Arc::new(destination(app, &flow, document)?);
    let (call, is_real) = data(app, &flow).await?;
    let body = Arc::new(body(app, &call, destination.settings.firing_mode));
    let delivery_id = DeliveryId::new(app.now(), app.world.random());
    let url = destination.settings.url.as_ref().map(ToString::to_string).unwrap_or_default();
    let request = TestRequest { delivery_id, destination: Arc::clone(&destination), body: Arc::clone(&body) };
    let (store, outbound) = (Arc::clone(&app.store), Arc::clone(&app.outbound));
    // In a task of its own: what is sent goes on record although the client hangs up meanwhile.
    let sending = tokio::spawn(async move {
        let sent = outbound.send_test(request).await;
        let result = TestResult {
            delivery_id,
            url,
            payload: body.stamped(sent.attempt.started_at, delivery_id, sent.attempt.attempt),
            attempt: sent.attempt.clone(),
        };
        let run = TestRun {
            delivery_id,
            business_id,
            call_flow_id: flow.id,
            destination_id: destination.id,
            call_id: is_real.then_some(call.id),
            event: Event::of(call.status),
            body: (*body).clone(),
            attempt: sent.attempt,
            ended_at: sent.ended_at,
        };
        let shown = result.clone();
        let once = once.map(|(once, render)| {
            let render: Render<()> = Box::new(move |()| render(&shown));
            (once, render)
        });
        let recorded = store.record_test(business_id, once, run).await;
        drop(place);
        Ok(match recorded? {
            Answer::New(()) => Answer::New(result),
            Answer::Repeated(response) => Answer::Repeated(response),
        })
    });
    sending.await.map_err(|error| StoreError::Unavailable(format!("the test was broken off: {error}")))?
}

/// What would be sent for the flow's latest call, or for the sample where it has none.
pub async fn payload_sample(app: &App, business_id: BusinessId, id: CallFlowId) -> StoreResult<Vec<u8>> {
    let flow = app.store.call_flow(business_id, id).await?;
    let (call, _) = data(app, &flow).await?;
    let body = body(app, &call, flow.post_call_webhook.settings.firing_mode);
    let now = app.now();
    Ok(body.stamped(now, DeliveryId::new(now, app.world.random()), 1))
}

fn destination(app: &App, flow: &CallFlow, document: TestDocument) -> Result<Destination, Invalid> {
    let within = |refused: Invalid| refused.within("post_call_webhook");
    let mut destination = flow.post_call_webhook.clone();
    if let Some(unsaved) = document.post_call_webhook {
        let saved = &flow.post_call_webhook.settings;
        destination.settings = unsaved.settings(Some(saved), &app.address_check).map_err(within)?;
    }
    if destination.settings.url.is_none() {
        return Err(within(Invalid::field("url", "is required: there is nowhere to send the test to")));
    }
    Ok(destination)
}

/// The flow's latest call, or the sample; and whether it is a real one.
async fn data(app: &App, flow: &CallFlow) -> StoreResult<(Call, bool)> {
    let latest = app.store.latest_call(flow.business_id, flow.id).await?;
    let is_real = latest.is_some();
    let sample = || sample::call(flow.business_id, flow.id, &flow.name, app.now());
    Ok((latest.unwrap_or_else(sample), is_real))
}

/// The payload as the firing mode would show it: at once, what AI found is not there yet.
fn body(app: &App, call: &Call, mode: FiringMode) -> FrozenBody {
    let ai = match mode {
        FiringMode::Immediate => AiFields::AsReported,
        FiringMode::WaitForAi => AiFields::AsKnown,
    };
    let mut payload = Payload::of(call, ai, &app.public_url);
    if mode == FiringMode::Immediate && call.ai_processed {
        payload.transcription = None;
    }
    FrozenBody::freeze(&payload)
}
