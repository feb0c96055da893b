//! One delivery: what went out, and what came back of each attempt, as far as a page has room; all of it has addresses of its own.

use super::optional;
use crate::app::App;
use crate::app::health::Light;
use crate::dashboard::body::Body;
use crate::dashboard::error::PageError;
use crate::dashboard::frame::{Frame, Page, Room, Seat};
use crate::dashboard::{list, short};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use domain::Timestamp;
use domain::call::Call;
use domain::call_flow::CallFlow;
use domain::delivery::{Attempt, Delivery, DeliveryKind, DeliveryStatus, Phases};
use domain::secret::MASK;
use std::fmt::Write as _;
use std::sync::Arc;
use store::delivery::{DeliveryDetail, DeliveryFilter};

/// Attempts that are shown.
const ATTEMPTS: usize = 12;
/// Bytes of what came back, of all attempts together.
const RECEIVED_BYTES_MAX: usize = 6 * 1_024;
/// Bytes of a body that stands within a command; a larger one is in a file.
const CURL_BYTES_MAX: usize = 4 * 1_024;
/// Others that failed are counted up to here.
const OTHERS: usize = 50;
/// What an attempt's duration may have more than its steps together, each of which is rounded down.
const ROUNDING_MS_MAX: u32 = 4;

#[derive(Template)]
#[template(path = "delivery/read.html")]
struct ReadPage {
    frame: Frame,
    delivery: Delivery,
    attempts: Vec<ShownAttempt>,
    /// Whether there are earlier ones, or answers of which this is the beginning.
    more_of_attempts: bool,
    flow: Option<CallFlow>,
    call: Option<Call>,
    /// Of the flow's own headers; their values are nobody's to see.
    header_names: Vec<String>,
    body: Option<Body>,
    curl: Option<String>,
    others_failed: Option<Others>,
}

/// What failed of the flow beside this delivery.
struct Others {
    count: usize,
    /// When the first of all was made; nothing where there are more than were counted.
    since: Option<Timestamp>,
}

/// An attempt as far as the page has room for it.
struct ShownAttempt {
    attempt: Attempt,
    /// What came back: headers and the beginning of the body.
    received: String,
}

impl ReadPage {
    const fn badge(&self) -> (&'static str, &'static str) {
        super::badge(&self.delivery.status)
    }

    fn is_test(&self) -> bool {
        self.delivery.kind == DeliveryKind::Test
    }

    /// The names of an attempt that went with other headers of the flow's own than the last one, which stands below.
    fn other_headers<'a>(&self, attempt: &'a Attempt) -> Option<&'a [String]> {
        attempt.header_names.as_deref().filter(|names| *names != self.header_names)
    }

    /// The last failure in words.
    fn failure(&self) -> Option<&str> {
        let last = self.attempts.last().filter(|_| self.delivery.status != DeliveryStatus::Delivered);
        last.and_then(|shown| shown.attempt.error_detail.as_deref())
    }

    /// The words of an attempt that failed for another reason than the last one.
    fn other_failure<'a>(&self, attempt: &'a Attempt) -> Option<&'a str> {
        attempt.error_detail.as_deref().filter(|words| self.failure() != Some(words))
    }

    /// What an attempt spent its time with, in words: the steps that took any. Nothing where that was none.
    fn phases(&self, attempt: &Attempt) -> Option<String> {
        let is_reused = attempt.phases?.connection_reused;
        let steps = steps(attempt).into_iter().filter(|(_, ms)| *ms > 0);
        let steps: Vec<_> = steps.map(|(name, ms)| format!("{name} {ms}")).collect();
        let unit = if steps.is_empty() { "" } else { " ms" };
        let reused = is_reused.then(|| "reused connection".to_owned());
        let words: Vec<_> = reused.into_iter().chain(steps).collect();
        (!words.is_empty()).then(|| words.join(" · ") + unit)
    }

    /// The same as a bar, for the eye alone.
    fn bar(&self, attempt: &Attempt) -> String {
        let steps = steps(attempt);
        let whole: u32 = steps.iter().map(|(_, ms)| ms).sum();
        if whole == 0 {
            return String::new();
        }
        let mut from = 0;
        let mut parts = String::new();
        for (name, ms) in steps {
            // Writing to a String cannot fail.
            let _ = write!(parts, "<rect class=\"{name}\" x=\"{from}\" width=\"{ms}\" height=\"1\"/>");
            from += ms;
        }
        format!(
            "<svg class=\"phases\" viewBox=\"0 0 {whole} 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{parts}</svg>"
        )
    }

    /// Whether an attempt is planned that another can take the place of.
    fn can_be_redelivered_now(&self) -> bool {
        let delivery = &self.delivery;
        delivery.status == DeliveryStatus::Scheduled
            && delivery.kind == DeliveryKind::Call
            && delivery.next_attempt_at.is_some_and(|at| at > self.frame.clock().now())
    }

    const fn can_be_redelivered(&self) -> bool {
        !self.delivery.status.is_pending() && matches!(self.delivery.kind, DeliveryKind::Call)
    }
}

