//! What a business keeps no longer is removed, in small steps.
//!
//! A step reads which rows are past their time and removes those that have ended, in a transaction of its own. A step that is run
//! again finds nothing to do. What is still pending is left, and found by a later pass once it has ended.

use crate::delivery::erase;
use crate::engine::Row;
use crate::engine::group::Demand;
use crate::error::{StoreError, StoreResult};
use crate::limits::{PURGE_CALLS, PURGE_SAMPLES, PURGE_SCAN_ROWS, ROWS_CHANGED_MAX};
use crate::tx::Tx;
use crate::{Store, call};
use domain::Timestamp;
use domain::id::{BusinessId, CallId, DeliveryId};
use failpoint::{Point, reach};

const SELECT_DELIVERIES: &str =
    "SELECT id, payload_id IS NOT NULL, next_attempt_at IS NOT NULL, attempt_count FROM deliveries
    WHERE business_id = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4";
const SELECT_PAYLOAD: &str = "SELECT payload_id FROM deliveries
    WHERE business_id = ?1 AND id = ?2 AND payload_id IS NOT NULL AND next_attempt_at IS NULL";
const FORGET_PAYLOAD: &str = "UPDATE deliveries SET payload_id = NULL WHERE business_id = ?1 AND id = ?2";
/// Each call with about as many rows as belong to it: itself and its source id's; a delivery, its body and its attempts.
const SELECT_CALLS: &str =
    "SELECT id, 2 + (SELECT 2 * count(*) + coalesce(sum(d.attempt_count), 0) FROM deliveries d
        WHERE d.business_id = calls.business_id AND d.call_id = calls.id)
    FROM calls WHERE business_id = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4";
const HAS_PENDING: &str =
    "SELECT 1 FROM deliveries WHERE business_id = ?1 AND call_id = ?2 AND next_attempt_at IS NOT NULL";
const SELECT_SAMPLES: &str =
    "SELECT id, payload_id FROM deliveries WHERE business_id = ?1 AND id < ?2 AND kind = 'test'
    AND call_id IS NULL AND next_attempt_at IS NULL ORDER BY id LIMIT ?3";
const DELETE_STATISTICS: &str =
    "DELETE FROM delivery_statistics WHERE (business_id, minute, call_flow_id, status, latency_bucket) IN
    (SELECT business_id, minute, call_flow_id, status, latency_bucket FROM delivery_statistics
        WHERE business_id = ?1 AND minute < ?2 ORDER BY minute LIMIT ?3)";

/// What one step asks of the writer.
const STEP: Demand = Demand::of(ROWS_CHANGED_MAX).waiting().in_parts();

/// What one step over payloads came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadStep {
    /// Where the next step goes on; `None` at the end.
    pub next: Option<DeliveryId>,
    /// The last delivery before one that is pending.
    pub ended_until: Option<DeliveryId>,
    /// Whether all that it looked at have ended.
    pub all_ended: bool,
}

impl Store {
    /// Removes bodies and attempts of deliveries that were made before, from `after` on.
    pub async fn purge_payloads(
        &self,
        business_id: BusinessId,
        before: Timestamp,
        after: Option<DeliveryId>,
    ) -> StoreResult<PayloadStep> {
        let page = self.read_engine(move |tx| deliveries_past(tx, business_id, before, after)).await?;
        if !page.ended.is_empty() {
            let ended = page.ended;
            let purge = move |tx: &mut Tx<'_>| {
                let purged = tx.each(&ended, |tx, id| {
                    Ok(tx.alone(|tx| purge_payload(tx, business_id, *id))?.unwrap_or_else(|error| {
                        tracing::error!(%error, delivery_id = %id, "A payload that is past its time cannot be removed");
                        false
                    }))
                })?;
                reach(Point::PayloadsPurged);
                tell_if_erased(tx, &purged)
            };
            self.write_as(STEP, purge).await?;
        }
        Ok(page.purged)
    }

    /// Removes calls that were reported before, from `after` on, with all that belongs to them. Answers where to go on; `None` at
    /// the end.
    pub async fn purge_calls(
        &self,
        business_id: BusinessId,
        before: Timestamp,
        after: Option<CallId>,
    ) -> StoreResult<Option<CallId>> {
        let (ids, next) = self.read_engine(move |tx| calls_past(tx, business_id, before, after)).await?;
        if !ids.is_empty() {
            let purge = move |tx: &mut Tx<'_>| {
                let purged = tx.each(&ids, |tx, id| purge_call(tx, business_id, *id))?;
                reach(Point::CallsPurged);
                tell_if_erased(tx, &purged)
            };
            self.write_as(STEP, purge).await?;
        }
        Ok(next)
    }

    /// Removes tests that were made with sample data before, which belong to no call. Answers whether there may be more.
    pub async fn purge_samples(&self, business_id: BusinessId, before: Timestamp) -> StoreResult<bool> {
        self.write_as(STEP, move |tx| purge_samples(tx, business_id, before)).await
    }

    /// Removes counts of what ended before. Answers whether there may be more.
    pub async fn purge_statistics(&self, business_id: BusinessId, before: Timestamp) -> StoreResult<bool> {
        self.write_engine(ROWS_CHANGED_MAX, move |tx| purge_statistics(tx, business_id, before)).await
    }
}

