//! A test webhook is recorded when it has been sent: one attempt, never retried.

use super::outcome::insert_attempt;
use super::plan;
use crate::error::{StoreError, StoreResult};
use crate::idempotency::{Answer, Once, Render};
use crate::queue::{DeliveryChange, Pending, PendingKind};
use crate::tx::queue_of;
use crate::{Store, call};
use domain::Timestamp;
use domain::delivery::{Attempt, DeliveryStatus};
use domain::event::Event;
use domain::id::{BusinessId, CallFlowId, CallId, DeliveryId, DestinationId};
use domain::payload::FrozenBody;

/// A test webhook that was sent.
#[derive(Clone, Debug)]
pub struct TestRun {
    /// The payload's `delivery_id`.
    pub delivery_id: DeliveryId,
    /// Whose flow it is.
    pub business_id: BusinessId,
    /// The flow that was tested.
    pub call_flow_id: CallFlowId,
    /// The destination that was tested.
    pub destination_id: DestinationId,
    /// The call whose data was sent; `None`: the sample's.
    pub call_id: Option<CallId>,
    /// The payload's `event`.
    pub event: Event,
    /// What was sent.
    pub body: FrozenBody,
    /// What came of it.
    pub attempt: Attempt,
    /// When the answer was there.
    pub ended_at: Timestamp,
}

impl TestRun {
    /// What is left of a test whose call was erased: that it was sent, and how it went.
    fn without_call(mut self) -> Self {
        self.call_id = None;
        self.body = FrozenBody::from_bytes(b"{\"event\":null".to_vec());
        self.attempt.response_excerpt = None;
        self
    }
}

const INSERT: &str = "INSERT INTO deliveries (business_id, id, call_id, call_flow_id, destination_id, queue, kind, event, status, version,
        url, payload_id, attempt_count, attempt_in_series, last_status_code, last_error, delivered_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'test', ?7, ?8, 1, ?9, ?10, 1, 1, ?11, ?12, ?13)";

impl Store {
    /// Records a test webhook with its one attempt.
    pub async fn record_test(
        &self,
        business_id: BusinessId,
        once: Option<(Once, Render<()>)>,
        run: TestRun,
    ) -> StoreResult<Answer<()>> {
        self.write_once(business_id, once, move |tx| {
            // A call that was erased while its test was under way leaves no trace in it either.
            let mut run = run.clone();
            if let Some(call_id) = run.call_id {
                match call::find(tx, business_id, call_id) {
                    Ok(_) => tx.show(call_id),
                    Err(StoreError::NotFound(_)) => run = run.without_call(),
                    Err(error) => return Err(error),
                }
            }
            let payload_id = plan::insert_payload(tx, &run.body)?;
            let succeeded = run.attempt.error.is_none();
            let status = if succeeded { DeliveryStatus::Delivered } else { DeliveryStatus::Failed };
            let queue = queue_of(run.destination_id);
            tx.sql().execute(
                INSERT,
                &[
                    run.business_id.into(),
                    run.delivery_id.into(),
                    run.call_id.into(),
                    run.call_flow_id.into(),
                    run.destination_id.into(),
                    queue.0.into(),
                    run.event.as_str().into(),
                    status.as_str().into(),
                    (&run.attempt.url).into(),
                    payload_id.into(),
                    run.attempt.status_code.into(),
                    run.attempt.error.as_ref().into(),
                    succeeded.then_some(run.ended_at).into(),
                ],
            )?;
            let pending = Pending {
                id: run.delivery_id,
                lane: run.destination_id,
                business_id: run.business_id,
                call_id: run.call_id,
                call_flow_id: run.call_flow_id,
                queue,
                kind: PendingKind::Attempt,
                due_at: run.ended_at,
                version: 1,
            };
            insert_attempt(tx, &pending, &run.attempt)?;
            tx.tell_change(DeliveryChange {
                business_id: run.business_id,
                delivery_id: run.delivery_id,
                call_id: run.call_id,
                call_flow_id: run.call_flow_id,
                status,
                attempt_count: 1,
            });
            Ok(())
        })
        .await
    }
}
