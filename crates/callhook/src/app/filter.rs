//! What lists of calls and deliveries are narrowed by, as texts: the same for API, dashboard and command line.

use super::parameter;
use domain::analysis::AiCategory;
use domain::call::{CallStatus, Direction};
use domain::delivery::DeliveryStatus;
use domain::event::Event;
use domain::limits::{ATTRIBUTION_CHARS_MAX, DURATION_SECONDS_MAX};
use domain::{Invalid, Timestamp, text};
use serde::{Deserialize, Serialize};
use store::call::CallFilter;
use store::delivery::DeliveryFilter;
use utoipa::{IntoParams, ToSchema};

/// Characters of a search.
const SEARCH_CHARS_MAX: usize = 200;
/// Characters of a failure's code: the longest has some 16.
const ERROR_CHARS_MAX: usize = 64;

/// Which calls. All conditions hold together.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallQuery {
    /// Began at or after.
    #[param(format = "date-time")]
    pub start_date: Option<String>,
    /// Began before; a date without a time includes that day.
    #[param(format = "date-time")]
    pub end_date: Option<String>,
    /// Changed at or after.
    #[param(format = "date-time")]
    pub updated_since: Option<String>,
    /// Ended so.
    #[param(value_type = Option<CallStatus>)]
    pub status: Option<String>,
    /// Who called whom.
    #[param(value_type = Option<Direction>)]
    pub direction: Option<String>,
    /// Traffic source.
    #[param(min_length = 1, max_length = 2048)]
    pub source: Option<String>,
    /// Ran this flow.
    #[param(format = "uuid")]
    pub call_flow_id: Option<String>,
    /// Came over this number.
    #[param(format = "uuid")]
    pub number_id: Option<String>,
    /// Lasted at least so many seconds.
    #[param(value_type = Option<u32>, maximum = 604_800)]
    pub min_duration: Option<String>,
    /// Lasted at most so many seconds.
    #[param(value_type = Option<u32>, maximum = 604_800)]
    pub max_duration: Option<String>,
    /// Scored at least.
    #[param(value_type = Option<u8>, maximum = 100)]
    pub min_ai_score: Option<String>,
    /// Scored at most.
    #[param(value_type = Option<u8>, maximum = 100)]
    pub max_ai_score: Option<String>,
    /// Kind of call.
    #[param(value_type = Option<AiCategory>)]
    pub ai_category: Option<String>,
    /// Whether AI takes it for a qualified lead.
    #[param(value_type = Option<bool>)]
    pub qualified: Option<String>,
    /// Found in a number, however it is written, the phone system's id, the flow's name, the summary or the transcript.
    #[param(min_length = 1, max_length = 200)]
    pub search: Option<String>,
    /// Rows of the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl CallQuery {
    /// Checks every filter.
    pub fn filter(&self) -> Result<CallFilter, Invalid> {
        let seconds = |field, value: &Option<String>| bounded(field, value.as_deref(), DURATION_SECONDS_MAX);
        let score = |field, value: &Option<String>| {
            Ok(bounded(field, value.as_deref(), 100)?.and_then(|score| u8::try_from(score).ok()))
        };
        let line = |field, value: &Option<String>, chars_max| {
            let read = |text: &str| text::line(text, chars_max).map_err(|refused| refused.within(field));
            value.as_deref().map(read).transpose()
        };
        Ok(CallFilter {
            start_date: parameter::parsed("start_date", self.start_date.as_deref())?,
            end_date: parameter::end_time("end_date", self.end_date.as_deref())?,
            updated_since: parameter::parsed("updated_since", self.updated_since.as_deref())?,
            status: parameter::word(
                "status",
                self.status.as_deref(),
                CallStatus::from_word,
                &CallStatus::ALL.map(CallStatus::as_str),
            )?,
            direction: parameter::word(
                "direction",
                self.direction.as_deref(),
                Direction::from_word,
                &["inbound", "outbound"],
            )?,
            source: line("source", &self.source, ATTRIBUTION_CHARS_MAX)?,
            call_flow_id: parameter::parsed("call_flow_id", self.call_flow_id.as_deref())?,
            number_id: parameter::parsed("number_id", self.number_id.as_deref())?,
            min_duration: seconds("min_duration", &self.min_duration)?,
            max_duration: seconds("max_duration", &self.max_duration)?,
            min_ai_score: score("min_ai_score", &self.min_ai_score)?,
            max_ai_score: score("max_ai_score", &self.max_ai_score)?,
            ai_category: parameter::word(
                "ai_category",
                self.ai_category.as_deref(),
                AiCategory::from_word,
                &AiCategory::ALL.map(AiCategory::as_str),
            )?,
            qualified: parameter::flag("qualified", self.qualified.as_deref())?,
            search: search(self.search.as_deref())?,
        })
    }
}

/// A text that is searched for.
pub fn search(given: Option<&str>) -> Result<Option<String>, Invalid> {
    let line = |given| text::line(given, SEARCH_CHARS_MAX).map_err(|refused| refused.within("search"));
    given.map(line).transpose()
}

