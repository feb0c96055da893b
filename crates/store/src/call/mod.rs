//! Calls: recorded, listed, corrected, completed by AI, erased.

mod caller;
mod record;
pub(crate) mod row;

pub use record::{Recorded, Reporter};
pub(crate) use record::{id_by_source, record};

use crate::Store;
use crate::delivery::{self, plan};
use crate::engine::Row;
use crate::engine::group::Demand;
use crate::error::{StoreError, StoreResult};
use crate::limits::{CALL_CHANGED_ROWS, PAGE_BYTES_MAX};
use crate::list::{Page, Search, Table, like, like_number};
use crate::tx::Tx;
use domain::analysis::{AiCategory, Analysis};
use domain::attribution::Attribution;
use domain::call::{Call, CallStatus, Direction, Recording};
use domain::id::{BusinessId, CallFlowId, CallId, NumberId};
use domain::{Invalid, Timestamp};
use failpoint::{Point, reach};
use std::ops::ControlFlow;

/// Which calls are listed. All conditions hold together.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Began at or after.
    pub start_date: Option<Timestamp>,
    /// Began before.
    pub end_date: Option<Timestamp>,
    /// Changed at or after.
    pub updated_since: Option<Timestamp>,
    /// Ended so.
    pub status: Option<CallStatus>,
    /// Who called whom.
    pub direction: Option<Direction>,
    /// Traffic source.
    pub source: Option<String>,
    /// Ran this flow.
    pub call_flow_id: Option<CallFlowId>,
    /// Came over this number.
    pub number_id: Option<NumberId>,
    /// Lasted at least so many seconds.
    pub min_duration: Option<u32>,
    /// Lasted at most so many seconds.
    pub max_duration: Option<u32>,
    /// Scored at least.
    pub min_ai_score: Option<u8>,
    /// Scored at most.
    pub max_ai_score: Option<u8>,
    /// Kind of call.
    pub ai_category: Option<AiCategory>,
    /// Whether AI takes it for a qualified lead.
    pub qualified: Option<bool>,
    /// Found in a number, the source's id, the flow's name, the summary or the transcript.
    pub search: Option<String>,
}

/// What a person can correct of a call. `Some(None)` takes a value away.
#[derive(Clone, Debug, Default)]
pub struct CallCorrection {
    /// New attribution.
    pub attribution: Option<Attribution>,
    /// New value.
    pub value_cents: Option<Option<i64>>,
    /// New cost.
    pub cost_cents: Option<Option<i64>>,
}

/// Calls of one source that ended in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCount {
    /// The traffic source.
    pub source: Option<String>,
    /// How they ended.
    pub status: CallStatus,
    /// How many.
    pub count: u64,
}

const COUNT: &str = "SELECT source, status, count(*) FROM (SELECT source, status FROM calls
    WHERE business_id = ?1 AND id >= ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4) AS latest GROUP BY source, status";
const NUMBERS_SEARCHED: &str = "caller_number LIKE ? ESCAPE '\\' OR tracking_number LIKE ? ESCAPE '\\' OR destination_number LIKE ? ESCAPE '\\'";
const TEXTS_SEARCHED: &str =
    "source_call_id LIKE ? ESCAPE '\\' OR call_flow_name LIKE ? ESCAPE '\\' OR summary LIKE ? ESCAPE '\\'
    OR transcription LIKE ? ESCAPE '\\'";
const DELETE: &str = "DELETE FROM calls WHERE business_id = ?1 AND id = ?2";
const SELECT_REPORTED: &str =
    "SELECT reported_by, source_call_id FROM calls WHERE business_id = ?1 AND id = ?2";
const INSERT_TOMBSTONE: &str = "INSERT INTO tombstones (business_id, hash, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (business_id, hash) DO NOTHING";

impl Store {
    /// A call.
    pub async fn call(&self, business_id: BusinessId, id: CallId) -> StoreResult<Call> {
        self.read(move |tx| find(tx, business_id, id)).await
    }

    /// The call behind a recording link. The token is the secret: it needs no business.
    pub async fn call_by_recording_token(&self, token: String) -> StoreResult<Call> {
        self.read(move |tx| by_recording_token(tx, &token)?.ok_or(StoreError::NotFound("recording"))).await
    }

    /// The business's calls that match, newest first.
    pub async fn list_calls(
        &self,
        business_id: BusinessId,
        filter: CallFilter,
        before: Option<CallId>,
        limit: usize,
    ) -> StoreResult<Page<Call>> {
        self.read(move |tx| list(tx, business_id, filter, before, limit)).await
    }

