//! Callbacks as Twilio and its relatives send them, and as nobody should.

use super::*;

const STATUS: &str = "CallSid=CA1&AccountSid=AC1&From=%2B13055559876&To=%2B15735551234&CallStatus=completed\
    &Direction=inbound&CallDuration=145&Duration=3&Timestamp=Mon%2C+30+Mar+2026+14%3A32%3A25+%2B0000";
const CHILD: &str = "CallSid=CA2&ParentCallSid=CA1&From=%2B13055559876&To=%2B13055554567&CallStatus=completed\
    &Direction=outbound-dial&CallDuration=138&Timestamp=Mon%2C+30+Mar+2026+14%3A32%3A24+%2B0000";
const DIAL: &str = "CallSid=CA1&From=%2B13055559876&To=%2B15735551234&CallStatus=in-progress&Direction=inbound\
    &DialCallStatus=no-answer&DialCallSid=CA2&DialCallDuration=";
const RECORDING: &str = "CallSid=CA1&RecordingSid=RE1&RecordingStatus=completed&RecordingDuration=138\
    &RecordingUrl=https%3A%2F%2Fapi.twilio.com%2FRecordings%2FRE1&RecordingSource=DialVerb";

fn read(endpoint: Endpoint, body: &str) -> Result<Option<Callback>, Invalid> {
    Callback::read(endpoint, &Parameters::read("", body.as_bytes()), Country::US)
}

/// The body with one parameter put in another's place; no value takes it out.
fn with(body: &str, name: &str, value: Option<&str>) -> String {
    let kept = form_urlencoded::parse(body.as_bytes()).filter(|(key, _)| key != name);
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(kept);
    if let Some(value) = value {
        form.append_pair(name, value);
    }
    form.finish()
}

#[track_caller]
fn leg(endpoint: Endpoint, body: &str) -> LegEnd {
    read(endpoint, body).unwrap().unwrap().leg.unwrap()
}

#[track_caller]
fn parent(body: &str) -> ParentEnd {
    match leg(Endpoint::Status, body) {
        LegEnd::Parent(end) => end,
        other => panic!("{other:?}"),
    }
}

fn number(text: &str) -> Party {
    Party::parse(text, Country::US).unwrap()
}

#[test]
fn a_status_callback_is_the_end_of_the_call() {
    let end = parent(STATUS);
    assert_eq!(end.status, LegStatus::Completed);
    assert_eq!(end.line.direction, Direction::Inbound);
    assert_eq!(end.line.caller_number, number("+13055559876"));
    assert_eq!(end.line.tracking_number.unwrap().as_str(), "+15735551234");
    assert_eq!(end.duration_seconds, Some(145));
    assert_eq!(end.ended_at.unwrap().to_string(), "2026-03-30T14:32:25Z");
    assert!(!end.is_machine);
}

#[test]
fn a_parent_id_makes_it_the_end_of_a_dialled_leg() {
    let callback = read(Endpoint::Status, CHILD).unwrap().unwrap();
    assert_eq!(callback.call_sid, "CA1");
    let Some(LegEnd::Child(end)) = callback.leg else { panic!("{callback:?}") };
    assert_eq!(
        (end.sid.as_str(), end.status, end.duration_seconds),
        ("CA2", LegStatus::Completed, Some(138))
    );
    assert_eq!((end.from, end.to), (Some(number("+13055559876")), Some(number("+13055554567"))));
}

#[test]
fn a_dial_action_is_the_end_of_a_dial() {
    let LegEnd::Dial(end) = leg(Endpoint::Dial, DIAL) else { panic!() };
    assert_eq!((end.child_sid.as_deref(), end.status), (Some("CA2"), LegStatus::NoAnswer));
    assert_eq!((end.duration_seconds, end.destination, end.is_call_over), (None, None, false));
    let LegEnd::Dial(end) = leg(Endpoint::Dial, &with(DIAL, "CallStatus", Some("completed"))) else {
        panic!()
    };
    assert!(end.is_call_over);
    let conference = with(&with(DIAL, "DialCallSid", None), "DialCallStatus", Some("answered"));
    let LegEnd::Dial(end) = leg(Endpoint::Dial, &conference) else { panic!() };
    assert_eq!((end.child_sid, end.status), (None, LegStatus::Completed));
}

#[test]
fn a_dial_actions_address_may_name_the_destination() {
    for query in ["destination=%2B13055554567", "destination=+13055554567", "destination=13055554567"] {
        let parameters = Parameters::read(query, DIAL.as_bytes());
        let callback = Callback::read(Endpoint::Dial, &parameters, Country::US).unwrap().unwrap();
        let Some(LegEnd::Dial(end)) = callback.leg else { panic!() };
        assert_eq!(end.destination, Some(number("+13055554567")), "{query}");
    }
}

