//! Calls as CSV, streamed page by page in the order of ids, so that memory does not grow with the number of calls.
//!
//! Cells are safe against spreadsheet formulas: one that a spreadsheet would take for a formula begins with an apostrophe. That
//! includes phone numbers, whose `+` would else be lost: `'+15735551234` stays readable as it is, and as text. Every cell is
//! quoted: where a spreadsheet splits at semicolons or tabs, no part of a text becomes a cell of its own.

use super::App;
use super::places::{Place, Places};
use axum::http::HeaderName;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use bytes::Bytes;
use domain::analysis::{AiCategory, Score};
use domain::attribution::Attribution;
use domain::call::Call;
use domain::id::{BusinessId, CallId};
use domain::payload::recording_url;
use domain::phone_number::{Party, PhoneNumber};
use futures_util::{Stream, stream};
use std::borrow::Cow;
use std::sync::Arc;
use store::call::CallFilter;
use store::list::Page;
use store::{StoreError, StoreResult};

/// Headers of an export.
pub const HEADERS: [(HeaderName, &str); 2] =
    [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"calls.csv\"")];
/// Calls that are read at a time.
const PAGE_ROWS: usize = 500;
/// Exports of one business under way at a time: each holds a page of calls, and who does not read on holds it for a while.
const EXPORTS_OF_BUSINESS_MAX: usize = 4;
/// Exports under way in all.
const EXPORTS_MAX: usize = 12;
/// Bytes of the CSV writer's buffer: at each end of it, the rest of a cell is searched for quotes once more.
const BUFFER_BYTES: usize = 1_024 * 1_024;
/// The columns before the attribution's.
const COLUMNS_BEFORE: [&str; 23] = [
    "id",
    "source_call_id",
    "call_flow_id",
    "call_flow_name",
    "tracking_number",
    "caller_number",
    "destination_number",
    "direction",
    "status",
    "duration_seconds",
    "started_at",
    "ended_at",
    "recording_url",
    "recording_duration",
    "ai_processed",
    "ai_score",
    "ai_category",
    "qualified_ai",
    "qualification_reason",
    "summary",
    "transcription",
    "robo_score",
    "value_cents",
];
/// The columns after the attribution's.
const COLUMNS_AFTER: [&str; 3] = ["cost_cents", "reported_at", "updated_at"];

/// The places of exports under way.
#[must_use]
pub fn places() -> Places<BusinessId> {
    Places::new(EXPORTS_OF_BUSINESS_MAX, EXPORTS_MAX)
}

/// Calls that match, as they are read.
pub async fn calls(
    app: Arc<App>,
    business_id: BusinessId,
    filter: CallFilter,
) -> StoreResult<impl Stream<Item = StoreResult<Bytes>> + Send + use<>> {
    let full = StoreError::Busy("as many exports as may be are under way: wait until one has ended");
    let place = app.exports.enter(business_id).ok_or(full)?;
    let reader = PageReader { app, business_id, filter, _place: place };
    // The first page is read before the answer begins, so that a failure still has a status.
    let first = reader.read(None).await?;
    let head = csv_bytes(|writer| {
        writer.write_record(COLUMNS_BEFORE.iter().chain(Attribution::FIELDS).chain(&COLUMNS_AFTER))
    });
    let begin = Next::Page { page: first, head };
    Ok(stream::try_unfold((reader, begin), |(reader, next)| async move {
        let (page, head) = match next {
            Next::Page { page, head } => (page, head),
            Next::Before(id) => (reader.read(Some(id)).await?, Vec::new()),
            Next::End => return Ok::<_, StoreError>(None),
        };
        let rows = csv_bytes(|writer| {
            page.rows.iter().try_for_each(|call| write_call(writer, call, &reader.app.public_url))
        });
        let next = page.next(|call| *call.id.as_bytes());
        let next = next.map_or(Next::End, |id| Next::Before(CallId::from_bytes(id)));
        Ok(Some((Bytes::from([head, rows].concat()), (reader, next))))
    }))
}

/// What is sent next. It is read when the client has taken what came before.
enum Next {
    /// The first page, behind the names of the columns.
    Page { page: Page<Call>, head: Vec<u8> },
    /// Calls before this one.
    Before(CallId),
    /// Nothing.
    End,
}

struct PageReader {
    app: Arc<App>,
    business_id: BusinessId,
    filter: CallFilter,
    _place: Place<BusinessId>,
}

