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

const SELECT_OF_CALL: &str = "SELECT id, status, attempt_count FROM deliveries
    WHERE business_id = ?1 AND call_id = ?2 AND kind = 'call'";

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

pub(crate) fn of_calls(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    calls: &[CallId],
) -> StoreResult<Vec<Vec<Told>>> {
    let params: Vec<Vec<Value<'_>>> =
        calls.iter().map(|call| vec![business_id.into(), (*call).into()]).collect();
    let mut told = vec![Vec::new(); calls.len()];
    tx.sql().rows_of_each(SELECT_OF_CALL, &params, &mut |place, row| {
        let (delivery_id, status) = (row.id(0)?, row.word(1, DeliveryStatus::from_word)?);
        if let Some(of_call) = told.get_mut(place) {
            of_call.push(Told { delivery_id, status, attempt_count: row.number(2)? });
        }
        Ok(())
    })?;
    for of_call in &mut told {
        of_call.sort_by_key(|delivery| delivery.delivery_id);
    }
    Ok(told)
}
