//! Group commit: one thread takes operations from a bounded queue and commits all that are waiting as one transaction.
//!
//! No lingering: a group grows by what arrives while the one before it is being synced. Nobody is answered, and nobody hears of a
//! commit, before it is on disk.

use super::checkpoint::Checkpoints;
use super::connection::SqliteConnection;
use crate::engine::group::{self, Group, NotCommitted, Waiting, Writer};
use crate::error::{StoreError, StoreResult};
use crate::tx::{Told, TxShared};
use failpoint::{Point, reach};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// The database file by its name: what is written to one that was removed or replaced is gone with this process.
struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Place {
    /// The file that is there now.
    fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: identity(path)?, path: path.to_owned() })
    }

    fn check(&self) -> StoreResult<()> {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{} was removed or replaced while callhook uses it: put the file back; until this process ends, the system keeps it in /proc/{}/fd",
            self.path.display(),
            std::process::id()
        )))
    }
}

/// Device and number of a file.
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Starts the writer on its connection. At its end it checkpoints, so that the next start finds everything in one file.
pub fn start(
    path: &Path,
    file: Arc<File>,
    mut connection: SqliteConnection,
    is_log_empty: bool,
    shared: Arc<TxShared>,
) -> StoreResult<Writer> {
    let figures = Arc::clone(&shared.figures);
    let checkpoints = Checkpoints::start(path, file, &mut connection, is_log_empty, Arc::clone(&figures))?;
    let place = Place::of(path)
        .map_err(|error| StoreError::Unavailable(format!("cannot look at {}: {error}", path.display())))?;
    Writer::start("store-writer", figures, move |waiting, runtime| {
        run(connection, checkpoints, waiting, &place, &shared, runtime);
    })
}

fn run(
    mut connection: SqliteConnection,
    mut checkpoints: Checkpoints,
    mut waiting: Waiting,
    place: &Place,
    shared: &TxShared,
    runtime: &Handle,
) {
    let mut group = Vec::new();
    while group::take(&mut waiting, &mut group) {
        reach(Point::GroupTaken);
        let began = Instant::now();
        let done = place.check().and_then(|()| commit(&mut connection, &mut group, shared));
        let (committed, told) = match done {
            Ok(told) => (Ok(()), Some(told)),
            Err(error) => {
                end_if_unknown(&error);
                if !connection.is_idle()
                    && let Err(error) = connection.run_prepared("ROLLBACK")
                {
                    tracing::error!(%error, "A group of writes could not be rolled back");
                }
                tracing::error!(%error, operations = group.len(), "A group of writes was not committed");
                shared.figures.groups_failed.add(1);
                (Err(NotCommitted::Nothing(error.reason())), None)
            }
        };
        shared.figures.group_operations.add(group.len() as u64);
        shared.figures.group_duration.add_duration(began.elapsed());
        let mut erased = false;
        if let Some(told) = told {
            erased = told.erased;
            told.tell(shared);
            reach(Point::GroupTold);
        }
        group::answer(runtime, std::mem::take(&mut group), committed);
        checkpoints.after_commit(&connection, erased);
    }
    drop(checkpoints);
    reach(Point::WriterEnded);
    match connection.checkpoint() {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!(
                "Another process reads the store: its log was not emptied; the next start does it"
            );
        }
        Err(error) => tracing::warn!(%error, "The last checkpoint failed; the next start does it"),
    }
    reach(Point::LastCheckpointDone);
}

/// Runs and commits a group; what is told comes back for the time after.
fn commit(connection: &mut SqliteConnection, group: &mut Group, shared: &TxShared) -> StoreResult<Told> {
    connection.run_prepared("BEGIN IMMEDIATE")?;
    let told = if let Some(told) = group::together(connection, group, shared)? {
        told
    } else {
        connection.run_prepared("ROLLBACK")?;
        connection.run_prepared("BEGIN IMMEDIATE")?;
        group::one_by_one(connection, group, shared)?
    };
    reach(Point::GroupDone);
    let began = Instant::now();
    connection.run_prepared("COMMIT")?;
    shared.figures.sync_duration.add_duration(began.elapsed());
    reach(Point::GroupCommitted);
    Ok(told)
}

/// A process that goes on after a failed sync would acknowledge what may not be there.
pub fn end_if_unknown(error: &StoreError) {
    if matches!(error, StoreError::Unknown(_)) {
        tracing::error!(%error, "The disk failed to sync: callhook ends, so that nothing is acknowledged that may be lost");
        std::process::abort();
    }
}
