//! One callback as a typed value: what it says about a leg of the call, and about a recording.
//!
//! Refused is only what makes a callback useless, and the refusal names the parameter. What is merely a pity (a time or
//! a recording's length that cannot be read) is left out, because Twilio does not send a callback again and a lead
//! is worth more than its details.

use super::kept;
use super::parameters::Parameters;
use super::party;
use crate::limits;
use domain::call::Direction;
use domain::phone_number::{Country, Party, PhoneNumber};
use domain::secret::Secret;
use domain::{Invalid, Timestamp, text};
use serde::{Deserialize, Serialize};

/// Which of a source's addresses was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A status callback, of the call itself or of a dialled leg.
    Status,
    /// The action of a `<Dial>`. An address with `?destination=+13055554567` says whom it dials.
    Dial,
    /// A recording callback.
    Recording,
}

/// What a callback says about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The call: the parent leg's id.
    pub call_sid: String,
    /// The leg that ended.
    pub leg: Option<LegEnd>,
    /// What became of a recording.
    pub recording: Option<RecordingReport>,
}

/// The end of a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegEnd {
    /// The call itself ended.
    Parent(ParentEnd),
    /// A leg ended that the call had dialled.
    Child(ChildEnd),
    /// A `<Dial>` ended; the call may go on.
    Dial(DialEnd),
}

/// The final words of `CallStatus` and `DialCallStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegStatus {
    /// Answered. Of a parent leg it says only that Twilio took the call.
    Completed,
    /// The line was busy.
    Busy,
    /// Nobody answered in time.
    NoAnswer,
    /// Ended before somebody answered.
    Canceled,
    /// Could not be connected.
    Failed,
}

/// Who is on the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Who called whom.
    pub direction: Direction,
    /// The person outside: `From` of an inbound call, `To` of an outbound one.
    #[serde(with = "kept")]
    pub caller_number: Party,
    /// The business's number: the other one.
    #[serde(default, with = "kept::option")]
    pub tracking_number: Option<PhoneNumber>,
}

/// The end of the call itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentEnd {
    /// How the leg ended.
    pub status: LegStatus,
    /// Who was on it.
    pub line: Line,
    /// How long the leg lasted.
    #[serde(default)]
    pub duration_seconds: Option<u32>,
    /// When it ended, by Twilio's clock.
    #[serde(default, with = "kept::option")]
    pub ended_at: Option<Timestamp>,
    /// A machine answered (`AnsweredBy`).
    #[serde(default)]
    pub is_machine: bool,
}

/// The end of a dialled leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildEnd {
    /// The leg's own id.
    pub sid: String,
    /// How it ended.
    pub status: LegStatus,
    /// The caller id that the destination saw: mostly the caller's number.
    #[serde(default, with = "kept::option")]
    pub from: Option<Party>,
    /// The destination.
    #[serde(default, with = "kept::option")]
    pub to: Option<Party>,
    /// How long the leg lasted.
    #[serde(default)]
    pub duration_seconds: Option<u32>,
    /// When it ended, by Twilio's clock.
    #[serde(default, with = "kept::option")]
    pub ended_at: Option<Timestamp>,
    /// A machine answered (`AnsweredBy`).
    #[serde(default)]
    pub is_machine: bool,
}

/// The end of a `<Dial>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialEnd {
    /// The leg that it is about; a conference has none.
    #[serde(default)]
    pub child_sid: Option<String>,
    /// How it ended for the caller.
    pub status: LegStatus,
    /// Who is on the call.
    pub line: Line,
    /// How long the two talked.
    #[serde(default)]
    pub duration_seconds: Option<u32>,
    /// Whom it dialled, where the action's address says so.
    #[serde(default, with = "kept::option")]
    pub destination: Option<Party>,
    /// The caller has hung up: the call itself is over.
    #[serde(default)]
    pub is_call_over: bool,
}

/// What became of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingReport {
    /// It can be fetched, now or soon.
    Made(RecordingMade),
    /// There is none: too short, silent, or failed.
    Missing,
}

/// A recording that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingMade {
    /// Where, as MP3.
    #[serde(with = "kept")]
    pub url: Secret,
    /// Its length.
    #[serde(default)]
    pub duration_seconds: Option<u32>,
    /// Made by `<Record>`: the caller spoke to a mailbox.
    #[serde(default)]
    pub is_mailbox: bool,
}

