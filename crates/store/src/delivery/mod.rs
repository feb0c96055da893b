//! Deliveries: listed, looked into, cancelled; planned, sent again and ended by the modules below.

pub(crate) mod backlog;
pub(crate) mod erase;
pub(crate) mod of_calls;
mod outcome;
pub(crate) mod pending;
pub(crate) mod plan;
pub(crate) mod pulse;
mod redeliver;
pub(crate) mod redelivery;
pub(crate) mod row;
mod test_run;

pub use backlog::Backlog;
pub use of_calls::Told;
pub use pulse::{BEATS_MAX, Beat, FAILING_MAX, Failing, Pulse, ToBeSentAgain, WorkState};
pub use redeliver::NotRedelivered;
pub use redelivery::{Beginner, BegunBy, Redelivered, Redelivery, Stage};
pub use test_run::TestRun;

use crate::Store;
use crate::error::{StoreError, StoreResult};
use crate::idempotency::{Answer, Once, Render};
use crate::list::{Page, Search, Table};
use crate::queue::{Committed, DeliveryChange};
use crate::tx::Tx;
use domain::Timestamp;
use domain::delivery::{Attempt, Delivery, DeliveryKind, DeliveryStatus};
use domain::event::Event;
use domain::id::{BusinessId, CallFlowId, CallId, DeliveryId};
use domain::payload::FrozenBody;
use row::PendingRow;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Which deliveries are listed or sent again. All conditions hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryFilter {
    /// Of this flow.
    pub call_flow_id: Option<CallFlowId>,
    /// About this call.
    pub call_id: Option<CallId>,
    /// In this state.
    pub status: Option<DeliveryStatus>,
    /// Of this event.
    pub event: Option<Event>,
    /// Tests, or no tests.
    pub test: Option<bool>,
    /// Made at or after, in milliseconds.
    pub since_ms: Option<i64>,
    /// Made before, in milliseconds.
    pub until_ms: Option<i64>,
    /// Whose last failure has this code.
    pub error: Option<String>,
}

/// A delivery with all that is known about it.
#[derive(Clone, Debug)]
pub struct DeliveryDetail {
    /// The delivery.
    pub delivery: Delivery,
    /// Its frozen body, once it was due.
    pub body: Option<FrozenBody>,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
}

impl DeliveryDetail {
    /// Exactly what the last attempt carried, or the first one will; `None` where it is not frozen yet, or past its retention.
    #[must_use]
    pub fn sent(&self) -> Option<Vec<u8>> {
        let delivery = &self.delivery;
        let (sent_at, attempt) = self.attempts.last().map_or_else(
            || (delivery.next_attempt_at.unwrap_or(delivery.created_at), delivery.attempt_count + 1),
            |last| (last.started_at, last.attempt),
        );
        self.body.as_ref().map(|body| body.stamped(sent_at, delivery.id, attempt))
    }
}

/// Whatever its version: a retry that is planned in the same moment is not wanted either.
const CANCEL: &str =
    "UPDATE deliveries SET status = 'cancelled', version = version + 1, next_attempt_at = NULL, reason = ?3
    WHERE business_id = ?1 AND id = ?2 AND next_attempt_at IS NOT NULL";
const SELECT_BODY: &str = "SELECT p.body FROM deliveries d JOIN payloads p ON p.id = d.payload_id
    WHERE d.business_id = ?1 AND d.id = ?2";

const TABLE: Table =
    Table { name: "deliveries d", columns: row::COLUMNS, business: "d.business_id", id: "d.id" };

