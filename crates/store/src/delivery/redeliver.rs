//! Sending again what has ended: one delivery, or all that match a filter.

use super::plan;
use super::row::{self, PendingRow};
use super::{DeliveryFilter, TABLE, change_of, find};
use crate::engine::group::Demand;
use crate::error::{StoreError, StoreResult};
use crate::idempotency::{Answer, Once, Render};
use crate::job::{self, Job};
use crate::limits::ROWS_CHANGED_MAX;
use crate::list::{Order, Search};
use crate::queue::{Committed, Pending, PendingKind};
use crate::tx::Tx;
use crate::{Store, business, call};
use domain::Timestamp;
use domain::delivery::{Delivery, DeliveryEvent, DeliveryKind, DeliveryStatus, transition};
use domain::destination::FiringMode;
use domain::id::{BusinessId, DeliveryId};
use std::time::Duration;

/// What a redelivery by filter came to, or would come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redelivered {
    /// Are sent again.
    pub redelivered: u64,
    /// Match, but are on their way already, are tests, or have no destination any more.
    pub skipped: u64,
}

/// Of those that match and are not sent again, how many for which reason.
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
    /// Are there no more.
    pub gone: u64,
}

/// Why one is not sent again, in the order in which it is asked.
#[derive(Clone, Copy)]
enum Hindrance {
    Test,
    Pending,
    SwitchedOff,
    WithoutPayload,
}

const SELECT_NEWEST: &str = "SELECT id FROM deliveries WHERE business_id = ?1 ORDER BY id DESC LIMIT 1";
const REDELIVER: &str = "UPDATE deliveries SET status = 'scheduled', version = version + 1, payload_id = ?4, attempt_in_series = 0,
        next_attempt_at = ?5, delivered_at = NULL, reason = NULL
    WHERE business_id = ?1 AND id = ?2 AND version = ?3 AND next_attempt_at IS NULL";
const REDELIVER_NOW: &str =
    "UPDATE deliveries SET version = version + 1, attempt_in_series = 0, next_attempt_at = ?4, reason = NULL
    WHERE business_id = ?1 AND id = ?2 AND version = ?3";
/// How far off a planned attempt is at the least where another takes its place. One that is due may be in flight, and what is in flight
/// cannot be called back: the receiver would get both.
const PLANNED_AHEAD_MIN: Duration = Duration::from_secs(5);
/// The same conditions as [`send_again`] has, so that an estimate is what then happens.
const REDELIVERABLE: &str = "d.kind = 'call' AND d.next_attempt_at IS NULL AND (d.payload_id IS NOT NULL OR (d.call_id IS NOT NULL AND d.attempt_count = 0))
    AND EXISTS (SELECT 1 FROM destinations x WHERE x.business_id = d.business_id AND x.call_flow_id = d.call_flow_id
        AND x.id = d.destination_id AND x.enabled = 1)";
/// What of it keeps one from being sent again, in the order of [`Hindrance`]; what is left has no payload.
const IS_TEST: &str = "d.kind <> 'call'";
const IS_PENDING: &str = "d.kind = 'call' AND d.next_attempt_at IS NOT NULL";
const IS_SWITCHED_OFF: &str = "d.kind = 'call' AND d.next_attempt_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM destinations x WHERE x.business_id = d.business_id AND x.call_flow_id = d.call_flow_id
        AND x.id = d.destination_id AND x.enabled = 1)";

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

    /// Why some of what matches would not be sent again now.
    pub async fn count_not_redeliverable(
        &self,
        business_id: BusinessId,
        filter: DeliveryFilter,
    ) -> StoreResult<NotRedelivered> {
        let (mut counted, mut after) = (NotRedelivered::default(), None);
        loop {
            let step = filter.clone();
            let (found, until) = self.read(move |tx| count_not_step(tx, business_id, &step, after)).await?;
            counted.tests += found.tests;
            counted.pending += found.pending;
            counted.switched_off += found.switched_off;
            counted.without_payload += found.without_payload;
            if until.is_none() {
                return Ok(counted);
            }
            after = until;
        }
    }

    /// Sends again all that match now; more than one transaction may change goes on in the background. The answer is what
    /// [`Store::count_redeliverable`] says just before: what changes in between is not in it.
    pub async fn redeliver_matching(
        &self,
        business_id: BusinessId,
        once: Option<(Once, Render<Redelivered>)>,
        filter: DeliveryFilter,
    ) -> StoreResult<Answer<Redelivered>> {
        // What is made from now on is not meant, and must not make the work endless.
        let made_until = self.read(move |tx| made_until_ms(tx, business_id)).await?;
        let until_ms = Some(filter.until_ms.unwrap_or(i64::MAX).min(made_until));
        let filter = DeliveryFilter { until_ms, ..filter };
        let counted = self.count_redeliverable(business_id, filter.clone()).await?;
        self.write_once_as(Demand::of(ROWS_CHANGED_MAX), business_id, once, move |tx| {
            job::start(tx, business_id, &Job::Redeliver { filter: filter.clone() })?;
            Ok(counted)
        })
        .await
    }

    /// What [`Store::redeliver_matching`] would come to now. It is counted in steps, so that no read of a million rows keeps the log
    /// from being emptied.
    pub async fn count_redeliverable(
        &self,
        business_id: BusinessId,
        filter: DeliveryFilter,
    ) -> StoreResult<Redelivered> {
        let (mut counted, mut after) = (Redelivered::default(), None);
        loop {
            let step = filter.clone();
            let (found, until) = self.read(move |tx| count_step(tx, business_id, &step, after)).await?;
            counted.redelivered += found.redelivered;
            counted.skipped += found.skipped;
            if until.is_none() {
                return Ok(counted);
            }
            after = until;
        }
    }
}

