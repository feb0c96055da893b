//! The store and what hangs on it: its key, whether sending waits, and the clock.

use super::findings::{Findings, Level};
use crate::admin::Condition;
use crate::cli::Failure;
use crate::cli::backup::{interruptible, keyring};
use crate::config::{Config, SECRET_KEY_FILE};
use crate::system::System;
use domain::{Timestamp, World as _};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use store::backup::{self, BackupError, Check, Holdings, KeyFits};
use store::engine::postgres::Database;
use store::engine::postgres::durability::{Durability, Remark};

const IN_USE: &str = "store in use";
const STORE: &str = "store";
const DATABASE: &str = "database";
const DURABILITY: &str = "durability";
const KEY: &str = "secret key";
const TABLES: &str = "tables";
const SENDING: &str = "sending";
const CLOCK: &str = "clock";

/// 2026-01-01T00:00:00Z: this callhook is not older.
const EARLIEST: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// How far the clock may be behind the newest call: that much a clock is set back when it is set at all.
const BEHIND_MAX: Duration = Duration::from_secs(5);

/// Looks at the store, its key and the clock. Names who works on it, where that is said in a database.
pub fn look(config: &Config, findings: &mut Findings) -> Result<Option<String>, Failure> {
    match &config.database {
        Some(database) => Ok(look_at_database(config, database, findings)),
        None => look_at_folder(config, findings).map(|()| None),
    }
}

