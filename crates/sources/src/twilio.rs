//! Twilio, and what speaks its language: signed form callbacks about the legs of a call.
//!
//! One request goes this way: [`parameters`] reads it, [`signature`] believes it, [`callback`] types it, [`join`]
//! makes one call of what the legs report.

pub mod callback;
pub mod join;
mod kept;
pub mod parameters;
mod party;
pub mod signature;

/// The answer to a `<Dial>` action: no further instructions, so that the call ends.
pub const EMPTY_TWIML: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;
/// The content type of [`EMPTY_TWIML`].
pub const TWIML_CONTENT_TYPE: &str = "text/xml";
