//! How a call flow's deliveries have gone lately, and which flows fail now: read from the newest rows of each, never from all.

use crate::Store;
use crate::engine::Row;
use crate::error::StoreResult;
use crate::statistics;
use crate::tx::Tx;
use domain::Timestamp;
use domain::delivery::DeliveryStatus;
use domain::id::{BusinessId, CallFlowId, DeliveryId, DestinationId};
use std::time::Duration;

/// Deliveries of a flow that are looked at.
pub const BEATS_MAX: usize = 20;
/// How far back a failed delivery makes its flow one that fails now.
const TROUBLE_SPAN: Duration = Duration::from_hours(24);
/// Deliveries of a flow that are looked through for the last that was tried: newer ones may wait, for AI or behind it. Most often it is the
/// first.
const TRIED_WITHIN: usize = 2_000;
/// How long something is due before it tells of its flow that nothing of it was tried.
const DUE_FOR: Duration = Duration::from_secs(30);
/// How far back it is looked how a flow's deliveries ended, where that is all that is known.
const ENDED_SPAN: Duration = Duration::from_hours(1);
/// Failing flows that are told of: where there are so many, there may be more.
pub const FAILING_MAX: usize = 50;
/// Deliveries that wait which are looked through for those that were tried in vain.
const WAITING_LOOKED_AT: u64 = 2_000;

/// How one delivery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// The receiver has it.
    Delivered,
    /// Its last attempt failed, whether or not another one follows.
    Failed,
    /// It was not tried yet.
    Waiting,
    /// Was cancelled or skipped.
    Ended,
}

/// The last deliveries of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Whose.
    pub call_flow_id: CallFlowId,
    /// Newest first.
    pub beats: Vec<Beat>,
    /// Since when each attempt failed, as far back as the beats go; `None`: the last one that was tried was delivered.
    pub failing_since: Option<Timestamp>,
}

impl Pulse {
    /// Whether it fails for longer than the beats go back, for all that they tell.
    #[must_use]
    pub fn may_fail_longer(&self) -> bool {
        self.failing_since.is_some()
            && self.beats.len() == BEATS_MAX
            && !self.beats.contains(&Beat::Delivered)
    }

    /// Whether any of them was tried.
    #[must_use]
    pub fn is_tried(&self) -> bool {
        self.beats.iter().any(|beat| matches!(beat, Beat::Delivered | Beat::Failed))
    }
}

/// A flow whose destination fails now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// How it went lately.
    pub pulse: Pulse,
    /// The flow's name.
    pub name: String,
    /// Where it sends.
    pub url: String,
}

/// How the work of a business stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkState {
    /// When the oldest delivery was due that is not sent yet.
    pub oldest_due_at: Option<Timestamp>,
    /// Flows that fail now, [`FAILING_MAX`] at the most.
    pub failing: Vec<Failing>,
}

/// How many deliveries wait for another attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToBeSentAgain {
    /// So many.
    pub count: u64,
    /// Whether there may be more: so many wait that not all were looked at.
    pub may_be_more: bool,
}

const SELECT_BEATS: &str = "SELECT id, status, last_error IS NOT NULL FROM deliveries
    WHERE business_id = ?1 AND call_flow_id = ?2 AND kind = 'call' ORDER BY id DESC LIMIT ?3";
/// Of each destination: when the first in its lane is due, and whether the last delivery that was tried failed. Both go by an index, and
/// end with what they look for: a million rows that wait for late retries cost as much as one, and hide nothing.
const SELECT_STANDING: &str = "SELECT d.call_flow_id, d.id,
        (SELECT q.next_attempt_at FROM deliveries q WHERE q.destination_id = d.id AND q.next_attempt_at IS NOT NULL
            ORDER BY q.next_attempt_at LIMIT 1),
        (SELECT CASE WHEN b.status = 'delivered' OR (b.status = 'failed' AND b.id < ?3) THEN 0 ELSE 1 END
            FROM (SELECT id, status, last_error FROM deliveries
                WHERE business_id = d.business_id AND call_flow_id = d.call_flow_id AND kind = 'call' ORDER BY id DESC LIMIT ?2) AS b
            WHERE b.status = 'delivered' OR b.status = 'failed' OR (b.status = 'scheduled' AND b.last_error IS NOT NULL)
            ORDER BY b.id DESC LIMIT 1)
    FROM destinations d WHERE d.business_id = ?1 AND d.enabled = 1 AND d.url IS NOT NULL";
/// The newest that wait, by an index: a million cost as much as the bound.
const COUNT_WAITING: &str = "SELECT count(*), count(w.last_error) FROM (SELECT last_error FROM deliveries
    WHERE business_id = ?1 AND status = 'scheduled' AND status <> 'delivered' ORDER BY id DESC LIMIT ?2) AS w";
const SELECT_LAST_ENDED: &str = "SELECT status FROM delivery_statistics
    WHERE business_id = ?1 AND minute >= ?2 AND call_flow_id = ?3 AND status IN ('delivered', 'failed')
    ORDER BY minute DESC, status LIMIT 1";
const SELECT_TARGET: &str =
    "SELECT f.name, d.url FROM call_flows f JOIN destinations d ON d.business_id = f.business_id AND d.call_flow_id = f.id
    WHERE f.business_id = ?1 AND f.id = ?2 AND d.enabled = 1 AND d.url IS NOT NULL";

