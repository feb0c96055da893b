//! The tenant that owns everything else.

use crate::id::BusinessId;
use crate::phone_number::Country;
use crate::time::Timestamp;

/// A tenant: an agency, one of its clients, a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Business {
    /// Goes into every payload as `business_id`.
    pub id: BusinessId,
    /// Unique, so that the command line can name it.
    pub name: String,
    /// How numbers without `+` are read.
    pub default_country: Country,
    /// When it was made.
    pub created_at: Timestamp,
}
