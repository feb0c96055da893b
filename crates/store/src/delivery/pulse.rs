//! How a call flow's deliveries have gone lately, and which flows fail now: read from the newest rows, never from all.

use crate::Store;
use crate::engine::Row;
use crate::error::StoreResult;
use crate::tx::Tx;
use domain::Timestamp;
use domain::delivery::DeliveryStatus;
use domain::id::{BusinessId, CallFlowId, DeliveryId};
use std::collections::BTreeSet;
use std::time::Duration;

/// Deliveries of a flow that are looked at.
pub const BEATS_MAX: usize = 20;
/// How far back a failed delivery makes its flow one that is looked at.
const TROUBLE_SPAN: Duration = Duration::from_hours(24);
/// Failed or waiting deliveries that are looked at for the flows that they belong to.
const TROUBLE_ROWS_MAX: u32 = 200;
/// Flows that are looked at more closely.
const FLOWS_MAX: usize = 50;

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
    /// Flows that fail now.
    pub failing: Vec<Failing>,
}

const SELECT_BEATS: &str = "SELECT id, status, last_error IS NOT NULL FROM deliveries
    WHERE business_id = ?1 AND call_flow_id = ?2 AND kind = 'call' ORDER BY id DESC LIMIT ?3";
const SELECT_FAILED: &str = "SELECT call_flow_id FROM deliveries
    WHERE business_id = ?1 AND status = 'failed' AND status <> 'delivered' AND id >= ?2 ORDER BY id DESC LIMIT ?3";
/// From either end: old ones may wait for late retries, and hide those that are due.
const SELECT_OLDEST: &str = "SELECT call_flow_id, next_attempt_at, last_error IS NOT NULL FROM deliveries
    WHERE business_id = ?1 AND status = 'scheduled' AND status <> 'delivered' ORDER BY id LIMIT ?2";
const SELECT_NEWEST: &str = "SELECT call_flow_id, next_attempt_at, last_error IS NOT NULL FROM deliveries
    WHERE business_id = ?1 AND status = 'scheduled' AND status <> 'delivered' ORDER BY id DESC LIMIT ?2";
const SELECT_TARGET: &str =
    "SELECT f.name, d.url FROM call_flows f JOIN destinations d ON d.business_id = f.business_id AND d.call_flow_id = f.id
    WHERE f.business_id = ?1 AND f.id = ?2 AND d.enabled = 1 AND d.url IS NOT NULL";

impl Store {
    /// How the flows' deliveries have gone lately, in the order of `flows`.
    pub async fn pulses(&self, business_id: BusinessId, flows: Vec<CallFlowId>) -> StoreResult<Vec<Pulse>> {
        self.read(move |tx| flows.iter().map(|flow| pulse(tx, business_id, *flow)).collect()).await
    }

    /// How the business's work stands.
    pub async fn work_state(&self, business_id: BusinessId) -> StoreResult<WorkState> {
        self.read(move |tx| {
            let (oldest_due_at, flows) = trouble(tx, business_id)?;
            let mut failing = Vec::new();
            for flow in flows.into_iter().take(FLOWS_MAX) {
                let pulse = pulse(tx, business_id, flow)?;
                if pulse.failing_since.is_none() {
                    continue;
                }
                let read = |row: &dyn Row| Ok((row.text(0)?, row.text(1)?));
                let target = tx.sql().row(SELECT_TARGET, &[business_id.into(), flow.into()], read)?;
                failing.extend(target.map(|(name, url)| Failing { pulse, name, url }));
            }
            failing.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(WorkState { oldest_due_at, failing })
        })
        .await
    }
}

/// When the oldest one was due, and the flows that may fail.
fn trouble(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
) -> StoreResult<(Option<Timestamp>, BTreeSet<CallFlowId>)> {
    let now = tx.now();
    let since = DeliveryId::floor(now.before(TROUBLE_SPAN));
    let failed = [business_id.into(), since.into(), TROUBLE_ROWS_MAX.into()];
    let mut flows: BTreeSet<CallFlowId> =
        tx.sql().rows(SELECT_FAILED, &failed, |row| row.id(0))?.into_iter().collect();
    let read = |row: &dyn Row| Ok((row.id::<CallFlowId>(0)?, row.opt_time(1)?, row.bool(2)?));
    let ends = [business_id.into(), TROUBLE_ROWS_MAX.into()];
    let mut scheduled = tx.sql().rows(SELECT_OLDEST, &ends, read)?;
    scheduled.extend(tx.sql().rows(SELECT_NEWEST, &ends, read)?);
    flows.extend(scheduled.iter().filter(|(_, _, has_failed)| *has_failed).map(|(flow, ..)| *flow));
    let due = scheduled.iter().filter_map(|(_, due_at, _)| *due_at).filter(|due_at| *due_at <= now);
    Ok((due.min(), flows))
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
