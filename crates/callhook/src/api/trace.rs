//! A report's trace, where traces are taken: the reporter's own, and the times of this one.

use crate::app::App;
use crate::telemetry::trace::{Report, Tracer};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::id::CallId;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use store::call::Recorded;
use tokio::time::Instant;

/// A report that is being taken in; nothing where no traces are taken.
pub struct Traced(Option<(Arc<Tracer>, Report, Instant)>);

impl FromRequestParts<Arc<App>> for Traced {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let Some(tracer) = app.tracer.clone() else { return Ok(Self(None)) };
        let context = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(&parts.headers));
        let reporter = context.span().span_context().clone();
        let report = Report {
            began_at: app.now(),
            read_in: Duration::ZERO,
            took: Duration::ZERO,
            reporter: reporter.is_valid().then_some(reporter),
        };
        Ok(Self(Some((tracer, report, Instant::now()))))
    }
}

impl Traced {
    /// The report is read and checked; the store is asked next.
    pub fn read(&mut self) {
        if let Some((_, report, began)) = &mut self.0 {
            report.read_in = began.elapsed();
        }
    }

    /// These calls are on disk.
    pub fn recorded<'a>(self, recorded: impl IntoIterator<Item = &'a Recorded>) {
        let Some((tracer, mut report, began)) = self.0 else { return };
        report.took = began.elapsed();
        for Recorded { call, is_new } in recorded {
            let id: CallId = call.id;
            tracer.reported(&report, id, *is_new);
        }
    }
}