#[test]
fn a_get_carries_the_same_in_its_query() {
    let of_query = Callback::read(Endpoint::Status, &Parameters::read(STATUS, b""), Country::US);
    assert_eq!(of_query, read(Endpoint::Status, STATUS));
}

#[test]
fn the_person_outside_is_the_caller_in_either_direction() {
    #[track_caller]
    fn check(direction: Option<&str>, caller: &str, tracking: &str) {
        let line = parent(&with(STATUS, "Direction", direction)).line;
        assert_eq!(line.caller_number.as_str(), caller, "{direction:?}");
        assert_eq!(line.tracking_number.unwrap().as_str(), tracking, "{direction:?}");
    }
    check(Some("inbound"), "+13055559876", "+15735551234");
    check(None, "+13055559876", "+15735551234");
    check(Some("outbound-api"), "+15735551234", "+13055559876");
    check(Some("outbound-dial"), "+15735551234", "+13055559876");
}

#[test]
fn callers_without_a_number_are_kept() {
    #[track_caller]
    fn check(from: &str, expected: &str) {
        assert_eq!(parent(&with(STATUS, "From", Some(from))).line.caller_number.as_str(), expected, "{from}");
    }
    check("+266696687", "anonymous");
    check("Anonymous", "anonymous");
    check("", "anonymous");
    check("client:alice", "client:alice");
    check("sip:alice@example.com", "sip:alice@example.com");
    let of_alias = with(&with(STATUS, "From", None), "Caller", Some("+13055559876"));
    assert_eq!(parent(&of_alias).line, parent(STATUS).line);
    let to_sip = parent(&with(STATUS, "To", Some("sip:sales@example.com")));
    assert_eq!(to_sip.line.tracking_number, None);
}

#[test]
fn seconds_come_before_minutes() {
    #[track_caller]
    fn check(seconds: Option<&str>, minutes: Option<&str>, expected: Option<u32>) {
        let body = with(&with(STATUS, "CallDuration", seconds), "Duration", minutes);
        assert_eq!(parent(&body).duration_seconds, expected, "{seconds:?} {minutes:?}");
    }
    check(Some("145"), Some("3"), Some(145));
    check(Some("0"), Some("1"), Some(0));
    check(None, Some("3"), Some(180));
    check(Some(""), None, None);
    check(None, None, None);
}

#[test]
fn each_status_has_its_meaning() {
    use LegStatus::{Busy, Canceled, Completed, Failed, NoAnswer};
    #[track_caller]
    fn check(word: &str, expected: Option<LegStatus>) {
        let callback = read(Endpoint::Status, &with(STATUS, "CallStatus", Some(word))).unwrap();
        let status = callback.map(|callback| match callback.leg {
            Some(LegEnd::Parent(end)) => end.status,
            other => panic!("{other:?}"),
        });
        assert_eq!(status, expected, "{word}");
    }
    check("completed", Some(Completed));
    check("busy", Some(Busy));
    check("no-answer", Some(NoAnswer));
    check("canceled", Some(Canceled));
    check("cancelled", Some(Canceled));
    check("failed", Some(Failed));
    for living in ["queued", "initiated", "ringing", "in-progress"] {
        check(living, None);
    }
}

#[test]
fn machines_are_told_from_people_and_faxes() {
    for (by, expected) in [
        ("human", false),
        ("machine_start", true),
        ("machine_end_beep", true),
        ("machine_end_silence", true),
        ("machine_end_other", true),
        ("fax", false),
        ("unknown", false),
        ("", false),
    ] {
        let LegEnd::Child(end) = leg(Endpoint::Status, &with(CHILD, "AnsweredBy", Some(by))) else {
            panic!()
        };
        assert_eq!(end.is_machine, expected, "{by}");
    }
}

#[test]
fn a_recording_is_fetched_as_mp3() {
    #[track_caller]
    fn check(given: &str, expected: &str) {
        let callback = read(Endpoint::Recording, &with(RECORDING, "RecordingUrl", Some(given))).unwrap();
        let Some(RecordingReport::Made(made)) = callback.unwrap().recording else { panic!("{given}") };
        assert_eq!(made.url.reveal(), expected, "{given}");
        assert_eq!((made.duration_seconds, made.is_mailbox), (Some(138), false));
    }
    check("https://api.twilio.com/Recordings/RE1", "https://api.twilio.com/Recordings/RE1.mp3");
    check("https://api.twilio.com/Recordings/RE1.wav", "https://api.twilio.com/Recordings/RE1.wav");
    check("https://example.com/v1.0/RE1?a=b.c", "https://example.com/v1.0/RE1.mp3?a=b.c");
}