impl Store {
    /// How the flows' deliveries have gone lately, in the order of `flows`.
    pub async fn pulses(&self, business_id: BusinessId, flows: Vec<CallFlowId>) -> StoreResult<Vec<Pulse>> {
        self.read(move |tx| flows.iter().map(|flow| pulse(tx, business_id, *flow)).collect()).await
    }

    /// How the business's work stands. `in_vain`: destinations of which it is known that their last attempt failed; asked for those whose
    /// newest deliveries say nothing.
    pub async fn work_state(
        &self,
        business_id: BusinessId,
        in_vain: Vec<DestinationId>,
    ) -> StoreResult<WorkState> {
        self.read(move |tx| work_state(tx, business_id, &in_vain)).await
    }

    /// How many of the business's deliveries wait for another attempt.
    pub async fn to_be_sent_again(&self, business_id: BusinessId) -> StoreResult<ToBeSentAgain> {
        self.read(move |tx| to_be_sent_again(tx, business_id)).await
    }
}

pub(crate) fn work_state(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    in_vain: &[DestinationId],
) -> StoreResult<WorkState> {
    let now = tx.now();
    let since = DeliveryId::floor(now.before(TROUBLE_SPAN));
    let params = [business_id.into(), (TRIED_WITHIN as u64).into(), since.into()];
    let read = |row: &dyn Row| {
        Ok((row.id::<CallFlowId>(0)?, row.id::<DestinationId>(1)?, row.opt_time(2)?, row.opt_int(3)?))
    };
    let standing = tx.sql().rows(SELECT_STANDING, &params, read)?;
    let due = standing.iter().filter_map(|(_, _, first_at, _)| *first_at).filter(|first_at| *first_at <= now);
    let oldest_due_at = due.min();
    let mut failing = Vec::new();
    for (flow, destination, first_at, has_failed) in standing {
        if failing.len() == FAILING_MAX {
            break;
        }
        let is_failing = match has_failed {
            Some(has_failed) => has_failed == 1,
            None if in_vain.contains(&destination) => true,
            None if first_at.is_some_and(|at| now.since(at) > DUE_FOR) => {
                ended_badly(tx, business_id, flow, now)?
            }
            None => false,
        };
        if !is_failing {
            continue;
        }
        let read = |row: &dyn Row| Ok((row.text(0)?, row.text(1)?));
        if let Some((name, url)) = tx.sql().row(SELECT_TARGET, &[business_id.into(), flow.into()], read)? {
            failing.push(Failing { pulse: pulse(tx, business_id, flow)?, name, url });
        }
    }
    failing.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(WorkState { oldest_due_at, failing })
}

pub(crate) fn to_be_sent_again(tx: &mut Tx<'_>, business_id: BusinessId) -> StoreResult<ToBeSentAgain> {
    let params = [business_id.into(), WAITING_LOOKED_AT.into()];
    let read = |row: &dyn Row| Ok((row.number::<u64>(0)?, row.number(1)?));
    let counted = tx.sql().row(COUNT_WAITING, &params, read)?;
    let (waiting, count) = counted.unwrap_or_default();
    Ok(ToBeSentAgain { count, may_be_more: waiting == WAITING_LOOKED_AT })
}

/// Whether what ended last of a flow had failed.
fn ended_badly(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    flow: CallFlowId,
    now: Timestamp,
) -> StoreResult<bool> {
    let params = [business_id.into(), statistics::minute(now.before(ENDED_SPAN)).into(), flow.into()];
    let last = tx.sql().row(SELECT_LAST_ENDED, &params, |row| row.word(0, DeliveryStatus::from_word))?;
    Ok(last == Some(DeliveryStatus::Failed))
}

fn pulse(tx: &mut Tx<'_>, business_id: BusinessId, call_flow_id: CallFlowId) -> StoreResult<Pulse> {
    let params = [business_id.into(), call_flow_id.into(), (BEATS_MAX as u64).into()];
    let rows = tx.sql().rows(SELECT_BEATS, &params, |row| {
        let status = row.word(1, DeliveryStatus::from_word)?;
        Ok((row.id::<DeliveryId>(0)?, beat(status, row.bool(2)?)))
    })?;
    let tried = rows.iter().filter(|(_, beat)| matches!(beat, Beat::Delivered | Beat::Failed));
    let failing = tried.take_while(|(_, beat)| *beat == Beat::Failed).last();
    Ok(Pulse {
        call_flow_id,
        failing_since: failing.map(|(id, _)| id.made_at()),
        beats: rows.into_iter().map(|(_, beat)| beat).collect(),
    })
}

const fn beat(status: DeliveryStatus, has_failed: bool) -> Beat {
    match (status, has_failed) {
        (DeliveryStatus::Delivered, _) => Beat::Delivered,
        (DeliveryStatus::Failed, _) | (DeliveryStatus::Scheduled, true) => Beat::Failed,
        (DeliveryStatus::Scheduled | DeliveryStatus::WaitingForAi, _) => Beat::Waiting,
        (DeliveryStatus::Cancelled | DeliveryStatus::Skipped, _) => Beat::Ended,
    }
}
