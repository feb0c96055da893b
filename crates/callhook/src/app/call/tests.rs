//! Start, end and duration: each is told from the others.

use super::*;
use serde_json::json;
use std::sync::Arc;

const NOW: &str = "2026-03-30T15:00:00Z";

fn read(fields: &Value) -> Result<EndedCall, Invalid> {
    let mut report =
        json!({"tracking_number": "+15735551234", "caller_number": "anonymous", "status": "completed"});
    for (name, value) in fields.as_object().unwrap() {
        report[name] = value.clone();
    }
    let document: CallDocument = document::read_value(report)?;
    let check: AddressCheck = Arc::new(|_| Ok(()));
    document.ended_call(Country::US, NOW.parse().unwrap(), &check)
}

/// `expected`: start, end, seconds.
#[track_caller]
fn check_span(fields: &Value, expected: (&str, &str, u32)) {
    let call = read(fields).unwrap();
    let got = (call.started_at.to_string(), call.ended_at.to_string(), call.duration_seconds);
    assert_eq!((got.0.as_str(), got.1.as_str(), got.2), expected, "{fields}");
}

#[test]
fn what_is_left_out_of_the_span_follows_from_the_rest() {
    let (start, end) = ("2026-03-30T14:30:00Z", "2026-03-30T14:32:25Z");
    check_span(&json!({}), (NOW, NOW, 0));
    check_span(&json!({"duration_seconds": 60}), ("2026-03-30T14:59:00Z", NOW, 60));
    check_span(&json!({"started_at": start}), (start, start, 0));
    check_span(&json!({"started_at": start, "duration_seconds": 145}), (start, end, 145));
    check_span(&json!({"ended_at": end, "duration_seconds": 145}), (start, end, 145));
    check_span(&json!({"ended_at": end}), (end, end, 0));
    check_span(&json!({"started_at": start, "ended_at": end}), (start, end, 145));
    check_span(&json!({"started_at": start, "ended_at": end, "duration_seconds": 138}), (start, end, 138));
    check_span(&json!({"started_at": start, "ended_at": null}), (start, start, 0));
}

#[test]
fn a_span_that_cannot_be_is_refused() {
    let refused = |fields: Value| read(&fields).unwrap_err().field;
    assert_eq!(refused(json!({"started_at": NOW, "ended_at": "2026-03-30T14:59:59Z"})), "ended_at");
    assert_eq!(refused(json!({"started_at": "2026-03-01", "ended_at": "2026-03-30"})), "ended_at");
}

#[test]
fn blank_texts_are_not_given() {
    let call = read(&json!({
        "source_call_id": " ", "destination_number": "", "transcription": "", "call_flow_id": "", "attribution": {"gclid": ""},
    }))
    .unwrap();
    assert_eq!((call.source_call_id, call.destination_number, call.transcription), (None, None, None));
    assert_eq!((call.call_flow_id, call.attribution), (None, Attribution::default()));
}

#[test]
fn what_somebody_else_has_changed_meanwhile_is_not_overwritten() {
    let check = |seen: Value, current: Value, wanted: Value| {
        check_not_overtaken(&seen, &current, &wanted).err().map(|refused| refused.field)
    };
    let (five, six, seven) =
        (json!({"value_cents": 5}), json!({"value_cents": 6}), json!({"value_cents": 7}));
    assert_eq!(check(five.clone(), five.clone(), six.clone()), None);
    assert_eq!(check(five.clone(), seven, six.clone()).as_deref(), Some("value_cents"));
    assert_eq!(check(five, six.clone(), six.clone()), None, "the same form again");
    assert_eq!(check(json!({}), six.clone(), six), None, "what is not changed here");
    let source = |source: Option<&str>| json!({"attribution": source.map_or(json!({}), |source| json!({"source": source}))});
    let before = json!({"attribution": {"source": null}});
    assert_eq!(check(before.clone(), source(None), source(Some("bing"))), None);
    let refused = check(before, source(Some("google")), source(Some("bing")));
    assert_eq!(refused.as_deref(), Some("attribution.source"));
}
