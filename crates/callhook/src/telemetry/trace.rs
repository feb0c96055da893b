//! One trace from a call's report to its webhooks' outcome, for whoever names a collector with `--otlp-endpoint`.
//!
//! ```text
//! report ─┬─ commit                              trace: the call's id
//!         └─ deliver ─┬─ due, attempt, record    (an attempt has dns, connect, tls and wait below it)
//!                     └─ due, attempt, record    (the next attempt, minutes later or after a restart)
//! ```
//!
//! **Ids are derived and not kept.** A call's id has as many bytes as a trace's, and as many random ones as a trace's is asked for: the
//! call's id *is* the trace's. The spans that others hang below have the last half of their call's or delivery's id. So an attempt
//! finds its trace whenever and in whatever process it is made, and nothing is stored for it. Whether a trace is taken is decided by
//! the same bytes, the same way each time.
//!
//! **The reporter's own trace** (`traceparent`) gets a span for the request, linked with the call's trace in both directions. The
//! call's trace does not continue it: whether it is taken could not be known any more when a retry is made tomorrow.
//!
//! **Spans are made after the fact**, of times that were taken anyway, and handed to a bounded queue; what does not fit is dropped. Off,
//! tracing is a question to an empty option. No URL, host, header, body or number is in a span.

mod export;
mod outcomes;

pub use export::{OtlpConfig, TraceError};
pub use outcomes::TracedStore;

use delivery::sender::Phases;
use domain::delivery::Attempt;
use domain::id::CallId;
use domain::{Timestamp, World};
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::queue::{Outcome, Pending};

/// How long what is queued may take to leave at a stop.
const FLUSH_MAX: Duration = Duration::from_secs(3);

/// Makes spans and hands them to the exporter.
pub struct Tracer {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    sampling: Sampling,
    world: Arc<dyn World>,
}

/// A report that is being taken in.
#[derive(Clone, Debug)]
pub struct Report {
    /// When it began, by the wall clock.
    pub began_at: Timestamp,
    /// From then until the store was asked.
    pub read_in: Duration,
    /// From the start until it was answered.
    pub took: Duration,
    /// The span of the reporter, where it named one.
    pub reporter: Option<SpanContext>,
}

/// Which traces are taken.
#[derive(Clone, Copy, Debug)]
struct Sampling {
    below: u64,
}

/// Bits of a trace's id that are random, by the W3C's recommendation; a call's id has them.
const RANDOM_BITS: u32 = 56;

impl Sampling {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a ratio of 0 to 1 of 2^56"
    )]
    fn new(ratio: f64) -> Self {
        Self { below: (ratio.clamp(0.0, 1.0) * (1_u64 << RANDOM_BITS) as f64) as u64 }
    }

    fn takes(self, trace: TraceId) -> bool {
        let bytes = trace.to_bytes();
        let mut last = [0; 8];
        last.copy_from_slice(&bytes[8..]);
        u64::from_be_bytes(last) & ((1 << RANDOM_BITS) - 1) < self.below
    }
}

impl Tracer {
    /// A call was reported and is on disk.
    pub fn reported(&self, report: &Report, call: CallId, is_new: bool) {
        let trace = TraceId::from_bytes(*call.as_bytes());
        let (root, began) = (last_half(call.as_bytes()), at(report.began_at));
        let taken = self.sampling.takes(trace);
        let own = SpanContext::new(trace, root, flags(taken), false, TraceState::default());
        if let Some(reporter) = report.reporter.as_ref().filter(|reporter| reporter.is_sampled()) {
            let mut span = self.span(
                reporter.trace_id(),
                reporter.span_id(),
                "callhook report",
                began,
                began + report.took,
            );
            (span.span_kind, span.parent_span_is_remote) = (SpanKind::Server, true);
            span.attributes.push(KeyValue::new("callhook.call_id", call.to_string()));
            span.links.links.push(Link::with_context(own.clone()));
            self.processor.on_end(span);
        }
        if !taken || !is_new {
            return;
        }
        let mut span = self.span(trace, SpanId::INVALID, "report", began, began + report.took);
        (span.span_context, span.span_kind) = (own, SpanKind::Server);
        span.attributes.push(KeyValue::new("callhook.call_id", call.to_string()));
        span.links.links.extend(report.reporter.clone().map(Link::with_context));
        self.processor.on_end(span);
        self.processor.on_end(self.span(trace, root, "commit", began + report.read_in, began + report.took));
    }