impl Callback {
    /// Reads a callback; `None` where it says nothing that ends anything (`ringing`, a recording in progress).
    ///
    /// `country` is the business's, for numbers without `+`.
    pub fn read(
        endpoint: Endpoint,
        parameters: &Parameters,
        country: Country,
    ) -> Result<Option<Self>, Invalid> {
        let reader = Reader { parameters, country };
        match endpoint {
            Endpoint::Status => reader.status(),
            Endpoint::Dial => reader.dial().map(Some),
            Endpoint::Recording => reader.recording(),
        }
    }
}

impl LegStatus {
    /// The status of a word; `None` for the words of a leg that lives. (`answered` is the word of a conference.)
    fn of(word: &str) -> Result<Option<Self>, Invalid> {
        Ok(Some(match word {
            "completed" | "answered" => Self::Completed,
            "busy" => Self::Busy,
            "no-answer" => Self::NoAnswer,
            "canceled" | "cancelled" => Self::Canceled,
            "failed" => Self::Failed,
            "queued" | "initiated" | "ringing" | "in-progress" => return Ok(None),
            _ => {
                return Err(Invalid::value(
                    "is not a call status of Twilio's, such as completed or no-answer",
                ));
            }
        }))
    }
}

struct Reader<'a> {
    parameters: &'a Parameters,
    country: Country,
}

