//! The overview: is anything wrong right now, and how today goes beside yesterday.

use super::call_flow::lately::last_failed;
use super::chart::{self, Column};
use super::error::PageError;
use super::frame::{Frame, Page, Person, Room, Seat};
use super::list::Query;
use super::words;
use crate::app::App;
use crate::app::health::{self, Light};
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use domain::Timestamp;
use domain::delivery::{Delivery, DeliveryStatus};
use domain::event::Event;
use domain::failure::brief;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::call::{CallCount, CallFilter};
use store::delivery::{Failing, ToBeSentAgain};
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
    Router::new()
        .route("/", get(home))
        .route("/b/{business}", get(read))
        .route("/b/{business}/", get(without_slash))
}

/// An address with a slash at its end is the same page's.
async fn without_slash(seat: Seat) -> Redirect {
    Redirect::to(&seat.path(""))
}

/// The first of the person's businesses.
async fn home(person: Person) -> Result<Redirect, PageError> {
    let first = person.signed_in.memberships.first().ok_or(PageError::NoBusiness)?;
    Ok(Redirect::to(&format!("/b/{}", first.business_id)))
}

/// A figure of today, with the lines below it, drawn.
struct Tile {
    name: &'static str,
    figure: String,
    below: Vec<String>,
}

/// A flow that fails now.
struct Broken {
    failing: Failing,
    /// The last delivery of which it is known why it failed.
    last: Option<Delivery>,
}

impl Broken {
    /// Whether what is known to have failed is tried again by itself.
    fn only_waits(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.status != DeliveryStatus::Failed)
    }

    /// Why it fails, in a few words.
    fn why(&self) -> Option<String> {
        self.last.as_ref()?.last_error.as_deref().map(brief)
    }
}

/// Calls of a kind: today, and yesterday up to this time of day.
type Counted<T> = (T, u64, u64);

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    /// Flows that fail now, as many as there is room for.
    broken: Vec<Broken>,
    to_be_sent_again: ToBeSentAgain,
    tiles: Vec<Tile>,
    chart: String,
    /// The same for a narrow screen.
    narrow_chart: String,
    columns: Vec<Column>,
    sources: Vec<Counted<String>>,
    events: Vec<Counted<&'static str>>,
    counts_all: bool,
    has_calls_before: bool,
    has_calls: bool,
    next_step: Option<NextStep>,
}

/// What a business does first.
enum NextStep {
    MakeFlow,
    ReportCall,
}

impl OverviewPage {
    /// How many others fail.
    fn failing_more(&self) -> usize {
        self.frame.health.failing.len().saturating_sub(FAILING_SHOWN)
    }

    fn late(&self) -> Option<String> {
        let health = &self.frame.health;
        health.due_for().filter(|_| health.is_late()).map(health::span)
    }

