//! What callhook keeps: whole operations over an engine, each one transaction.

pub mod error;
pub mod queue;

pub use error::{StoreError, StoreResult};
