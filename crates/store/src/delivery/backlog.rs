//! What is pending in all, for whoever watches: the store's own truth, which shows work that is in nobody's memory as well.

use crate::Store;
use crate::engine::Row;
use crate::error::StoreResult;
use crate::tx::Tx;
use domain::Timestamp;

/// What waits in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// When the pending delivery that is to be sent first is due; `None`: nothing is pending.
    pub earliest_at: Option<Timestamp>,
    /// Pending deliveries whose time has come, those in flight included; not counted on beyond the limit.
    pub due: u64,
    /// Pending deliveries whose time comes later; not counted on beyond the limit.
    pub waiting: u64,
    /// Destinations that have something pending.
    pub lanes: u64,
    /// Jobs that are not done, at most the limit.
    pub jobs: u64,
}

/// One step from lane to lane through the index, to the earliest row of each.
const NEXT_HEAD: &str = "SELECT destination_id, next_attempt_at FROM deliveries
    WHERE next_attempt_at IS NOT NULL AND destination_id > ?1 ORDER BY destination_id, next_attempt_at LIMIT 1";
const COUNT_DUE: &str = "SELECT count(*) FROM (SELECT 1 FROM deliveries
    WHERE destination_id = ?1 AND next_attempt_at IS NOT NULL AND next_attempt_at <= ?2 LIMIT ?3) AS due";
const COUNT_WAITING: &str = "SELECT count(*) FROM (SELECT 1 FROM deliveries
    WHERE destination_id = ?1 AND next_attempt_at IS NOT NULL AND next_attempt_at > ?2 LIMIT ?3) AS waiting";
const COUNT_JOBS: &str = "SELECT count(*) FROM (SELECT 1 FROM jobs LIMIT ?1) AS known";

impl Store {
    /// What waits, as far as `limit` rows of each kind are worth counting: a million of them cost no more.
    pub async fn backlog(&self, limit: u64) -> StoreResult<Backlog> {
        self.read(move |tx| {
            let now = tx.now();
            backlog(tx, now, limit)
        })
        .await
    }
}

/// Keeps to the index of lanes and visits `limit` rows of each kind at the most, and one row of each lane.
pub(crate) fn backlog(tx: &mut Tx<'_>, now: Timestamp, limit: u64) -> StoreResult<Backlog> {
    let mut found = Backlog { jobs: tx.sql().count(COUNT_JOBS, &[limit.into()])?, ..Backlog::default() };
    // As bytes: a destination whose id cannot be read must not hide the others.
    let mut lane = vec![0; 16];
    let read = |row: &dyn Row| Ok((row.blob(0)?, row.time(1)?));
    while let Some((next, earliest_at)) = tx.sql().row(NEXT_HEAD, &[(&lane[..]).into()], read)? {
        lane = next;
        found.lanes += 1;
        found.earliest_at = Some(found.earliest_at.map_or(earliest_at, |known| known.min(earliest_at)));
        count_lane(tx, &mut found, &lane, now, limit)?;
    }
    Ok(found)
}

/// Adds what a lane holds, as far as there is room below the limit.
pub(crate) fn count_lane(
    tx: &mut Tx<'_>,
    found: &mut Backlog,
    lane: &[u8],
    now: Timestamp,
    limit: u64,
) -> StoreResult<()> {
    found.due += count(tx, COUNT_DUE, lane, now, limit - found.due)?;
    found.waiting += count(tx, COUNT_WAITING, lane, now, limit - found.waiting)?;
    Ok(())
}

fn count(tx: &mut Tx<'_>, sql: &str, lane: &[u8], now: Timestamp, room: u64) -> StoreResult<u64> {
    if room == 0 {
        return Ok(0);
    }
    tx.sql().count(sql, &[lane.into(), now.into(), room.into()])
}