#[test]
fn a_recordings_status_says_what_became_of_it() {
    #[track_caller]
    fn report(name: &str, value: Option<&str>) -> Option<RecordingReport> {
        let callback = read(Endpoint::Recording, &with(RECORDING, name, value)).unwrap();
        callback.and_then(|callback| callback.recording)
    }
    for status in [Some("completed"), None] {
        assert!(matches!(report("RecordingStatus", status), Some(RecordingReport::Made(_))), "{status:?}");
    }
    for status in ["absent", "failed"] {
        assert_eq!(report("RecordingStatus", Some(status)), Some(RecordingReport::Missing), "{status}");
    }
    assert_eq!(report("RecordingStatus", Some("in-progress")), None);
    for unknown in [Some("-1"), Some("soon"), Some(""), None] {
        let Some(RecordingReport::Made(made)) = report("RecordingDuration", unknown) else { panic!() };
        assert_eq!(made.duration_seconds, None, "{unknown:?}");
    }
    let Some(RecordingReport::Made(made)) = report("RecordingSource", Some("RecordVerb")) else { panic!() };
    assert!(made.is_mailbox);
}

#[test]
fn a_recording_beside_a_leg_is_taken_and_a_broken_one_is_left_out() {
    let mentioned = with(DIAL, "RecordingUrl", Some("https://api.twilio.com/Recordings/RE1"));
    assert!(read(Endpoint::Dial, &mentioned).unwrap().unwrap().recording.is_some());
    let broken = with(STATUS, "RecordingUrl", Some("nonsense"));
    assert_eq!(read(Endpoint::Status, &broken).unwrap().unwrap().recording, None);
}

#[test]
fn a_time_that_cannot_be_read_is_no_error() {
    for time in [Some("yesterday"), Some(""), Some("2026-03-30T14:32:25Z"), None] {
        assert_eq!(parent(&with(STATUS, "Timestamp", time)).ended_at, None, "{time:?}");
    }
    let elsewhere = with(STATUS, "Timestamp", Some("Mon, 30 Mar 2026 10:32:25 -0400"));
    assert_eq!(parent(&elsewhere).ended_at, parent(STATUS).ended_at);
}

#[test]
fn bare_uuids_are_ids_too() {
    let sid = "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0";
    assert_eq!(read(Endpoint::Status, &with(STATUS, "CallSid", Some(sid))).unwrap().unwrap().call_sid, sid);
}

#[test]
fn a_refusal_names_the_parameter() {
    #[track_caller]
    fn check(endpoint: Endpoint, body: &str, name: &str, value: Option<&str>) {
        let refused = read(endpoint, &with(body, name, value)).unwrap_err();
        assert_eq!(refused.field, name, "{value:?}");
    }
    use Endpoint::{Dial, Recording, Status};
    let long = "A".repeat(limits::SID_CHARS_MAX + 1);
    for (endpoint, body) in [(Status, STATUS), (Dial, DIAL), (Recording, RECORDING)] {
        for sid in [None, Some(""), Some("CA\n1"), Some(long.as_str())] {
            check(endpoint, body, "CallSid", sid);
        }
    }
    check(Status, CHILD, "ParentCallSid", Some("CA\u{0}1"));
    check(Status, STATUS, "CallStatus", None);
    check(Status, STATUS, "CallStatus", Some("gone"));
    check(Status, STATUS, "Direction", Some("sideways"));
    check(Status, STATUS, "From", None);
    check(Status, STATUS, "From", Some("+1305\n5559876"));
    check(Status, STATUS, "To", Some(&"9".repeat(256)));
    check(Status, STATUS, "CallDuration", Some("-1"));
    check(Status, STATUS, "CallDuration", Some("two"));
    check(Status, STATUS, "CallDuration", Some("99999999"));
    check(Dial, DIAL, "DialCallStatus", None);
    check(Dial, DIAL, "DialCallStatus", Some("ringing"));
    check(Dial, DIAL, "DialCallSid", Some(&long));
    check(Dial, DIAL, "DialCallDuration", Some("long"));
    check(Recording, RECORDING, "RecordingStatus", Some("lost"));
    check(Recording, RECORDING, "RecordingUrl", None);
    check(Recording, RECORDING, "RecordingUrl", Some("RE1"));
    check(Recording, RECORDING, "RecordingUrl", Some("file:///etc/passwd"));
    check(Recording, RECORDING, "RecordingUrl", Some(&format!("https://a.example/{}", "x".repeat(2_048))));
}
