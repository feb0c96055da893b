//! Ended deliveries, counted by minute as they end, so that statistics never read the deliveries themselves.

use crate::Store;
use crate::engine::Row;
use crate::error::StoreResult;
use crate::list::Conditions;
use crate::tx::Tx;
use domain::Timestamp;
use domain::delivery::DeliveryStatus;
use domain::id::{BusinessId, CallFlowId};
use domain::statistics::{LatencyHistogram, NO_LATENCY, latency_bucket};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The length of the finest bucket.
pub(crate) const MINUTE_MS: i64 = 60_000;
const ADD: &str =
    "INSERT INTO delivery_statistics (business_id, minute, call_flow_id, status, latency_bucket, count)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (business_id, minute, call_flow_id, status, latency_bucket) DO UPDATE
    SET count = delivery_statistics.count + excluded.count";
/// A whole week of a busy flow is added up where it lies, and comes as a few rows.
const SUM: &str = "SELECT status, latency_bucket, CAST(sum(count) AS BIGINT) FROM delivery_statistics
    WHERE business_id = ?1 AND call_flow_id = ?2 AND minute >= ?3 GROUP BY status, latency_bucket";

/// Counts of one group of outcomes, written once each.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<(BusinessId, i64, CallFlowId, &'static str, u16), u64>);

/// What happened since a time.
#[derive(Clone, Debug, Default)]
pub struct DeliveryStatistics {
    /// Ended deliveries by state.
    pub ended: BTreeMap<&'static str, u64>,
    /// Deliveries that are pending now, by state.
    pub pending: BTreeMap<&'static str, u64>,
    /// How long receivers took to acknowledge.
    pub latency: LatencyHistogram,
    /// Ended deliveries by bucket of time and state.
    pub series: BTreeMap<Timestamp, BTreeMap<&'static str, u64>>,
}

impl DeliveryStatistics {
    fn add(&mut self, status: DeliveryStatus, bucket: u16, count: u64) {
        *self.ended.entry(status.as_str()).or_default() += count;
        if status == DeliveryStatus::Delivered {
            self.latency.add(bucket, count);
        }
    }
}

impl Tally {
    /// Counts a delivery that has ended; `duration_ms` is that of its last attempt.
    pub(crate) fn add(
        &mut self,
        business_id: BusinessId,
        call_flow_id: CallFlowId,
        ended_at: Timestamp,
        status: DeliveryStatus,
        duration_ms: u32,
    ) {
        let bucket =
            if status == DeliveryStatus::Delivered { latency_bucket(duration_ms) } else { NO_LATENCY };
        let minute = minute(ended_at);
        *self.0.entry((business_id, minute, call_flow_id, status.as_str(), bucket)).or_default() += 1;
    }

    /// Writes the counts.
    pub(crate) fn write(self, tx: &mut Tx<'_>) -> StoreResult<()> {
        for ((business_id, minute, call_flow_id, status, bucket), count) in self.0 {
            let params = [
                business_id.into(),
                minute.into(),
                call_flow_id.into(),
                status.into(),
                bucket.into(),
                count.into(),
            ];
            tx.sql().add(ADD, &params)?;
        }
        Ok(())
    }
}

/// The minute by which a time is counted.
pub(crate) const fn minute(at: Timestamp) -> i64 {
    at.as_millis() / MINUTE_MS
}

/// Counts one delivery that ended without an attempt.
pub(crate) fn count_ended(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    call_flow_id: CallFlowId,
    status: DeliveryStatus,
) -> StoreResult<()> {
    let mut tally = Tally::default();
    tally.add(business_id, call_flow_id, tx.now(), status, 0);
    tally.write(tx)
}

impl Store {
    /// The same without those that are pending, which have to be counted; up to a time, where one is given.
    pub async fn ended_deliveries(
        &self,
        business_id: BusinessId,
        since: Timestamp,
        until: Option<Timestamp>,
        call_flow_id: Option<CallFlowId>,
        bucket_minutes: u32,
    ) -> StoreResult<DeliveryStatistics> {
        self.read(move |tx| ended(tx, business_id, since, until, call_flow_id, bucket_minutes)).await
    }

    /// How one flow's deliveries ended since a time, without a series.
    pub async fn ended_of_call_flow(
        &self,
        business_id: BusinessId,
        call_flow_id: CallFlowId,
        since: Timestamp,
    ) -> StoreResult<DeliveryStatistics> {
        self.read(move |tx| ended_of_call_flow(tx, business_id, call_flow_id, since)).await
    }

    /// Statistics since a time, its series in buckets of `bucket_minutes`.
    pub async fn delivery_statistics(
        &self,
        business_id: BusinessId,
        since: Timestamp,
        call_flow_id: Option<CallFlowId>,
        bucket_minutes: u32,
    ) -> StoreResult<DeliveryStatistics> {
        self.read(move |tx| {
            let mut statistics = ended(tx, business_id, since, None, call_flow_id, bucket_minutes)?;
            for status in [DeliveryStatus::Scheduled, DeliveryStatus::WaitingForAi] {
                let mut conditions = Conditions::default();
                conditions
                    .add("business_id = ?", business_id)
                    .add("status = ?", status.as_str())
                    .add_plain("status <> 'delivered'")
                    .add_some("call_flow_id = ?", call_flow_id);
                let sql = format!("SELECT count(*) FROM deliveries {}", conditions.sql());
                statistics.pending.insert(status.as_str(), tx.sql().count(&sql, conditions.params())?);
            }
            Ok(statistics)
        })
        .await
    }
}

pub(crate) fn ended_of_call_flow(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    call_flow_id: CallFlowId,
    since: Timestamp,
) -> StoreResult<DeliveryStatistics> {
    let params = [business_id.into(), call_flow_id.into(), minute(since).into()];
    let mut statistics = DeliveryStatistics::default();
    tx.sql().each_row(SUM, &params, &mut |row| {
        let status = row.word(0, DeliveryStatus::from_word)?;
        statistics.add(status, row.number(1)?, row.number(2)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(statistics)
}

fn ended(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    since: Timestamp,
    until: Option<Timestamp>,
    call_flow_id: Option<CallFlowId>,
    bucket_minutes: u32,
) -> StoreResult<DeliveryStatistics> {
    let mut statistics = DeliveryStatistics::default();
    let mut conditions = Conditions::default();
    conditions
        .add("business_id = ?", business_id)
        .add("minute >= ?", minute(since))
        .add_some("minute < ?", until.map(minute))
        .add_some("call_flow_id = ?", call_flow_id);
    let sql =
        format!("SELECT minute, status, latency_bucket, count FROM delivery_statistics {}", conditions.sql());
    tx.sql().each_row(&sql, conditions.params(), &mut |row| {
        add_row(&mut statistics, row, bucket_minutes).map(ControlFlow::Continue)
    })?;
    Ok(statistics)
}

fn add_row(statistics: &mut DeliveryStatistics, row: &dyn Row, bucket_minutes: u32) -> StoreResult<()> {
    let status = row.word(1, DeliveryStatus::from_word)?;
    let count = row.number(3)?;
    statistics.add(status, row.number(2)?, count);
    let minutes = i64::from(bucket_minutes.max(1));
    let start = Timestamp::from_millis(row.int(0)? / minutes * minutes * MINUTE_MS);
    *statistics.series.entry(start).or_default().entry(status.as_str()).or_default() += count;
    Ok(())
}