/// Behind all that is made by now. What was made before the clock was set back is later than now.
fn made_until_ms(tx: &mut Tx<'_>, business_id: BusinessId) -> StoreResult<i64> {
    let newest = tx.sql().row(SELECT_NEWEST, &[business_id.into()], |row| row.id::<DeliveryId>(0))?;
    let newest = newest.map_or(tx.now(), |id| id.made_at().max(tx.now()));
    Ok(newest.as_millis().saturating_add(1))
}

/// One step of a redelivery by filter, in the order of ids: at most 500 rows are sent again, and so many looked at as one page of a list
/// may. Answers where to go on; `None` at the end.
pub(crate) fn redeliver_step(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    filter: &DeliveryFilter,
    after: Option<DeliveryId>,
) -> StoreResult<Option<DeliveryId>> {
    let mut search = filter.search(business_id);
    search.within("d.id > ?", after);
    ask_for_redeliverable(tx, business_id, &mut search)?;
    let found = search.look(tx, &TABLE, Order::OldestFirst, ROWS_CHANGED_MAX)?;
    for id in found.ids.into_iter().map(DeliveryId::from_bytes) {
        let sent = tx.alone(|tx| match row::find_pending(tx, business_id, id)? {
            Some(found) => send_again(tx, &found),
            None => Ok(false),
        })?;
        if let Err(error) = sent {
            tracing::error!(%error, delivery_id = %id, "A delivery cannot be sent again and is left out");
        }
    }
    Ok(found.until.map(DeliveryId::from_bytes))
}

/// Counts as many as one page of a list looks at. Answers where to go on; `None` at the end.
fn count_step(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    filter: &DeliveryFilter,
    after: Option<DeliveryId>,
) -> StoreResult<(Redelivered, Option<DeliveryId>)> {
    let mut search = filter.search(business_id);
    let matching = search.within("d.id > ?", after).look(tx, &TABLE, Order::OldestFirst, usize::MAX)?;
    let until = matching.until.map(DeliveryId::from_bytes);
    ask_for_redeliverable(tx, business_id, search.within("d.id <= ?", until))?;
    let redelivered = search.count(tx, &TABLE)?;
    Ok((Redelivered { redelivered, skipped: matching.ids.len() as u64 - redelivered }, until))
}

/// The same step, asked why not.
fn count_not_step(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    filter: &DeliveryFilter,
    after: Option<DeliveryId>,
) -> StoreResult<(NotRedelivered, Option<DeliveryId>)> {
    let (counted, until) = count_step(tx, business_id, filter, after)?;
    let mut not = NotRedelivered::default();
    if counted.skipped > 0 {
        let mut count = |condition| {
            let mut search = filter.search(business_id);
            search.within("d.id > ?", after).within("d.id <= ?", until).asked_plain(condition);
            search.count(tx, &TABLE)
        };
        not.tests = count(IS_TEST)?;
        not.pending = count(IS_PENDING)?;
        not.switched_off = count(IS_SWITCHED_OFF)?;
        not.without_payload = counted.skipped.saturating_sub(not.tests + not.pending + not.switched_off);
    }
    Ok((not, until))
}

fn ask_for_redeliverable(tx: &mut Tx<'_>, business_id: BusinessId, search: &mut Search) -> StoreResult<()> {
    let kept_from = bodies_kept_from(tx, business_id)?.map(DeliveryId::floor);
    search.asked_plain(REDELIVERABLE).asked("(d.payload_id IS NOT NULL OR d.id >= ?)", kept_from);
    Ok(())
}

/// From when on the business keeps bodies; `None`: for ever.
fn bodies_kept_from(tx: &mut Tx<'_>, business_id: BusinessId) -> StoreResult<Option<Timestamp>> {
    let now = tx.now();
    Ok(business::find(tx, business_id)?.retention.payload.map(|days| days.before(now)))
}

/// Starts a new series; `false` where the delivery is pending, a test, or has nowhere to go or nothing to say.
fn send_again(tx: &mut Tx<'_>, found: &PendingRow) -> StoreResult<bool> {
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
    const fn count(&mut self, hindrance: Hindrance) {
        match hindrance {
            Hindrance::Test => self.tests += 1,
            Hindrance::Pending => self.pending += 1,
            Hindrance::SwitchedOff => self.switched_off += 1,
            Hindrance::WithoutPayload => self.without_payload += 1,
        }
    }
}

/// Why what [`send_again`] has refused is not sent again.
fn hindrance(found: &PendingRow) -> Hindrance {
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