fn bounded(field: &str, value: Option<&str>, maximum: u32) -> Result<Option<u32>, Invalid> {
    let number = parameter::number(field, value, 0, maximum.into())?;
    Ok(number.and_then(|number| u32::try_from(number).ok()))
}

/// Which deliveries. All conditions hold together.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// Of this flow.
    #[param(format = "uuid")]
    pub call_flow_id: Option<String>,
    /// About this call.
    #[param(format = "uuid")]
    pub call_id: Option<String>,
    /// In this state.
    #[param(value_type = Option<DeliveryStatus>)]
    pub status: Option<String>,
    /// Of this event.
    #[param(value_type = Option<Event>)]
    pub event: Option<String>,
    /// Tests, or no tests.
    #[param(value_type = Option<bool>)]
    pub test: Option<String>,
    /// Made at or after.
    #[param(format = "date-time")]
    pub since: Option<String>,
    /// Made before; a date without a time includes that day.
    #[param(format = "date-time")]
    pub until: Option<String>,
    /// Whose last failure has this code, such as `timeout` or `http_404`.
    #[param(min_length = 1, max_length = 64)]
    pub error: Option<String>,
    /// Rows of the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which deliveries, as the list's filters. All conditions hold together.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = DeliveryFilter)]
pub struct DeliveryFilterDocument {
    /// Of this flow.
    #[schema(format = "uuid")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_flow_id: Option<String>,
    /// About this call.
    #[schema(format = "uuid")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// In this state.
    #[schema(value_type = Option<DeliveryStatus>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Of this event.
    #[schema(value_type = Option<Event>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Tests, or no tests. Tests are never sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<bool>,
    /// Made at or after.
    #[schema(format = "date-time")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Made before; a date without a time includes that day.
    #[schema(format = "date-time")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Whose last failure has this code.
    #[schema(min_length = 1, max_length = 64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl DeliveryFilterDocument {
    /// Checks every condition.
    pub fn filter(&self) -> Result<DeliveryFilter, Invalid> {
        let error = self.error.as_deref().map(|code| text::line(code, ERROR_CHARS_MAX)).transpose();
        Ok(DeliveryFilter {
            call_flow_id: parameter::parsed("call_flow_id", self.call_flow_id.as_deref())?,
            call_id: parameter::parsed("call_id", self.call_id.as_deref())?,
            status: parameter::word(
                "status",
                self.status.as_deref(),
                DeliveryStatus::from_word,
                &DeliveryStatus::ALL.map(DeliveryStatus::as_str),
            )?,
            event: parameter::word(
                "event",
                self.event.as_deref(),
                Event::from_word,
                &Event::ALL.map(Event::as_str),
            )?,
            test: self.test,
            since_ms: parameter::parsed("since", self.since.as_deref())?.map(Timestamp::as_millis),
            until_ms: parameter::end_time("until", self.until.as_deref())?.map(Timestamp::as_millis),
            error: error.map_err(|refused| refused.within("error"))?,
        })
    }
}

impl From<&DeliveryFilter> for DeliveryFilterDocument {
    fn from(filter: &DeliveryFilter) -> Self {
        let time = |millis: i64| {
            let at = Timestamp::from_millis(millis);
            if millis % 1_000 == 0 { at.to_string() } else { at.to_rfc3339_millis() }
        };
        Self {
            call_flow_id: filter.call_flow_id.map(|id| id.to_string()),
            call_id: filter.call_id.map(|id| id.to_string()),
            status: filter.status.map(|status| status.as_str().to_owned()),
            event: filter.event.map(|event| event.as_str().to_owned()),
            test: filter.test,
            since: filter.since_ms.map(time),
            until: filter.until_ms.map(time),
            error: filter.error.clone(),
        }
    }
}

impl DeliveryQuery {
    /// Checks every condition.
    pub fn filter(self) -> Result<DeliveryFilter, Invalid> {
        let test = parameter::flag("test", self.test.as_deref())?;
        let Self { call_flow_id, call_id, status, event, since, until, error, .. } = self;
        DeliveryFilterDocument { call_flow_id, call_id, status, event, test, since, until, error }.filter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_deliveries_is_written_as_it_is_read() {
        let filter = DeliveryFilter {
            call_flow_id: "018f3c1e-0000-7000-8000-000000000000".parse().ok(),
            call_id: "018f3c1e-0000-7000-8000-000000000001".parse().ok(),
            status: Some(DeliveryStatus::Failed),
            event: Some(Event::Completed),
            test: Some(false),
            since_ms: Some(1_774_880_000_000),
            until_ms: Some(1_774_880_000_001),
            error: Some("http_503".to_owned()),
        };
        let written = DeliveryFilterDocument::from(&filter);
        assert_eq!(written.since.as_deref(), Some("2026-03-30T14:13:20Z"));
        assert_eq!(written.filter(), Ok(filter));
        let nothing = DeliveryFilterDocument::from(&DeliveryFilter::default());
        assert_eq!(serde_json::to_string(&nothing).unwrap(), "{}");
    }
}
