//! Sending again all that match a filter: counted before, done in steps, on record while it goes on and for a while after its end.
//!
//! The record is written in the transaction of each step: what it counts is what was done, whenever the process ends. It has the id of the
//! job that goes on with the work, and outlives it.

use super::redeliver::{Hindrance, NotRedelivered, bodies_kept_from, hindrance, send_again};
use super::{DeliveryFilter, TABLE, row};
use crate::Store;
use crate::destination::{from_json, to_json};
use crate::engine::group::Demand;
use crate::engine::{Row, Value};
use crate::error::{StoreError, StoreResult};
use crate::idempotency::{Answer, Once, Render};
use crate::job::{self, Job};
use crate::limits::ROWS_CHANGED_MAX;
use crate::list::{Order, Page};
use crate::tx::Tx;
use domain::Timestamp;
use domain::id::{ApiKeyId, BusinessId, DeliveryId, JobId, RedeliveryId, UserId};
use std::ops::ControlFlow;

/// A sending again of all that match a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redelivery {
    /// Its id; it began when that was made.
    pub id: RedeliveryId,
    /// Which deliveries, as it was asked.
    pub filter: DeliveryFilter,
    /// Who has begun it; `None`: a person who is not here any more.
    pub begun_by: Option<Beginner>,
    /// How many would have been sent again when it began.
    pub estimated: u64,
    /// How many matched then.
    pub matched: u64,
    /// What it has come to so far.
    pub so_far: Redelivered,
    /// Whether it goes on.
    pub stage: Stage,
}

/// What sending again all that match comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redelivered {
    /// Are sent again.
    pub redelivered: u64,
    /// Match as well, and are not.
    pub left_out: NotRedelivered,
}

/// Whether a redelivery goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In the background, step by step.
    UnderWay,
    /// By itself, at the time: a step of it failed.
    Waiting(Timestamp),
    /// It has ended, at the time.
    Ended(Timestamp),
}

/// Who has begun a redelivery, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginner {
    /// A person.
    User(String),
    /// Whoever holds the API key.
    ApiKey(String),
}

/// Who begins a redelivery.
#[derive(Clone, Copy, Debug)]
pub enum BegunBy {
    /// A person.
    User(UserId),
    /// Whoever holds the API key.
    ApiKey(ApiKeyId),
}

const INSERT: &str = "INSERT INTO redeliveries (business_id, id, filter, user_id, api_key_id, estimated, matched) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const COUNT: &str = "UPDATE redeliveries SET redelivered = redelivered + ?3, tests = tests + ?4, pending = pending + ?5,
        switched_off = switched_off + ?6, without_payload = without_payload + ?7, unreadable = unreadable + ?8, ended_at = ?9
    WHERE business_id = ?1 AND id = ?2";
const SELECT_NEWEST: &str = "SELECT id FROM deliveries WHERE business_id = ?1 ORDER BY id DESC LIMIT 1";
/// What keeps one from being sent again, by the same conditions as [`send_again`] has, so that an estimate is what then happens.
const HINDRANCE: &str = "CASE WHEN d.kind <> 'call' THEN 1
    WHEN d.next_attempt_at IS NOT NULL THEN 2
    WHEN NOT EXISTS (SELECT 1 FROM destinations x WHERE x.business_id = d.business_id AND x.call_flow_id = d.call_flow_id
        AND x.id = d.destination_id AND x.enabled = 1) THEN 3
    WHEN d.payload_id IS NULL AND (d.call_id IS NULL OR d.attempt_count > 0 OR d.id < ?) THEN 4
    ELSE 0 END";

/// Redeliveries under way that are shown.
const UNDER_WAY_MAX: u32 = 20;