/// Says so where the server that runs works on another store than the one that was looked at, which `holder` works on.
pub fn look_whether_in_use(
    config: &Config,
    holder: Option<&str>,
    running: &Condition,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let Some(place) = &running.place else { return Ok(()) };
    let looked_at = config.place().shown()?;
    let is_the_same = match (&config.database, &running.holder) {
        // Where nobody is named, perhaps since it could not be looked at, the words are all that there is.
        (Some(_), Some(_)) if holder.is_none() => *place == looked_at,
        (Some(_), Some(of_server)) => holder == Some(of_server),
        // Its folder's store is that of the socket by which it was asked.
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if !is_the_same {
        findings.fault(
            IN_USE,
            format!("the server that runs has its store in {place}, and {looked_at} is what was looked at: give both the same --database-url and --database-schema"),
        );
    }
    Ok(())
}

fn look_at_folder(config: &Config, findings: &mut Findings) -> Result<(), Failure> {
    let path = config.data_dir.join(store::engine::sqlite::FILE_NAME);
    let is_there = match path.try_exists() {
        Ok(is_there) => is_there,
        Err(error) => {
            let shown = path.display();
            findings.fault(
                STORE,
                format!("{shown} cannot be looked at ({error}): run this as the server's user"),
            );
            return Ok(());
        }
    };
    if !is_there {
        if let Some(process) = store::engine::sqlite::user(&config.data_dir) {
            findings.fault(
                STORE,
                format!("its file is gone while callhook (process {process}) uses it: put it back; until that process ends, the system keeps it in /proc/{process}/fd"),
            );
            return Ok(());
        }
        findings.warning(
            STORE,
            "there is none yet: the first `callhook serve` makes it, or `callhook restore` brings one back",
        );
        look_at_clock(None, System.now(), findings);
        return Ok(());
    }
    let (keyring, can_be_tried) = match keyring(config) {
        Ok(keyring) => (keyring, true),
        Err(failure) => {
            findings.fault(KEY, failure.to_string());
            (None, false)
        }
    };
    let examined = interruptible(move |break_off| {
        Ok(backup::examine(&path, Check::Quick, keyring.as_ref(), System.now(), break_off))
    })?;
    let held = match examined {
        Ok(held) => held,
        Err(BackupError::BrokenOff) => return Err(Failure::new("broken off")),
        Err(error) => {
            findings.fault(STORE, error.to_string());
            return Ok(());
        }
    };
    look_at_holdings(&held, findings);
    if can_be_tried {
        look_at_key(config, held.key, findings);
    }
    look_at_clock(held.newest_call_at, System.now(), findings);
    Ok(())
}

/// The same for a store in a database.
fn look_at_database(config: &Config, database: &Database, findings: &mut Findings) -> Option<String> {
    let keyring = keyring(config).unwrap_or_else(|failure| {
        findings.fault(KEY, failure.to_string());
        None
    });
    let examined = match backup::examine_database(database, keyring.as_ref(), System.now()) {
        Ok(examined) => examined,
        Err(error) => {
            findings.fault(STORE, error.to_string());
            return None;
        }
    };
    let place = examined.place;
    if let Some(held) = examined.holdings {
        findings.ok(DATABASE, place);
        look_at_durability(&examined.durability, findings);
        look_at_holdings(&held, findings);
        look_at_key(config, held.key, findings);
        look_at_clock(held.newest_call_at, System.now(), findings);
    } else {
        findings.warning(
            STORE,
            format!("{place}: it holds no tables yet, and the first `callhook serve` makes them"),
        );
        look_at_durability(&examined.durability, findings);
    }
    examined.holder
}

/// What may be lost of what was acknowledged.
fn look_at_durability(durability: &Durability, findings: &mut Findings) {
    let remarks = durability.remarks();
    let is_safe = remarks.iter().all(|remark| matches!(remark, Remark::Note(_)));
    let texts = remarks.into_iter().map(|remark| match remark {
        Remark::Note(text) | Remark::Warning(text) => text,
    });
    let level = if is_safe { Level::Ok } else { Level::Warning };
    findings.add(DURABILITY, level, texts.collect::<Vec<_>>().join("; "));
}

fn look_at_key(config: &Config, key: KeyFits, findings: &mut Findings) {
    match key {
        KeyFits::Yes if is_open_to_others(config) => findings.warning(
            KEY,
            "it opens the store, but others on the machine can read secret.key in the data folder: chmod 600 it",
        ),
        KeyFits::Yes => findings.ok(KEY, "it opens the store; keep a copy of it apart from the backups"),
        KeyFits::No => findings.fault(
            KEY,
            "it does not open the store: name the key that the store was made with, and all that came after it (--secret-key, --previous-secret-key)",
        ),
        KeyFits::NotAsked => findings.warning(
            KEY,
            "none is set and the folder holds none, so it was not tried: name the server's with --secret-key-file",
        ),
    }
}

/// Whether somebody else may read the key that lies in the data folder.
fn is_open_to_others(config: &Config) -> bool {
    let file = config.data_dir.join(SECRET_KEY_FILE);
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

fn look_at_holdings(held: &Holdings, findings: &mut Findings) {
    let Holdings { calls, deliveries, due, waiting, version, version_known, .. } = held;
    findings.ok(
        STORE,
        format!("it is whole, with {calls} calls and {deliveries} deliveries ({due} due, {waiting} waiting for their time)"),
    );
    if version < version_known {
        findings.warning(
            TABLES,
            format!("the store's tables are of version {version}, and the next start brings them to {version_known}: make a backup before"),
        );
    }
    if let Some(moved) = &held.moved {
        findings.fault(STORE, moved.clone());
    }
    if held.sending_paused {
        findings.warning(
            SENDING,
            format!("the store was restored and sends nothing, with {due} deliveries due: look, then run `callhook resume`"),
        );
    }
}

fn look_at_clock(newest: Option<Timestamp>, now: Timestamp, findings: &mut Findings) {
    if now < EARLIEST {
        findings.fault(CLOCK, format!("it shows {now}, which is long past: set it, and have it set by NTP"));
        return;
    }
    match newest.filter(|newest| newest.since(now) > BEHIND_MAX) {
        Some(newest) => findings.fault(
            CLOCK,
            format!("it shows {now} and is behind the newest call, which was reported at {newest}: set it, and have it set by NTP"),
        ),
        None => findings.ok(CLOCK, format!("it shows {now}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(now: &str, newest: Option<&str>, is_fault: bool) {
        let mut findings = Findings::default();
        let newest = newest.map(|newest| newest.parse().unwrap());
        look_at_clock(newest, now.parse().unwrap(), &mut findings);
        assert_eq!(findings.tell(true).is_err(), is_fault, "{now} {newest:?}");
    }

    #[test]
    fn a_clock_that_is_long_past_or_behind_the_store_is_a_fault() {
        check("2026-03-30T14:00:00Z", None, false);
        check("2026-03-30T14:00:00Z", Some("2026-03-30T13:59:00Z"), false);
        check("2026-03-30T14:00:00Z", Some("2026-03-30T14:00:04Z"), false);
        check("2026-03-30T14:00:00Z", Some("2026-03-30T14:01:00Z"), true);
        check("1970-01-01T00:01:00Z", None, true);
        check("2024-03-30T14:00:00Z", Some("2024-03-30T13:00:00Z"), true);
    }
}
