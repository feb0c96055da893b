//! Sending again all that a filter names.

use domain::Invalid;
use store::delivery::DeliveryFilter;

/// A filter that names something: an empty one would send everything again.
pub fn narrowed(filter: DeliveryFilter) -> Result<DeliveryFilter, Invalid> {
    if filter.is_empty() {
        let reason = "must have at least one condition: an empty one would send everything again";
        return Err(Invalid::field("filter", reason));
    }
    Ok(filter)
}