    /// Whether anything is wrong right now, in its class and a sentence, drawn.
    fn right_now(&self) -> (&'static str, String) {
        let health = &self.frame.health;
        let ToBeSentAgain { count, may_be_more } = self.to_be_sent_again;
        let more = |is_more| if is_more { " or more" } else { "" };
        let fail = match health.failing.len() {
            0 => "Nothing fails".to_owned(),
            1 => "1 call flow fails".to_owned(),
            several => format!("{several}{} call flows fail", more(health.may_fail_more())),
        };
        let wait = match count {
            0 if may_be_more => String::new(),
            0 => "; nothing waits to be sent again".to_owned(),
            1 => "; 1 delivery waits to be sent again".to_owned(),
            count => {
                format!("; {}{} deliveries wait to be sent again", words::count(count), more(may_be_more))
            }
        };
        let class = match health.light() {
            Light::Red => "failed",
            Light::Amber => "waiting",
            Light::Green if count > 0 => "waiting",
            Light::Green => "delivered",
        };
        (class, format!("{fail}{wait}."))
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
    let done = ended(&of_today, today, now.after(HOUR));
    let done_before = ended(&of_yesterday, yesterday, until);
    let to_be_sent_again = app.store.to_be_sent_again(business_id).await?;
    let columns = hours(&of_today, today, now, |at| clock.hour(at));
    let has_flows = !app.store.newest_call_flows(business_id, 1).await?.rows.is_empty();
    let has_calls = calls > 0
        || !app.store.list_calls(business_id, CallFilter::default(), None, 1).await?.rows.is_empty();
    let frame = Frame::of(&app, seat, Room::Overview, "Overview").await?.saying(query.done());
    let mut broken = Vec::new();
    for failing in frame.health.failing.iter().take(FAILING_SHOWN) {
        let last = last_failed(&app, business_id, failing.pulse.call_flow_id).await?;
        broken.push(Broken { failing: failing.clone(), last });
    }
    let tiles = tiles(
        (at_least(calls), (calls_before > 0).then(|| at_least(calls_before))),
        [done, done_before],
        to_be_sent_again,
        frame.health.due_for(),
        &of_today,
    );
    let page = OverviewPage {
        frame,
        broken,
        to_be_sent_again,
        tiles,
        chart: chart::columns(&columns, &chart::WIDE),
        narrow_chart: chart::columns(&columns, &chart::NARROW),
        columns,
        sources: by_source(&counted, &counted_before),
        events: by_event(&counted, &counted_before),
        counts_all: calls.max(calls_before) < CALLS_COUNTED_MAX,
        has_calls_before: calls_before > 0,
        has_calls,
        next_step: match (has_flows, has_calls) {
            (false, _) => Some(NextStep::MakeFlow),
            (true, false) => Some(NextStep::ReportCall),
            (true, true) => None,
        },
    };
    Ok(Page(page).into_response())
}

/// Today's figures. `calls` and `done` (delivered and failed) are those of today and of yesterday up to this time of day, which says
/// nothing where nothing ended.
fn tiles(
    (calls, calls_before): (String, Option<String>),
    [done, done_before]: [(u64, u64); 2],
    to_be_sent_again: ToBeSentAgain,
    due_for: Option<Duration>,
    found: &DeliveryStatistics,
) -> Vec<Tile> {
    let of_yesterday = |words: String| format!("yesterday by now: {words}");
    let before = |words: String| Some(of_yesterday(words)).filter(|_| done_before != (0, 0));
    let tile = |name, figure, below: [Option<String>; 2]| Tile {
        name,
        figure,
        below: below.into_iter().flatten().collect(),
    };
    let share = Some(format!("{} of what ended", rate(done))).filter(|_| done != (0, 0));
    let more = if to_be_sent_again.may_be_more { " or more" } else { "" };
    let due = if due_for.is_some() { "since it was due" } else { "nothing is due" };
    let ms = |percent| found.latency.percentile_ms(percent);
    vec![
        tile("Calls", calls, [calls_before.map(of_yesterday), None]),
        tile("Delivered", words::count(done.0), [share, before(words::count(done_before.0))]),
        tile("Failed for good", words::count(done.1), [before(words::count(done_before.1)), None]),
        tile(
            "To be sent again",
            words::count(to_be_sent_again.count) + more,
            [Some("tried in vain so far".to_owned()), None],
        ),
        tile(
            "Oldest due",
            due_for.map_or_else(|| "0 s".to_owned(), health::span),
            [Some(due.to_owned()), None],
        ),
        tile(
            "Answer time",
            ms(50).map_or_else(|| "–".to_owned(), |median| format!("{median} ms")),
            [ms(95).map(|p95| format!("95 % within {p95} ms")), None],
        ),
    ]
}

/// A count that may have come to its end.
fn at_least(calls: u64) -> String {
    let more = if calls < CALLS_COUNTED_MAX { "" } else { " or more" };
    words::count(calls) + more
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
fn by_source(today: &[CallCount], before: &[CallCount]) -> Vec<Counted<String>> {
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for counted in today {
        sums.entry(source(counted)).or_default().0 += counted.count;
    }
    for counted in before {
        sums.entry(source(counted)).or_default().1 += counted.count;
    }
    let mut sums: Vec<_> =
        sums.into_iter().map(|(source, (today, before))| (source.to_owned(), today, before)).collect();
    sums.sort_by_key(|(_, today, before)| std::cmp::Reverse((*today, *before)));
    let others = sums.split_off(sums.len().min(SOURCES_MAX));
    if !others.is_empty() {
        let sum = |of: fn(&Counted<String>) -> u64| others.iter().map(of).sum();
        sums.push(("others".to_owned(), sum(|(_, today, _)| *today), sum(|(_, _, before)| *before)));
    }
    sums
}

fn source(counted: &CallCount) -> &str {
    counted.source.as_deref().unwrap_or("unknown")
}

fn by_event(today: &[CallCount], before: &[CallCount]) -> Vec<Counted<&'static str>> {
    let count = |counted: &[CallCount], event: Event| {
        let of_event = counted.iter().filter(|counted| Event::of(counted.status) == event);
        of_event.map(|counted| counted.count).sum()
    };
    Event::ALL.into_iter().map(|event| (event.as_str(), count(today, event), count(before, event))).collect()
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
        let before = [counted("s0", CallStatus::Completed, 7), counted("gone", CallStatus::Completed, 2)];
        let sources = by_source(&all, &before);
        assert_eq!(
            (sources.len(), sources[0].clone(), sources[1].clone(), sources[8].clone()),
            (9, ("unknown".into(), 50, 0), ("s0".into(), 10, 7), ("others".into(), 6, 2))
        );
        assert_eq!(by_event(&all, &before)[..2], [("call.completed", 55, 9), ("call.missed", 50, 0)]);
    }

    #[test]
    fn a_rate_of_nothing_is_none() {
        assert_eq!([(0, 0), (999, 1), (0, 3)].map(rate), ["–", "99.9 %", "0.0 %"]);
    }
}
