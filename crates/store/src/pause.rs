//! Sending that waits for the operator's word: a restored store does not know what the one before it sent since the copy was made.

use crate::Store;
use crate::engine::Sql;
use crate::error::StoreResult;
use crate::transfer::mark::Away;
use domain::Timestamp;

const PAUSE: &str =
    "INSERT INTO meta (name, value) VALUES ('sending paused', ?1) ON CONFLICT (name) DO NOTHING";
/// Nobody knows how far the lost store had come: what was due by now may have been sent, and its attempts say so.
const LEAVE_QUEUES: &str = "UPDATE queues SET released = 0";
const RESUME: &str = "DELETE FROM meta WHERE name = 'sending paused'";
const IS_PAUSED: &str = "SELECT 1 FROM meta WHERE name = 'sending paused'";
const COUNT_DUE: &str =
    "SELECT count(*) FROM deliveries WHERE next_attempt_at IS NOT NULL AND next_attempt_at <= ?1";
const COUNT_WAITING: &str =
    "SELECT count(*) FROM deliveries WHERE next_attempt_at IS NOT NULL AND next_attempt_at > ?1";

/// Deliveries that have not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// Those that are due now.
    pub due: u64,
    /// Those whose time is still to come.
    pub waiting: u64,
}

impl Store {
    /// Whether sending waits for the operator's word; survives restarts.
    pub async fn is_sending_paused(&self) -> StoreResult<bool> {
        self.read_engine(|tx| is_paused(tx.sql())).await
    }

    /// The operator's word, which also takes back a store that was moved away. Answers whether it had waited for that.
    pub async fn resume_sending(&self) -> StoreResult<bool> {
        self.write(|tx| {
            let is_taken_back = Away::remove(tx.sql())?;
            Ok(tx.sql().execute(RESUME, &[])? > 0 || is_taken_back)
        })
        .await
    }

    /// The deliveries that have not ended, counted one by one.
    pub async fn outstanding(&self) -> StoreResult<Outstanding> {
        self.read_engine(|tx| {
            let now = tx.now();
            outstanding(tx.sql(), now)
        })
        .await
    }
}

/// Marks a store that was restored.
pub(crate) fn pause(sql: &mut dyn Sql, at: Timestamp) -> StoreResult<()> {
    sql.execute(LEAVE_QUEUES, &[])?;
    sql.execute(PAUSE, &[at.into()]).map(drop)
}

pub(crate) fn is_paused(sql: &mut dyn Sql) -> StoreResult<bool> {
    sql.exists(IS_PAUSED, &[])
}

pub(crate) fn outstanding(sql: &mut dyn Sql, now: Timestamp) -> StoreResult<Outstanding> {
    Ok(Outstanding {
        due: sql.count(COUNT_DUE, &[now.into()])?,
        waiting: sql.count(COUNT_WAITING, &[now.into()])?,
    })
}
