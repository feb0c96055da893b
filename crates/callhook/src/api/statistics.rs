//! Statistics of deliveries over HTTP: counts, success rate, latency, a series for a chart.

use super::auth::Viewer;
use super::envelope::{Data, Reply};
use super::error::{ApiError, Reading};
use super::limits::{SERIES_BUCKETS_MAX, STATISTICS_SPAN_DEFAULT, STATISTICS_SPAN_MAX};
use super::list::Query;
use crate::app::{App, parameter};
use axum::extract::State;
use domain::delivery::DeliveryStatus;
use domain::{Invalid, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::statistics::DeliveryStatistics;
use utoipa::{IntoParams, ToSchema};

/// Lengths of buckets that a person reads easily, in minutes.
const BUCKET_MINUTES: [u32; 9] = [1, 5, 15, 30, 60, 180, 360, 720, 1_440];

/// Since when, and of which flow.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatisticsQuery {
    /// At most 90 days ago; 24 hours ago where it is left out.
    #[param(format = "date-time")]
    since: Option<String>,
    /// Of this flow.
    #[param(format = "uuid")]
    call_flow_id: Option<String>,
}

/// Statistics.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatisticsData {
    /// The statistics.
    stats: Statistics,
}

/// What became of deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryStatistics)]
pub struct Statistics {
    /// From when, in whole minutes.
    #[schema(value_type = String, format = "date-time")]
    since: Timestamp,
    /// How many ended so since then; of the pending states, how many are so now.
    by_status: BTreeMap<&'static str, u64>,
    /// Delivered of all that were delivered or failed, 0 to 1; null where there are none.
    success_rate: Option<f64>,
    /// How long receivers took to acknowledge.
    latency: Latency,
    /// Length of a bucket of the series.
    bucket_seconds: u32,
    /// Ended deliveries over time, without gaps.
    series: Vec<Bucket>,
}

/// Latencies that so many of a hundred do not exceed.
#[allow(clippy::struct_field_names, reason = "the names are the wire's, unit included")]
#[derive(Debug, Serialize, ToSchema)]
pub struct Latency {
    /// Half of them.
    p50_ms: Option<u32>,
    /// 95 of a hundred.
    p95_ms: Option<u32>,
    /// 99 of a hundred.
    p99_ms: Option<u32>,
}

/// What ended within a span of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatisticsBucket)]
pub struct Bucket {
    /// Its begin.
    #[schema(value_type = String, format = "date-time")]
    start: Timestamp,
    /// Were delivered.
    delivered: u64,
    /// Failed.
    failed: u64,
    /// Were cancelled.
    cancelled: u64,
    /// Were skipped.
    skipped: u64,
}

/// Statistics of the business's deliveries.
#[utoipa::path(get, path = "/webhook-deliveries/stats", tag = "Webhook deliveries", params(StatisticsQuery),
    responses((status = 200, body = Data<StatisticsData>), Reading))]
pub async fn read(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Query(query): Query<StatisticsQuery>,
) -> Result<Reply, ApiError> {
    let now = app.now();
    let since = parameter::parsed("since", query.since.as_deref())?;
    let since = since.unwrap_or_else(|| now.before(STATISTICS_SPAN_DEFAULT));
    if now.since(since) > STATISTICS_SPAN_MAX {
        return Err(Invalid::field("since", "is too long ago: at most 90 days").into());
    }
    let flow = parameter::parsed("call_flow_id", query.call_flow_id.as_deref())?;
    let bucket_minutes = bucket_minutes(now.since(since));
    let found = app.store.delivery_statistics(scope.business_id, since, flow, bucket_minutes).await?;
    Ok(Reply::ok(StatisticsData { stats: statistics(&found, since, now, bucket_minutes) }))
}

/// The shortest bucket of which a chart takes as many as there are.
fn bucket_minutes(span: Duration) -> u32 {
    let fits = |minutes: &u32| span.as_secs() / 60 / u64::from(*minutes) < SERIES_BUCKETS_MAX;
    BUCKET_MINUTES.into_iter().find(fits).unwrap_or(1_440)
}

fn statistics(
    found: &DeliveryStatistics,
    since: Timestamp,
    now: Timestamp,
    bucket_minutes: u32,
) -> Statistics {
    let count = |status: DeliveryStatus| {
        let counts = if status.is_pending() { &found.pending } else { &found.ended };
        counts.get(status.as_str()).copied().unwrap_or(0)
    };
    let (delivered, failed) = (count(DeliveryStatus::Delivered), count(DeliveryStatus::Failed));
    #[allow(clippy::cast_precision_loss, reason = "a rate of more than 2^52 deliveries may be a little off")]
    let success_rate = (delivered + failed > 0).then(|| delivered as f64 / (delivered + failed) as f64);
    Statistics {
        since,
        by_status: DeliveryStatus::ALL.into_iter().map(|status| (status.as_str(), count(status))).collect(),
        success_rate,
        latency: Latency {
            p50_ms: found.latency.percentile_ms(50),
            p95_ms: found.latency.percentile_ms(95),
            p99_ms: found.latency.percentile_ms(99),
        },
        bucket_seconds: bucket_minutes * 60,
        series: series(found, since, now, bucket_minutes),
    }
}

fn series(found: &DeliveryStatistics, since: Timestamp, now: Timestamp, bucket_minutes: u32) -> Vec<Bucket> {
    let length_ms = i64::from(bucket_minutes) * 60_000;
    let first = since.as_millis() / length_ms;
    let last = now.as_millis() / length_ms;
    let nothing = BTreeMap::new();
    let bucket = |index: i64| {
        let start = Timestamp::from_millis(index * length_ms);
        let counts = found.series.get(&start).unwrap_or(&nothing);
        let count = |status: DeliveryStatus| counts.get(status.as_str()).copied().unwrap_or(0);
        Bucket {
            start,
            delivered: count(DeliveryStatus::Delivered),
            failed: count(DeliveryStatus::Failed),
            cancelled: count(DeliveryStatus::Cancelled),
            skipped: count(DeliveryStatus::Skipped),
        }
    };
    (first..=last).map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_as_many_buckets_as_a_chart_has_columns() {
        for hours in [1, 24, 24 * 7, 24 * 30, 24 * 90] {
            let now = Timestamp::from_millis(1_774_880_000_000);
            let span = Duration::from_hours(hours);
            let minutes = bucket_minutes(span);
            let series = series(&DeliveryStatistics::default(), now.before(span), now, minutes);
            assert!((24..=101).contains(&series.len()), "{hours} h: {} buckets", series.len());
        }
    }

    #[test]
    fn counts_rate_and_gaps_are_told() {
        let now = Timestamp::from_millis(1_774_880_000_000);
        let since = now.before(Duration::from_mins(2));
        let start = Timestamp::from_millis(now.as_millis() / 60_000 * 60_000);
        let found = DeliveryStatistics {
            ended: BTreeMap::from([("delivered", 3), ("failed", 1)]),
            series: BTreeMap::from([(start, BTreeMap::from([("delivered", 3), ("failed", 1)]))]),
            ..DeliveryStatistics::default()
        };
        let told = statistics(&found, since, now, 1);
        assert_eq!(told.success_rate, Some(0.75));
        assert_eq!(told.by_status["delivered"], 3);
        assert_eq!(told.by_status["waiting_for_ai"], 0);
        let delivered: Vec<_> = told.series.iter().map(|bucket| bucket.delivered).collect();
        assert_eq!(delivered, [0, 0, 3]);
        assert_eq!(statistics(&DeliveryStatistics::default(), since, now, 1).success_rate, None);
    }
}
