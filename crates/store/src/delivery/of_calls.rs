//! What was sent about each of a few calls, in as few words as a list of calls has room for.

use crate::Store;
use crate::engine::Value;
use crate::error::StoreResult;
use crate::tx::Tx;
use domain::delivery::DeliveryStatus;
use domain::id::{BusinessId, CallId, DeliveryId};

/// A call's delivery as a list of calls shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Its state.
    pub status: DeliveryStatus,
    /// Attempts made.
    pub attempt_count: u32,
}

impl Store {
    /// The deliveries of each call, oldest first, in the order of `calls`; tests are nobody's news.
    pub async fn deliveries_of_calls(
        &self,
        business_id: BusinessId,
        calls: Vec<CallId>,
    ) -> StoreResult<Vec<Vec<Told>>> {
        self.read(move |tx| of_calls(tx, business_id, &calls)).await
    }
}

/// All of them are asked for at once.
pub(crate) fn of_calls(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    calls: &[CallId],
) -> StoreResult<Vec<Vec<Told>>> {
    let mut told = vec![Vec::new(); calls.len()];
    if calls.is_empty() {
        return Ok(told);
    }
    let places: Vec<_> = (2..calls.len() + 2).map(|place| format!("?{place}")).collect();
    let sql = format!(
        "SELECT call_id, id, status, attempt_count FROM deliveries
        WHERE business_id = ?1 AND call_id IN ({}) AND kind = 'call'",
        places.join(", ")
    );
    let params: Vec<Value<'_>> =
        std::iter::once(business_id.into()).chain(calls.iter().map(|call| (*call).into())).collect();
    let found = tx.sql().rows(&sql, &params, |row| {
        let (delivery_id, status) = (row.id(1)?, row.word(2, DeliveryStatus::from_word)?);
        Ok((row.id::<CallId>(0)?, Told { delivery_id, status, attempt_count: row.number(3)? }))
    })?;
    for (call, delivery) in found {
        let place = calls.iter().position(|asked| *asked == call);
        if let Some(of_call) = place.and_then(|place| told.get_mut(place)) {
            of_call.push(delivery);
        }
    }
    for of_call in &mut told {
        of_call.sort_by_key(|delivery| delivery.delivery_id);
    }
    Ok(told)
}
