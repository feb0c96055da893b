//! The page of `/metrics`: every figure with its name, its unit and a sentence, in the text format of Prometheus.
//!
//! `docs/operations.md` says what each means to an operator; a test holds the two together.

mod text;

use super::limits::DELIVERIES_COUNTED_MAX;
use super::snapshot::{DeliveryFigures, Snapshot, StoreFigures};
use crate::telemetry::process::ProcessFigures;
use crate::telemetry::requests::Asked;
use delivery::schedule;
use domain::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text};
use prometheus_client::registry::Registry;
use std::fmt;
use store::delivery::Backlog;
use text::{MICROS_PER_SECOND, ONE, Page};

pub use prometheus_text::CONTENT_TYPE;

/// The page of a moment.
pub fn render(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        build(&mut page)?;
        backlog(&mut page, self.backlog.as_ref(), self.now)?;
        store(&mut page, &self.store)?;
        if let Some(delivery) = &self.delivery {
            attempts(&mut page, delivery)?;
            dispatcher(&mut page, delivery.schedule.as_ref())?;
        }
        requests(&mut page, &self.requests)?;
        self.process.as_ref().map_or(Ok(()), |figures| process(&mut page, figures))
    }
}

fn build(page: &mut Page<'_>) -> fmt::Result {
    let labels = [("version", env!("CARGO_PKG_VERSION"))];
    page.gauges("callhook_build_info", "1; its label says which version runs", [(labels, 1)])
}

fn backlog(page: &mut Page<'_>, backlog: Option<&Backlog>, now: Timestamp) -> fmt::Result {
    let readable = "Whether the store could be read for this page: 1 or 0";
    page.gauge("callhook_store_readable", readable, u64::from(backlog.is_some()))?;
    let Some(found) = backlog else { return Ok(()) };
    let age = found.earliest_at.map_or(0.0, |earliest_at| now.since(earliest_at).as_secs_f64());
    let oldest =
        "How long the pending delivery that is due for longest has been due, by the store; 0: none is due";
    page.gauge_of("callhook_oldest_due_seconds", oldest, age)?;
    let up_to = |what| format!("{what}, by the store; {DELIVERIES_COUNTED_MAX} stands for that or more");
    page.gauge("callhook_deliveries_due", &up_to("Pending deliveries whose time has come"), found.due)?;
    page.gauge(
        "callhook_deliveries_waiting",
        &up_to("Pending deliveries whose time comes later"),
        found.waiting,
    )?;
    page.gauge(
        "callhook_destinations_pending",
        "Destinations with a pending delivery, by the store",
        found.lanes,
    )?;
    page.gauge("callhook_jobs_waiting", "Changes of many rows that are not done yet", found.jobs)
}

fn store(page: &mut Page<'_>, store: &StoreFigures) -> fmt::Result {
    page.counters(
        "callhook_calls_reported",
        "Reports of calls by what became of them",
        "result",
        &store.reports,
    )?;
    page.counters(
        "callhook_deliveries_ended",
        "Deliveries by the state in which they ended",
        "status",
        &store.ended,
    )?;
    let operations = "Operations that one commit of the store took together";
    page.histogram("callhook_store_group_operations", operations, ONE, &store.group_operations)?;
    let group = "Time of one commit of the store, its operations included";
    page.histogram("callhook_store_group_seconds", group, MICROS_PER_SECOND, &store.group_duration)?;
    let sync = "Time in which a commit came to the disk";
    page.histogram("callhook_store_sync_seconds", sync, MICROS_PER_SECOND, &store.sync_duration)?;
    page.counter(
        "callhook_store_groups_failed",
        "Commits of which nothing was written",
        store.groups_failed,
    )?;
    page.gauge(
        "callhook_store_writes_queued",
        "Writes that wait for the next commit",
        store.sizes.writes_queued as u64,
    )?;
    let refused = "Writes that were told to come again, because too many waited";
    page.counter("callhook_store_writes_refused", refused, store.writes_refused)?;
    let checkpoint = "Time of one copy of the store's log into the database file";
    page.histogram(
        "callhook_store_checkpoint_seconds",
        checkpoint,
        MICROS_PER_SECOND,
        &store.checkpoint_duration,
    )?;
    page.counter(
        "callhook_store_checkpoints_failed",
        "Copies of the store's log that failed",
        store.checkpoints_failed,
    )?;
    // A server's are its own to show.
    let Some(files) = store.sizes.files else {
        let statements = "Statements that were sent to the database server";
        return page.counter("callhook_store_statements", statements, store.statements);
    };
    page.gauge("callhook_store_log_bytes", "Size of the file of the store's log", files.log_bytes)?;
    page.gauge("callhook_store_database_bytes", "Size of the database file", files.database_bytes)
}

