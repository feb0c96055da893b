//! Attempts and what follows from them are recorded, many in one transaction.
//!
//! An outcome applies only where the delivery is still as it was sent (its version) and the queue is still held (its epoch);
//! else the attempt alone goes on record. What is given again after an unknown commit changes nothing: attempts are known by
//! delivery, number and start.

use super::{change_of, row};
use crate::destination::to_json;
use crate::error::StoreResult;
use crate::queue::{DeliveryChange, Outcome, OutcomeApplied, Pending, PendingKind};
use crate::statistics::Tally;
use crate::tx::Tx;
use domain::delivery::{Attempt, DeliveryEvent, DeliveryStatus, transition};
use domain::retry::Verdict;
use failpoint::{Point, reach};

/// The state is not to be looked up in its index: the key leads to the row.
const APPLY: &str = "UPDATE deliveries SET status = ?4, version = version + 1, url = ?5, attempt_count = ?6,
        attempt_in_series = attempt_in_series + 1, next_attempt_at = ?7, last_status_code = ?8, last_error = ?9, delivered_at = ?10
    WHERE business_id = ?1 AND id = ?2 AND version = ?3 AND status || '' = 'scheduled'
        AND EXISTS (SELECT 1 FROM queues WHERE id = ?11 AND epoch = ?12)";
/// Also where it counts no attempt: nobody else changes or removes the row until this is committed.
const APPLY_LATE: &str =
    "UPDATE deliveries SET attempt_count = CASE WHEN attempt_count < ?3 THEN ?3 ELSE attempt_count END
    WHERE business_id = ?1 AND id = ?2";
const APPLY_LATE_SUCCESS: &str =
    "UPDATE deliveries SET status = 'delivered', version = version + 1, reason = NULL, url = ?3,
        last_status_code = ?4, last_error = NULL, delivered_at = ?5
    WHERE business_id = ?1 AND id = ?2 AND status = 'cancelled'";
const INSERT_ATTEMPT: &str =
    "INSERT INTO attempts (business_id, delivery_id, attempt, started_at, duration_ms, status_code, error,
        error_detail, url, remote_address, response_headers, response_excerpt, repeated, phases, header_names)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT (business_id, delivery_id, attempt, started_at) DO NOTHING";
const HAS_ATTEMPT: &str =
    "SELECT 1 FROM attempts WHERE business_id = ?1 AND delivery_id = ?2 AND attempt = ?3 AND started_at = ?4";

/// Records outcomes; one answer each, in order.
pub(super) fn record(tx: &mut Tx<'_>, outcomes: &[Outcome]) -> StoreResult<Vec<OutcomeApplied>> {
    let mut tally = Tally::default();
    let applied = tx.each(outcomes, |tx, outcome| record_alone(tx, outcome, &mut tally))?;
    if let Err(error) = tx.alone(|tx| tally.write(tx))? {
        tracing::error!(%error, "Ended attempts are on record but were not counted");
    }
    Ok(applied)
}

/// An outcome that cannot be recorded does not take the others with it.
fn record_alone(tx: &mut Tx<'_>, outcome: &Outcome, tally: &mut Tally) -> StoreResult<OutcomeApplied> {
    // Nothing can fail after an outcome was counted, so that the tally needs no way back.
    Ok(tx.alone(|tx| record_one(tx, outcome, tally))?.unwrap_or_else(|error| {
        tracing::error!(%error, delivery_id = %outcome.pending.id, "An attempt cannot be recorded: it is made again later");
        OutcomeApplied::Unrecorded
    }))
}

