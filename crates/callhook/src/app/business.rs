//! A business's own settings: what a user sends of them, checked.

use super::App;
use super::document::{Change, object_or_null};
use domain::Invalid;
use domain::business::{Business, Retention, RetentionDays};
use domain::id::BusinessId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::StoreResult;
use utoipa::ToSchema;

/// What a user can set of a business.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BusinessInput)]
pub struct BusinessDocument {
    /// How long what has ended is kept.
    #[serde(default, deserialize_with = "object_or_null")]
    pub retention: Option<RetentionDocument>,
}

/// How long what has ended is kept; null keeps it for good.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Retention)]
pub struct RetentionDocument {
    /// Days for payloads and attempts, from the delivery's making; the delivery itself stays listed.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub payload_days: Option<i64>,
    /// Days for calls with all that belongs to them, from the call's report.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub call_days: Option<i64>,
}

impl RetentionDocument {
    /// Checks both.
    pub fn retention(self) -> Result<Retention, Invalid> {
        let days = |name: &str, days: Option<i64>| {
            days.map(RetentionDays::new).transpose().map_err(|refused| refused.within(name))
        };
        Ok(Retention {
            payload: days("payload_days", self.payload_days)?,
            call: days("call_days", self.call_days)?,
        })
    }
}

impl From<Retention> for RetentionDocument {
    fn from(retention: Retention) -> Self {
        let days = |days: Option<RetentionDays>| days.map(|days| i64::from(days.get()));
        Self { payload_days: days(retention.payload), call_days: days(retention.call) }
    }
}

/// Changes a business.
pub async fn update(app: &App, business_id: BusinessId, change: Change) -> StoreResult<Business> {
    let change = move |business: &Business| {
        let read_only = [
            ("id", json!(business.id)),
            ("name", json!(business.name)),
            ("default_country", json!(business.default_country.code())),
            ("created_at", json!(business.created_at)),
        ];
        let current = BusinessDocument { retention: Some(business.retention.into()) };
        // Cannot fail: plain data with string keys.
        let current = serde_json::to_value(current).unwrap_or_default();
        let wanted = change.apply::<BusinessDocument>(current, &read_only)?;
        wanted.retention.unwrap_or_default().retention().map_err(|refused| refused.within("retention"))
    };
    app.store.set_retention(business_id, change).await
}
