//! What is past its time is removed, in small steps.

use crate::Store;
use crate::engine::sqlite::reclaim;
use crate::error::StoreResult;
use crate::limits::{FREE_PAGES_KEPT, FREE_PAGES_STEP, ROWS_CHANGED_MAX};
use domain::limits::{IDEMPOTENCY_RETENTION, SOURCE_CALL_RETENTION, TOMBSTONE_RETENTION};
use failpoint::{Point, reach};

const PURGE_IDEMPOTENCY_KEYS: &str = "DELETE FROM idempotency_keys WHERE (business_id, key) IN
    (SELECT business_id, key FROM idempotency_keys WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
const PURGE_SOURCE_CALLS: &str = "DELETE FROM source_calls WHERE (business_id, source_id, source_call_id) IN
    (SELECT business_id, source_id, source_call_id FROM source_calls WHERE updated_at < ?1 AND due_at IS NULL ORDER BY updated_at LIMIT ?2)";
const PURGE_TOMBSTONES: &str = "DELETE FROM tombstones WHERE (business_id, hash) IN
    (SELECT business_id, hash FROM tombstones WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";

impl Store {
    /// One step of upkeep. Answers whether there may be more to do.
    pub async fn run_upkeep_step(&self) -> StoreResult<bool> {
        self.write_engine(ROWS_CHANGED_MAX, |tx| {
            let now = tx.now();
            let rows = ROWS_CHANGED_MAX as u64;
            let keys = tx
                .sql()
                .execute(PURGE_IDEMPOTENCY_KEYS, &[now.before(IDEMPOTENCY_RETENTION).into(), rows.into()])?;
            let calls = tx
                .sql()
                .execute(PURGE_SOURCE_CALLS, &[now.before(SOURCE_CALL_RETENTION).into(), rows.into()])?;
            let tombstones =
                tx.sql().execute(PURGE_TOMBSTONES, &[now.before(TOMBSTONE_RETENTION).into(), rows.into()])?;
            reach(Point::UpkeepStepDone);
            Ok(keys.max(calls).max(tombstones) == rows)
        })
        .await
    }

    /// Gives some of the file's free space back to the file system. Answers whether there may be more.
    pub async fn run_reclaim_step(&self) -> StoreResult<bool> {
        let free = self.read_engine(reclaim::free_pages).await?;
        if free <= FREE_PAGES_KEPT {
            return Ok(false);
        }
        let pages = (free - FREE_PAGES_KEPT).min(FREE_PAGES_STEP);
        self.write_engine(ROWS_CHANGED_MAX, move |tx| reclaim::give_back(tx, pages)).await?;
        Ok(free - pages > FREE_PAGES_KEPT)
    }
}