impl Store {
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
            let count = move |tx: &mut Tx<'_>| {
                let until = walk(tx, business_id, &step, after, |_, hindrance| {
                    counted.count(hindrance);
                    ControlFlow::Continue(())
                })?;
                Ok((counted, until))
            };
            (counted, after) = self.read(count).await?;
            if after.is_none() {
                return Ok(counted);
            }
        }
    }

    /// Sends again all that match now; more than one transaction may change goes on in the background. What it would come to is counted
    /// just before.
    pub async fn redeliver_matching(
        &self,
        business_id: BusinessId,
        begun_by: BegunBy,
        once: Option<(Once, Render<Redelivery>)>,
        filter: DeliveryFilter,
    ) -> StoreResult<Answer<Redelivery>> {
        // What is made from now on is not meant, and must not make the work endless.
        let made_until = self.read(move |tx| made_until_ms(tx, business_id)).await?;
        let until_ms = Some(filter.until_ms.unwrap_or(i64::MAX).min(made_until));
        let until_now = DeliveryFilter { until_ms, ..filter.clone() };
        let counted = self.count_redeliverable(business_id, until_now.clone()).await?;
        self.write_once_as(Demand::of(ROWS_CHANGED_MAX), business_id, once, move |tx| {
            let id = RedeliveryId::new(tx.now(), tx.random());
            insert(tx, business_id, id, begun_by, &filter, &counted)?;
            job::start_as(tx, business_id, job_of(id), &Job::Redeliver { filter: until_now.clone() })?;
            find(tx, business_id, id)
        })
        .await
    }

    /// A redelivery as it stands.
    pub async fn redelivery(&self, business_id: BusinessId, id: RedeliveryId) -> StoreResult<Redelivery> {
        self.read(move |tx| find(tx, business_id, id)).await
    }

    /// The business's redeliveries that are on record, newest first.
    pub async fn list_redeliveries(
        &self,
        business_id: BusinessId,
        before: Option<RedeliveryId>,
        limit: usize,
    ) -> StoreResult<Page<Redelivery>> {
        self.read(move |tx| {
            let before = before.unwrap_or(RedeliveryId::from_bytes([0xff; 16]));
            let rows = (limit as u64 + 1).into();
            let params = [business_id.into(), before.into(), rows];
            Ok(Page::cut(
                select(tx, "r.business_id = ?1 AND r.id < ?2 ORDER BY r.id DESC LIMIT ?3", &params)?,
                limit,
            ))
        })
        .await
    }

    /// Those that go on in the background, newest first.
    pub async fn redeliveries_under_way(&self, business_id: BusinessId) -> StoreResult<Vec<Redelivery>> {
        self.read(move |tx| under_way(tx, business_id)).await
    }
}

pub(crate) fn under_way(tx: &mut Tx<'_>, business_id: BusinessId) -> StoreResult<Vec<Redelivery>> {
    let params = [business_id.into(), UNDER_WAY_MAX.into()];
    select(tx, "r.business_id = ?1 AND r.ended_at IS NULL ORDER BY r.id DESC LIMIT ?2", &params)
}

/// Behind all that is made by now. What was made before the clock was set back is later than now.
fn made_until_ms(tx: &mut Tx<'_>, business_id: BusinessId) -> StoreResult<i64> {
    let newest = tx.sql().row(SELECT_NEWEST, &[business_id.into()], |row| row.id::<DeliveryId>(0))?;
    let newest = newest.map_or(tx.now(), |id| id.made_at().max(tx.now()));
    Ok(newest.as_millis().saturating_add(1))
}

/// The job that goes on with it.
const fn job_of(id: RedeliveryId) -> JobId {
    JobId::from_bytes(*id.as_bytes())
}

fn insert(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    id: RedeliveryId,
    begun_by: BegunBy,
    filter: &DeliveryFilter,
    counted: &Redelivered,
) -> StoreResult<()> {
    let (user_id, key_id) = match begun_by {
        BegunBy::User(id) => (Some(id), None),
        BegunBy::ApiKey(id) => (None, Some(id)),
    };
    let params = [
        business_id.into(),
        id.into(),
        to_json(filter).into(),
        user_id.into(),
        key_id.into(),
        counted.redelivered.into(),
        counted.matched().into(),
    ];
    tx.sql().execute(INSERT, &params).map(drop)
}

fn find(tx: &mut Tx<'_>, business_id: BusinessId, id: RedeliveryId) -> StoreResult<Redelivery> {
    let found = select(tx, "r.business_id = ?1 AND r.id = ?2", &[business_id.into(), id.into()])?;
    found.into_iter().next().ok_or(StoreError::NotFound("redelivery"))
}

fn select(tx: &mut Tx<'_>, condition: &str, params: &[Value<'_>]) -> StoreResult<Vec<Redelivery>> {
    let sql = format!(
        "SELECT r.id, r.filter, u.name, k.name, r.estimated, r.matched, r.redelivered, r.tests, r.pending, r.switched_off,
            r.without_payload, r.unreadable, r.ended_at, j.not_before
        FROM redeliveries r
        LEFT JOIN users u ON u.id = r.user_id
        LEFT JOIN api_keys k ON k.business_id = r.business_id AND k.id = r.api_key_id
        LEFT JOIN jobs j ON j.business_id = r.business_id AND j.id = r.id
        WHERE {condition}"
    );
    let now = tx.now();
    tx.sql().rows(&sql, params, |row| read(row, now))
}

