//! What AI, callhook's or somebody else's, made of a call.

use crate::{Invalid, limits, text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A score from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Score(u8);

impl Score {
    /// Refuses what is not within 0 to 100.
    pub fn new(value: i64) -> Result<Self, Invalid> {
        match u8::try_from(value) {
            Ok(score @ 0..=100) => Ok(Self(score)),
            _ => Err(Invalid::value("is out of range: 0 to 100 is expected")),
        }
    }

    /// The score.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What kind of call it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AiCategory {
    /// A possible customer.
    Lead,
    /// Somebody who is a customer already.
    ExistingCustomer,
    /// Unwanted.
    Spam,
    /// Not meant for this business.
    WrongNumber,
    /// A mailbox was spoken to.
    Voicemail,
}

impl AiCategory {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Lead, Self::ExistingCustomer, Self::Spam, Self::WrongNumber, Self::Voicemail];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::ExistingCustomer => "existing_customer",
            Self::Spam => "spam",
            Self::WrongNumber => "wrong_number",
            Self::Voicemail => "voicemail",
        }
    }

    /// The category of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.as_str() == word)
    }
}

/// The results; what is `None` was not found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Analysis {
    /// Full text of the call.
    pub transcription: Option<String>,
    /// What the call was about.
    pub summary: Option<String>,
    /// Quality of the call.
    pub ai_score: Option<Score>,
    /// Kind of call.
    pub ai_category: Option<AiCategory>,
    /// Whether it is a qualified lead.
    pub qualified_ai: Option<bool>,
    /// Why, or why not.
    pub qualification_reason: Option<String>,
    /// Likelihood that a machine called.
    pub robo_score: Option<Score>,
}

impl Analysis {
    /// Mends and bounds the free texts; names the field that is too long.
    pub fn checked(mut self) -> Result<Self, Invalid> {
        for (field, value, bytes_max) in [
            ("transcription", &mut self.transcription, limits::TRANSCRIPTION_BYTES_MAX),
            ("summary", &mut self.summary, limits::SUMMARY_BYTES_MAX),
            ("qualification_reason", &mut self.qualification_reason, limits::SUMMARY_BYTES_MAX),
        ] {
            if let Some(given) = value.take() {
                *value = Some(text::free(given, bytes_max).map_err(|refused| refused.within(field))?);
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_0_to_100() {
        assert_eq!(Score::new(0).unwrap().get(), 0);
        assert_eq!(Score::new(100).unwrap().get(), 100);
        for wrong in [-1, 101, 256, i64::MAX, i64::MIN] {
            assert!(Score::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_summary_has_a_bound_and_a_transcript_is_mended() {
        let long =
            Analysis { summary: Some("x".repeat(limits::SUMMARY_BYTES_MAX + 1)), ..Analysis::default() };
        assert_eq!(long.checked().unwrap_err().field, "summary");
        let nul = Analysis { transcription: Some("a\0b".into()), ..Analysis::default() };
        assert_eq!(nul.checked().unwrap().transcription.as_deref(), Some("a\u{fffd}b"));
    }
}
