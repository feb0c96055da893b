//! Who called, for lists of what was sent about calls.

use super::row::stored_party;
use crate::Store;
use crate::error::StoreResult;
use crate::list::of_ids;
use domain::id::{BusinessId, CallId};
use domain::phone_number::Party;
use std::collections::HashMap;

const SELECT_CALLER: &str = "SELECT caller_number FROM calls WHERE business_id = ?1 AND id = ?2";

impl Store {
    /// The callers of these calls; those that are gone have none.
    pub async fn callers(
        &self,
        business_id: BusinessId,
        ids: Vec<CallId>,
    ) -> StoreResult<HashMap<CallId, Party>> {
        self.read(move |tx| of_ids(tx, SELECT_CALLER, business_id, ids, |row| Ok(stored_party(row.text(0)?))))
            .await
    }
}
