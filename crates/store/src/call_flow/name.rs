//! Call flows by their names: what lists say of them, and how a person finds one of thousands.

use crate::Store;
use crate::error::StoreResult;
use crate::list::{Page, escaped, like, of_ids};
use crate::tx::Tx;
use domain::id::{BusinessId, CallFlowId};
use std::collections::HashMap;

const SELECT_NAME: &str = "SELECT name FROM call_flows WHERE business_id = ?1 AND id = ?2";
/// Of at most [`crate::limits::CALL_FLOWS_MAX`], whose names are short.
const FIND: &str = "SELECT id, name FROM call_flows WHERE business_id = ?1 AND name LIKE ?2 ESCAPE '\\' ORDER BY id DESC LIMIT ?3";

impl Store {
    /// The names of these flows; those that are gone have none.
    pub async fn call_flow_names(
        &self,
        business_id: BusinessId,
        ids: Vec<CallFlowId>,
    ) -> StoreResult<HashMap<CallFlowId, String>> {
        self.read(move |tx| of_ids(tx, SELECT_NAME, business_id, ids, |row| row.text(0))).await
    }

    /// The newest flows by name.
    pub async fn newest_call_flows(
        &self,
        business_id: BusinessId,
        limit: usize,
    ) -> StoreResult<Page<(CallFlowId, String)>> {
        self.read(move |tx| find(tx, business_id, "%", limit)).await
    }

    /// The flows that a person means by a text, newest first: those of just this name, or else those that have it in their name. Case is not minded.
    pub async fn call_flows_named(
        &self,
        business_id: BusinessId,
        text: String,
        limit: usize,
    ) -> StoreResult<Page<(CallFlowId, String)>> {
        self.read(move |tx| {
            let exact = find(tx, business_id, &escaped(&text), limit)?;
            if exact.rows.is_empty() { find(tx, business_id, &like(&text), limit) } else { Ok(exact) }
        })
        .await
    }
}

fn find(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    pattern: &str,
    limit: usize,
) -> StoreResult<Page<(CallFlowId, String)>> {
    let params = [business_id.into(), pattern.into(), (limit as u64 + 1).into()];
    let rows = tx.sql().rows(FIND, &params, |row| Ok((row.id(0)?, row.text(1)?)))?;
    Ok(Page::cut(rows, limit))
}
