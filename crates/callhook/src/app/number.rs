//! Tracking numbers: what a user sends of them, checked.

use super::document::Change;
use super::{App, given};
use domain::attribution::Attribution;
use domain::id::{BusinessId, NumberId};
use domain::limits::NAME_CHARS_MAX;
use domain::number::TrackingNumber;
use domain::phone_number::{Country, PhoneNumber};
use domain::{Invalid, text};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::StoreResult;
use store::number::NumberSettings;
use utoipa::ToSchema;

/// What a user can set of a number.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NumberInput)]
pub struct NumberDocument {
    /// E.164, or a national number of the business's country.
    #[schema(examples("+15735551234"))]
    pub phone_number: String,
    /// What people call it.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub friendly_name: Option<String>,
    /// What it runs.
    #[serde(default)]
    #[schema(format = "uuid")]
    pub call_flow_id: Option<String>,
    /// Default traffic source of its calls.
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub source: Option<String>,
    /// Default UTM source.
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub utm_source: Option<String>,
    /// Default UTM medium.
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub utm_medium: Option<String>,
    /// Default UTM campaign.
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub utm_campaign: Option<String>,
    /// Default UTM term.
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub utm_term: Option<String>,
    /// Default UTM content.
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub utm_content: Option<String>,
}

impl NumberDocument {
    fn of(number: &TrackingNumber) -> Self {
        let attribution = number.attribution.clone();
        Self {
            phone_number: number.phone_number.to_string(),
            friendly_name: number.friendly_name.clone(),
            call_flow_id: number.call_flow_id.map(|id| id.to_string()),
            source: attribution.source,
            utm_source: attribution.utm_source,
            utm_medium: attribution.utm_medium,
            utm_campaign: attribution.utm_campaign,
            utm_term: attribution.utm_term,
            utm_content: attribution.utm_content,
        }
    }

    /// Checks every field; `country` is the business's.
    pub fn settings(self, country: Country) -> Result<NumberSettings, Invalid> {
        let friendly_name = given(self.friendly_name).map(|name| text::line(&name, NAME_CHARS_MAX));
        let call_flow_id = given(self.call_flow_id).map(|id| id.parse());
        let attribution = Attribution {
            source: self.source,
            utm_source: self.utm_source,
            utm_medium: self.utm_medium,
            utm_campaign: self.utm_campaign,
            utm_term: self.utm_term,
            utm_content: self.utm_content,
            ..Attribution::default()
        };
        Ok(NumberSettings {
            phone_number: PhoneNumber::parse(&self.phone_number, country)
                .map_err(|refused| refused.within("phone_number"))?,
            friendly_name: friendly_name.transpose().map_err(|refused| refused.within("friendly_name"))?,
            call_flow_id: call_flow_id
                .transpose()
                .map_err(|refused: Invalid| refused.within("call_flow_id"))?,
            attribution: attribution.checked()?,
        })
    }
}

/// Changes a number.
pub async fn update(
    app: &App,
    business_id: BusinessId,
    country: Country,
    id: NumberId,
    change: Change,
) -> StoreResult<TrackingNumber> {
    let change = move |number: &TrackingNumber| {
        let read_only = [
            ("id", json!(number.id)),
            ("created_at", json!(number.created_at)),
            ("updated_at", json!(number.updated_at)),
        ];
        // Cannot fail: plain data with string keys.
        let current = serde_json::to_value(NumberDocument::of(number)).unwrap_or_default();
        change.apply::<NumberDocument>(current, &read_only)?.settings(country)
    };
    app.store.update_number(business_id, id, change).await
}
