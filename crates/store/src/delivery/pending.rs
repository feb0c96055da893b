//! What the delivery engine asks of the store: queues, lanes, rows read again, fallbacks.

use super::outcome;
use super::plan;
use super::row::{self, PendingRow};
use crate::engine::Row;
use crate::engine::group::Demand;
use crate::error::{StoreError, StoreResult};
use crate::limits::QUEUES;
use crate::queue::{
    Job, LanePage, Lease, Outcome, OutcomeApplied, Pending, PendingKind, Prepared, QueueId, QueueStore,
};
use crate::tx::Tx;
use crate::{Store, call};
use async_trait::async_trait;
use domain::Timestamp;
use domain::delivery::DeliveryStatus;
use domain::id::{BusinessId, DeliveryId, DestinationId};
use domain::payload::FrozenBody;
use failpoint::{Point, reach};
use std::sync::Arc;

const ADOPT: &str = "INSERT INTO queues (id, epoch, released) VALUES (?1, 1, 0)
    ON CONFLICT (id) DO UPDATE SET epoch = queues.epoch + 1, released = 0";
const SELECT_QUEUE: &str = "SELECT epoch, released FROM queues WHERE id = ?1";
const RELEASE: &str = "UPDATE queues SET released = 1";
/// One step from lane to lane through the index, so that a million rows of one lane cost as much as one.
const NEXT_LANE: &str = "SELECT destination_id FROM deliveries WHERE next_attempt_at IS NOT NULL AND destination_id > ?1 ORDER BY destination_id LIMIT 1";
const COLUMNS: &str =
    "id, destination_id, business_id, queue, status, next_attempt_at, version, call_id, call_flow_id";
const SELECT_BODY: &str = "SELECT body FROM payloads WHERE id = ?1";

#[async_trait]
impl QueueStore for Store {
    async fn adopt_queues(&self) -> StoreResult<Vec<Lease>> {
        self.write_engine(QUEUES.into(), |tx| (0..QUEUES).map(|queue| adopt(tx, QueueId(queue))).collect())
            .await
    }

    async fn release_queues(&self) -> StoreResult<()> {
        self.write_engine(QUEUES.into(), |tx| tx.sql().execute(RELEASE, &[]).map(drop)).await
    }

    async fn lane_heads(
        &self,
        due_by: Timestamp,
        after: Option<DestinationId>,
        limit: usize,
    ) -> StoreResult<Vec<Pending>> {
        self.read_engine(move |tx| lane_heads(tx, due_by, after, limit)).await
    }

    async fn load_lane(&self, lane: DestinationId, limit: usize) -> StoreResult<LanePage> {
        self.read_engine(move |tx| {
            let mut rows = lane_rows(tx, lane, limit.saturating_add(1))?;
            let more = rows.len() > limit;
            rows.truncate(limit);
            Ok(LanePage { rows, more })
        })
        .await
    }

    async fn prepare(&self, rows: Vec<Pending>) -> StoreResult<Vec<Prepared>> {
        self.read_gathered(move |tx| tx.each(&rows, |tx, pending| answer(*pending, prepare(tx, pending))))
            .await
    }

    async fn make_due(&self, rows: Vec<Pending>) -> StoreResult<Vec<Prepared>> {
        self.write_as(gathered(rows.len()), move |tx| {
            tx.each(&rows, |tx, pending| answer(*pending, tx.alone(|tx| make_due(tx, pending))?))
        })
        .await
    }

    async fn cancel_switched_off(&self, rows: Vec<Pending>) -> StoreResult<()> {
        self.write_as(gathered(rows.len()), move |tx| {
            tx.each(&rows, |tx, pending| {
                if let Err(error) = tx.alone(|tx| cancel_switched_off(tx, pending))? {
                    tracing::error!(%error, delivery_id = %pending.id, "A delivery that nobody wants cannot be cancelled");
                }
                Ok(())
            })
            .map(drop)
        })
        .await
    }

    async fn record_outcomes(&self, outcomes: Arc<Vec<Outcome>>) -> StoreResult<Vec<OutcomeApplied>> {
        self.write_as(gathered(outcomes.len()).apart(), move |tx| outcome::record(tx, &outcomes)).await
    }
}