/// One of them.
pub async fn read(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    query: list::Query,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let detail = app.store.delivery(business_id, list::id(&id)?).await?;
    let body = detail.sent();
    let DeliveryDetail { delivery, attempts, .. } = detail;
    let flow = optional(app.store.call_flow(business_id, delivery.call_flow_id).await)?;
    let call = match delivery.call_id {
        Some(call_id) => optional(app.store.call(business_id, call_id).await)?,
        None => None,
    };
    let header_names = header_names(&delivery, &attempts, flow.as_ref());
    let curl = body.as_ref().map(|body| curl(&delivery, &header_names, body));
    let (attempts, more_of_attempts) = shown(attempts);
    let others_failed = others_failed(&app, &delivery).await?;
    let title = format!("{} → {}", delivery.event.as_str(), super::host(&delivery.url));
    let frame = Frame::of(&app, seat, Room::Deliveries, title).await?.saying(query.done());
    let body = body.map(|body| Body::of(&body));
    let page = ReadPage {
        frame,
        delivery,
        attempts,
        more_of_attempts,
        flow,
        call,
        header_names,
        body,
        curl,
        others_failed,
    };
    Ok(Page(page).into_response())
}

/// Exactly what the last attempt carried.
pub async fn body(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let detail = app.store.delivery(seat.business_id(), list::id(&id)?).await?;
    Ok(short::whole(detail.sent().ok_or(PageError::NotFound)?))
}

/// Every attempt with all of its answer that is kept.
pub async fn attempts(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let detail = app.store.delivery(seat.business_id(), list::id(&id)?).await?;
    let mut text = String::new();
    for attempt in detail.attempts {
        let Attempt { attempt: number, started_at, duration_ms, url, .. } = &attempt;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# Attempt {number}, {started_at}, {duration_ms} ms, {url}");
        if let (Some(error), Some(words)) = (&attempt.error, &attempt.error_detail) {
            let _ = writeln!(text, "# {error}: {words}");
        }
        let _ = writeln!(text, "{}\n", received(&attempt));
    }
    Ok(short::whole(text))
}

/// The latest of them, each with what came back as far as there is room, for which the latest come first; and whether that is not all.
fn shown(attempts: Vec<Attempt>) -> (Vec<ShownAttempt>, bool) {
    let mut is_cut = attempts.len() > ATTEMPTS;
    let mut room = RECEIVED_BYTES_MAX;
    let latest = attempts.into_iter().rev().take(ATTEMPTS).map(|attempt| {
        let all = received(&attempt);
        let fitting = short::within(&all, room);
        is_cut |= fitting != all;
        room = room.saturating_sub(short::drawn_bytes(&fitting));
        ShownAttempt { attempt, received: fitting.into_owned() }
    });
    let mut latest: Vec<_> = latest.collect();
    latest.reverse();
    (latest, is_cut)
}

