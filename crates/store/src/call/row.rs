//! A call's row: its columns in one order for reading and writing.

use crate::engine::{Row, Value};
use crate::error::{StoreError, StoreResult};
use crate::seal::Keyring;
use crate::tx::Tx;
use domain::analysis::{AiCategory, Analysis, Score};
use domain::attribution::Attribution;
use domain::call::{Call, CallStatus, Direction, Recording};
use domain::phone_number::{Country, Party, PhoneNumber};
use domain::secret::Secret;

/// The columns that [`read`] takes and [`insert`] fills.
pub(crate) const COLUMNS: &str = "business_id, id, reported_by, source_call_id, call_flow_id, call_flow_name, number_id,
    tracking_number, caller_number, destination_number, direction, status, duration_seconds, started_at, ended_at,
    recording_token, recording_sealed, recording_duration, transcription, summary, ai_score, ai_category, qualified_ai,
    qualification_reason, robo_score, ai_processed, source, landing_page_url, referrer_url, utm_source, utm_medium,
    utm_campaign, utm_term, utm_content, gclid, fbclid, msclkid, value_cents, cost_cents, reported_at, updated_at";
const INSERT: &str = "INSERT INTO calls (business_id, id, reported_by, source_call_id, call_flow_id, call_flow_name, number_id,
    tracking_number, caller_number, destination_number, direction, status, duration_seconds, started_at, ended_at,
    recording_token, recording_sealed, recording_duration, transcription, summary, ai_score, ai_category, qualified_ai,
    qualification_reason, robo_score, ai_processed, source, landing_page_url, referrer_url, utm_source, utm_medium,
    utm_campaign, utm_term, utm_content, gclid, fbclid, msclkid, value_cents, cost_cents, reported_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26,
    ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41)";
/// What can change of a call after its report.
const UPDATE: &str = "UPDATE calls SET recording_token = ?3, recording_sealed = ?4, recording_duration = ?5, transcription = ?6,
    summary = ?7, ai_score = ?8, ai_category = ?9, qualified_ai = ?10, qualification_reason = ?11, robo_score = ?12,
    ai_processed = ?13, source = ?14, landing_page_url = ?15, referrer_url = ?16, utm_source = ?17, utm_medium = ?18,
    utm_campaign = ?19, utm_term = ?20, utm_content = ?21, gclid = ?22, fbclid = ?23, msclkid = ?24, value_cents = ?25,
    cost_cents = ?26, updated_at = ?27 WHERE business_id = ?1 AND id = ?2";

/// Writes a new call.
pub(crate) fn insert(tx: &mut Tx<'_>, call: &Call) -> StoreResult<()> {
    let sealed = sealed_recording(tx, call);
    let mut values: Vec<Value<'_>> = vec![
        (&call.business_id).into(),
        (&call.id).into(),
        (&call.reported_by).into(),
        call.source_call_id.as_ref().into(),
        call.call_flow_id.as_ref().into(),
        call.call_flow_name.as_ref().into(),
        call.number_id.as_ref().into(),
        call.tracking_number.as_ref().map(PhoneNumber::as_str).into(),
        call.caller_number.as_str().into(),
        call.destination_number.as_ref().map(Party::as_str).into(),
        call.direction.as_str().into(),
        call.status.as_str().into(),
        call.duration_seconds.into(),
        call.started_at.into(),
        call.ended_at.into(),
    ];
    push_changing(&mut values, call, sealed);
    values.insert(values.len() - 1, call.reported_at.into());
    tx.sql().put(INSERT, &values)
}

/// Writes what can change of a call.
pub(crate) fn update(tx: &mut Tx<'_>, call: &Call) -> StoreResult<()> {
    let sealed = sealed_recording(tx, call);
    let mut values: Vec<Value<'_>> = vec![(&call.business_id).into(), (&call.id).into()];
    push_changing(&mut values, call, sealed);
    tx.sql().execute(UPDATE, &values).map(drop)
}

fn sealed_recording(tx: &Tx<'_>, call: &Call) -> Option<Vec<u8>> {
    call.recording.as_ref().map(|recording| tx.seal(recording.url.reveal()))
}

