//! A call's end is recorded together with its deliveries, in one transaction.

use super::row;
use crate::call_flow::{self, OpenFlow};
use crate::delivery::plan;
use crate::engine::group::Demand;
use crate::error::{StoreError, StoreResult};
use crate::idempotency::{Answer, Once, Render};
use crate::tx::{Reported, Tx};
use crate::{Store, api_key, number};
use domain::Invalid;
use domain::analysis::Analysis;
use domain::attribution::Attribution;
use domain::call::{Call, EndedCall};
use domain::firing::{self, Expectations};
use domain::id::{ApiKeyId, BusinessId, CallId};
use domain::number::TrackingNumber;
use failpoint::{Point, reach};

/// Who reports a call.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// Whose call it is.
    pub business_id: BusinessId,
    /// The key that let the report in, checked again in the transaction.
    pub key_id: Option<ApiKeyId>,
    /// Which source it is, so that source ids of two systems do not meet: `api`, or a source's id.
    pub reported_by: String,
}

/// A recorded call.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The call as it stands.
    pub call: Call,
    /// Whether this report made it; else it was known, and nothing was fired.
    pub is_new: bool,
}

const FIND_BY_SOURCE: &str =
    "SELECT id FROM calls WHERE business_id = ?1 AND reported_by = ?2 AND source_call_id = ?3";
/// The call or, where it was erased, its tombstone: asked for together, since each question costs a way to a server and back.
const FIND_KNOWN: &str =
    "SELECT id FROM calls WHERE business_id = ?1 AND reported_by = ?2 AND source_call_id = ?3
    UNION ALL SELECT NULL FROM tombstones WHERE business_id = ?1 AND hash = ?4";

impl Store {
    /// Records a call that has ended and plans its deliveries. Idempotent by the reporter and its source id.
    pub async fn record_call(
        &self,
        reporter: Reporter,
        once: Option<(Once, Render<Recorded>)>,
        call: EndedCall,
    ) -> StoreResult<Answer<Recorded>> {
        self.write_once_as(Demand::of(1).gathered(), reporter.business_id, once, move |tx| {
            check_reporter(tx, &reporter)?;
            record(tx, &reporter, call.clone())
        })
        .await
    }

    /// Records several calls in one transaction; each is refused alone. At most [`domain::limits::BATCH_CALLS_MAX`].
    #[allow(clippy::type_complexity, reason = "the render of a list of results has no shorter name")]
    pub async fn record_calls(
        &self,
        reporter: Reporter,
        once: Option<(Once, Render<Vec<Result<Recorded, Invalid>>>)>,
        calls: Vec<Result<EndedCall, Invalid>>,
    ) -> StoreResult<Answer<Vec<Result<Recorded, Invalid>>>> {
        let demand = Demand::of(calls.len()).gathered();
        self.write_once_as(demand, reporter.business_id, once, move |tx| {
            check_reporter(tx, &reporter)?;
            tx.each(&calls, |tx, call| record_alone(tx, &reporter, call.clone()))
        })
        .await
    }
}

fn check_reporter(tx: &mut Tx<'_>, reporter: &Reporter) -> StoreResult<()> {
    reporter.key_id.map_or(Ok(()), |key_id| api_key::check_active(tx, reporter.business_id, key_id))
}

/// A call that is refused before anything of it was written does not take the others with it.
fn record_alone(
    tx: &mut Tx<'_>,
    reporter: &Reporter,
    call: Result<EndedCall, Invalid>,
) -> StoreResult<Result<Recorded, Invalid>> {
    let refused = match call.map(|call| record(tx, reporter, call)) {
        Ok(Ok(recorded)) => return Ok(Ok(recorded)),
        Ok(Err(StoreError::Invalid(refused))) | Err(refused) => refused,
        Ok(Err(StoreError::Conflict(reason))) => Invalid::field("source_call_id", reason),
        Ok(Err(other)) => return Err(other),
    };
    tx.tell_reported(Reported::Refused);
    Ok(Err(refused))
}

