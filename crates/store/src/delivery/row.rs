//! A delivery's row, as lists show it and as the engine reads it before an attempt.

use crate::destination::{self, Stored};
use crate::engine::Row;
use crate::error::StoreResult;
use crate::queue::{Pending, PendingKind, QueueId};
use crate::tx::Tx;
use domain::delivery::{Attempt, Delivery, DeliveryKind, DeliveryStatus};
use domain::destination::Destination;
use domain::event::Event;
use domain::id::{BusinessId, DeliveryId};
use std::sync::Arc;

/// The columns that [`read`] takes, of a table named `d`.
pub(crate) const COLUMNS: &str =
    "d.id, d.business_id, d.call_id, d.call_flow_id, d.destination_id, d.kind, d.event, d.status, d.url,
    d.attempt_count, d.next_attempt_at, d.last_status_code, d.last_error, d.reason, d.delivered_at";

/// Reads a delivery.
pub(crate) fn read(row: &dyn Row) -> StoreResult<Delivery> {
    let id: DeliveryId = row.id(0)?;
    Ok(Delivery {
        id,
        business_id: row.id(1)?,
        call_id: row.opt_id(2)?,
        call_flow_id: row.id(3)?,
        destination_id: row.id(4)?,
        kind: row.word(5, DeliveryKind::from_word)?,
        event: row.word(6, Event::from_word)?,
        status: row.word(7, DeliveryStatus::from_word)?,
        url: row.text(8)?,
        attempt_count: row.number(9)?,
        next_attempt_at: row.opt_time(10)?,
        last_status_code: row.opt_number(11)?,
        last_error: row.opt_text(12)?,
        reason: row.opt_text(13)?,
        created_at: id.made_at(),
        delivered_at: row.opt_time(14)?,
    })
}

/// A delivery with what its next attempt needs, read together with its destination.
pub(crate) struct PendingRow {
    /// The row. For one that has ended, `due_at` has no meaning.
    pub pending: Pending,
    pub status: DeliveryStatus,
    pub kind: DeliveryKind,
    pub attempt_count: u32,
    pub attempt_in_series: u32,
    pub payload_id: Option<i64>,
    destination: Option<(u64, Stored)>,
}

/// The select of [`read_pending`]; in `condition` the deliveries are named `q`.
///
/// The destination is joined from the left: it is gone where its flow was deleted.
pub(crate) fn select_pending(condition: &str) -> String {
    format!(
        "SELECT q.id, q.destination_id, q.business_id, q.queue, q.next_attempt_at, q.version, q.status, q.kind, q.call_id,
            q.call_flow_id, q.attempt_count, q.attempt_in_series, q.payload_id, f.version, {columns}
        FROM deliveries q
        LEFT JOIN call_flows f ON f.business_id = q.business_id AND f.id = q.call_flow_id
        LEFT JOIN destinations d ON d.business_id = q.business_id AND d.call_flow_id = q.call_flow_id AND d.id = q.destination_id
        WHERE {condition}",
        columns = destination::COLUMNS,
        condition = condition
    )
}

/// Reads the columns of [`select_pending`].
pub(crate) fn read_pending(row: &dyn Row) -> StoreResult<PendingRow> {
    const DESTINATION: usize = 14;
    let status = row.word(6, DeliveryStatus::from_word)?;
    let destination = match (row.opt_number(13)?, row.opt_blob(DESTINATION)?) {
        (Some(version), Some(_)) => Some((version, destination::read(row, DESTINATION)?)),
        _ => None,
    };
    Ok(PendingRow {
        pending: Pending {
            id: row.id(0)?,
            lane: row.id(1)?,
            business_id: row.id(2)?,
            call_id: row.opt_id(8)?,
            call_flow_id: row.id(9)?,
            queue: QueueId(row.number(3)?),
            kind: PendingKind::of(status),
            due_at: row.opt_time(4)?.unwrap_or_default(),
            version: row.number(5)?,
        },
        status,
        kind: row.word(7, DeliveryKind::from_word)?,
        attempt_count: row.number(10)?,
        attempt_in_series: row.number(11)?,
        payload_id: row.opt_int(12)?,
        destination,
    })
}

impl PendingRow {
    /// Whether calls still go to the destination.
    pub(crate) fn is_enabled(&self) -> bool {
        self.destination.as_ref().is_some_and(|(_, stored)| stored.enabled)
    }

    /// The destination with its secrets; `None` where it was switched off or deleted.
    pub(crate) fn open_enabled(&self, tx: &Tx<'_>) -> StoreResult<Option<Arc<Destination>>> {
        let Some((version, stored)) = self.destination.as_ref().filter(|(_, stored)| stored.enabled) else {
            return Ok(None);
        };
        tx.destinations().open(tx.keyring(), *version, stored).map(Some)
    }
}

/// One delivery by its id, whatever its state.
pub(crate) fn find_pending(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    id: DeliveryId,
) -> StoreResult<Option<PendingRow>> {
    let sql = select_pending("q.business_id = ?1 AND q.id = ?2");
    tx.sql().row(&sql, &[business_id.into(), id.into()], read_pending)
}

/// The columns that [`read_attempt`] takes.
pub(crate) const ATTEMPT_COLUMNS: &str =
    "attempt, started_at, duration_ms, status_code, error, error_detail, url, remote_address,
    response_headers, response_excerpt, repeated, phases, header_names";

/// Reads an attempt.
pub(crate) fn read_attempt(row: &dyn Row) -> StoreResult<Attempt> {
    Ok(Attempt {
        attempt: row.number(0)?,
        started_at: row.time(1)?,
        duration_ms: row.number(2)?,
        status_code: row.opt_number(3)?,
        error: row.opt_text(4)?,
        error_detail: row.opt_text(5)?,
        url: row.text(6)?,
        remote_address: row.opt_text(7)?,
        response_headers: destination::from_json(&row.text(8)?)?,
        response_excerpt: row.opt_text(9)?,
        repeated: row.bool(10)?,
        phases: row.opt_text(11)?.map(|json| destination::from_json(&json)).transpose()?,
        header_names: row.opt_text(12)?.map(|json| destination::from_json(&json)).transpose()?,
    })
}