    /// The business's calls that were reported within a span, counted by traffic source and by status; of more than `most`, the latest.
    pub async fn count_calls(
        &self,
        business_id: BusinessId,
        since: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> StoreResult<Vec<CallCount>> {
        self.read(move |tx| {
            let span =
                [business_id.into(), CallId::floor(since).into(), CallId::floor(until).into(), most.into()];
            tx.sql().rows(COUNT, &span, |row| {
                let status = row.word(1, CallStatus::from_word)?;
                Ok(CallCount { source: row.opt_text(0)?, status, count: row.number(2)? })
            })
        })
        .await
    }

    /// The latest call of a flow.
    pub async fn latest_call(
        &self,
        business_id: BusinessId,
        call_flow_id: CallFlowId,
    ) -> StoreResult<Option<Call>> {
        let filter = CallFilter { call_flow_id: Some(call_flow_id), ..CallFilter::default() };
        Ok(self.list_calls(business_id, filter, None, 1).await?.rows.into_iter().next())
    }

    /// Corrects a call. Deliveries that are due already keep their frozen body.
    pub async fn correct_call(
        &self,
        business_id: BusinessId,
        id: CallId,
        change: impl Fn(&Call) -> Result<CallCorrection, Invalid> + Send + 'static,
    ) -> StoreResult<Call> {
        self.write_as(Demand::of(CALL_CHANGED_ROWS).gathered(), move |tx| {
            let mut call = find_to_change(tx, business_id, id)?;
            let correction = change(&call)?;
            call.attribution = correction.attribution.unwrap_or(call.attribution);
            call.value_cents = correction.value_cents.unwrap_or(call.value_cents);
            call.cost_cents = correction.cost_cents.unwrap_or(call.cost_cents);
            save(tx, call)
        })
        .await
    }

    /// Completes AI for a call: what waits for it becomes due in the same commit, exactly once.
    pub async fn finish_analysis(
        &self,
        business_id: BusinessId,
        id: CallId,
        analysis: Analysis,
    ) -> StoreResult<Call> {
        self.write_as(Demand::of(CALL_CHANGED_ROWS).gathered(), move |tx| {
            let mut call = find_to_change(tx, business_id, id)?;
            let analysis = analysis.clone();
            call.analysis = Analysis {
                // A transcription or robocall score that came with the report stays unless there is a newer one.
                transcription: analysis.transcription.or(call.analysis.transcription),
                robo_score: analysis.robo_score.or(call.analysis.robo_score),
                ..analysis
            };
            call.ai_processed = true;
            let call = save(tx, call)?;
            plan::make_waiting_due(tx, &call)?;
            Ok(call)
        })
        .await
    }

    /// Attaches a recording to a call.
    pub async fn attach_recording(
        &self,
        business_id: BusinessId,
        id: CallId,
        recording: Recording,
    ) -> StoreResult<Call> {
        self.write_as(Demand::of(CALL_CHANGED_ROWS).gathered(), move |tx| {
            attach_recording(tx, business_id, id, recording.clone())
        })
        .await
    }

    /// Erases a call: its row, its deliveries with their attempts and bodies. A late repeat of its report is refused.
    pub async fn erase_call(&self, business_id: BusinessId, id: CallId) -> StoreResult<()> {
        self.write(move |tx| {
            erase(tx, business_id, id)?;
            tx.tell_erased()
        })
        .await
    }
}

impl CallFilter {
    /// What leads to fewer rows stands first.
    fn search(self, business_id: BusinessId) -> Search {
        let unanswered = self.status.filter(|status| *status != CallStatus::Completed);
        let completed = self.status.filter(|status| *status == CallStatus::Completed);
        let outbound = self.direction.filter(|direction| *direction == Direction::Outbound);
        let inbound = self.direction.filter(|direction| *direction == Direction::Inbound);
        let mut search = Search::default();
        search
            .within("business_id = ?", Some(business_id))
            .led("number_id = ?", self.number_id, Some("number_id IS NOT NULL"))
            .led("direction = ?", outbound.map(Direction::as_str), Some("direction = 'outbound'"))
            .led("status = ?", unanswered.map(CallStatus::as_str), Some("status <> 'completed'"))
            .led("ai_category = ?", self.ai_category.map(AiCategory::as_str), Some("ai_category IS NOT NULL"))
            .led("qualified_ai = ?", self.qualified, Some("qualified_ai IS NOT NULL"))
            .led("call_flow_id = ?", self.call_flow_id, None)
            .led("source = ?", self.source, Some("source IS NOT NULL"))
            .asked("status = ?", completed.map(CallStatus::as_str))
            .asked("direction = ?", inbound.map(Direction::as_str))
            .asked("started_at >= ?", self.start_date)
            .asked("started_at < ?", self.end_date)
            .asked("updated_at >= ?", self.updated_since)
            .asked("duration_seconds >= ?", self.min_duration)
            .asked("duration_seconds <= ?", self.max_duration)
            .asked("ai_score >= ?", self.min_ai_score)
            .asked("ai_score <= ?", self.max_ai_score)
            .asked_either([
                (NUMBERS_SEARCHED, self.search.as_deref().map(like_number)),
                (TEXTS_SEARCHED, self.search.as_deref().map(like)),
            ]);
        search
    }
}

/// Erases a call inside a transaction, which tells that something was erased. Nothing is read of it but by whom it was reported: what cannot be read can be erased.
pub(crate) fn erase(tx: &mut Tx<'_>, business_id: BusinessId, id: CallId) -> StoreResult<()> {
    let reported = |row: &dyn Row| Ok((row.text(0).ok(), row.opt_text(1).ok().flatten()));
    let found = tx.sql().row(SELECT_REPORTED, &[business_id.into(), id.into()], reported)?;
    if let (Some(reported_by), Some(source_call_id)) = found.ok_or(StoreError::NotFound("call"))? {
        let hash = tx.keyring().tombstone(&reported_by, &source_call_id);
        let now = tx.now();
        tx.sql().execute(INSERT_TOMBSTONE, &[business_id.into(), (&hash).into(), now.into()])?;
        crate::source::forget_call(tx, business_id, &reported_by, &source_call_id)?;
    }
    delivery::erase::deliveries_of_call(tx, business_id, id)?;
    reach(Point::CallErased);
    crate::idempotency::erase_call(tx, business_id, id)?;
    tx.sql().execute(DELETE, &[business_id.into(), id.into()]).map(drop)
}

/// One page of the calls that match; it ends at `limit` rows, or where its texts come to [`PAGE_BYTES_MAX`].
pub(crate) fn list(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    filter: CallFilter,
    before: Option<CallId>,
    limit: usize,
) -> StoreResult<Page<Call>> {
    let mut search = filter.search(business_id);
    search.within("id < ?", before);
    let table = Table { name: "calls", columns: row::COLUMNS, business: "business_id", id: "id" };
    let (keyring, mut bytes) = (tx.keyring(), 0);
    search.page(tx, business_id, &table, limit, |found| {
        let call = row::read(found, keyring)?;
        bytes += text_bytes(&call);
        let more = if bytes > PAGE_BYTES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        Ok((call, more))
    })
}

/// What a call's long texts take; the others are bounded to a few KB.
fn text_bytes(call: &Call) -> usize {
    let Analysis { transcription, summary, qualification_reason, .. } = &call.analysis;
    [transcription, summary, qualification_reason].into_iter().flatten().map(String::len).sum()
}

/// The call whose recording link holds the token.
pub(crate) fn by_recording_token(tx: &mut Tx<'_>, token: &str) -> StoreResult<Option<Call>> {
    let sql = format!("SELECT {} FROM calls WHERE recording_token = ?1", row::COLUMNS);
    let keyring = tx.keyring();
    tx.sql().row(&sql, &[token.into()], |found| row::read(found, keyring))
}

/// The call as it stands in this transaction.
pub(crate) fn find(tx: &mut Tx<'_>, business_id: BusinessId, id: CallId) -> StoreResult<Call> {
    let sql = format!("SELECT {} FROM calls WHERE business_id = ?1 AND id = ?2", row::COLUMNS);
    let keyring = tx.keyring();
    let found = tx.sql().row(&sql, &[business_id.into(), id.into()], |found| row::read(found, keyring))?;
    found.ok_or(StoreError::NotFound("call"))
}

/// The call as the one before has left it who changes it as well.
fn find_to_change(tx: &mut Tx<'_>, business_id: BusinessId, id: CallId) -> StoreResult<Call> {
    tx.sql().claim("call", &[business_id.into(), id.into()])?;
    find(tx, business_id, id)
}

/// Attaches a recording inside a transaction.
pub(crate) fn attach_recording(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    id: CallId,
    recording: Recording,
) -> StoreResult<Call> {
    let mut call = find_to_change(tx, business_id, id)?;
    call.recording = Some(recording);
    if call.recording_token.is_none() {
        call.recording_token = Some(record::new_recording_token(tx));
    }
    save(tx, call)
}

fn save(tx: &mut Tx<'_>, mut call: Call) -> StoreResult<Call> {
    call.updated_at = tx.now();
    row::update(tx, &call)?;
    Ok(call)
}