impl Reader<'_> {
    fn status(&self) -> Result<Option<Callback>, Invalid> {
        let sid = self.sid("CallSid")?.ok_or_else(|| missing("CallSid"))?;
        let parent_sid = self.sid("ParentCallSid")?;
        let Some(status) = self.leg_status("CallStatus")? else {
            return Ok(None);
        };
        let (call_sid, leg) = match parent_sid {
            Some(parent_sid) => (parent_sid, LegEnd::Child(self.child(sid, status)?)),
            None => (sid, LegEnd::Parent(self.parent(status)?)),
        };
        Ok(Some(Callback { call_sid, leg: Some(leg), recording: self.recording_aside() }))
    }

    fn parent(&self, status: LegStatus) -> Result<ParentEnd, Invalid> {
        Ok(ParentEnd {
            status,
            line: self.line()?,
            duration_seconds: self.call_duration()?,
            ended_at: self.ended_at(),
            is_machine: self.is_machine(),
        })
    }

    fn child(&self, sid: String, status: LegStatus) -> Result<ChildEnd, Invalid> {
        Ok(ChildEnd {
            sid,
            status,
            from: self.party(&["From", "Caller"])?,
            to: self.party(&["To", "Called"])?,
            duration_seconds: self.call_duration()?,
            ended_at: self.ended_at(),
            is_machine: self.is_machine(),
        })
    }

    fn dial(&self) -> Result<Callback, Invalid> {
        let status = self
            .leg_status("DialCallStatus")?
            .ok_or_else(|| Invalid::field("DialCallStatus", "is not the status of a dial that has ended"))?;
        let end = DialEnd {
            child_sid: self.sid("DialCallSid")?,
            status,
            line: self.line()?,
            duration_seconds: self.seconds("DialCallDuration")?,
            destination: self.destination(),
            // Once the caller is gone, the action reports the call's own final status beside the dial's.
            is_call_over: matches!(self.parameters.get("CallStatus").map(LegStatus::of), Some(Ok(Some(_)))),
        };
        Ok(Callback {
            call_sid: self.sid("CallSid")?.ok_or_else(|| missing("CallSid"))?,
            leg: Some(LegEnd::Dial(end)),
            recording: self.recording_aside(),
        })
    }

    fn recording(&self) -> Result<Option<Callback>, Invalid> {
        let call_sid = self.sid("CallSid")?.ok_or_else(|| missing("CallSid"))?;
        let report = match self.parameters.get("RecordingStatus").unwrap_or("completed") {
            "completed" => RecordingReport::Made(self.recording_made()?),
            "absent" | "failed" => RecordingReport::Missing,
            "in-progress" | "processing" | "paused" | "stopped" => return Ok(None),
            _ => {
                let reason = "is not a status of a recording, such as completed or absent";
                return Err(Invalid::field("RecordingStatus", reason));
            }
        };
        Ok(Some(Callback { call_sid, leg: None, recording: Some(report) }))
    }

    /// A recording that a status or dial callback mentions beside its leg: its own callback may not be set up.
    fn recording_aside(&self) -> Option<RecordingReport> {
        self.recording_made().ok().map(RecordingReport::Made)
    }

    fn recording_made(&self) -> Result<RecordingMade, Invalid> {
        let address = self.parameters.get("RecordingUrl").ok_or_else(|| missing("RecordingUrl"))?;
        Ok(RecordingMade {
            url: Secret::new(mp3_url(address).map_err(|refused| refused.within("RecordingUrl"))?),
            // Twilio says -1 for a length that it does not know.
            duration_seconds: self.seconds("RecordingDuration").ok().flatten(),
            is_mailbox: self.parameters.get("RecordingSource") == Some("RecordVerb"),
        })
    }

    fn line(&self) -> Result<Line, Invalid> {
        let direction = match self.parameters.get("Direction") {
            None | Some("inbound") => Direction::Inbound,
            Some(word) if word.starts_with("outbound") => Direction::Outbound,
            Some(_) => return Err(Invalid::field("Direction", "is neither inbound nor outbound")),
        };
        let (outside, own) = match direction {
            Direction::Inbound => (["From", "Caller"], ["To", "Called"]),
            Direction::Outbound => (["To", "Called"], ["From", "Caller"]),
        };
        let caller_number = match self.party(&outside)? {
            Some(party) => party,
            None if self.parameters.has(outside[0]) => Party::Word(party::ANONYMOUS.to_owned()),
            None => return Err(missing(outside[0])),
        };
        let tracking_number = self.party(&own)?.and_then(|party| match party {
            Party::Number(number) => Some(number),
            Party::Word(_) => None,
        });
        Ok(Line { direction, caller_number, tracking_number })
    }

    fn destination(&self) -> Option<Party> {
        let destination = self.parameters.get("destination")?;
        // A `+` that was not escaped in the address stands for a space.
        let digits =
            destination.strip_prefix(' ').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let destination = digits.map_or_else(|| destination.to_owned(), |digits| format!("+{digits}"));
        party::read(&destination, self.country).ok()
    }

    fn party(&self, names: &[&str]) -> Result<Option<Party>, Invalid> {
        let given = names.iter().find_map(|name| self.parameters.get(name).map(|value| (name, value)));
        given.map(|(name, value)| party::read(value, self.country).map_err(|e| e.within(name))).transpose()
    }

    fn sid(&self, name: &str) -> Result<Option<String>, Invalid> {
        let given = self.parameters.get(name);
        given.map(|sid| text::line(sid, limits::SID_CHARS_MAX).map_err(|e| e.within(name))).transpose()
    }

    fn leg_status(&self, name: &str) -> Result<Option<LegStatus>, Invalid> {
        let word = self.parameters.get(name).ok_or_else(|| missing(name))?;
        LegStatus::of(word).map_err(|refused| refused.within(name))
    }

    /// `CallDuration` is in seconds, `Duration` in minutes begun.
    fn call_duration(&self) -> Result<Option<u32>, Invalid> {
        if let Some(seconds) = self.seconds("CallDuration")? {
            return Ok(Some(seconds));
        }
        let minutes = self.seconds("Duration")?;
        Ok(minutes.map(|minutes| minutes.saturating_mul(60).min(domain::limits::DURATION_SECONDS_MAX)))
    }

    fn seconds(&self, name: &str) -> Result<Option<u32>, Invalid> {
        let Some(given) = self.parameters.get(name) else {
            return Ok(None);
        };
        match given.trim().parse() {
            Ok(seconds) if seconds <= domain::limits::DURATION_SECONDS_MAX => Ok(Some(seconds)),
            _ => Err(Invalid::field(
                name,
                "is not a duration: a whole number up to a week's seconds is expected",
            )),
        }
    }

    fn ended_at(&self) -> Option<Timestamp> {
        let parsed =
            jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(self.parameters.get("Timestamp")?);
        Some(Timestamp::from_millis(parsed.ok()?.as_millisecond()))
    }

    fn is_machine(&self) -> bool {
        self.parameters.get("AnsweredBy").is_some_and(|by| by.starts_with("machine"))
    }
}

fn missing(name: &str) -> Invalid {
    Invalid::field(name, "is missing")
}

/// Twilio's recording address without an ending is a WAV file; with `.mp3` it is the same recording, smaller.
fn mp3_url(address: &str) -> Result<String, Invalid> {
    let address = text::line(address, limits::RECORDING_URL_CHARS_MAX)?;
    let mut url = url::Url::parse(&address).map_err(|_| Invalid::value("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Invalid::value("is not an http or https URL"));
    }
    let file = url.path().rsplit('/').next().unwrap_or_default();
    if !file.contains('.') {
        url.set_path(&format!("{}.mp3", url.path()));
    }
    Ok(url.into())
}

#[cfg(test)]
mod tests;