/// What came back, as it stood there.
fn received(attempt: &Attempt) -> String {
    let mut text = attempt.status_code.map(|code| format!("{code}\n")).unwrap_or_default();
    for (name, value) in &attempt.response_headers {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    match attempt.response_excerpt.as_deref().filter(|excerpt| !excerpt.is_empty()) {
        Some(excerpt) => text + "\n" + excerpt,
        None => text,
    }
}

/// Of the last attempt's headers, whatever the flow has by now; of those that the first one will have. Where they were not kept yet, the
/// flow's are the best that is known.
fn header_names(delivery: &Delivery, attempts: &[Attempt], flow: Option<&CallFlow>) -> Vec<String> {
    let of_flow = || flow.map(|flow| flow.post_call_webhook.settings.headers.names());
    match attempts.last() {
        Some(Attempt { header_names: Some(names), .. }) => names.clone(),
        None if !delivery.status.is_pending() => Vec::new(),
        _ => of_flow().unwrap_or_default(),
    }
}

/// The steps of an attempt with their milliseconds. What remains of its duration once a status was there went into reading the answer.
fn steps(attempt: &Attempt) -> [(&'static str, u32); 5] {
    let Phases { dns_ms, connect_ms, tls_ms, wait_ms, .. } = attempt.phases.unwrap_or_default();
    let rest = attempt.duration_ms.saturating_sub(dns_ms + connect_ms + tls_ms + wait_ms);
    let is_read = attempt.status_code.is_some() && rest > ROUNDING_MS_MAX;
    let read_ms = if is_read { rest } else { 0 };
    [("dns", dns_ms), ("connect", connect_ms), ("tls", tls_ms), ("wait", wait_ms), ("read", read_ms)]
}

/// How many of the flow failed as this one did, as far as one page shows. Tests are nothing to send again.
async fn others_failed(app: &App, delivery: &Delivery) -> Result<Option<Others>, PageError> {
    if delivery.status != DeliveryStatus::Failed || delivery.kind == DeliveryKind::Test {
        return Ok(None);
    }
    let filter = DeliveryFilter {
        call_flow_id: Some(delivery.call_flow_id),
        status: Some(DeliveryStatus::Failed),
        test: Some(false),
        ..DeliveryFilter::default()
    };
    let page = app.store.list_deliveries(delivery.business_id, filter, None, OTHERS + 1).await?;
    let count = page.rows.iter().filter(|other| other.id != delivery.id).count().min(OTHERS);
    let since = page.rows.last().map(|oldest| oldest.created_at).filter(|_| !page.more);
    Ok((count > 0).then_some(Others { count, since }))
}

/// The request as a command that a person runs. Headers whose values are secret, and the signature, are for them to fill in.
fn curl(delivery: &Delivery, header_names: &[String], body: &[u8]) -> String {
    let mut command = format!("curl -X POST {}", quoted(&delivery.url));
    for header in ["Content-Type: application/json".to_owned(), format!("webhook-id: {}", delivery.id)] {
        // Writing to a String cannot fail.
        let _ = write!(command, " \\\n  -H {}", quoted(&header));
    }
    for name in header_names {
        let _ = write!(command, " \\\n  -H {}", quoted(&format!("{name}: {MASK}")));
    }
    let body = String::from_utf8_lossy(body);
    let body =
        if short::drawn_bytes(&body) > CURL_BYTES_MAX { "@body.json".to_owned() } else { quoted(&body) };
    let _ = write!(command, " \\\n  --data-binary {body}");
    command
}

/// A word of a shell, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_text_as_one_word() {
        assert_eq!(quoted("it's $(rm -rf) `x`"), r"'it'\''s $(rm -rf) `x`'");
    }
}
