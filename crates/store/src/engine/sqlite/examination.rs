//! What a database file holds, read without changing it and whether or not a server uses it.

use super::connection::SqliteConnection;
use super::migrations::VERSION;
use crate::backup::{BackupError, BreakOff, Check, Endpoint, Holdings, KeyFits};
use crate::engine::Sql;
use crate::error::{StoreError, StoreResult};
use crate::seal::Keyring;
use domain::Timestamp;
use domain::destination::DestinationUrl;
use domain::id::CallFlowId;
use std::path::Path;

const COUNT_CALLS: &str = "SELECT count(*) FROM calls";
const COUNT_DELIVERIES: &str = "SELECT count(*) FROM deliveries";
const NEWEST_CALL: &str = "SELECT reported_at FROM calls ORDER BY rowid DESC LIMIT 1";
const SELECT_ENDPOINT: &str = "SELECT f.name, d.enabled, d.url FROM call_flows f
    JOIN destinations d ON d.business_id = f.business_id AND d.call_flow_id = f.id AND d.is_post_call_webhook = 1
    WHERE f.id = ?1";

/// Reads all of a database and says what it holds; fails where it is damaged, of a newer callhook, or none of callhook's.
pub fn examine(
    path: &Path,
    check: Check,
    keyring: Option<&Keyring>,
    now: Timestamp,
    break_off: &BreakOff,
) -> Result<Holdings, BackupError> {
    let mut connection = SqliteConnection::open_beside(path).map_err(|error| unreadable(path, &error))?;
    let break_off = break_off.clone();
    connection.break_off_when(move || break_off.is_wanted())?;
    holdings(&mut connection, path, check, keyring, now)
}

/// Where the call flow's webhook goes, whichever business it is of; `None`: there is no such flow.
pub fn endpoint(path: &Path, call_flow: CallFlowId) -> Result<Option<Endpoint>, BackupError> {
    let mut connection = SqliteConnection::open_beside(path).map_err(|error| unreadable(path, &error))?;
    let sql: &mut dyn Sql = &mut connection;
    let found = sql.row(SELECT_ENDPOINT, &[call_flow.into()], |row| {
        let url = row.opt_text(2)?.map(|url| DestinationUrl::parse(&url)).transpose()?;
        Ok(Endpoint { call_flow: row.text(0)?, enabled: row.bool(1)?, url })
    });
    found.map_err(|error| unreadable(path, &error))
}

/// The same over an open connection.
pub(super) fn holdings(
    connection: &mut SqliteConnection,
    path: &Path,
    check: Check,
    keyring: Option<&Keyring>,
    now: Timestamp,
) -> Result<Holdings, BackupError> {
    let sql: &mut dyn Sql = connection;
    let version = sql.count("PRAGMA user_version", &[]).map_err(|error| unreadable(path, &error))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version == 0 {
        return Err(BackupError::Failed(format!(
            "{} is no store of callhook: name the file of a backup",
            path.display()
        )));
    }
    if version > VERSION {
        return Err(BackupError::Failed(format!(
            "{} was written by a newer callhook (its tables are of version {version}, this one knows {VERSION}): use that version",
            path.display()
        )));
    }
    let pragma = match check {
        Check::Whole => "PRAGMA integrity_check(1)",
        Check::Quick => "PRAGMA quick_check(1)",
    };
    let found = sql.row(pragma, &[], |row| row.text(0)).map_err(|error| unreadable(path, &error))?;
    if let Some(fault) = found.filter(|found| found != "ok") {
        let fault = fault.lines().collect::<Vec<_>>().join(" ");
        return Err(BackupError::Failed(format!(
            "{} is damaged ({fault}): restore an earlier backup",
            path.display()
        )));
    }
    count(sql, version, keyring, now).map_err(|error| unreadable(path, &error))
}

fn count(
    sql: &mut dyn Sql,
    version: usize,
    keyring: Option<&Keyring>,
    now: Timestamp,
) -> StoreResult<Holdings> {
    let outstanding = crate::pause::outstanding(sql, now)?;
    Ok(Holdings {
        calls: sql.count(COUNT_CALLS, &[])?,
        deliveries: sql.count(COUNT_DELIVERIES, &[])?,
        due: outstanding.due,
        waiting: outstanding.waiting,
        newest_call_at: sql.row(NEWEST_CALL, &[], |row| row.time(0))?,
        version,
        version_known: VERSION,
        sending_paused: crate::pause::is_paused(sql)?,
        key: match keyring {
            None => KeyFits::NotAsked,
            Some(keyring) if crate::canaries_fit(sql, keyring)? => KeyFits::Yes,
            Some(_) => KeyFits::No,
        },
    })
}

fn unreadable(path: &Path, error: &StoreError) -> BackupError {
    match error {
        // Here, only whoever waits has statements broken off.
        StoreError::Busy(_) => BackupError::BrokenOff,
        StoreError::Malformed(fault) => {
            BackupError::Failed(format!("{} is damaged ({fault}): restore an earlier backup", path.display()))
        }
        error => BackupError::Failed(format!(
            "{} cannot be read as a store of callhook: {}",
            path.display(),
            error.reason()
        )),
    }
}
