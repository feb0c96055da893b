//! What a database file holds, read without changing it and whether or not a server uses it.

use super::connection::SqliteConnection;
use super::migrations::VERSION;
use crate::backup::{self, BackupError, BreakOff, Check, Endpoint, Holdings};
use crate::engine::Sql;
use crate::error::StoreError;
use crate::seal::Keyring;
use domain::Timestamp;
use domain::id::CallFlowId;
use std::path::Path;

const NEWEST_CALL: &str = "SELECT reported_at FROM calls ORDER BY rowid DESC LIMIT 1";

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
    backup::endpoint_in(&mut connection, call_flow).map_err(|error| unreadable(path, &error))
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
    let newest = sql.row(NEWEST_CALL, &[], |row| row.time(0));
    newest
        .and_then(|newest| backup::holdings_in(sql, (version, VERSION), newest, keyring, now))
        .map_err(|error| unreadable(path, &error))
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
