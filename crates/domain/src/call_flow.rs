//! Call flows: what a tracking number runs.

use crate::Timestamp;
use crate::destination::Destination;
use crate::id::{BusinessId, CallFlowId};

/// A call flow with its automations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFlow {
    /// The payload's `call_flow_id`.
    pub id: CallFlowId,
    /// Its owner.
    pub business_id: BusinessId,
    /// The payload's `call_flow_name`.
    pub name: String,
    /// Traffic source of calls for which neither report nor number says one.
    pub source: Option<String>,
    /// Whether answered calls are recorded by the phone system.
    pub recording: bool,
    /// Whether AI looks at its calls.
    pub ai_enabled: bool,
    /// The Post-Call Webhook; present but disabled where none was set up.
    pub post_call_webhook: Destination,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