impl PageReader {
    async fn read(&self, before: Option<CallId>) -> StoreResult<Page<Call>> {
        self.app.store.list_calls(self.business_id, self.filter.clone(), before, PAGE_ROWS).await
    }
}

fn csv_bytes(write: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> csv::Result<()>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .buffer_capacity(BUFFER_BYTES)
        .from_writer(Vec::new());
    // Cannot fail: it is written to memory, and every record has the same number of cells.
    let _ = write(&mut writer);
    writer.into_inner().unwrap_or_default()
}

fn write_call(writer: &mut csv::Writer<Vec<u8>>, call: &Call, public_url: &str) -> csv::Result<()> {
    let analysis = &call.analysis;
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let score = |score: Option<Score>| score.map(|score| score.get().to_string());
    let recording = call.recording.as_ref().and_then(|recording| recording.duration_seconds);
    let mut cells: Vec<Option<Cow<'_, str>>> = vec![
        Some(call.id.to_string().into()),
        text(call.source_call_id.as_deref()),
        call.call_flow_id.map(|id| id.to_string().into()),
        text(call.call_flow_name.as_deref()),
        text(call.tracking_number.as_ref().map(PhoneNumber::as_str)),
        text(Some(call.caller_number.as_str())),
        text(call.destination_number.as_ref().map(Party::as_str)),
        Some(call.direction.as_str().into()),
        Some(call.status.as_str().into()),
        Some(call.duration_seconds.to_string().into()),
        Some(call.started_at.to_string().into()),
        Some(call.ended_at.to_string().into()),
        call.recording_token.as_deref().map(|token| recording_url(public_url, token).into()),
        number(recording.map(i64::from)).map(Into::into),
        Some(call.ai_processed.to_string().into()),
        score(analysis.ai_score).map(Into::into),
        analysis.ai_category.map(AiCategory::as_str).map(Into::into),
        analysis.qualified_ai.map(|qualified| qualified.to_string().into()),
        text(analysis.qualification_reason.as_deref()),
        text(analysis.summary.as_deref()),
        text(analysis.transcription.as_deref()),
        score(analysis.robo_score).map(Into::into),
        number(call.value_cents).map(Into::into),
    ];
    cells.extend(call.attribution.values().map(text));
    cells.extend([
        number(call.cost_cents).map(Into::into),
        Some(call.reported_at.to_string().into()),
        Some(call.updated_at.to_string().into()),
    ]);
    writer.write_record(cells.iter().map(|cell| cell.as_deref().unwrap_or_default()))
}

fn text(value: Option<&str>) -> Option<Cow<'_, str>> {
    value.map(safe_cell)
}

/// A text that no spreadsheet takes for a formula.
fn safe_cell(text: &str) -> Cow<'_, str> {
    let begins_formula =
        |c: char| matches!(c, '=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}');
    // Some spreadsheets pass over white space and what cannot be seen in front of a formula.
    let visible = text.trim_start_matches(is_passed_over);
    if text.starts_with(['\t', '\r', '\n']) || visible.starts_with(begins_formula) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// White space, control characters, and characters without width.
fn is_passed_over(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(safe_cell(text), expected);
    }

    #[test]
    fn cells_that_look_like_formulas_begin_with_an_apostrophe() {
        check("=1+1", "'=1+1");
        check("+15735551234", "'+15735551234");
        check("-1", "'-1");
        check("@SUM(A1)", "'@SUM(A1)");
        check("\t=1", "'\t=1");
        check("\rx", "'\rx");
        check("  =1", "'  =1");
        check("\u{ff1d}1", "'\u{ff1d}1");
        for hidden in [
            "\0",
            "\u{1f}",
            "\u{7f}",
            "\u{200b}",
            "\u{200f}",
            "\u{202e}",
            "\u{2060}",
            "\u{feff}",
            " \u{feff}\0 ",
        ] {
            check(&format!("{hidden}=1"), &format!("'{hidden}=1"));
            check(&format!("{hidden}a=1"), &format!("{hidden}a=1"));
        }
        check("anonymous", "anonymous");
        check("a=1", "a=1");
        check("", "");
    }

    #[test]
    fn every_cell_is_quoted() {
        let written = csv_bytes(|writer| writer.write_record(["", "a;=1", "5"]));
        assert_eq!(String::from_utf8(written).unwrap(), "\"\",\"a;=1\",\"5\"\n");
    }
}
