//! Metrics of each type, written from what was counted elsewhere.

use domain::measure::Distribution;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;

/// The scale of what is counted in its own unit.
pub const ONE: f64 = 1.0;
/// The scale of microseconds that are shown as seconds.
pub const MICROS_PER_SECOND: f64 = 1e6;

/// A page that is being written.
pub struct Page<'a>(pub DescriptorEncoder<'a>);

/// A histogram in the unit that is shown.
struct Scaled<'a>(&'a Distribution, f64);

impl Page<'_> {
    /// A count that only grows; `_total` is added to its name.
    pub fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        self.one(name, help, &ConstCounter::new(count))
    }

    /// The same for what is no whole number.
    pub fn counter_of(&mut self, name: &str, help: &str, count: f64) -> fmt::Result {
        self.one(name, help, &ConstCounter::new(count))
    }

    /// Counts with one label.
    pub fn counters(&mut self, name: &str, help: &str, label: &str, counts: &[(&str, u64)]) -> fmt::Result {
        self.counters_of(name, help, counts.iter().map(|(value, count)| ([(label, *value)], *count)))
    }

    /// Counts with labels.
    pub fn counters_of(
        &mut self,
        name: &str,
        help: &str,
        counts: impl Iterator<Item = (impl EncodeLabelSet, u64)>,
    ) -> fmt::Result {
        let counts = counts.map(|(labels, count)| (labels, ConstCounter::new(count)));
        self.several(name, help, MetricType::Counter, counts)
    }

    /// A value as it stands.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, &ConstGauge::new(value))
    }

    /// The same for what is no whole number.
    pub fn gauge_of(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.one(name, help, &ConstGauge::new(value))
    }

    /// Values with labels.
    pub fn gauges(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (impl EncodeLabelSet, u64)>,
    ) -> fmt::Result {
        let values = values.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.several(name, help, MetricType::Gauge, values)
    }

    /// A histogram, `scale` of whose units are one of those shown.
    pub fn histogram(&mut self, name: &str, help: &str, scale: f64, values: &Distribution) -> fmt::Result {
        self.one(name, help, &Scaled(values, scale))
    }

    /// Histograms with labels.
    pub fn histograms<'d>(
        &mut self,
        name: &str,
        help: &str,
        scale: f64,
        values: impl Iterator<Item = (impl EncodeLabelSet, &'d Distribution)>,
    ) -> fmt::Result {
        let values = values.map(|(labels, values)| (labels, Scaled(values, scale)));
        self.several(name, help, MetricType::Histogram, values)
    }

    fn one(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, None, metric.metric_type())?)
    }

    fn several(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        metrics: impl Iterator<Item = (impl EncodeLabelSet, impl EncodeMetric)>,
    ) -> fmt::Result {
        let mut metrics = metrics.peekable();
        // A family without a member is no family.
        if metrics.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, metric) in metrics {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl EncodeMetric for Scaled<'_> {
    #[expect(clippy::cast_precision_loss, reason = "sums and counts that are compared by eye")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Self(values, scale) = self;
        let bounds = values.bounds.iter().map(|bound| *bound as f64 / scale).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(values.counts.iter().copied()).collect();
        encoder.encode_histogram::<NoLabelSet>(values.sum as f64 / scale, values.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
