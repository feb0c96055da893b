//! Deliveries are removed with all that belongs to them.

use crate::engine::Row;
use crate::error::StoreResult;
use crate::queue::Committed;
use crate::tx::Tx;
use domain::id::{BusinessId, CallId, DeliveryId};

const SELECT_OF_CALL: &str =
    "SELECT id, destination_id, payload_id FROM deliveries WHERE business_id = ?1 AND call_id = ?2";
const DELETE_ATTEMPTS: &str = "DELETE FROM attempts WHERE business_id = ?1 AND delivery_id = ?2";
const DELETE: &str = "DELETE FROM deliveries WHERE business_id = ?1 AND id = ?2";
const DELETE_PAYLOAD: &str = "DELETE FROM payloads WHERE id = ?1";

/// Removes a call's deliveries. A call has a handful: one a destination, and the tests made with its data.
pub(crate) fn deliveries_of_call(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    call_id: CallId,
) -> StoreResult<()> {
    let read = |row: &dyn Row| Ok((row.id(0)?, row.id(1)?, row.opt_int(2)?));
    for (id, lane, payload_id) in
        tx.sql().rows(SELECT_OF_CALL, &[business_id.into(), call_id.into()], read)?
    {
        delivery(tx, business_id, id, payload_id)?;
        tx.tell(Committed::Left(id, lane));
    }
    Ok(())
}

/// Removes a delivery with its attempts and its body: itself first, so that an outcome that is being written is waited for and goes too.
pub(crate) fn delivery(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    id: DeliveryId,
    payload_id: Option<i64>,
) -> StoreResult<()> {
    tx.sql().execute(DELETE, &[business_id.into(), id.into()])?;
    attempts(tx, business_id, id)?;
    payload_id.map_or(Ok(()), |payload_id| payload(tx, payload_id))
}

/// Removes a delivery's attempts.
pub(crate) fn attempts(tx: &mut Tx<'_>, business_id: BusinessId, id: DeliveryId) -> StoreResult<()> {
    tx.sql().execute(DELETE_ATTEMPTS, &[business_id.into(), id.into()]).map(drop)
}

/// Removes a body.
pub(crate) fn payload(tx: &mut Tx<'_>, payload_id: i64) -> StoreResult<()> {
    tx.sql().execute(DELETE_PAYLOAD, &[payload_id.into()]).map(drop)
}
