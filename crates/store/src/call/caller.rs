//! Who called, for lists of what was sent about calls.

use super::row::stored_party;
use crate::Store;
use crate::engine::Value;
use crate::error::StoreResult;
use domain::id::{BusinessId, CallId};
use domain::phone_number::Party;
use std::collections::HashMap;

const SELECT_CALLER: &str = "SELECT caller_number FROM calls WHERE business_id = ?1 AND id = ?2";

impl Store {
    /// The callers of these calls; those that are gone have none.
    pub async fn callers(
        &self,
        business_id: BusinessId,
        mut ids: Vec<CallId>,
    ) -> StoreResult<HashMap<CallId, Party>> {
        ids.sort_unstable();
        ids.dedup();
        self.read(move |tx| {
            let params: Vec<Vec<Value<'_>>> =
                ids.iter().map(|id| vec![business_id.into(), (*id).into()]).collect();
            let mut callers = HashMap::new();
            tx.sql().rows_of_each(SELECT_CALLER, &params, &mut |place, row| {
                if let Some(id) = ids.get(place) {
                    callers.insert(*id, stored_party(row.text(0)?));
                }
                Ok(())
            })?;
            Ok(callers)
        })
        .await
    }
}
