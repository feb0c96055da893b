//! Work on more rows than one transaction may change: its first step runs in the commit that asks for it, the rest goes on in
//! steps between other work, also after a restart. Idempotent by the rows' own state: a step that is run again finds nothing to do.

use crate::delivery::{self, DeliveryFilter, pending::pending_of_lane, plan};
use crate::destination::{from_json, to_json};
use crate::error::{StoreError, StoreResult};
use crate::limits::ROWS_CHANGED_MAX;
use crate::queue::Committed;
use crate::tx::Tx;
use crate::{Store, call};
use domain::delivery::DeliveryStatus;
use domain::id::{BusinessId, DeliveryId, DestinationId, JobId};
use serde::{Deserialize, Serialize};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Job {
    /// Cancel what is pending for a destination.
    CancelLane {
        /// The destination.
        lane: DestinationId,
        /// What is written beside each cancelled delivery.
        reason: String,
    },
    /// AI was switched off: what waits for it will not get it.
    EndWaiting {
        /// The destination.
        lane: DestinationId,
    },
    /// Send again what matches.
    Redeliver {
        /// Which deliveries.
        filter: DeliveryFilter,
    },
}

const INSERT: &str =
    "INSERT INTO jobs (business_id, id, spec, cursor, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
const SELECT_OLDEST: &str = "SELECT business_id, id, spec, cursor FROM jobs ORDER BY id LIMIT 1";
const ADVANCE: &str = "UPDATE jobs SET cursor = ?3 WHERE business_id = ?1 AND id = ?2";
const DELETE: &str = "DELETE FROM jobs WHERE business_id = ?1 AND id = ?2";

impl Store {
    /// Runs one step of the oldest job. Answers whether there may be more to do.
    pub async fn run_job_step(&self) -> StoreResult<bool> {
        let has_work = self.read_engine(|tx| tx.sql().exists(SELECT_OLDEST, &[])).await?;
        if !has_work {
            return Ok(false);
        }
        self.write_engine(ROWS_CHANGED_MAX, |tx| {
            let oldest = tx.sql().row(SELECT_OLDEST, &[], |row| {
                Ok((
                    row.id::<BusinessId>(0)?,
                    row.id::<JobId>(1)?,
                    row.text(2)?,
                    row.opt_id::<DeliveryId>(3)?,
                ))
            })?;
            let Some((business_id, id, spec, cursor)) = oldest else { return Ok(false) };
            match step(tx, business_id, &from_json(&spec)?, cursor)? {
                Some(next) => tx.sql().execute(ADVANCE, &[business_id.into(), id.into(), next.into()])?,
                None => tx.sql().execute(DELETE, &[business_id.into(), id.into()])?,
            };
            Ok(true)
        })
        .await
    }
}

/// Runs the first step at once; what is left becomes a row.
pub(crate) fn start(tx: &mut Tx<'_>, business_id: BusinessId, job: &Job) -> StoreResult<()> {
    let Some(cursor) = step(tx, business_id, job, None)? else { return Ok(()) };
    let now = tx.now();
    let id = JobId::new(now, tx.random());
    let params = [business_id.into(), id.into(), to_json(job).into(), cursor.into(), now.into()];
    tx.sql().execute(INSERT, &params).map(drop)
}

/// At most 500 rows. Answers where to go on; `None` at the end.
fn step(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    job: &Job,
    after: Option<DeliveryId>,
) -> StoreResult<Option<DeliveryId>> {
    match job {
        Job::CancelLane { lane, reason } => cancel_step(tx, business_id, *lane, reason, after),
        Job::EndWaiting { lane } => end_waiting_step(tx, business_id, *lane, after),
        Job::Redeliver { filter } => delivery::redeliver_step(tx, business_id, filter, after),
    }
}

fn cancel_step(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    lane: DestinationId,
    reason: &str,
    after: Option<DeliveryId>,
) -> StoreResult<Option<DeliveryId>> {
    let rows = pending_of_lane(tx, business_id, lane, after, ROWS_CHANGED_MAX)?;
    for found in &rows {
        // It was switched on again in the meantime: what is pending now is wanted.
        if found.is_enabled() {
            return Ok(None);
        }
        delivery::cancel(tx, found, reason)?;
    }
    Ok(rows.last().map(|found| found.pending.id).filter(|_| rows.len() == ROWS_CHANGED_MAX))
}

fn end_waiting_step(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    lane: DestinationId,
    after: Option<DeliveryId>,
) -> StoreResult<Option<DeliveryId>> {
    let rows = pending_of_lane(tx, business_id, lane, after, ROWS_CHANGED_MAX)?;
    for found in rows.iter().filter(|found| found.status == DeliveryStatus::WaitingForAi) {
        let Some(call_id) = found.call_id else { continue };
        let call = match call::find(tx, business_id, call_id) {
            Ok(call) => call,
            Err(StoreError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        if let Some(job) = plan::make_due(tx, found, &call)? {
            tx.tell(Committed::Planned(job.pending, Some(job)));
        }
    }
    Ok(rows.last().map(|found| found.pending.id).filter(|_| rows.len() == ROWS_CHANGED_MAX))
}