/// Of several that run beside each other none looks at what another has written: each is about deliveries as they were read, and changes
/// them only as such.
const fn gathered(rows: usize) -> Demand {
    Demand::of(rows).waiting().gathered()
}

fn adopt(tx: &mut Tx<'_>, queue: QueueId) -> StoreResult<Lease> {
    let read = |row: &dyn Row| Ok((row.number::<u64>(0)?, row.bool(1)?));
    let before = tx.sql().row(SELECT_QUEUE, &[queue.0.into()], read)?;
    tx.sql().execute(ADOPT, &[queue.0.into()])?;
    reach(Point::QueueAdopted);
    let unclean = before.is_some_and(|(_, released)| !released);
    let epoch = before.map_or(1, |(epoch, _)| epoch + 1);
    Ok(Lease { queue, epoch, unclean_until: unclean.then(|| tx.now()) })
}

pub(crate) fn lane_heads(
    tx: &mut Tx<'_>,
    due_by: Timestamp,
    after: Option<DestinationId>,
    limit: usize,
) -> StoreResult<Vec<Pending>> {
    let mut at = after.map_or_else(|| vec![0; 16], |lane| lane.as_bytes().to_vec());
    let mut heads = Vec::new();
    while heads.len() < limit {
        let next = tx.sql().row(NEXT_LANE, &[(&at[..]).into()], |row| row.blob(0))?;
        let Some(lane) = next else { break };
        if let Ok(id) = <[u8; 16]>::try_from(&lane[..]) {
            let head = lane_rows(tx, DestinationId::from_bytes(id), 1)?;
            heads.extend(head.into_iter().filter(|head| head.due_at <= due_by));
        } else {
            tracing::error!("Deliveries of a destination whose id cannot be read are left out");
        }
        at = lane;
    }
    Ok(heads)
}

/// The earliest rows of a lane that can be read. One that cannot must hide neither those behind it nor other lanes.
pub(crate) fn lane_rows(tx: &mut Tx<'_>, lane: DestinationId, limit: usize) -> StoreResult<Vec<Pending>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries WHERE destination_id = ?1 AND next_attempt_at IS NOT NULL
        ORDER BY next_attempt_at, id LIMIT ?2"
    );
    let mut asked = limit;
    loop {
        let read = |row: &dyn Row| Ok((row.id::<DeliveryId>(0).ok(), read(row)));
        let found = tx.sql().rows(&sql, &[lane.into(), (asked as u64).into()], read)?;
        let is_all = found.len() < asked;
        let readable = found.iter().filter(|(_, row)| row.is_ok()).count();
        if readable < limit && !is_all {
            asked = asked.saturating_mul(2);
            continue;
        }
        return Ok(found.into_iter().filter_map(|(id, row)| readable_row(id, row)).take(limit).collect());
    }
}

fn readable_row(id: Option<DeliveryId>, row: StoreResult<Pending>) -> Option<Pending> {
    row.inspect_err(|error| {
        let delivery_id = id.map_or_else(|| "unreadable".to_owned(), |id| id.to_string());
        tracing::error!(%error, delivery_id, "A pending delivery cannot be read and is left out");
    })
    .ok()
}

fn read(row: &dyn Row) -> StoreResult<Pending> {
    let status = row.word(4, DeliveryStatus::from_word)?;
    Ok(Pending {
        id: row.id(0)?,
        lane: row.id(1)?,
        business_id: row.id(2)?,
        call_id: row.opt_id(7)?,
        call_flow_id: row.id(8)?,
        queue: QueueId(row.number(3)?),
        kind: PendingKind::of(status),
        due_at: row.time(5)?,
        version: row.number(6)?,
    })
}

fn prepare(tx: &mut Tx<'_>, pending: &Pending) -> StoreResult<Prepared> {
    let Some(found) = row::find_pending(tx, pending.business_id, pending.id)? else {
        return Ok(Prepared::Gone(pending.id));
    };
    if !found.status.is_pending() {
        return Ok(Prepared::Gone(pending.id));
    }
    if found.pending != *pending {
        return Ok(Prepared::Changed(found.pending));
    }
    Ok(job(tx, &found)?.map_or(Prepared::SwitchedOff(found.pending), Prepared::Send))
}

