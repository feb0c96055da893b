//! When a call ends, what is said of it then, and what may still come.

use super::*;

#[test]
fn an_outcome_waits_only_as_long_as_it_can_change() {
    #[track_caller]
    fn waits(name: &str, settings: JoinSettings, callbacks: &[Callback], seconds: u64) {
        let mut world = World::new(settings);
        for callback in callbacks {
            world.hear(callback);
        }
        assert_eq!(world.seconds_to_end(), seconds, "{name}");
    }
    let ended = || parent("completed", "CallDuration=145");
    waits("no dial", ANSWERS, &[ended()], 0);
    waits("nothing of the leg", FORWARDS, &[ended()], 10);
    let answered = child(1, "completed", 25, "");
    waits("answered, all told", FORWARDS, &[answered.clone(), dial(1, "completed", ""), ended()], 0);
    waits(
        "answered, all told, in another order",
        FORWARDS,
        &[ended(), answered.clone(), dial(1, "completed", "")],
        0,
    );
    waits("answered, the leg says", FORWARDS, &[answered, ended()], 2);
    waits("answered, the dial says", FORWARDS, &[dial(1, "completed", ""), ended()], 2);
    waits("missed", FORWARDS, &[child(1, "no-answer", 24, ""), dial(1, "no-answer", ""), ended()], 2);
    let went_on = child(1, "no-answer", 2, "");
    waits("missed, and the call went on", FORWARDS, &[went_on.clone(), ended()], 10);
    let message = recording("RE2", "RecordVerb", 138);
    waits("voicemail", FORWARDS, &[went_on.clone(), message, ended()], 2);
    waits("missed, and the parent never reports", FORWARDS, &[dial(1, "no-answer", "")], 600);
    waits("only the leg reports", FORWARDS, &[went_on], 4 * 3_600);
}

#[test]
fn a_call_that_went_on_is_also_known_by_the_order_of_arrival() {
    let mut world = World::new(FORWARDS);
    world.hear(&dial(1, "no-answer", ""));
    world.pass(Duration::from_secs(20));
    world.hear(&parent("completed", "CallDuration=145"));
    world.pass(Duration::from_secs(9));
    world.hear(&recording("RE2", "RecordVerb", 138));
    assert_eq!(world.seconds_to_end(), 1, "ten seconds in all");
    assert_eq!(world.ended[0].status, CallStatus::Voicemail);
}

#[test]
fn news_do_not_put_the_end_off_for_ever_and_repetitions_not_at_all() {
    let mut world = World::new(FORWARDS);
    world.hear(&parent("completed", "CallDuration=145"));
    for number in 1..=5 {
        world.hear(&child(number, "no-answer", 24, ""));
        world.pass(Duration::from_millis(1_900));
    }
    assert!(world.ended.is_empty());
    world.pass(Duration::from_millis(500));
    assert_eq!(world.ended.len(), 1);

    let mut world = World::new(FORWARDS);
    world.hear(&child(1, "no-answer", 24, ""));
    world.hear(&parent("completed", ""));
    world.pass(Duration::from_millis(1_500));
    world.hear(&child(1, "no-answer", 24, ""));
    world.hear(&parent("completed", ""));
    world.pass(Duration::from_millis(500));
    assert_eq!(world.ended.len(), 1);
}

#[test]
fn a_call_whose_parent_never_reports_is_no_lost_lead() {
    let mut world = World::new(FORWARDS);
    world.hear(&dial(1, "completed", "DialCallDuration=30"));
    world.pass(Duration::from_secs(5));
    world.hear(&child(1, "completed", 25, "CallDuration=31"));
    world.seconds_to_end();
    let call = &world.ended[0];
    assert_eq!((call.status, call.duration_seconds), (CallStatus::Completed, 30));
    assert_eq!(call.tracking_number.as_ref().map(PhoneNumber::as_str), Some("+15735551234"));
    assert_eq!(call.ended_at.to_string(), "2026-03-30T14:32:25Z");
    assert_eq!(call.started_at.to_string(), "2026-03-30T14:31:55Z");

    let mut world = World::new(FORWARDS);
    world.hear(&child(1, "busy", 25, ""));
    world.seconds_to_end();
    let call = &world.ended[0];
    assert_eq!((call.status, call.direction), (CallStatus::Busy, Direction::Inbound));
    assert_eq!((call.caller_number.as_str(), &call.tracking_number), ("+13055559876", &None));
}

#[test]
fn a_dial_whose_caller_hung_up_waits_ten_seconds_for_the_parent() {
    let body =
        "CallSid=CA1&From=%2B13055559876&To=%2B15735551234&CallStatus=completed&DialCallStatus=no-answer";
    let mut world = World::new(FORWARDS);
    world.hear(&read(Endpoint::Dial, body));
    assert_eq!(world.seconds_to_end(), 10);
    assert_eq!(world.ended[0].status, CallStatus::NoAnswer);
}

