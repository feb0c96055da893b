//! Tracking numbers.

use crate::Timestamp;
use crate::attribution::Attribution;
use crate::id::{BusinessId, CallFlowId, NumberId};
use crate::phone_number::PhoneNumber;

/// A number of the business, what it runs and what its calls are attributed to by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackingNumber {
    /// Names the number in the API.
    pub id: NumberId,
    /// Its owner.
    pub business_id: BusinessId,
    /// Unique within the business.
    pub phone_number: PhoneNumber,
    /// What people call it.
    pub friendly_name: Option<String>,
    /// What it runs; a call to a number without a flow is recorded as unmatched.
    pub call_flow_id: Option<CallFlowId>,
    /// Defaults for what a call's report leaves out. Only source and UTM fields are set by a number.
    pub attribution: Attribution,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