/// Deliveries that are past their time.
pub(crate) struct Past {
    /// Those that have ended and still have a body.
    ended: Vec<DeliveryId>,
    purged: PayloadStep,
}

/// As many as one transaction may purge, of as many rows as are looked at in one go.
pub(crate) fn deliveries_past(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    before: Timestamp,
    after: Option<DeliveryId>,
) -> StoreResult<Past> {
    let params = [
        business_id.into(),
        after.unwrap_or(DeliveryId::from_bytes([0; 16])).into(),
        DeliveryId::floor(before).into(),
        PURGE_SCAN_ROWS.into(),
    ];
    let read = |row: &dyn Row| Ok((row.id(0)?, row.bool(1)?, row.bool(2)?, row.number::<usize>(3)?));
    let found: Vec<(DeliveryId, bool, bool, usize)> = tx.sql().rows(SELECT_DELIVERIES, &params, read)?;
    let mut purged = PayloadStep { next: None, ended_until: None, all_ended: true };
    let (mut ended, mut rows) = (Vec::new(), 0);
    for (id, has_body, is_pending, attempts) in &found {
        if rows >= ROWS_CHANGED_MAX {
            return Ok(Past { ended, purged });
        }
        purged.next = Some(*id);
        purged.all_ended &= !is_pending;
        if purged.all_ended {
            purged.ended_until = purged.next;
        }
        if *has_body && !is_pending {
            ended.push(*id);
            // The delivery, its body, its attempts.
            rows += 2 + attempts;
        }
    }
    if (found.len() as u64) < PURGE_SCAN_ROWS {
        purged.next = None;
    }
    Ok(Past { ended, purged })
}

/// Calls that are past their time, as many as one transaction may purge, and where to go on.
pub(crate) fn calls_past(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    before: Timestamp,
    after: Option<CallId>,
) -> StoreResult<(Vec<CallId>, Option<CallId>)> {
    let params = [
        business_id.into(),
        after.unwrap_or(CallId::from_bytes([0; 16])).into(),
        CallId::floor(before).into(),
        PURGE_CALLS.into(),
    ];
    let read = |row: &dyn Row| Ok((row.id(0)?, row.number::<usize>(1)?));
    let found: Vec<(CallId, usize)> = tx.sql().rows(SELECT_CALLS, &params, read)?;
    let mut rows = 0;
    let fit = found.iter().take_while(|(_, belonging)| {
        let has_room = rows < ROWS_CHANGED_MAX;
        rows += belonging;
        has_room
    });
    let ids: Vec<CallId> = fit.map(|(id, _)| *id).collect();
    let is_all = ids.len() == found.len() && (found.len() as u64) < PURGE_CALLS;
    let next = ids.last().copied().filter(|_| !is_all);
    Ok((ids, next))
}

/// Once for a whole step.
fn tell_if_erased(tx: &mut Tx<'_>, purged: &[bool]) -> StoreResult<()> {
    if purged.contains(&true) { tx.tell_erased() } else { Ok(()) }
}

/// It may have been sent again since it was looked at: then it is left.
fn purge_payload(tx: &mut Tx<'_>, business_id: BusinessId, id: DeliveryId) -> StoreResult<bool> {
    let key = [business_id.into(), id.into()];
    let Some(payload_id) = tx.sql().row(SELECT_PAYLOAD, &key, |row| row.int(0))? else { return Ok(false) };
    // First, so that an outcome that is being written is waited for.
    tx.sql().execute(FORGET_PAYLOAD, &key)?;
    erase::attempts(tx, business_id, id)?;
    erase::payload(tx, payload_id)?;
    Ok(true)
}

fn purge_call(tx: &mut Tx<'_>, business_id: BusinessId, id: CallId) -> StoreResult<bool> {
    if tx.sql().exists(HAS_PENDING, &[business_id.into(), id.into()])? {
        return Ok(false);
    }
    match tx.alone(|tx| call::erase(tx, business_id, id))? {
        Ok(()) => Ok(true),
        // It was erased since it was looked at.
        Err(StoreError::NotFound(_)) => Ok(false),
        Err(error) => {
            tracing::error!(%error, call_id = %id, "A call that is past its time cannot be removed");
            Ok(false)
        }
    }
}

pub(crate) fn purge_samples(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    before: Timestamp,
) -> StoreResult<bool> {
    let params = [business_id.into(), DeliveryId::floor(before).into(), PURGE_SAMPLES.into()];
    let read = |row: &dyn Row| Ok((row.id(0)?, row.opt_int(1)?));
    let samples = tx.sql().rows(SELECT_SAMPLES, &params, read)?;
    tx.each(&samples, |tx, (id, payload_id)| erase::delivery(tx, business_id, *id, *payload_id))?;
    if !samples.is_empty() {
        tx.tell_erased()?;
    }
    reach(Point::SamplesPurged);
    Ok(samples.len() as u64 == PURGE_SAMPLES)
}

pub(crate) fn purge_statistics(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    before: Timestamp,
) -> StoreResult<bool> {
    let minute = before.as_millis() / crate::statistics::MINUTE_MS;
    let rows = ROWS_CHANGED_MAX as u64;
    let counts = tx.sql().execute(DELETE_STATISTICS, &[business_id.into(), minute.into(), rows.into()])?;
    reach(Point::StatisticsPurged);
    Ok(counts == rows)
}
