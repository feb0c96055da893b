//! What is known of a call so far, kept by the store between its callbacks.

use crate::limits;
use crate::twilio::callback::{
    Callback, ChildEnd, DialEnd, LegEnd, ParentEnd, RecordingMade, RecordingReport,
};
use crate::twilio::kept;
use domain::Timestamp;
use domain::call::{CallStatus, Recording};
use domain::secret::Secret;
use serde::{Deserialize, Serialize};

/// The version that is written. It rises only when an older program would misread the state; fields are added
/// without that, since unknown ones are passed over and missing ones have a default.
const VERSION: u32 = 1;

/// What the legs of one call have reported. Kept as JSON under (source, call id); it holds callers' numbers and the
/// addresses of recordings, so it is kept sealed like other secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegState {
    version: u32,
    pub(super) call_sid: String,
    #[serde(default)]
    pub(super) is_dial_expected: bool,
    #[serde(default)]
    pub(super) parent: Option<Heard<ParentEnd>>,
    #[serde(default)]
    pub(super) children: Vec<Heard<ChildEnd>>,
    #[serde(default)]
    pub(super) dials: Vec<Heard<DialEnd>>,
    #[serde(default)]
    pub(super) recordings: Vec<RecordingMade>,
    #[serde(default)]
    pub(super) is_recording_missing: bool,
    #[serde(default)]
    pub(super) ended: Option<Ended>,
    #[serde(with = "kept")]
    pub(super) changed_at: Timestamp,
}

/// A report, and when it came first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heard<T> {
    #[serde(with = "kept")]
    pub(super) arrived_at: Timestamp,
    pub(super) report: T,
}

/// What was said of the call when it ended, and the recording that it has by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) status: CallStatus,
    #[serde(default)]
    pub(super) recording: Option<AttachedRecording>,
}

/// The recording that the call has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AttachedRecording {
    #[serde(with = "kept")]
    pub(super) url: Secret,
    #[serde(default)]
    pub(super) duration_seconds: Option<u32>,
}

impl LegState {
    /// The call's id at the phone system.
    #[must_use]
    pub fn call_sid(&self) -> &str {
        &self.call_sid
    }

    /// Whether the call was said to have ended.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// From when on the state may be forgotten: a recording is no longer waited for then. A call reported again after that
    /// is told apart by its `source_call_id`.
    #[must_use]
    pub fn forget_at(&self) -> Timestamp {
        self.changed_at.after(domain::limits::RECORDING_WAIT)
    }

    pub(super) const fn new(call_sid: String, now: Timestamp) -> Self {
        Self {
            version: VERSION,
            call_sid,
            is_dial_expected: false,
            parent: None,
            children: Vec::new(),
            dials: Vec::new(),
            recordings: Vec::new(),
            is_recording_missing: false,
            ended: None,
            changed_at: now,
        }
    }

    /// Takes in what a callback says. The first report about a leg counts; its repetitions change nothing.
    pub(super) fn take(&mut self, callback: Callback, now: Timestamp) {
        let is_news = match callback.leg {
            Some(LegEnd::Parent(end)) => self.take_parent(end, now),
            Some(LegEnd::Child(end)) => self.take_child(end, now),
            Some(LegEnd::Dial(end)) => self.take_dial(end, now),
            None => false,
        };
        if is_news {
            self.changed_at = now;
        }
        self.take_recording(callback.recording, now);
    }

    pub(super) fn take_recording(&mut self, report: Option<RecordingReport>, now: Timestamp) {
        let is_news = match report {
            None => false,
            Some(RecordingReport::Missing) => !std::mem::replace(&mut self.is_recording_missing, true),
            Some(RecordingReport::Made(made)) => self.take_recording_made(made),
        };
        if is_news {
            self.changed_at = now;
        }
    }

    pub(super) fn end(&mut self, status: CallStatus, recording: Option<Recording>, now: Timestamp) {
        let recording =
            recording.map(|Recording { url, duration_seconds }| AttachedRecording { url, duration_seconds });
        self.ended = Some(Ended { status, recording });
        self.changed_at = now;
    }

    pub(super) const fn has_legs(&self) -> bool {
        !self.children.is_empty() || !self.dials.is_empty()
    }

    /// When each report about a leg came.
    pub(super) fn legs_arrived_at(&self) -> impl Iterator<Item = Timestamp> {
        let dials = self.dials.iter().map(|dial| dial.arrived_at);
        self.children.iter().map(|child| child.arrived_at).chain(dials)
    }

    fn take_parent(&mut self, report: ParentEnd, now: Timestamp) -> bool {
        let is_news = self.parent.is_none();
        self.parent.get_or_insert(Heard { arrived_at: now, report });
        is_news
    }

    fn take_child(&mut self, report: ChildEnd, now: Timestamp) -> bool {
        let known = self.children.iter().any(|child| child.report.sid == report.sid);
        let is_news = !known && self.children.len() < limits::LEGS_MAX;
        if is_news {
            self.children.push(Heard { arrived_at: now, report });
        }
        is_news
    }

    fn take_dial(&mut self, report: DialEnd, now: Timestamp) -> bool {
        let known = self.dials.iter().any(|dial| dial.report.child_sid == report.child_sid);
        let is_news = !known && self.dials.len() < limits::LEGS_MAX;
        if is_news {
            self.dials.push(Heard { arrived_at: now, report });
        }
        is_news
    }

    /// The same recording is mentioned by several callbacks, of which each may know more than the others.
    fn take_recording_made(&mut self, made: RecordingMade) -> bool {
        let Some(known) = self.recordings.iter_mut().find(|known| known.url == made.url) else {
            let is_news = self.recordings.len() < limits::RECORDINGS_MAX;
            if is_news {
                self.recordings.push(made);
            }
            return is_news;
        };
        let merged = RecordingMade {
            duration_seconds: known.duration_seconds.or(made.duration_seconds),
            is_mailbox: known.is_mailbox || made.is_mailbox,
            url: made.url,
        };
        let is_news = *known != merged;
        *known = merged;
        is_news
    }
}
