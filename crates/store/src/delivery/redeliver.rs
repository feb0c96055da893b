//! Sending again what has ended: one delivery, or those that were chosen.

use super::plan;
use super::row::{self, PendingRow};
use super::{change_of, find};
use crate::engine::group::Demand;
use crate::error::{StoreError, StoreResult};
use crate::idempotency::{Answer, Once, Render};
use crate::queue::{Committed, Pending, PendingKind};
use crate::tx::Tx;
use crate::{Store, business, call};
use domain::Timestamp;
use domain::delivery::{Delivery, DeliveryEvent, DeliveryKind, DeliveryStatus, transition};
use domain::destination::FiringMode;
use domain::id::{BusinessId, DeliveryId};
use std::time::Duration;

/// Of those that were meant and are not sent again, how many for which reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotRedelivered {
    /// Are tests.
    pub tests: u64,
    /// Are on their way already.
    pub pending: u64,
    /// Have a webhook that is switched off, or no call flow any more.
    pub switched_off: u64,
    /// Have a payload that is past its retention.
    pub without_payload: u64,
    /// Cannot be read or written.
    pub unreadable: u64,
    /// Are there no more.
    pub gone: u64,
}

/// Why one is not sent again, in the order in which it is asked.
#[derive(Clone, Copy)]
pub(super) enum Hindrance {
    Test,
    Pending,
    SwitchedOff,
    WithoutPayload,
}

const REDELIVER: &str = "UPDATE deliveries SET status = 'scheduled', version = version + 1, payload_id = ?4, attempt_in_series = 0,
        next_attempt_at = ?5, delivered_at = NULL, reason = NULL
    WHERE business_id = ?1 AND id = ?2 AND version = ?3 AND next_attempt_at IS NULL";
const REDELIVER_NOW: &str =
    "UPDATE deliveries SET version = version + 1, attempt_in_series = 0, next_attempt_at = ?4, reason = NULL
    WHERE business_id = ?1 AND id = ?2 AND version = ?3";
/// How far off a planned attempt is at the least where another takes its place. One that is due may be in flight, and what is in flight
/// cannot be called back: the receiver would get both.
const PLANNED_AHEAD_MIN: Duration = Duration::from_secs(5);

impl Store {
    /// Starts a new series of an ended delivery: the same id and body, the attempts counted on.
    pub async fn redeliver(
        &self,
        business_id: BusinessId,
        once: Option<(Once, Render<Delivery>)>,
        id: DeliveryId,
    ) -> StoreResult<Answer<Delivery>> {
        self.write_once(business_id, once, move |tx| {
            let found = row::find_pending(tx, business_id, id)?.ok_or(StoreError::NotFound("delivery"))?;
            if !send_again(tx, &found)? {
                return Err(StoreError::Conflict(refusal(&found)));
            }
            find(tx, business_id, id)
        })
        .await
    }

    /// Begins a new series now in place of the attempt that is planned for later: the same id and body, the attempts counted on.
    ///
    /// A conflict where the attempt is due, or nearly: it may be in flight.
    pub async fn redeliver_now(&self, business_id: BusinessId, id: DeliveryId) -> StoreResult<Delivery> {
        self.write(move |tx| {
            let found = row::find_pending(tx, business_id, id)?.ok_or(StoreError::NotFound("delivery"))?;
            send_now(tx, &found)?;
            find(tx, business_id, id)
        })
        .await
    }

    /// Sends these again, at most as many as one transaction may change. Answers how many, and why the others are not.
    pub async fn redeliver_chosen(
        &self,
        business_id: BusinessId,
        ids: Vec<DeliveryId>,
    ) -> StoreResult<(u64, NotRedelivered)> {
        self.write_as(Demand::of(ids.len()), move |tx| {
            let (mut sent, mut not) = (0, NotRedelivered::default());
            for id in &ids {
                match row::find_pending(tx, business_id, *id)? {
                    Some(found) if send_again(tx, &found)? => sent += 1,
                    Some(found) => not.count(hindrance(&found)),
                    None => not.gone += 1,
                }
            }
            Ok((sent, not))
        })
        .await
    }
}

/// From when on the business keeps bodies; `None`: for ever.
pub(super) fn bodies_kept_from(tx: &mut Tx<'_>, business_id: BusinessId) -> StoreResult<Option<Timestamp>> {
    let now = tx.now();
    Ok(business::find(tx, business_id)?.retention.payload.map(|days| days.before(now)))
}

