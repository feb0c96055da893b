//! Sending again: those that were chosen, or all that a filter names.

use super::App;
use domain::Invalid;
use domain::id::{BusinessId, DeliveryId};
use futures_util::future::join_all;
use store::delivery::DeliveryFilter;
use store::{StoreError, StoreResult};

/// A filter that names something: an empty one would send everything again.
pub fn narrowed(filter: DeliveryFilter) -> Result<DeliveryFilter, Invalid> {
    if filter.is_empty() {
        let reason = "must have at least one condition: an empty one would send everything again";
        return Err(Invalid::field("filter", reason));
    }
    Ok(filter)
}

/// Sends these again. Answers how many; the others are on their way already, are tests, are gone, or have nowhere to go.
pub async fn redeliver_chosen(app: &App, business_id: BusinessId, ids: &[DeliveryId]) -> StoreResult<usize> {
    // All at once, so that they share a commit.
    let sent = join_all(ids.iter().map(|id| app.store.redeliver(business_id, None, *id))).await;
    let mut redelivered = 0;
    for answer in sent {
        match answer {
            Ok(_) => redelivered += 1,
            Err(StoreError::Conflict(_) | StoreError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(redelivered)
}
