//! Every order in which a call's callbacks may come leads to the same ended call, said once.

use super::*;

struct Expected {
    status: CallStatus,
    destination: Option<&'static str>,
    recording: Option<&'static str>,
}

/// Every order of the callbacks, each callback once or twice, the second one at once or after all others.
#[track_caller]
fn check(name: &str, settings: JoinSettings, callbacks: &[Callback], expected: &Expected) {
    for order in permutations(callbacks.len()) {
        let once = order.clone();
        let doubled: Vec<usize> = order.iter().flat_map(|at| [*at, *at]).collect();
        let twice: Vec<usize> = order.iter().chain(&order).copied().collect();
        for order in [once, doubled, twice] {
            let mut world = World::new(settings);
            for at in &order {
                world.hear(&callbacks[*at]);
                world.pass(Duration::from_millis(100));
            }
            world.pass(Duration::from_mins(1));
            check_world(&format!("{name}, order {order:?}"), &world, expected);
        }
    }
}

#[track_caller]
fn check_world(name: &str, world: &World, expected: &Expected) {
    assert_eq!(world.ended.len(), 1, "{name}: ended once");
    let call = &world.ended[0];
    assert_eq!(call.status, expected.status, "{name}");
    assert_eq!(call.destination_number.as_ref().map(Party::as_str), expected.destination, "{name}");
    let recording = world.recording.as_ref().map(|recording| recording.url.reveal());
    assert_eq!(recording, expected.recording, "{name}");
    assert_eq!(call.source_call_id.as_deref(), Some("CA1"), "{name}");
    assert_eq!(call.caller_number.as_str(), "+13055559876", "{name}");
    assert_eq!(call.tracking_number.as_ref().map(PhoneNumber::as_str), Some("+15735551234"), "{name}");
    assert_eq!(call.duration_seconds, 145, "{name}");
    assert_eq!(call.ended_at.to_string(), "2026-03-30T14:32:25Z", "{name}");
    assert_eq!(call.started_at.to_string(), "2026-03-30T14:30:00Z", "{name}");
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let shorter = permutations(last).into_iter();
    shorter
        .flat_map(|order| (0..count).map(move |at| [&order[..at], &[last], &order[at..]].concat()))
        .collect()
}

#[test]
fn an_answered_call_is_completed_in_every_order() {
    let expected = Expected { status: CallStatus::Completed, destination: FIRST, recording: CONVERSATION };
    let ended = parent("completed", "CallDuration=145");
    let answered = child(1, "completed", 25, "CallDuration=138");
    let connected = dial(1, "completed", "DialCallDuration=138&DialBridged=true");
    let recorded = recording("RE1", "DialVerb", 138);
    check(
        "by child and dial",
        FORWARDS,
        &[ended.clone(), answered.clone(), connected, recorded.clone()],
        &expected,
    );
    check("by child", FORWARDS, &[ended.clone(), answered, recorded.clone()], &expected);
    let mentioned =
        dial(1, "completed", "RecordingUrl=https%3A%2F%2Fapi.twilio.com%2FRE1&destination=%2B13055550001");
    check("by dial", FORWARDS, &[ended, mentioned, recorded], &expected);
}

#[test]
fn a_call_that_nobody_took_is_what_the_dial_met_with() {
    for (word, status) in [
        ("no-answer", CallStatus::NoAnswer),
        ("busy", CallStatus::Busy),
        ("failed", CallStatus::Failed),
        ("canceled", CallStatus::NoAnswer),
    ] {
        let expected = Expected { status, destination: FIRST, recording: None };
        // Twilio took the call itself: its own leg is completed whatever became of the dial.
        let ended = parent("completed", "CallDuration=145");
        let missed = child(1, word, 24, "CallDuration=0");
        check(word, FORWARDS, &[ended.clone(), missed.clone(), dial(1, word, "")], &expected);
        check(word, FORWARDS, &[ended.clone(), missed], &expected);
        let unnamed = Expected { destination: None, ..expected };
        check(word, FORWARDS, &[ended, dial(1, word, "")], &unnamed);
    }
}

#[test]
fn a_call_that_was_never_dialled_is_what_its_own_leg_says() {
    for (word, status) in [
        ("completed", CallStatus::Completed),
        ("no-answer", CallStatus::NoAnswer),
        ("busy", CallStatus::Busy),
        ("failed", CallStatus::Failed),
        ("canceled", CallStatus::NoAnswer),
    ] {
        let expected = Expected { status, destination: None, recording: None };
        check(word, FORWARDS, &[parent(word, "CallDuration=145")], &expected);
        check(word, ANSWERS, &[parent(word, "CallDuration=145")], &expected);
    }
    let recorded = [parent("completed", "CallDuration=145"), recording("RE2", "RecordVerb", 138)];
    let expected = Expected { status: CallStatus::Completed, destination: None, recording: MAILBOX };
    check("no dial, recorded", ANSWERS, &recorded, &expected);
    let machine = [parent("completed", "CallDuration=145&AnsweredBy=machine_end_beep")];
    let expected = Expected { status: CallStatus::Voicemail, destination: None, recording: None };
    check("the called machine answered", ANSWERS, &machine, &expected);
}