/// Starts a new series; `false` where the delivery is pending, a test, or has nowhere to go or nothing to say.
pub(super) fn send_again(tx: &mut Tx<'_>, found: &PendingRow) -> StoreResult<bool> {
    let allowed = transition(found.status, DeliveryEvent::Redelivered).is_some();
    if !allowed || found.kind == DeliveryKind::Test || !found.is_enabled() {
        return Ok(false);
    }
    let Some(payload_id) = body_of(tx, found)? else { return Ok(false) };
    let now = tx.now();
    let before = found.pending;
    let params =
        [before.business_id.into(), before.id.into(), before.version.into(), payload_id.into(), now.into()];
    if tx.sql().execute(REDELIVER, &params)? == 0 {
        return Ok(false);
    }
    let pending = Pending { kind: PendingKind::Attempt, due_at: now, version: before.version + 1, ..before };
    tx.tell(Committed::Planned { pending, wait: Duration::ZERO, job: None });
    tx.tell_change(change_of(found, DeliveryStatus::Scheduled, found.attempt_count));
    Ok(true)
}

/// Puts an attempt that is due now in place of one that is planned for later.
fn send_now(tx: &mut Tx<'_>, found: &PendingRow) -> StoreResult<()> {
    if found.status != DeliveryStatus::Scheduled || found.kind == DeliveryKind::Test || !found.is_enabled() {
        let word = found.status.as_str();
        return Err(StoreError::Conflict(format!(
            "the delivery is {word}: no attempt of it can be made earlier"
        )));
    }
    let (now, before) = (tx.now(), found.pending);
    if before.due_at < now.after(PLANNED_AHEAD_MIN) {
        return Err(StoreError::Conflict(
            "the planned attempt is due or about to be, and is sent on its own: wait for how it ends"
                .to_owned(),
        ));
    }
    let params = [before.business_id.into(), before.id.into(), before.version.into(), now.into()];
    tx.sql().execute(REDELIVER_NOW, &params)?;
    let pending = Pending { due_at: now, version: before.version + 1, ..before };
    tx.tell(Committed::Planned { pending, wait: Duration::ZERO, job: None });
    tx.tell_change(change_of(found, DeliveryStatus::Scheduled, found.attempt_count));
    Ok(())
}

/// The frozen body; one that was cancelled while it waited for AI has none yet and is frozen now. One that is past its retention is not
/// made up from what the call says today: a receiver that had it would get another body under the same id.
fn body_of(tx: &mut Tx<'_>, found: &PendingRow) -> StoreResult<Option<i64>> {
    if found.payload_id.is_some() {
        return Ok(found.payload_id);
    }
    let Some(call_id) = found.pending.call_id.filter(|_| found.attempt_count == 0) else { return Ok(None) };
    if bodies_kept_from(tx, found.pending.business_id)?.is_some_and(|from| found.pending.id.made_at() < from)
    {
        return Ok(None);
    }
    let call = call::find(tx, found.pending.business_id, call_id)?;
    let body = plan::freeze(tx, &call, FiringMode::WaitForAi);
    plan::insert_payload(tx, &body).map(Some)
}

impl NotRedelivered {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        let Self { tests, pending, switched_off, without_payload, unreadable, gone } = self;
        *tests + *pending + *switched_off + *without_payload + *unreadable + *gone
    }

    pub(super) const fn count(&mut self, hindrance: Hindrance) {
        match hindrance {
            Hindrance::Test => self.tests += 1,
            Hindrance::Pending => self.pending += 1,
            Hindrance::SwitchedOff => self.switched_off += 1,
            Hindrance::WithoutPayload => self.without_payload += 1,
        }
    }
}

/// Why what [`send_again`] has refused is not sent again.
pub(super) fn hindrance(found: &PendingRow) -> Hindrance {
    if found.kind == DeliveryKind::Test {
        Hindrance::Test
    } else if found.status.is_pending() {
        Hindrance::Pending
    } else if found.is_enabled() {
        Hindrance::WithoutPayload
    } else {
        Hindrance::SwitchedOff
    }
}

fn refusal(found: &PendingRow) -> String {
    match hindrance(found) {
        Hindrance::Test => "a test is not sent again: send a new test webhook instead".to_owned(),
        Hindrance::Pending => {
            format!("the delivery is {}: only one that has ended can be sent again", found.status.as_str())
        }
        Hindrance::WithoutPayload => {
            "the delivery's payload was removed after its retention: there is nothing to send any more"
                .to_owned()
        }
        Hindrance::SwitchedOff => {
            "the webhook is switched off or its call flow was deleted: switch it on first".to_owned()
        }
    }
}