fn attempts(page: &mut Page<'_>, delivery: &DeliveryFigures) -> fmt::Result {
    page.counters("callhook_attempts", "Attempts by outcome", "outcome", &delivery.attempts)?;
    let repeated =
        "Attempts that may be a repetition, because callhook ended while they may have been in flight";
    page.counter("callhook_attempts_repeated", repeated, delivery.repeated)?;
    let duration = "Time of one attempt, redirects included";
    page.histogram("callhook_attempt_seconds", duration, MICROS_PER_SECOND, &delivery.duration)?;
    let lateness = "Time between the moment at which an attempt was due and its start";
    page.histogram("callhook_attempt_lateness_seconds", lateness, MICROS_PER_SECOND, &delivery.lateness)
}

fn dispatcher(page: &mut Page<'_>, schedule: Option<&schedule::Snapshot>) -> fmt::Result {
    let answers = "Whether the task that decides what is sent when answered within a second: 1 or 0";
    page.gauge("callhook_dispatcher_answers", answers, u64::from(schedule.is_some()))?;
    let Some(now) = schedule else { return Ok(()) };
    page.gauge(
        "callhook_dispatcher_ready",
        "Whether all that was due at the start is known: 1 or 0",
        now.ready.into(),
    )?;
    page.gauge(
        "callhook_store_away",
        "Whether sending pauses because the store fails: 1 or 0",
        now.store_away.into(),
    )?;
    page.gauge(
        "callhook_sending_paused",
        "Whether sending waits for an operator since the store was restored: 1 or 0",
        now.paused.into(),
    )?;
    for (name, help, value) in [
        ("callhook_slots", "Attempts that may be in flight at a time", schedule::Config::default().slots),
        ("callhook_slots_used", "Attempts in flight, and those about to be", now.in_flight),
        ("callhook_rows_held", "Pending deliveries in memory", now.rows),
        ("callhook_body_bytes_held", "Bytes of bodies that wait in memory for a slot", now.held_body_bytes),
        ("callhook_outcomes_waiting", "Outcomes of attempts that are not on disk yet", now.outcomes_waiting),
    ] {
        page.gauge(name, help, value as u64)?;
    }
    let lanes = [
        ("all", now.lanes),
        ("failing", now.lanes_failing),
        ("probed", now.lanes_probed),
        ("unreadable", now.lanes_sealed),
        ("beyond_memory", now.lanes_beyond_memory),
    ];
    let lanes = lanes.map(|(state, count)| ([("state", state)], count as u64));
    page.gauges(
        "callhook_lanes",
        "Destinations in memory by how they stand; one may count under several states",
        lanes,
    )?;
    let found = "Deliveries that were due and in nobody's memory until a sweep of the store found them";
    page.counter("callhook_found_by_sweep", found, now.found_by_sweep_total)?;
    let unreadable = "Deliveries whose secrets or values could not be read when they were due";
    page.counter("callhook_deliveries_unreadable", unreadable, now.sealed_total)
}

fn requests(page: &mut Page<'_>, asked: &[Asked]) -> fmt::Result {
    let labels = |asked: &Asked| [("method", asked.method.to_owned()), ("route", asked.route.clone())];
    let counts = asked.iter().flat_map(|asked| {
        let [method, route] = labels(asked);
        let some = asked.classes.iter().filter(|(_, count)| *count > 0);
        some.map(move |(class, count)| {
            ([method.clone(), route.clone(), ("status", (*class).to_owned())], *count)
        })
    });
    page.counters_of("callhook_http_requests", "Requests by endpoint and class of status", counts)?;
    let durations = asked.iter().map(|asked| (labels(asked), &asked.duration));
    page.histograms(
        "callhook_http_request_seconds",
        "Time until an answer's head was there",
        MICROS_PER_SECOND,
        durations,
    )
}

fn process(page: &mut Page<'_>, figures: &ProcessFigures) -> fmt::Result {
    page.counter_of("process_cpu_seconds", "Processor time, the system's included", figures.cpu_seconds)?;
    page.gauge("process_resident_memory_bytes", "Memory in use", figures.resident_bytes)?;
    page.gauge("process_virtual_memory_bytes", "Address space in use", figures.virtual_bytes)?;
    page.gauge("process_open_fds", "Open files and connections", figures.open_files)?;
    if let Some(files) = figures.open_files_max {
        page.gauge("process_max_fds", "Files and connections that may be open", files)?;
    }
    page.gauge("process_threads", "Threads", figures.threads)?;
    page.gauge_of(
        "process_start_time_seconds",
        "When the process started, in seconds since 1970",
        figures.start_seconds,
    )
}