impl Store {
    /// The business's deliveries that match, newest first.
    pub async fn list_deliveries(
        &self,
        business_id: BusinessId,
        filter: DeliveryFilter,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> StoreResult<Page<Delivery>> {
        self.read(move |tx| list(tx, business_id, &filter, before, limit)).await
    }

    /// A delivery with its body and attempts.
    pub async fn delivery(&self, business_id: BusinessId, id: DeliveryId) -> StoreResult<DeliveryDetail> {
        self.read(move |tx| detail(tx, business_id, id)).await
    }

    /// Cancels a pending delivery. An attempt that is in flight ends as it ends, and is recorded.
    pub async fn cancel_delivery(
        &self,
        business_id: BusinessId,
        once: Option<(Once, Render<Delivery>)>,
        id: DeliveryId,
    ) -> StoreResult<Answer<Delivery>> {
        self.write_once(business_id, once, move |tx| {
            let found = row::find_pending(tx, business_id, id)?.ok_or(StoreError::NotFound("delivery"))?;
            if !cancel(tx, &found, "cancelled by a person")? {
                let word = find(tx, business_id, id)?.status.as_str();
                return Err(StoreError::Conflict(format!(
                    "the delivery is {word}: only one that is scheduled or waits for AI can be cancelled"
                )));
            }
            find(tx, business_id, id)
        })
        .await
    }
}

impl DeliveryFilter {
    /// Whether it names nothing, and so matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What leads to fewer rows stands first.
    fn search(&self, business_id: BusinessId) -> Search {
        // Ids hold the time at which they were made, so the range of times is a range of the primary key.
        let floor = |millis: i64| DeliveryId::floor(Timestamp::from_millis(millis));
        let undelivered = self.status.filter(|status| *status != DeliveryStatus::Delivered);
        let delivered = self.status.filter(|status| *status == DeliveryStatus::Delivered);
        let rare_event = self.event.filter(|event| *event != Event::Completed);
        let common_event = self.event.filter(|event| *event == Event::Completed);
        let (tests, calls) = (DeliveryKind::Test.as_str(), DeliveryKind::Call.as_str());
        let mut search = Search::default();
        search
            .within("d.business_id = ?", Some(business_id))
            .within("d.id >= ?", self.since_ms.map(floor))
            .within("d.id < ?", self.until_ms.map(floor))
            .led("d.call_id = ?", self.call_id, None)
            .led("d.kind = ?", (self.test == Some(true)).then_some(tests), Some("d.kind = 'test'"))
            .led("d.last_error = ?", self.error.clone(), Some("d.last_error IS NOT NULL"))
            .led("d.status = ?", undelivered.map(DeliveryStatus::as_str), Some("d.status <> 'delivered'"))
            .led("d.event = ?", rare_event.map(Event::as_str), Some("d.event <> 'call.completed'"))
            .led("d.call_flow_id = ?", self.call_flow_id, None)
            .asked("d.status = ?", delivered.map(DeliveryStatus::as_str))
            .asked("d.event = ?", common_event.map(Event::as_str))
            .asked("d.kind = ?", (self.test == Some(false)).then_some(calls));
        search
    }
}

/// One page of the deliveries that match.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    filter: &DeliveryFilter,
    before: Option<DeliveryId>,
    limit: usize,
) -> StoreResult<Page<Delivery>> {
    let mut search = filter.search(business_id);
    search.within("d.id < ?", before);
    search.page(tx, business_id, &TABLE, limit, |found| Ok((row::read(found)?, ControlFlow::Continue(()))))
}

/// A delivery with its body and attempts, as it stands in this transaction.
pub(crate) fn detail(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    id: DeliveryId,
) -> StoreResult<DeliveryDetail> {
    let delivery = find(tx, business_id, id)?;
    let body = tx.sql().row(SELECT_BODY, &[business_id.into(), id.into()], |row| row.blob(0))?;
    let attempts = attempts(tx, business_id, id)?;
    Ok(DeliveryDetail { delivery, body: body.map(FrozenBody::from_bytes), attempts })
}

/// Every attempt of a delivery, in order.
pub(crate) fn attempts(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    id: DeliveryId,
) -> StoreResult<Vec<Attempt>> {
    let sql = format!(
        "SELECT {} FROM attempts WHERE business_id = ?1 AND delivery_id = ?2 ORDER BY attempt, started_at",
        row::ATTEMPT_COLUMNS
    );
    tx.sql().rows(&sql, &[business_id.into(), id.into()], row::read_attempt)
}

/// The delivery as it stands in this transaction.
pub(crate) fn find(tx: &mut Tx<'_>, business_id: BusinessId, id: DeliveryId) -> StoreResult<Delivery> {
    let sql = format!("SELECT {} FROM deliveries d WHERE d.business_id = ?1 AND d.id = ?2", row::COLUMNS);
    tx.sql().row(&sql, &[business_id.into(), id.into()], row::read)?.ok_or(StoreError::NotFound("delivery"))
}

/// Cancels a delivery; `false` where it is not pending any more.
pub(crate) fn cancel(tx: &mut Tx<'_>, found: &PendingRow, reason: &str) -> StoreResult<bool> {
    let pending = found.pending;
    let params = [pending.business_id.into(), pending.id.into(), reason.into()];
    if tx.sql().execute(CANCEL, &params)? == 0 {
        return Ok(false);
    }
    tx.tell(Committed::Left(pending.id, pending.lane));
    tx.tell_change(change_of(found, DeliveryStatus::Cancelled, found.attempt_count));
    crate::statistics::count_ended(
        tx,
        pending.business_id,
        found.pending.call_flow_id,
        DeliveryStatus::Cancelled,
    )?;
    Ok(true)
}

/// The hint that a delivery has come into a state.
pub(crate) const fn change_of(
    found: &PendingRow,
    status: DeliveryStatus,
    attempt_count: u32,
) -> DeliveryChange {
    DeliveryChange {
        business_id: found.pending.business_id,
        delivery_id: found.pending.id,
        call_id: found.pending.call_id,
        call_flow_id: found.pending.call_flow_id,
        status,
        attempt_count,
    }
}