#[test]
fn a_recording_alone_makes_no_call_and_is_not_lost() {
    let mut world = World::new(FORWARDS);
    world.hear(&recording("RE1", "DialVerb", 138));
    world.pass(Duration::from_hours(5));
    assert!(world.ended.is_empty());
    world.hear(&parent("completed", ""));
    world.seconds_to_end();
    assert_eq!(world.ended[0].recording.as_ref().map(|recording| recording.url.reveal()), CONVERSATION);
}

#[test]
fn what_legs_report_after_the_end_changes_nothing() {
    let mut world = World::new(FORWARDS);
    world.hear(&parent("completed", ""));
    world.seconds_to_end();
    let state = world.state.clone();
    world.hear(&child(1, "busy", 25, ""));
    world.hear(&dial(1, "busy", ""));
    world.hear(&parent("failed", ""));
    assert_eq!((world.state, world.alarm, world.ended.len()), (state, None, 1));
}

#[test]
fn a_late_recording_is_passed_on_once_and_a_better_one_after_it() {
    let kept = |world: &World| serde_json::from_str::<LegState>(world.state.as_ref().unwrap()).unwrap();
    let mut world = World::new(ANSWERS);
    world.hear(&parent("completed", "RecordingUrl=https%3A%2F%2Fapi.twilio.com%2FRE1"));
    assert_eq!(world.ended[0].recording.as_ref().unwrap().duration_seconds, None);
    let told = recording("RE1", "OutboundAPI", 138);
    let (state, decision) = apply(Some(kept(&world)), told.clone(), ANSWERS, world.now);
    let Decision::Recording { source_call_id, recording } = decision else { panic!("{decision:?}") };
    assert_eq!((source_call_id.as_str(), recording.duration_seconds), ("CA1", Some(138)));
    let (_, decision) = apply(Some(state), told, ANSWERS, world.now);
    assert_eq!(decision, Decision::Nothing);
}

#[test]
fn a_recording_that_there_is_not_is_not_expected() {
    let missing = read(Endpoint::Recording, "CallSid=CA1&RecordingStatus=absent&ErrorCode=16101");
    let mut world = World::new(ANSWERS);
    world.hear(&missing);
    world.hear(&parent("completed", ""));
    let call = &world.ended[0];
    assert_eq!((&call.recording, call.recording_expected), (&None, Some(false)));
    let mut world = World::new(ANSWERS);
    world.hear(&parent("completed", ""));
    assert_eq!(world.ended[0].recording_expected, None);
    world.hear(&missing);
    assert_eq!(world.recording, None);
}

#[test]
fn an_outbound_call_is_the_same_with_the_sides_exchanged() {
    let body = "CallSid=CA1&From=%2B15735551234&To=%2B13055559876&Direction=outbound-api&CallStatus=busy";
    let mut world = World::new(ANSWERS);
    world.hear(&read(Endpoint::Status, body));
    let call = &world.ended[0];
    assert_eq!((call.direction, call.status), (Direction::Outbound, CallStatus::Busy));
    assert_eq!(call.caller_number.as_str(), "+13055559876");
    assert_eq!(call.tracking_number.as_ref().map(PhoneNumber::as_str), Some("+15735551234"));
    assert_eq!((call.ended_at, call.started_at), (START, START));
}

#[test]
fn a_state_of_a_later_or_earlier_program_is_read() {
    let earlier = r#"{"version": 1, "call_sid": "CA1", "changed_at": "2026-03-30T14:32:25.000Z"}"#;
    let later = earlier.replace('}', r#", "mood": {"of": "caller"}}"#);
    for json in [earlier, &later] {
        let state: LegState = serde_json::from_str(json).unwrap();
        assert_eq!((state.call_sid(), state.is_ended()), ("CA1", false));
        assert_eq!(state.forget_at().to_string(), "2026-03-31T14:32:25Z");
    }
    assert!(serde_json::from_str::<LegState>(&earlier.replace("2026", "yesterday")).is_err());
}

#[test]
fn what_is_remembered_of_a_call_is_bounded() {
    let mut world = World::new(FORWARDS);
    for number in 0..=u8::MAX {
        world.hear(&child(number, "no-answer", 24, ""));
        world.hear(&recording(&format!("RE{number}"), "DialVerb", 138));
    }
    let state: LegState = serde_json::from_str(world.state.as_ref().unwrap()).unwrap();
    assert_eq!((state.children.len(), state.recordings.len()), (limits::LEGS_MAX, limits::RECORDINGS_MAX));
}

#[test]
fn a_state_does_not_print_the_recordings_address() {
    let mut world = World::new(ANSWERS);
    world.hear(&recording("RE1", "DialVerb", 138));
    world.hear(&parent("completed", ""));
    let state: LegState = serde_json::from_str(world.state.as_ref().unwrap()).unwrap();
    assert!(!format!("{state:?}").contains("api.twilio.com"));
}
