//! Deliveries are planned, and their bodies frozen in the commit that makes them due.

use super::change_of;
use super::row::{self, PendingRow};
use crate::error::StoreResult;
use crate::queue::{Committed, DeliveryChange, Job, Pending, PendingKind};
use crate::tx::{Tx, queue_of};
use domain::call::Call;
use domain::delivery::{DeliveryKind, DeliveryStatus};
use domain::destination::{Destination, DestinationUrl, FiringMode};
use domain::event::Event;
use domain::firing::Due;
use domain::id::{BusinessId, CallId, DeliveryId};
use domain::payload::{AiFields, FrozenBody, Payload};
use failpoint::{Point, reach};
use std::sync::Arc;
use std::time::Duration;

const INSERT: &str = "INSERT INTO deliveries (business_id, id, call_id, call_flow_id, destination_id, queue, kind, event, status, version,
        url, payload_id, attempt_count, attempt_in_series, next_attempt_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'call', ?7, ?8, 1, ?9, ?10, 0, 0, ?11)";
const INSERT_PAYLOAD: &str = "INSERT INTO payloads (body) VALUES (?1)";
/// The state is not to be looked up in its index: the key leads to the row.
const MAKE_DUE: &str =
    "UPDATE deliveries SET status = 'scheduled', version = version + 1, payload_id = ?4, next_attempt_at = ?5
    WHERE business_id = ?1 AND id = ?2 AND version = ?3 AND status || '' = 'waiting_for_ai'";
const WAITING_OF_CALL: &str = "q.business_id = ?1 AND q.call_id = ?2 AND q.status || '' = 'waiting_for_ai'";

/// Plans the delivery of a call to one destination.
pub(crate) fn for_call(
    tx: &mut Tx<'_>,
    call: &Call,
    destination: &Arc<Destination>,
    target: &DestinationUrl,
    due: Due,
) -> StoreResult<()> {
    let now = tx.now();
    let (status, kind, due_at) = match due {
        Due::Now => (DeliveryStatus::Scheduled, PendingKind::Attempt, now),
        Due::WhenAiIsDone { fallback_at } => {
            (DeliveryStatus::WaitingForAi, PendingKind::Fallback, fallback_at)
        }
    };
    let body = (due == Due::Now).then(|| Arc::new(freeze(tx, call, destination.settings.firing_mode)));
    let payload_id = body.as_deref().map(|body| insert_payload(tx, body)).transpose()?;
    let pending = Pending {
        id: DeliveryId::new(now, tx.random()),
        lane: destination.id,
        business_id: call.business_id,
        call_id: Some(call.id),
        call_flow_id: destination.call_flow_id,
        queue: queue_of(destination.id),
        kind,
        due_at,
        version: 1,
    };
    tx.sql().put(
        INSERT,
        &[
            call.business_id.into(),
            pending.id.into(),
            call.id.into(),
            destination.call_flow_id.into(),
            destination.id.into(),
            pending.queue.0.into(),
            Event::of(call.status).as_str().into(),
            status.as_str().into(),
            target.as_str().into(),
            payload_id.into(),
            due_at.into(),
        ],
    )?;
    let job = body.map(|body| {
        let destination = Arc::clone(destination);
        Arc::new(Job {
            pending,
            kind: DeliveryKind::Call,
            attempt: 1,
            attempt_in_series: 1,
            destination,
            body,
        })
    });
    tx.tell(Committed::Planned { pending, wait: due_at.wait_from(now), job });
    tx.tell_change(DeliveryChange {
        business_id: call.business_id,
        delivery_id: pending.id,
        call_id: Some(call.id),
        call_flow_id: destination.call_flow_id,
        status,
        attempt_count: 0,
    });
    Ok(())
}

/// AI has ended: makes due what waits for it.
pub(crate) fn make_waiting_due(tx: &mut Tx<'_>, call: &Call) -> StoreResult<()> {
    for found in waiting_of_call(tx, call.business_id, call.id)? {
        let made = tx.alone(|tx| tell_due(tx, &found?, call))?;
        log_left_waiting(made, call.id);
    }
    Ok(())
}

/// Makes one waiting delivery due and hands it over.
pub(crate) fn tell_due(tx: &mut Tx<'_>, found: &PendingRow, call: &Call) -> StoreResult<()> {
    if let Some(job) = make_due(tx, found, call)? {
        tx.tell(Committed::Planned { pending: job.pending, wait: Duration::ZERO, job: Some(job) });
    }
    Ok(())
}

/// What cannot be read goes on waiting: its fallback tries again.
pub(crate) fn log_left_waiting(made: StoreResult<()>, call_id: CallId) {
    if let Err(error) = made {
        tracing::error!(%error, %call_id, "A delivery that waits for AI cannot be made due: its fallback tries again");
    }
}

/// What waits for a call's AI.
pub(crate) fn waiting_of_call(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    call_id: CallId,
) -> StoreResult<Vec<StoreResult<PendingRow>>> {
    let sql = row::select_pending(WAITING_OF_CALL);
    tx.sql().rows(&sql, &[business_id.into(), call_id.into()], |row| Ok(row::read_pending(row)))
}

/// Makes one waiting delivery due, conditional on its version; `None` where somebody else was first, or its destination is gone.
pub(crate) fn make_due(tx: &mut Tx<'_>, found: &PendingRow, call: &Call) -> StoreResult<Option<Arc<Job>>> {
    let Some(destination) = found.open_enabled(tx)? else { return Ok(None) };
    let now = tx.now();
    let body = freeze(tx, call, FiringMode::WaitForAi);
    let payload_id = insert_payload(tx, &body)?;
    let before = found.pending;
    let params =
        [before.business_id.into(), before.id.into(), before.version.into(), payload_id.into(), now.into()];
    if tx.sql().execute(MAKE_DUE, &params)? == 0 {
        super::erase::payload(tx, payload_id)?;
        return Ok(None);
    }
    let pending = Pending { kind: PendingKind::Attempt, due_at: now, version: before.version + 1, ..before };
    tx.tell_change(change_of(found, DeliveryStatus::Scheduled, found.attempt_count));
    Ok(Some(Arc::new(Job {
        pending,
        kind: found.kind,
        attempt: found.attempt_count + 1,
        attempt_in_series: found.attempt_in_series + 1,
        destination,
        body: Arc::new(body),
    })))
}

/// The body as it stands now. In the immediate mode it shows no AI, whatever is there.
pub(crate) fn freeze(tx: &Tx<'_>, call: &Call, mode: FiringMode) -> FrozenBody {
    let fields = match mode {
        FiringMode::Immediate => AiFields::AsReported,
        FiringMode::WaitForAi => AiFields::AsKnown,
    };
    FrozenBody::freeze(&Payload::of(call, fields, &tx.rules().public_url))
}

/// Keeps a body; answers its id. It is one delivery's alone, whatever the tables say: whoever removes a delivery removes its body.
pub(crate) fn insert_payload(tx: &mut Tx<'_>, body: &FrozenBody) -> StoreResult<i64> {
    let id = tx.sql().insert(INSERT_PAYLOAD, &[body.as_bytes().into()])?;
    reach(Point::BodyFrozen);
    Ok(id)
}