    /// An attempt has ended; its outcome is not on disk yet.
    pub fn attempted(&self, pending: &Pending, attempt: &Attempt, phases: &Phases) {
        let trace = trace_of(pending);
        if !self.sampling.takes(trace) {
            return;
        }
        let deliver = last_half(pending.id.as_bytes());
        let (due, began) = (at(pending.due_at), at(attempt.started_at));
        self.processor.on_end(self.span(trace, deliver, "due", due.min(began), began));
        let mut span = self.span(trace, deliver, "attempt", began, began + millis(attempt.duration_ms));
        let id = span.span_context.span_id();
        span.span_kind = SpanKind::Client;
        span.attributes = vec![
            KeyValue::new("callhook.delivery_id", pending.id.to_string()),
            KeyValue::new("callhook.attempt", i64::from(attempt.attempt)),
            KeyValue::new("callhook.connection_reused", phases.reused),
        ];
        span.attributes.extend(
            attempt.status_code.map(|status| KeyValue::new("http.response.status_code", i64::from(status))),
        );
        if let Some(error) = &attempt.error {
            span.attributes.push(KeyValue::new("error.type", error.clone()));
            span.status = Status::error(error.clone());
        }
        self.processor.on_end(span);
        let mut from = began;
        for (name, took) in
            [("dns", phases.dns), ("connect", phases.connect), ("tls", phases.tls), ("wait", phases.wait)]
        {
            if !took.is_zero() {
                self.processor.on_end(self.span(trace, id, name, from, from + took));
            }
            from += took;
        }
    }

    /// An outcome is on disk.
    fn recorded(&self, outcome: &Outcome, took: Duration, has_ended: bool) {
        let pending = &outcome.pending;
        let trace = trace_of(pending);
        if !self.sampling.takes(trace) {
            return;
        }
        let (deliver, ended) = (last_half(pending.id.as_bytes()), at(outcome.ended_at));
        self.processor.on_end(self.span(trace, deliver, "record", ended, ended + took));
        if !has_ended {
            return;
        }
        let parent = pending.call_id.map_or(SpanId::INVALID, |call| last_half(call.as_bytes()));
        let mut span = self.span(trace, parent, "deliver", at(pending.id.made_at()).min(ended), ended + took);
        span.span_context = SpanContext::new(trace, deliver, flags(true), false, TraceState::default());
        span.attributes = vec![
            KeyValue::new("callhook.delivery_id", pending.id.to_string()),
            KeyValue::new("callhook.attempts", i64::from(outcome.attempt.attempt)),
        ];
        span.status = match &outcome.attempt.error {
            Some(error) => Status::error(error.clone()),
            None => Status::Ok,
        };
        self.processor.on_end(span);
    }

    /// Sends what is queued, and nothing more after it.
    pub async fn stop(self: Arc<Self>) {
        let flushed =
            tokio::task::spawn_blocking(move || self.processor.shutdown_with_timeout(FLUSH_MAX)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("Not all traces reached the collector before the end");
        }
    }

    fn span(
        &self,
        trace: TraceId,
        parent: SpanId,
        name: &'static str,
        start: SystemTime,
        end: SystemTime,
    ) -> SpanData {
        let id = SpanId::from_bytes(self.world.random());
        SpanData {
            span_context: SpanContext::new(trace, id, flags(true), false, TraceState::default()),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: start,
            end_time: end,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// A test with the sample call has no call: its delivery's id serves.
fn trace_of(pending: &Pending) -> TraceId {
    TraceId::from_bytes(pending.call_id.map_or(*pending.id.as_bytes(), |call| *call.as_bytes()))
}

fn last_half(id: &[u8; 16]) -> SpanId {
    let mut half = [0; 8];
    half.copy_from_slice(&id[8..]);
    SpanId::from_bytes(half)
}

const fn flags(is_sampled: bool) -> TraceFlags {
    if is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED }
}

fn at(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + millis(u64::try_from(time.as_millis()).unwrap_or(0))
}

fn millis(millis: impl Into<u64>) -> Duration {
    Duration::from_millis(millis.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(last: u64) -> TraceId {
        let mut bytes = [0x01; 16];
        bytes[8..].copy_from_slice(&last.to_be_bytes());
        TraceId::from_bytes(bytes)
    }

    #[test]
    fn a_trace_is_taken_by_its_random_bytes_alone() {
        // The first byte of the last half carries the UUID's variant, which is the same in all.
        let (low, high) = (id(0x8000_0000_0000_0001), id(0xbfff_ffff_ffff_ffff));
        for (ratio, takes_low, takes_high) in [
            (0.0, false, false),
            (0.5, true, false),
            (1.0, true, true),
            (7.0, true, true),
            (-1.0, false, false),
        ] {
            let sampling = Sampling::new(ratio);
            assert_eq!((sampling.takes(low), sampling.takes(high)), (takes_low, takes_high), "{ratio}");
        }
    }
}
