//! Work on more rows than one transaction may change: its first step runs in the commit that asks for it, the rest goes on in
//! steps between other work, also after a restart. Idempotent by the rows' own state: a step that is run again finds nothing to do.

use crate::delivery::{self, DeliveryFilter, pending::earliest_of_lane, pending::pending_of_lane, plan};
use crate::destination::{from_json, to_json};
use crate::engine::Row;
use crate::error::{StoreError, StoreResult};
use crate::limits::{JOB_PAUSE_MAX, JOB_PAUSE_MIN, ROWS_CHANGED_MAX};
use crate::tx::Tx;
use crate::{Store, call};
use domain::Timestamp;
use domain::delivery::DeliveryStatus;
use domain::id::{BusinessId, DeliveryId, DestinationId, JobId};
use failpoint::{Point, reach};
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

const INSERT: &str = "INSERT INTO jobs (business_id, id, spec, cursor, created_at, not_before) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const SELECT_DUE: &str =
    "SELECT business_id, id, created_at FROM jobs WHERE not_before <= ?1 ORDER BY id LIMIT 1";
const SELECT_JOB: &str = "SELECT spec, cursor FROM jobs WHERE business_id = ?1 AND id = ?2";
const ADVANCE: &str = "UPDATE jobs SET cursor = ?3 WHERE business_id = ?1 AND id = ?2";
const PUT_OFF: &str = "UPDATE jobs SET not_before = ?3 WHERE business_id = ?1 AND id = ?2";
const DELETE: &str = "DELETE FROM jobs WHERE business_id = ?1 AND id = ?2";
const HAS_AI: &str = "SELECT 1 FROM call_flows WHERE business_id = ?1 AND id = ?2 AND ai_enabled = 1";

impl Store {
    /// Runs one step of the oldest job that is due. Answers whether there may be more to do.
    pub async fn run_job_step(&self) -> StoreResult<bool> {
        let has_work = self
            .read_engine(|tx| {
                let now = tx.now();
                tx.sql().exists(SELECT_DUE, &[now.into()])
            })
            .await?;
        if !has_work {
            return Ok(false);
        }
        self.write_engine(ROWS_CHANGED_MAX, |tx| {
            let now = tx.now();
            let read = |row: &dyn Row| Ok((row.id::<BusinessId>(0)?, row.id::<JobId>(1)?, row.time(2)?));
            let due = tx.sql().row(SELECT_DUE, &[now.into()], read)?;
            let Some((business_id, id, created_at)) = due else { return Ok(false) };
            if let Err(error) = tx.alone(|tx| go_on(tx, business_id, id))? {
                tracing::error!(%error, job_id = %id, "A job's step failed and is tried again later");
                let not_before = put_off_until(created_at, now);
                tx.sql().execute(PUT_OFF, &[business_id.into(), id.into(), not_before.into()])?;
                // It may be a redelivery, of which somebody sees that it waits.
                tx.tell_redelivery(business_id);
            }
            Ok(true)
        })
        .await
    }
}

fn go_on(tx: &mut Tx<'_>, business_id: BusinessId, id: JobId) -> StoreResult<()> {
    let read = |row: &dyn Row| Ok((row.text(0)?, row.opt_id::<DeliveryId>(1)?));
    let found = tx.sql().row(SELECT_JOB, &[business_id.into(), id.into()], read)?;
    let (spec, cursor) = found.ok_or(StoreError::NotFound("job"))?;
    let next = step(tx, business_id, id, &from_json(&spec)?, cursor)?;
    reach(Point::JobStepDone);
    match next {
        Some(next) => tx.sql().execute(ADVANCE, &[business_id.into(), id.into(), next.into()])?,
        None => tx.sql().execute(DELETE, &[business_id.into(), id.into()])?,
    };
    Ok(())
}

/// A failing job waits as long again as it is old, so that its waits double without a count of them.
fn put_off_until(created_at: Timestamp, now: Timestamp) -> Timestamp {
    now.after(now.since(created_at).clamp(JOB_PAUSE_MIN, JOB_PAUSE_MAX))
}

/// Runs the first step at once; what is left becomes a row. What fails for its data is left, too: the change that asks for
/// the work stands.
pub(crate) fn start(tx: &mut Tx<'_>, business_id: BusinessId, job: &Job) -> StoreResult<()> {
    let id = JobId::new(tx.now(), tx.random());
    start_as(tx, business_id, id, job)
}

/// The same under a given id: a redelivery's is that of its record.
pub(crate) fn start_as(tx: &mut Tx<'_>, business_id: BusinessId, id: JobId, job: &Job) -> StoreResult<()> {
    let now = tx.now();
    let (cursor, not_before) = match tx.alone(|tx| step(tx, business_id, id, job, None))? {
        Ok(None) => return Ok(()),
        Ok(cursor) => (cursor, now),
        Err(error) => {
            tracing::error!(%error, %business_id, "A job's first step failed and is tried again later");
            (None, put_off_until(now, now))
        }
    };
    reach(Point::JobLeft);
    let params =
        [business_id.into(), id.into(), to_json(job).into(), cursor.into(), now.into(), not_before.into()];
    tx.sql().execute(INSERT, &params).map(drop)
}

/// At most 500 rows. Answers where to go on; `None` at the end.
fn step(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    id: JobId,
    job: &Job,
    after: Option<DeliveryId>,
) -> StoreResult<Option<DeliveryId>> {
    match job {
        Job::CancelLane { lane, reason } => cancel_step(tx, business_id, *lane, reason),
        Job::EndWaiting { lane } => end_waiting_step(tx, business_id, *lane, after),
        Job::Redeliver { filter } => delivery::redelivery::step(tx, business_id, id, filter, after),
    }
}

/// What is cancelled leaves the lane, so that the next step begins where this one ended, without a cursor.
fn cancel_step(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    lane: DestinationId,
    reason: &str,
) -> StoreResult<Option<DeliveryId>> {
    let mut rows = earliest_of_lane(tx, business_id, lane, ROWS_CHANGED_MAX)?;
    // In the order in which outcomes lock them.
    rows.sort_by_key(|found| found.pending.id);
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
    let Some(first) = rows.first() else { return Ok(None) };
    // AI was switched on again in the meantime: what waits now gets it.
    if tx.sql().exists(HAS_AI, &[business_id.into(), first.pending.call_flow_id.into()])? {
        return Ok(None);
    }
    for found in rows.iter().filter(|found| found.status == DeliveryStatus::WaitingForAi) {
        let Some(call_id) = found.pending.call_id else { continue };
        let made = tx.alone(|tx| {
            let call = call::find(tx, business_id, call_id)?;
            plan::tell_due(tx, found, &call)
        })?;
        plan::log_left_waiting(made, call_id);
    }
    Ok(rows.last().map(|found| found.pending.id).filter(|_| rows.len() == ROWS_CHANGED_MAX))
}
