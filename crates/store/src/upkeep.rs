//! What is past its time is removed, in small steps.

use crate::Store;
use crate::engine::sqlite::reclaim;
use crate::error::StoreResult;
use crate::limits::{FREE_PAGES_KEPT, FREE_PAGES_STEP, ROWS_CHANGED_MAX};
use crate::tx::Tx;
use domain::limits::{
    IDEMPOTENCY_RETENTION, REDELIVERY_RETENTION, SOURCE_CALL_RETENTION, TOMBSTONE_RETENTION,
};
use failpoint::{Point, reach};
use std::time::Duration;

/// A kept response of a batch has as many subjects as the batch had calls: they go before it, so that their rows are counted.
const PURGE_IDEMPOTENCY_SUBJECTS: &str =
    "DELETE FROM idempotency_subjects WHERE (business_id, call_id, key) IN
    (SELECT s.business_id, s.call_id, s.key FROM idempotency_keys k
        JOIN idempotency_subjects s ON s.business_id = k.business_id AND s.key = k.key
        WHERE k.created_at < ?1 ORDER BY k.created_at LIMIT ?2)";
const PURGE_IDEMPOTENCY_KEYS: &str = "DELETE FROM idempotency_keys WHERE (business_id, key) IN
    (SELECT business_id, key FROM idempotency_keys WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
const PURGE_SOURCE_CALLS: &str = "DELETE FROM source_calls WHERE (business_id, source_id, source_call_id) IN
    (SELECT business_id, source_id, source_call_id FROM source_calls WHERE updated_at < ?1 AND due_at IS NULL ORDER BY updated_at LIMIT ?2)";
const PURGE_TOMBSTONES: &str = "DELETE FROM tombstones WHERE (business_id, hash) IN
    (SELECT business_id, hash FROM tombstones WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
/// A version that knew no records has ended the job of one, and left the record as under way.
const END_REDELIVERIES: &str = "UPDATE redeliveries SET ended_at = ?1 WHERE (business_id, id) IN
    (SELECT r.business_id, r.id FROM redeliveries r WHERE r.ended_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.business_id = r.business_id AND j.id = r.id) LIMIT ?2)";
const PURGE_REDELIVERIES: &str = "DELETE FROM redeliveries WHERE (business_id, id) IN
    (SELECT business_id, id FROM redeliveries WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2)";
const PURGE_SESSIONS: &str = "DELETE FROM sessions WHERE (user_id, id) IN
    (SELECT user_id, id FROM sessions WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
const PURGE_INVITATIONS: &str = "DELETE FROM invitations WHERE (business_id, id) IN
    (SELECT business_id, id FROM invitations WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
const PURGE_SIGN_IN_LINKS: &str = "DELETE FROM sign_in_links WHERE token_hash IN
    (SELECT token_hash FROM sign_in_links WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";

impl Store {
    /// One step of upkeep. Answers whether there may be more to do.
    pub async fn run_upkeep_step(&self) -> StoreResult<bool> {
        self.write_engine(ROWS_CHANGED_MAX, purge).await
    }

    /// Gives some of the file's free space back to the file system. Answers whether there may be more.
    pub async fn run_reclaim_step(&self) -> StoreResult<bool> {
        if !self.engine.is_a_file() {
            return Ok(false);
        }
        let free = self.read_engine(reclaim::free_pages).await?;
        if free <= FREE_PAGES_KEPT {
            return Ok(false);
        }
        let pages = (free - FREE_PAGES_KEPT).min(FREE_PAGES_STEP);
        self.write_engine(ROWS_CHANGED_MAX, move |tx| {
            reclaim::give_back(tx, pages)?;
            reach(Point::SpaceGivenBack);
            Ok(())
        })
        .await?;
        Ok(free - pages > FREE_PAGES_KEPT)
    }
}

pub(crate) fn purge(tx: &mut Tx<'_>) -> StoreResult<bool> {
    let (now, mut room) = (tx.now(), ROWS_CHANGED_MAX as u64);
    for (purge, kept) in [
        (PURGE_IDEMPOTENCY_SUBJECTS, IDEMPOTENCY_RETENTION),
        (PURGE_IDEMPOTENCY_KEYS, IDEMPOTENCY_RETENTION),
        (PURGE_SOURCE_CALLS, SOURCE_CALL_RETENTION),
        (PURGE_TOMBSTONES, TOMBSTONE_RETENTION),
        (END_REDELIVERIES, Duration::ZERO),
        (PURGE_REDELIVERIES, REDELIVERY_RETENTION),
        (PURGE_SESSIONS, Duration::ZERO),
        (PURGE_INVITATIONS, Duration::ZERO),
        (PURGE_SIGN_IN_LINKS, Duration::ZERO),
    ] {
        room -= tx.sql().execute(purge, &[now.before(kept).into(), room.into()])?.min(room);
    }
    reach(Point::UpkeepStepDone);
    Ok(room == 0)
}
