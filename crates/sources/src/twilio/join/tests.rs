//! A call's callbacks, and the world in which they come: the store, the alarm, the clock.

mod end;
mod every_order;

use super::*;
use crate::twilio::callback::Endpoint;
use crate::twilio::parameters::Parameters;
use domain::call::CallStatus;
use domain::phone_number::Country;

const FORWARDS: JoinSettings = JoinSettings { dial: true };
const ANSWERS: JoinSettings = JoinSettings { dial: false };

const FIRST: Option<&str> = Some("+13055550001");
const SECOND: Option<&str> = Some("+13055550002");
const CONVERSATION: Option<&str> = Some("https://api.twilio.com/RE1.mp3");
const MAILBOX: Option<&str> = Some("https://api.twilio.com/RE2.mp3");

/// When the first callback arrives, long after the times that Twilio writes into them.
const START: Timestamp = Timestamp::from_millis(1_774_881_200_000);

/// The call's own end, at 14:32:25 or so many seconds later.
fn parent(status: &str, more: &str) -> Callback {
    let body = format!(
        "CallSid=CA1&From=%2B13055559876&To=%2B15735551234&Direction=inbound&CallStatus={status}\
         &Timestamp=Mon%2C+30+Mar+2026+14%3A32%3A25+%2B0000&{more}"
    );
    read(Endpoint::Status, &body)
}

/// The end of the leg to +1305555000N at a second of 14:32.
fn child(number: u8, status: &str, second: u8, more: &str) -> Callback {
    let body = format!(
        "CallSid=CHILD{number}&ParentCallSid=CA1&From=%2B13055559876&To=%2B1305555000{number}\
         &Direction=outbound-dial&CallStatus={status}\
         &Timestamp=Mon%2C+30+Mar+2026+14%3A32%3A{second:02}+%2B0000&{more}"
    );
    read(Endpoint::Status, &body)
}

fn dial(number: u8, status: &str, more: &str) -> Callback {
    let body = format!(
        "CallSid=CA1&From=%2B13055559876&To=%2B15735551234&Direction=inbound&CallStatus=in-progress\
         &DialCallStatus={status}&DialCallSid=CHILD{number}&{more}"
    );
    read(Endpoint::Dial, &body)
}

fn recording(name: &str, source: &str, seconds: u32) -> Callback {
    let body = format!(
        "CallSid=CA1&RecordingUrl=https%3A%2F%2Fapi.twilio.com%2F{name}&RecordingSource={source}\
         &RecordingStatus=completed&RecordingDuration={seconds}"
    );
    read(Endpoint::Recording, &body)
}

#[track_caller]
fn read(endpoint: Endpoint, body: &str) -> Callback {
    let parameters = Parameters::read("", body.as_bytes());
    Callback::read(endpoint, &parameters, Country::US).unwrap().unwrap()
}

/// The source's world: the kept state, as JSON between any two steps, the alarm, and what was decided.
struct World {
    settings: JoinSettings,
    now: Timestamp,
    state: Option<String>,
    alarm: Option<Timestamp>,
    ended: Vec<EndedCall>,
    recording: Option<Recording>,
}

impl World {
    fn new(settings: JoinSettings) -> Self {
        Self { settings, now: START, state: None, alarm: None, ended: Vec::new(), recording: None }
    }

    fn hear(&mut self, callback: &Callback) {
        let kept = self.state.as_ref().map(|json| serde_json::from_str(json).unwrap());
        let (state, decision) = apply(kept, callback.clone(), self.settings, self.now);
        self.keep(&state, decision);
    }

    /// Lets time pass; the alarm rings on its way.
    fn pass(&mut self, wait: Duration) {
        let until = self.now.after(wait);
        while let Some(alarm) = self.alarm.take_if(|alarm| *alarm <= until) {
            self.now = self.now.max(alarm);
            let state = serde_json::from_str(self.state.as_ref().unwrap()).unwrap();
            let (state, decision) = expire(state, self.now);
            self.keep(&state, decision);
        }
        self.now = until;
    }

    fn keep(&mut self, state: &LegState, decision: Decision) {
        self.state = Some(serde_json::to_string(state).unwrap());
        match decision {
            Decision::Wait { until } => {
                assert!(until > self.now, "an alarm in the past would ring for ever");
                self.alarm = Some(until);
            }
            Decision::Ended(call) => {
                self.alarm = None;
                self.recording.clone_from(&call.recording);
                self.ended.push(*call);
            }
            Decision::Recording { source_call_id, recording } => {
                assert!(!self.ended.is_empty(), "a recording is attached to a call that is there");
                assert_eq!(source_call_id, "CA1");
                self.recording = Some(recording);
            }
            Decision::Nothing => {}
        }
    }

    /// How long the call took to end from now on.
    fn seconds_to_end(&mut self) -> u64 {
        let from = self.now;
        while self.ended.is_empty() {
            let alarm = self.alarm.expect("a call that has not ended has an alarm");
            self.pass(alarm.since(self.now));
        }
        self.now.since(from).as_secs()
    }
}