fn read(row: &dyn Row, now: Timestamp) -> StoreResult<Redelivery> {
    let user = row.opt_text(2)?.map(Beginner::User);
    let waits_until = row.opt_time(13)?.filter(|not_before| *not_before > now);
    let left_out = NotRedelivered {
        tests: row.number(7)?,
        pending: row.number(8)?,
        switched_off: row.number(9)?,
        without_payload: row.number(10)?,
        unreadable: row.number(11)?,
        gone: 0,
    };
    Ok(Redelivery {
        id: row.id(0)?,
        filter: from_json(&row.text(1)?)?,
        begun_by: user.or(row.opt_text(3)?.map(Beginner::ApiKey)),
        estimated: row.number(4)?,
        matched: row.number(5)?,
        so_far: Redelivered { redelivered: row.number(6)?, left_out },
        stage: match (row.opt_time(12)?, waits_until) {
            (Some(at), _) => Stage::Ended(at),
            (None, Some(until)) => Stage::Waiting(until),
            (None, None) => Stage::UnderWay,
        },
    })
}

/// One step of a redelivery, in the order of ids: at most 500 rows are sent again, and so many looked at as one page of a list may. It is
/// counted on the record, where there is one: the job may be older than those. Answers where to go on; `None` at the end.
pub(crate) fn step(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    job_id: JobId,
    filter: &DeliveryFilter,
    after: Option<DeliveryId>,
) -> StoreResult<Option<DeliveryId>> {
    let (mut done, mut meant) = (Redelivered::default(), Vec::new());
    let until = walk(tx, business_id, filter, after, |id, hindrance| {
        match hindrance {
            None if meant.len() == ROWS_CHANGED_MAX => return ControlFlow::Break(()),
            None => meant.push(id),
            hindrance => done.count(hindrance),
        }
        ControlFlow::Continue(())
    })?;
    for id in meant {
        let sent = tx.alone(|tx| match row::find_pending(tx, business_id, id)? {
            Some(found) if send_again(tx, &found)? => Ok(Some(None)),
            Some(found) => Ok(Some(Some(hindrance(&found)))),
            None => Ok(None),
        })?;
        match sent {
            Ok(Some(hindrance)) => done.count(hindrance),
            // It was erased since it was looked at, and matches no longer.
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, delivery_id = %id, "A delivery cannot be sent again and is left out");
                done.left_out.unreadable += 1;
            }
        }
    }
    count(tx, business_id, RedeliveryId::from_bytes(*job_id.as_bytes()), &done, until.is_none())?;
    Ok(until)
}

fn count(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    id: RedeliveryId,
    done: &Redelivered,
    is_end: bool,
) -> StoreResult<()> {
    let Redelivered { redelivered, left_out } = done;
    let ended_at = is_end.then(|| tx.now());
    let params = [
        business_id.into(),
        id.into(),
        (*redelivered).into(),
        left_out.tests.into(),
        left_out.pending.into(),
        left_out.switched_off.into(),
        left_out.without_payload.into(),
        left_out.unreadable.into(),
        ended_at.into(),
    ];
    tx.sql().execute(COUNT, &params)?;
    tx.tell_redelivery(business_id);
    Ok(())
}

/// Looks at what matches, in the order of ids, and hands each to `each` with what keeps it from being sent again. Answers where to go on;
/// `None` at the end.
fn walk(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    filter: &DeliveryFilter,
    after: Option<DeliveryId>,
    mut each: impl FnMut(DeliveryId, Option<Hindrance>) -> ControlFlow<()>,
) -> StoreResult<Option<DeliveryId>> {
    let kept_from = bodies_kept_from(tx, business_id)?.unwrap_or_default();
    let mut search = filter.search(business_id);
    search.within("d.id > ?", after).told(HINDRANCE, DeliveryId::floor(kept_from));
    let until = search.walk(tx, &TABLE, Order::OldestFirst, &mut |id, told| {
        each(DeliveryId::from_bytes(id), Hindrance::told(told))
    })?;
    Ok(until.map(DeliveryId::from_bytes))
}

impl Hindrance {
    /// What [`HINDRANCE`] tells.
    const fn told(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::Test),
            2 => Some(Self::Pending),
            3 => Some(Self::SwitchedOff),
            4 => Some(Self::WithoutPayload),
            _ => None,
        }
    }
}

impl Redelivered {
    /// All of them.
    #[must_use]
    pub const fn matched(&self) -> u64 {
        self.redelivered + self.left_out.sum()
    }

    const fn count(&mut self, hindrance: Option<Hindrance>) {
        match hindrance {
            None => self.redelivered += 1,
            Some(hindrance) => self.left_out.count(hindrance),
        }
    }
}

impl Redelivery {
    /// When it was begun.
    #[must_use]
    pub fn begun_at(&self) -> Timestamp {
        self.id.made_at()
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }
}
