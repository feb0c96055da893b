//! A store outside of its server: what a copy holds, and what is said where one cannot be made or used.
//!
//! [`write`] makes a copy, [`restore`] puts one in place, [`examine`] looks without changing anything. None of them opens the store
//! as a server does: tables stay of the version that they are, and a server may be running meanwhile.

use crate::error::StoreError;
use domain::Timestamp;
use domain::destination::DestinationUrl;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use crate::engine::sqlite::copy::{restore, write};
pub use crate::engine::sqlite::examination::{endpoint, examine};

/// What a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Calls.
    pub calls: u64,
    /// Deliveries, ended ones included.
    pub deliveries: u64,
    /// Deliveries that are due now.
    pub due: u64,
    /// Deliveries whose time is still to come.
    pub waiting: u64,
    /// When the newest call was reported.
    pub newest_call_at: Option<Timestamp>,
    /// The version of its tables.
    pub version: usize,
    /// The version that this callhook brings a store to.
    pub version_known: usize,
    /// Whether a restored store waits for the operator's word before it sends.
    pub sending_paused: bool,
    /// Whether the secret key opens it.
    pub key: KeyFits,
}

/// Whether a secret key opens a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFits {
    /// It does.
    Yes,
    /// Another one is needed.
    No,
    /// No key was given.
    NotAsked,
}

/// How closely a store is looked at. Either reads all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Every page and row; also that each index has what its table has.
    Whole,
    /// All of that but the indexes.
    Quick,
}

/// Where a call flow's webhook goes.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The flow's name.
    pub call_flow: String,
    /// Whether calls are sent there.
    pub enabled: bool,
    /// The address, if the flow has one.
    pub url: Option<DestinationUrl>,
}

/// Becomes true where whoever waits for a copy has gone: what is under way is broken off, and leaves nothing behind.
#[derive(Clone, Debug, Default)]
pub struct BreakOff(Arc<AtomicBool>);

impl BreakOff {
    /// Nobody wants it any more.
    pub fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Why there is no copy, or no store of it, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Whoever waited has gone.
    #[error("it was broken off before its end: nothing is left of it")]
    BrokenOff,
    /// The sentence says what is wrong and what to do.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        match error {
            // Outside of a server, only whoever waits has statements broken off.
            StoreError::Busy(_) => Self::BrokenOff,
            error => Self::Failed(error.to_string()),
        }
    }
}