/// The answer for one row of a batch. Only a store that does not answer fails the batch.
fn answer(pending: Pending, prepared: StoreResult<Prepared>) -> StoreResult<Prepared> {
    match prepared {
        Err(error) if error.is_of_data() => {
            tracing::error!(%error, delivery_id = %pending.id, "A delivery cannot be read: its lane pauses");
            Ok(Prepared::Unreadable(pending))
        }
        other => other,
    }
}

/// What the next attempt of a pending row needs; `None` where its destination was switched off.
///
/// A row that waits for AI has no body yet: it is not to be sent, and its job's body is empty.
fn job(tx: &mut Tx<'_>, found: &PendingRow) -> StoreResult<Option<Arc<Job>>> {
    let Some(destination) = found.open_enabled(tx)? else { return Ok(None) };
    let body = match found.payload_id {
        Some(id) => tx.sql().row(SELECT_BODY, &[id.into()], |row| row.blob(0))?,
        None => None,
    };
    if body.is_none() && found.status == DeliveryStatus::Scheduled {
        return Err(StoreError::Corrupt(format!("delivery {} has no body", found.pending.id)));
    }
    Ok(Some(Arc::new(Job {
        pending: found.pending,
        kind: found.kind,
        attempt: found.attempt_count + 1,
        attempt_in_series: found.attempt_in_series + 1,
        destination,
        body: Arc::new(FrozenBody::from_bytes(body.unwrap_or_default())),
    })))
}

fn make_due(tx: &mut Tx<'_>, pending: &Pending) -> StoreResult<Prepared> {
    let found = match row::find_pending(tx, pending.business_id, pending.id)? {
        Some(found) if found.status.is_pending() => found,
        _ => return Ok(Prepared::Gone(pending.id)),
    };
    if found.pending != *pending || found.status != DeliveryStatus::WaitingForAi {
        return Ok(Prepared::Changed(found.pending));
    }
    let call = match found.pending.call_id.map(|id| call::find(tx, pending.business_id, id)) {
        Some(Ok(call)) => call,
        // Without its call it has nothing to say, and would wait for ever.
        None | Some(Err(StoreError::NotFound(_))) => {
            super::cancel(tx, &found, "its call is gone")?;
            return Ok(Prepared::Gone(pending.id));
        }
        Some(Err(error)) => return Err(error),
    };
    Ok(plan::make_due(tx, &found, &call)?.map_or(Prepared::SwitchedOff(found.pending), Prepared::Send))
}

fn cancel_switched_off(tx: &mut Tx<'_>, pending: &Pending) -> StoreResult<()> {
    if let Some(found) = row::find_pending(tx, pending.business_id, pending.id)?
        && found.pending.version == pending.version
        && !found.is_enabled()
    {
        super::cancel(tx, &found, "the webhook was switched off or its call flow deleted")?;
    }
    Ok(())
}

/// The pending rows of a lane from one id on, for jobs that go through them in steps.
pub(crate) fn pending_of_lane(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    lane: DestinationId,
    after: Option<DeliveryId>,
    limit: usize,
) -> StoreResult<Vec<PendingRow>> {
    let sql = row::select_pending(
        "q.business_id = ?1 AND q.destination_id = ?2 AND q.next_attempt_at IS NOT NULL AND q.id > ?3 ORDER BY q.id LIMIT ?4",
    );
    let after = after.unwrap_or(DeliveryId::from_bytes([0; 16]));
    tx.sql().rows(
        &sql,
        &[business_id.into(), lane.into(), after.into(), (limit as u64).into()],
        row::read_pending,
    )
}

/// The earliest pending rows of a lane, in the order of its index: no step sorts the whole lane.
pub(crate) fn earliest_of_lane(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    lane: DestinationId,
    limit: usize,
) -> StoreResult<Vec<PendingRow>> {
    let sql = row::select_pending(
        "q.destination_id = ?1 AND q.next_attempt_at IS NOT NULL AND q.business_id = ?2
        ORDER BY q.next_attempt_at, q.id LIMIT ?3",
    );
    tx.sql().rows(&sql, &[lane.into(), business_id.into(), (limit as u64).into()], row::read_pending)
}