fn record_one(tx: &mut Tx<'_>, outcome: &Outcome, tally: &mut Tally) -> StoreResult<OutcomeApplied> {
    let pending = outcome.pending;
    let attempt = &outcome.attempt;
    // The same outcome may be given twice at once.
    tx.sql().claim("delivery", &[(&pending.business_id).into(), (&pending.id).into()])?;
    let (status, next_attempt_at) = after(outcome.verdict);
    let delivered_at = (status == DeliveryStatus::Delivered).then_some(outcome.ended_at);
    let is_applied = tx.sql().change_one(
        APPLY,
        &[
            (&pending.business_id).into(),
            (&pending.id).into(),
            pending.version.into(),
            status.as_str().into(),
            (&attempt.url).into(),
            attempt.attempt.into(),
            next_attempt_at.into(),
            attempt.status_code.into(),
            attempt.error.as_ref().into(),
            delivered_at.into(),
            pending.queue.0.into(),
            outcome.epoch.into(),
        ],
    )?;
    if !is_applied {
        return record_late(tx, outcome, tally);
    }
    reach(Point::StateWritten);
    insert_attempt(tx, &pending, attempt)?;
    tx.tell_change(DeliveryChange {
        business_id: pending.business_id,
        delivery_id: pending.id,
        call_id: pending.call_id,
        call_flow_id: pending.call_flow_id,
        status,
        attempt_count: attempt.attempt,
    });
    if let Some(due_at) = next_attempt_at {
        let next = Pending { kind: PendingKind::Attempt, due_at, version: pending.version + 1, ..pending };
        return Ok(OutcomeApplied::Next(next));
    }
    tally.add(pending.business_id, pending.call_flow_id, outcome.ended_at, status, attempt.duration_ms);
    Ok(OutcomeApplied::Ended)
}

/// The delivery is not as it was sent: it was cancelled, sent again, erased, or this outcome is on record already.
fn record_late(tx: &mut Tx<'_>, outcome: &Outcome, tally: &mut Tally) -> StoreResult<OutcomeApplied> {
    let (pending, attempt) = (outcome.pending, &outcome.attempt);
    let params = [pending.business_id.into(), pending.id.into(), attempt.attempt.into()];
    if tx.sql().execute(APPLY_LATE, &params)? == 0 {
        return Ok(OutcomeApplied::Gone);
    }
    let Some(found) = row::find_pending(tx, pending.business_id, pending.id)? else {
        return Ok(OutcomeApplied::Gone);
    };
    let key =
        [pending.business_id.into(), pending.id.into(), attempt.attempt.into(), attempt.started_at.into()];
    if tx.sql().exists(HAS_ATTEMPT, &key)? {
        let is_planned =
            found.status == DeliveryStatus::Scheduled && found.pending.version == pending.version + 1;
        return Ok(if is_planned { OutcomeApplied::Next(found.pending) } else { OutcomeApplied::Ended });
    }
    // Where the body is past its retention, so are the attempts.
    if found.payload_id.is_some() {
        insert_attempt(tx, &pending, attempt)?;
    }
    reach(Point::LateAttemptRecorded);
    let succeeded = outcome.verdict == Verdict::Delivered;
    if succeeded && transition(found.status, DeliveryEvent::AttemptSucceeded).is_some() {
        let changed = tx.sql().execute(
            APPLY_LATE_SUCCESS,
            &[
                pending.business_id.into(),
                pending.id.into(),
                (&attempt.url).into(),
                attempt.status_code.into(),
                outcome.ended_at.into(),
            ],
        )?;
        if changed > 0 {
            tally.add(
                pending.business_id,
                found.pending.call_flow_id,
                outcome.ended_at,
                DeliveryStatus::Delivered,
                attempt.duration_ms,
            );
            tx.tell_change(change_of(&found, DeliveryStatus::Delivered, attempt.attempt));
        }
    }
    Ok(OutcomeApplied::Late)
}

const fn after(verdict: Verdict) -> (DeliveryStatus, Option<domain::Timestamp>) {
    match verdict {
        Verdict::Delivered => (DeliveryStatus::Delivered, None),
        Verdict::RetryAt(time) => (DeliveryStatus::Scheduled, Some(time)),
        Verdict::Failed => (DeliveryStatus::Failed, None),
    }
}

/// Puts an attempt on record.
pub(super) fn insert_attempt(tx: &mut Tx<'_>, pending: &Pending, attempt: &Attempt) -> StoreResult<()> {
    tx.sql().put(
        INSERT_ATTEMPT,
        &[
            (&pending.business_id).into(),
            (&pending.id).into(),
            attempt.attempt.into(),
            attempt.started_at.into(),
            attempt.duration_ms.into(),
            attempt.status_code.into(),
            attempt.error.as_ref().into(),
            attempt.error_detail.as_ref().into(),
            (&attempt.url).into(),
            attempt.remote_address.as_ref().into(),
            to_json(&attempt.response_headers).into(),
            attempt.response_excerpt.as_ref().into(),
            attempt.repeated.into(),
            attempt.phases.as_ref().map(to_json).into(),
            attempt.header_names.as_ref().map(to_json).into(),
        ],
    )
}
