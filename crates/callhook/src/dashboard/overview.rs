//! The overview: is anything wrong right now, and how today goes beside yesterday.

use super::chart::{self, Column};
use super::error::PageError;
use super::frame::{Frame, Page, Person, Room, Seat};
use super::list::Query;
use crate::app::App;
use crate::app::health::{self, Light};
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use domain::Timestamp;
use domain::event::Event;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::call::{CallCount, CallFilter};
use store::delivery::Failing;
use store::statistics::DeliveryStatistics;

/// Calls that are counted by source and event: a business with more sees the latest.
const CALLS_COUNTED_MAX: u64 = 10_000;
/// Minutes of the series' buckets: every time zone's hours and days are made of quarters.
const QUARTER: u32 = 15;
const HOUR: Duration = Duration::from_hours(1);
/// Flows that fail which are shown one by one.
const FAILING_SHOWN: usize = 12;
/// Sources that are shown one by one.
const SOURCES_MAX: usize = 8;

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/", get(home)).route("/b/{business}", get(read))
}

/// The first of the person's businesses.
async fn home(person: Person) -> Result<Redirect, PageError> {
    let first = person.signed_in.memberships.first().ok_or(PageError::NoBusiness)?;
    Ok(Redirect::to(&format!("/b/{}", first.business_id)))
}

/// A figure of today beside yesterday's at the same time of day.
struct Tile {
    name: &'static str,
    figure: String,
    yesterday: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    tiles: Vec<Tile>,
    chart: String,
    /// The same for a narrow screen.
    narrow_chart: String,
    columns: Vec<Column>,
    sources: Vec<(String, u64)>,
    events: Vec<(&'static str, u64)>,
    counts_all: bool,
    has_flows: bool,
    has_calls: bool,
}

impl OverviewPage {
    /// Flows that fail now, as many as there is room for.
    fn failing(&self) -> impl Iterator<Item = &Failing> {
        self.frame.health.failing.iter().take(FAILING_SHOWN)
    }

    /// How many others fail.
    fn failing_more(&self) -> usize {
        self.frame.health.failing.len().saturating_sub(FAILING_SHOWN)
    }

    fn late(&self) -> Option<String> {
        let now = self.frame.seat.person.clock.now();
        self.frame.health.late_since.map(|since| health::span(now.since(since)))
    }
}

async fn read(State(app): State<Arc<App>>, seat: Seat, query: Query) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let clock = seat.person.clock.clone();
    let (today, yesterday, now) = (clock.day_began(0), clock.day_began(1), clock.now());
    let of_yesterday = app.store.ended_deliveries(business_id, yesterday, Some(today), None, QUARTER).await?;
    let of_today = app.store.ended_deliveries(business_id, today, None, None, QUARTER).await?;
    // Yesterday up to this time of day: a whole day beside half of one says nothing.
    let until = clock.yesterday_by_now().min(today);
    let counted = app.store.count_calls(business_id, today, now.after(HOUR), CALLS_COUNTED_MAX).await?;
    let counted_before = app.store.count_calls(business_id, yesterday, until, CALLS_COUNTED_MAX).await?;
    let (calls, calls_before) = (total(&counted), total(&counted_before));
    let (done, done_before) =
        (ended(&of_today, today, now.after(HOUR)), ended(&of_yesterday, yesterday, until));
    let median =
        of_today.latency.percentile_ms(50).map_or_else(|| "–".to_owned(), |median| format!("{median} ms"));
    let p95 = of_today.latency.percentile_ms(95).map(|p95| format!("95 of 100 within {p95} ms"));
    let tile = |name, figure, yesterday| Tile { name, figure, yesterday };
    let before = |count: u64| format!("{count} yesterday by now");
    let tiles = vec![
        tile("Calls", at_least(calls), format!("{} yesterday by now", at_least(calls_before))),
        tile("Delivered", done.0.to_string(), before(done_before.0)),
        tile("Failed", done.1.to_string(), before(done_before.1)),
        tile("Success", rate(done), format!("{} yesterday by now", rate(done_before))),
        tile("Endpoints answer in", median, p95.unwrap_or_else(|| "nothing delivered yet".to_owned())),
    ];
    let columns = hours(&of_today, today, now, |at| clock.hour(at));
    let has_flows = !app.store.newest_call_flows(business_id, 1).await?.rows.is_empty();
    let has_calls = calls > 0
        || !app.store.list_calls(business_id, CallFilter::default(), None, 1).await?.rows.is_empty();
    let frame = Frame::of(&app, seat, Room::Overview, "Overview").await?.saying(query.done());
    let page = OverviewPage {
        frame,
        tiles,
        chart: chart::columns(&columns, &chart::WIDE),
        narrow_chart: chart::columns(&columns, &chart::NARROW),
        columns,
        sources: by_source(&counted),
        events: by_event(&counted),
        counts_all: calls < CALLS_COUNTED_MAX,
        has_flows,
        has_calls,
    };
    Ok(Page(page).into_response())
}

