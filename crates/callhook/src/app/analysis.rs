//! What an AI pushes about a call, checked.

use super::{document, given};
use domain::Invalid;
use domain::analysis::{AiCategory, Analysis, Score};
use serde::Deserialize;
use utoipa::ToSchema;

/// The results of an AI; what is left out was not found out. Pushing them completes AI for the call.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = AnalysisInput)]
pub struct AnalysisDocument {
    /// Full text of the call; where it is left out, one that came with the report stays.
    pub transcription: Option<String>,
    /// What the call was about.
    pub summary: Option<String>,
    /// Quality of the call.
    #[serde(deserialize_with = "document::whole")]
    #[schema(value_type = Option<u8>, maximum = 100)]
    pub ai_score: Option<i64>,
    /// Kind of call.
    #[schema(value_type = Option<AiCategory>)]
    pub ai_category: Option<String>,
    /// Whether it is a qualified lead.
    pub qualified_ai: Option<bool>,
    /// Why, or why not.
    pub qualification_reason: Option<String>,
    /// Likelihood that a machine called.
    #[serde(deserialize_with = "document::whole")]
    #[schema(value_type = Option<u8>, maximum = 100)]
    pub robo_score: Option<i64>,
}

impl AnalysisDocument {
    /// Checks every field.
    pub fn analysis(self) -> Result<Analysis, Invalid> {
        let score = |field: &str, value: Option<i64>| {
            value.map(Score::new).transpose().map_err(|refused| refused.within(field))
        };
        let category = self.ai_category.as_deref().map(category).transpose();
        Analysis {
            transcription: given(self.transcription),
            summary: given(self.summary),
            ai_score: score("ai_score", self.ai_score)?,
            ai_category: category.map_err(|refused| refused.within("ai_category"))?,
            qualified_ai: self.qualified_ai,
            qualification_reason: given(self.qualification_reason),
            robo_score: score("robo_score", self.robo_score)?,
        }
        .checked()
    }
}

fn category(word: &str) -> Result<AiCategory, Invalid> {
    document::word(word, AiCategory::from_word, &AiCategory::ALL.map(AiCategory::as_str))
}