/// Records one call. What it refuses, it refuses before it writes.
pub(crate) fn record(tx: &mut Tx<'_>, reporter: &Reporter, ended: EndedCall) -> StoreResult<Recorded> {
    if let Some(known) = find_known(tx, reporter, ended.source_call_id.as_deref())? {
        tx.show(known.id);
        tx.tell_reported(Reported::Known);
        return Ok(Recorded { call: known, is_new: false });
    }
    let number = match &ended.tracking_number {
        Some(number) => number::by_phone_number(tx, reporter.business_id, number)?,
        None => None,
    };
    let flow = resolve_flow(tx, reporter.business_id, &ended, number.as_ref())?;
    let expected = Expectations::of(&ended, flow.as_ref().map(|open| &open.flow));
    let call = new_call(tx, reporter, ended, number.as_ref(), flow.as_ref(), expected);
    row::insert(tx, &call)?;
    reach(Point::CallInserted);
    if let Some(open) = &flow
        && let Some(target) = open.destination.settings.target()
    {
        let mode = open.destination.settings.firing_mode;
        let due = firing::due(mode, expected, call.ended_at, call.reported_at, tx.rules().ai_fallback);
        plan::for_call(tx, &call, &open.destination, target, due)?;
    }
    tx.show(call.id);
    tx.tell_reported(Reported::Created);
    Ok(Recorded { call, is_new: true })
}

fn find_known(
    tx: &mut Tx<'_>,
    reporter: &Reporter,
    source_call_id: Option<&str>,
) -> StoreResult<Option<Call>> {
    let Some(source_call_id) = source_call_id else { return Ok(None) };
    let call_of_source = [reporter.business_id.into(), (&reporter.reported_by).into(), source_call_id.into()];
    tx.sql().claim("call of a source", &call_of_source)?;
    let hash = tx.keyring().tombstone(&reporter.reported_by, source_call_id);
    let [business_id, reported_by, source_call_id] = call_of_source;
    let params = [business_id, reported_by, source_call_id, (&hash).into()];
    let known = tx.sql().rows(FIND_KNOWN, &params, |row| row.opt_id(0))?;
    match known.into_iter().max() {
        None => Ok(None),
        Some(Some(id)) => super::find(tx, reporter.business_id, id).map(Some),
        Some(None) => {
            Err(StoreError::Conflict("this call was erased: a repeated report of it is not taken".to_owned()))
        }
    }
}

/// The call that this reporter knows by its own id.
pub(crate) fn id_by_source(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    reported_by: &str,
    source_call_id: &str,
) -> StoreResult<Option<CallId>> {
    let params = [business_id.into(), reported_by.into(), source_call_id.into()];
    tx.sql().row(FIND_BY_SOURCE, &params, |row| row.id(0))
}

fn resolve_flow(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    ended: &EndedCall,
    number: Option<&TrackingNumber>,
) -> StoreResult<Option<OpenFlow>> {
    if let Some(id) = ended.call_flow_id {
        let missing = || Invalid::field("call_flow_id", "names no call flow of this business");
        return call_flow::find(tx, business_id, id)?.map(Some).ok_or_else(|| missing().into());
    }
    match number.and_then(|number| number.call_flow_id) {
        Some(id) => call_flow::find(tx, business_id, id),
        None => Ok(None),
    }
}

fn new_call(
    tx: &Tx<'_>,
    reporter: &Reporter,
    ended: EndedCall,
    number: Option<&TrackingNumber>,
    flow: Option<&OpenFlow>,
    expected: Expectations,
) -> Call {
    let now = tx.now();
    let no_defaults = Attribution::default();
    let by_flow =
        Attribution { source: flow.and_then(|open| open.flow.source.clone()), ..Attribution::default() };
    let attribution =
        ended.attribution.or(number.map_or(&no_defaults, |number| &number.attribution)).or(&by_flow);
    Call {
        id: CallId::new(now, tx.random()),
        business_id: reporter.business_id,
        reported_by: reporter.reported_by.clone(),
        source_call_id: ended.source_call_id,
        call_flow_id: flow.map(|open| open.flow.id),
        call_flow_name: flow.map(|open| open.flow.name.clone()),
        number_id: number.map(|number| number.id),
        tracking_number: ended.tracking_number,
        caller_number: ended.caller_number,
        destination_number: ended.destination_number,
        direction: ended.direction,
        status: ended.status,
        duration_seconds: ended.duration_seconds,
        started_at: ended.started_at,
        ended_at: ended.ended_at,
        recording_token: expected.recording.then(|| new_recording_token(tx)),
        recording: ended.recording,
        analysis: Analysis {
            transcription: ended.transcription,
            robo_score: ended.robo_score,
            ..Analysis::default()
        },
        ai_processed: false,
        attribution,
        value_cents: ended.value_cents,
        cost_cents: ended.cost_cents,
        reported_at: now,
        updated_at: now,
    }
}

/// 128 random bits in hex: nobody guesses another's recording. The time stands before them, so that new tokens lie side by side in
/// their index: a random place for each would write a page for each.
pub(crate) fn new_recording_token(tx: &Tx<'_>) -> String {
    format!("{:012x}{:032x}", tx.now().as_millis(), u128::from_be_bytes(tx.random()))
}