/// A count that may have come to its end.
fn at_least(calls: u64) -> String {
    if calls < CALLS_COUNTED_MAX { calls.to_string() } else { format!("{CALLS_COUNTED_MAX} and more") }
}

fn total(counted: &[CallCount]) -> u64 {
    counted.iter().map(|counted| counted.count).sum()
}

/// Delivered and failed between two times.
fn ended(found: &DeliveryStatistics, since: Timestamp, until: Timestamp) -> (u64, u64) {
    let within = found.series.range(since..until);
    within.fold((0, 0), |(delivered, failed), (_, counts)| {
        let count = |status: &str| counts.get(status).copied().unwrap_or_default();
        (delivered + count("delivered"), failed + count("failed"))
    })
}

/// Delivered of all that were delivered or failed.
pub fn rate((delivered, failed): (u64, u64)) -> String {
    let per_mille = (delivered * 1_000).checked_div(delivered + failed);
    per_mille.map_or_else(|| "–".to_owned(), |per_mille| format!("{}.{} %", per_mille / 10, per_mille % 10))
}

/// Hour by hour from the day's begin to now.
fn hours(
    found: &DeliveryStatistics,
    since: Timestamp,
    now: Timestamp,
    name: impl Fn(Timestamp) -> String,
) -> Vec<Column> {
    let mut columns = Vec::new();
    let mut from = since;
    while from <= now {
        let to = from.after(HOUR);
        let (delivered, failed) = ended(found, from, to);
        columns.push(Column { name: name(from), delivered, failed });
        from = to;
    }
    columns
}

/// The busiest sources, and all others together.
fn by_source(counted: &[CallCount]) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for CallCount { source, count, .. } in counted {
        *sums.entry(source.as_deref().unwrap_or("unknown")).or_default() += count;
    }
    let mut sums: Vec<_> = sums.into_iter().map(|(source, count)| (source.to_owned(), count)).collect();
    sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others: u64 = sums.iter().skip(SOURCES_MAX).map(|(_, count)| count).sum();
    sums.truncate(SOURCES_MAX);
    sums.extend((others > 0).then(|| ("others".to_owned(), others)));
    sums
}

fn by_event(counted: &[CallCount]) -> Vec<(&'static str, u64)> {
    let count = |event: Event| {
        let of_event = counted.iter().filter(|counted| Event::of(counted.status) == event);
        of_event.map(|counted| counted.count).sum()
    };
    Event::ALL.into_iter().map(|event| (event.as_str(), count(event))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::call::CallStatus;

    #[test]
    fn calls_are_summed_by_source_and_event() {
        let counted =
            |source: &str, status, count| CallCount { source: Some(source.to_owned()), status, count };
        let mut all: Vec<_> =
            (0..10).map(|at| counted(&format!("s{at}"), CallStatus::Completed, 10 - at)).collect();
        all.push(CallCount { source: None, status: CallStatus::Busy, count: 50 });
        let sources = by_source(&all);
        assert_eq!(
            (sources.len(), sources[0].clone(), sources[8].clone()),
            (9, ("unknown".into(), 50), ("others".into(), 6))
        );
        assert_eq!(by_event(&all)[..2], [("call.completed", 55), ("call.missed", 50)]);
    }

    #[test]
    fn a_rate_of_nothing_is_none() {
        assert_eq!([(0, 0), (999, 1), (0, 3)].map(rate), ["–", "99.9 %", "0.0 %"]);
    }
}
