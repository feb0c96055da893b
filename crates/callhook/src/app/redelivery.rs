//! Sending again all that a filter names.

use super::App;
use domain::Invalid;
use domain::id::BusinessId;
use store::StoreResult;
use store::delivery::{DeliveryFilter, NotRedelivered};
use store::idempotency::Answer;

/// A filter that names something: an empty one would send everything again.
pub fn narrowed(filter: DeliveryFilter) -> Result<DeliveryFilter, Invalid> {
    if filter.is_empty() {
        let reason = "must have at least one condition: an empty one would send everything again";
        return Err(Invalid::field("filter", reason));
    }
    Ok(filter)
}

/// What sending again came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redelivery {
    /// Are sent again.
    pub sent: u64,
    /// The others.
    pub not: NotRedelivered,
}

/// Sends again all that match, and says why some are not.
pub async fn redeliver_matching(
    app: &App,
    business_id: BusinessId,
    filter: DeliveryFilter,
) -> StoreResult<Redelivery> {
    // Before they are on their way.
    let not = app.store.count_not_redeliverable(business_id, filter.clone()).await?;
    let sent = match app.store.redeliver_matching(business_id, None, filter).await? {
        Answer::New(counted) => counted.redelivered,
        // Cannot be: only what has an idempotency key is repeated.
        Answer::Repeated(_) => 0,
    };
    Ok(Redelivery { sent, not })
}
