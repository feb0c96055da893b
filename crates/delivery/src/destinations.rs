//! The kinds of destination: how a delivery becomes a request, one file for each kind.
//!
//! The seam: a kind is a module with one pure function `request(&Outgoing) -> Request`. What differs between kinds (body format, type,
//! headers) is decided there; the sender knows nothing of kinds. A further kind is a new file and one line here.

use domain::Timestamp;
use domain::destination::{Destination, DestinationUrl};
use domain::id::DeliveryId;
use domain::payload::FrozenBody;

pub mod json;

/// One attempt of a delivery, before its destination's kind gives it a form.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The destination with its secrets.
    pub destination: &'a Destination,
    /// Where to: the destination's target, or what a person wants to test.
    pub url: &'a DestinationUrl,
    /// The payload as it was frozen.
    pub body: &'a FrozenBody,
    /// Stays the same over all attempts.
    pub delivery_id: DeliveryId,
    /// From 1.
    pub attempt: u32,
    /// When the attempt begins.
    pub sent_at: Timestamp,
    /// Whether a person pressed the test button.
    pub test: bool,
}
