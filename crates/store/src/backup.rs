//! A store outside of its server: what a copy holds, and what is said where one cannot be made or used.
//!
//! [`write`] makes a copy, [`restore`] puts one in place, [`examine`] looks without changing anything. None of them opens the store
//! as a server does: tables stay of the version that they are, and a server may be running meanwhile.

use crate::engine::Sql;
use crate::error::{StoreError, StoreResult};
use crate::seal::Keyring;
use crate::transfer::mark;
use crate::{canaries_fit, pause};
use domain::Timestamp;
use domain::destination::DestinationUrl;
use domain::id::CallFlowId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use crate::engine::postgres::examination::{
    endpoint as database_endpoint, examine as examine_database, holds_store as database_holds_store,
    shown as database_shown,
};
pub use crate::engine::sqlite::copy::{restore, write};
pub use crate::engine::sqlite::examination::{endpoint, examine};

const COUNT_CALLS: &str = "SELECT count(*) FROM calls";
const COUNT_DELIVERIES: &str = "SELECT count(*) FROM deliveries";
const SELECT_ENDPOINT: &str = "SELECT f.name, d.enabled, d.url FROM call_flows f
    JOIN destinations d ON d.business_id = f.business_id AND d.call_flow_id = f.id AND d.is_post_call_webhook = 1
    WHERE f.id = ?1";

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Why no server starts on it, where it is one end of a move.
    pub moved: Option<String>,
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

/// Counts what a store holds, whatever engine's. `version` of its tables, and the one that is known.
pub(crate) fn holdings_in(
    sql: &mut dyn Sql,
    (version, version_known): (usize, usize),
    newest_call_at: Option<Timestamp>,
    keyring: Option<&Keyring>,
    now: Timestamp,
) -> StoreResult<Holdings> {
    let outstanding = pause::outstanding(sql, now)?;
    Ok(Holdings {
        calls: sql.count(COUNT_CALLS, &[])?,
        deliveries: sql.count(COUNT_DELIVERIES, &[])?,
        due: outstanding.due,
        waiting: outstanding.waiting,
        newest_call_at,
        version,
        version_known,
        sending_paused: pause::is_paused(sql)?,
        moved: mark::why_not_used(sql)?,
        key: match keyring {
            None => KeyFits::NotAsked,
            Some(keyring) if canaries_fit(sql, keyring)? => KeyFits::Yes,
            Some(_) => KeyFits::No,
        },
    })
}

/// Where the call flow's webhook goes, whichever business it is of.
pub(crate) fn endpoint_in(sql: &mut dyn Sql, call_flow: CallFlowId) -> StoreResult<Option<Endpoint>> {
    sql.row(SELECT_ENDPOINT, &[call_flow.into()], |row| {
        let url = row.opt_text(2)?.map(|url| DestinationUrl::parse(&url)).transpose()?;
        Ok(Endpoint { call_flow: row.text(0)?, enabled: row.bool(1)?, url })
    })
}