fn push_changing<'a>(values: &mut Vec<Value<'a>>, call: &'a Call, recording_sealed: Option<Vec<u8>>) {
    let analysis = &call.analysis;
    values.extend([
        call.recording_token.as_ref().into(),
        recording_sealed.into(),
        call.recording.as_ref().and_then(|recording| recording.duration_seconds).into(),
        analysis.transcription.as_ref().into(),
        analysis.summary.as_ref().into(),
        analysis.ai_score.map(Score::get).into(),
        analysis.ai_category.map(AiCategory::as_str).into(),
        analysis.qualified_ai.into(),
        analysis.qualification_reason.as_ref().into(),
        analysis.robo_score.map(Score::get).into(),
        call.ai_processed.into(),
    ]);
    values.extend(call.attribution.values().map(Value::from));
    values.extend([call.value_cents.into(), call.cost_cents.into(), call.updated_at.into()]);
}

/// Reads a call; a recording's address that cannot be opened is an error, never a missing recording.
pub(crate) fn read(row: &dyn Row, keyring: &Keyring) -> StoreResult<Call> {
    let recording = match row.opt_blob(16)? {
        Some(sealed) => Some(Recording {
            url: Secret::new(keyring.open_text(&sealed)?),
            duration_seconds: row.opt_number(17)?,
        }),
        None => None,
    };
    Ok(Call {
        business_id: row.id(0)?,
        id: row.id(1)?,
        reported_by: row.text(2)?,
        source_call_id: row.opt_text(3)?,
        call_flow_id: row.opt_id(4)?,
        call_flow_name: row.opt_text(5)?,
        number_id: row.opt_id(6)?,
        tracking_number: row.opt_word(7, |text| PhoneNumber::parse(text, Country::US).ok())?,
        caller_number: row.text(8).map(stored_party)?,
        destination_number: row.opt_text(9)?.map(stored_party),
        direction: row.word(10, Direction::from_word)?,
        status: row.word(11, CallStatus::from_word)?,
        duration_seconds: row.number(12)?,
        started_at: row.time(13)?,
        ended_at: row.time(14)?,
        recording_token: row.opt_text(15)?,
        recording,
        analysis: read_analysis(row)?,
        ai_processed: row.bool(25)?,
        attribution: read_attribution(row)?,
        value_cents: row.opt_int(37)?,
        cost_cents: row.opt_int(38)?,
        reported_at: row.time(39)?,
        updated_at: row.time(40)?,
    })
}

/// A party was read by its country when it came in: what has a `+` is a number, all else a word.
pub(super) fn stored_party(text: String) -> Party {
    match PhoneNumber::parse(&text, Country::US) {
        Ok(number) if text.starts_with('+') => Party::Number(number),
        _ => Party::Word(text),
    }
}

fn read_analysis(row: &dyn Row) -> StoreResult<Analysis> {
    let score = |column| {
        let score = row.opt_int(column)?.map(Score::new).transpose();
        score.map_err(|refused| StoreError::Corrupt(refused.to_string()))
    };
    Ok(Analysis {
        transcription: row.opt_text(18)?,
        summary: row.opt_text(19)?,
        ai_score: score(20)?,
        ai_category: row.opt_word(21, AiCategory::from_word)?,
        qualified_ai: row.opt_int(22)?.map(|qualified| qualified != 0),
        qualification_reason: row.opt_text(23)?,
        robo_score: score(24)?,
    })
}

fn read_attribution(row: &dyn Row) -> StoreResult<Attribution> {
    Ok(Attribution {
        source: row.opt_text(26)?,
        landing_page_url: row.opt_text(27)?,
        referrer_url: row.opt_text(28)?,
        utm_source: row.opt_text(29)?,
        utm_medium: row.opt_text(30)?,
        utm_campaign: row.opt_text(31)?,
        utm_term: row.opt_text(32)?,
        utm_content: row.opt_text(33)?,
        gclid: row.opt_text(34)?,
        fbclid: row.opt_text(35)?,
        msclkid: row.opt_text(36)?,
    })
}