#[test]
fn a_machine_that_answers_is_voicemail() {
    for (by, status) in [
        ("machine_start", CallStatus::Voicemail),
        ("machine_end_beep", CallStatus::Voicemail),
        ("fax", CallStatus::Completed),
        ("human", CallStatus::Completed),
        ("unknown", CallStatus::Completed),
    ] {
        let answered = child(1, "completed", 25, &format!("CallDuration=20&AnsweredBy={by}"));
        let callbacks = [parent("completed", "CallDuration=145"), answered, dial(1, "completed", "")];
        check(by, FORWARDS, &callbacks, &Expected { status, destination: FIRST, recording: None });
    }
}

#[test]
fn a_mailbox_after_an_unanswered_dial_is_voicemail() {
    let expected = Expected { status: CallStatus::Voicemail, destination: FIRST, recording: MAILBOX };
    let ended = parent("completed", "CallDuration=145");
    let missed = child(1, "no-answer", 2, "");
    let message = recording("RE2", "RecordVerb", 138);
    check("child", FORWARDS, &[ended.clone(), missed.clone(), message.clone()], &expected);
    let callbacks = [ended.clone(), missed.clone(), dial(1, "no-answer", ""), message.clone()];
    check("child and dial", FORWARDS, &callbacks, &expected);
    let whole = recording("RE1", "StartCallRecordingAPI", 145);
    check("two recordings", FORWARDS, &[ended.clone(), missed, message.clone(), whole], &expected);
    let straight = Expected { destination: None, ..expected };
    check("never dialled", FORWARDS, &[ended, message], &straight);
}

#[test]
fn a_survey_after_an_answered_dial_is_no_voicemail() {
    let callbacks = [
        parent("completed", "CallDuration=145"),
        child(1, "completed", 2, "CallDuration=90"),
        recording("RE1", "DialVerb", 138),
        recording("RE2", "RecordVerb", 200),
    ];
    let expected = Expected { status: CallStatus::Completed, destination: FIRST, recording: CONVERSATION };
    check("survey", FORWARDS, &callbacks, &expected);
}

#[track_caller]
fn check_two(one: &str, other: &str, status: CallStatus, destination: Option<&'static str>) {
    let ended = parent("completed", "CallDuration=145");
    let callbacks = [ended, child(1, one, 24, ""), child(2, other, 25, "CallDuration=9")];
    check(
        &format!("{one}, {other}"),
        FORWARDS,
        &callbacks,
        &Expected { status, destination, recording: None },
    );
}

#[test]
fn of_several_legs_the_most_telling_counts() {
    check_two("no-answer", "completed", CallStatus::Completed, SECOND);
    check_two("completed", "canceled", CallStatus::Completed, FIRST);
    check_two("busy", "no-answer", CallStatus::Busy, FIRST);
    check_two("failed", "busy", CallStatus::Busy, SECOND);
    check_two("no-answer", "failed", CallStatus::NoAnswer, FIRST);
    // Rung in turn, an action for each: the first number was given up a minute before the second one answered.
    let in_turn = [
        parent("completed", "CallDuration=145"),
        child(1, "no-answer", 0, ""),
        child(2, "completed", 25, ""),
        dial(1, "no-answer", ""),
        dial(2, "completed", ""),
    ];
    let expected = Expected { status: CallStatus::Completed, destination: SECOND, recording: None };
    check("in turn", FORWARDS, &in_turn, &expected);
}

#[test]
fn the_dial_knows_better_than_the_leg_whether_a_person_was_connected() {
    // The first answered and did not accept the call (screening); the second was connected.
    let screened = [
        parent("completed", "CallDuration=145"),
        child(1, "completed", 20, "CallDuration=30"),
        child(2, "completed", 25, "CallDuration=9"),
        dial(2, "completed", "DialCallDuration=9"),
    ];
    let expected = Expected { status: CallStatus::Completed, destination: SECOND, recording: None };
    check("accepted by the second", FORWARDS, &screened, &expected);
    let refused = [
        parent("completed", "CallDuration=145"),
        child(1, "completed", 25, "CallDuration=30"),
        dial(1, "no-answer", ""),
    ];
    let expected = Expected { status: CallStatus::NoAnswer, destination: FIRST, recording: None };
    check("accepted by nobody", FORWARDS, &refused, &expected);
}
