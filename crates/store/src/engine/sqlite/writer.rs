//! Group commit: one thread takes operations from a bounded queue and commits all that are waiting as one transaction.
//!
//! An operation that fails fails alone: where it had written already, the group is taken back and run once more, with a savepoint
//! for each operation. A group grows by what arrives while the group before it is being synced: no lingering. Nobody is
//! answered, and nobody hears of a commit, before it is on disk.

use super::caught;
use super::checkpoint::Checkpoints;
use super::connection::SqliteConnection;
use crate::engine::Sql as _;
use crate::error::{StoreError, StoreResult};
use crate::figures::Figures;
use crate::limits::{GROUP_OPERATIONS_MAX, GROUP_ROWS_MAX, WRITER_QUEUE_MAX};
use crate::tx::{Savepoints, Told, Tx, TxShared};
use failpoint::{Point, reach};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// An operation on its way: run inside the group, then told how the commit went.
trait Operation: Send {
    /// How many rows it may change, as a measure of its time.
    fn rows(&self) -> usize;
    /// Runs it; `false` where it failed, and its changes are to be undone.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Answers its caller.
    fn finish(self: Box<Self>, committed: &Result<(), NotWritten>);
}

/// What an operation asks of the writer.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// How many rows it may change.
    pub rows: usize,
    /// Whether it waits for room where the queue is full: what callhook itself has to write, and cannot tell to come again.
    pub waits: bool,
}

/// Why nothing of a whole group was written.
struct NotWritten(String);

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

pub struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Operation>>>,
    thread: Option<JoinHandle<()>>,
    figures: Arc<Figures>,
}

impl Writer {
    pub fn start(
        path: &Path,
        file: Arc<File>,
        mut connection: SqliteConnection,
        is_log_empty: bool,
        shared: Arc<TxShared>,
    ) -> StoreResult<Self> {
        let runtime = Handle::try_current().map_err(|error| {
            StoreError::Unavailable(format!("cannot answer the writer's callers: {error}"))
        })?;
        let figures = Arc::clone(&shared.figures);
        let checkpoints =
            Checkpoints::start(path, file, &mut connection, is_log_empty, Arc::clone(&figures))?;
        let place = Place::of(path).map_err(|error| {
            StoreError::Unavailable(format!("cannot look at {}: {error}", path.display()))
        })?;
        let (sender, receiver) = mpsc::channel(WRITER_QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(connection, checkpoints, receiver, &place, &shared, &runtime))
            .map_err(|error| StoreError::Unavailable(format!("cannot start the writer: {error}")))?;
        Ok(Self { queue: Some(sender), thread: Some(thread), figures })
    }

    /// Operations that wait.
    pub fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    pub async fn write<T: Send + 'static>(
        &self,
        demand: Demand,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (answer, answered) = oneshot::channel();
        let pending = Pending { rows: demand.rows, operation, result: None, answer };
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        if demand.waits {
            // Who waits is served before a later caller: the queue gives its room in order.
            queue.send(Box::new(pending)).await.map_err(|_| ended())?;
        } else {
            queue.try_send(Box::new(pending)).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => {
                    self.figures.writes_refused.add(1);
                    StoreError::Busy("too many writes wait")
                }
                mpsc::error::TrySendError::Closed(_) => ended(),
            })?;
        }
        reach(Point::OperationQueued);
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for Writer {
    /// Commits what is queued and checkpoints, so that the next start finds everything in one file.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panicking writer has said so already.
            let _ = thread.join();
        }
    }
}

struct Pending<F, T> {
    rows: usize,
    operation: F,
    result: Option<StoreResult<T>>,
    answer: oneshot::Sender<StoreResult<T>>,
}

impl<F, T> Operation for Pending<F, T>
where
    F: Fn(&mut Tx<'_>) -> StoreResult<T> + Send,
    T: Send,
{
    fn rows(&self) -> usize {
        self.rows
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let result = caught(|| (self.operation)(tx));
        let fine = result.is_ok();
        self.result = Some(result);
        fine
    }

    fn finish(self: Box<Self>, committed: &Result<(), NotWritten>) {
        let result = match committed {
            Ok(()) => self.result.unwrap_or_else(|| Err(ended())),
            // Also where it had failed by itself: perhaps for what another of the group had written, which is not there now.
            Err(NotWritten(reason)) => Err(StoreError::Unavailable(reason.clone())),
        };
        // A caller that hung up loses nothing: what was committed is told to the listener below.
        let _ = self.answer.send(result);
    }
}

fn run(
    mut connection: SqliteConnection,
    mut checkpoints: Checkpoints,
    mut queue: mpsc::Receiver<Box<dyn Operation>>,
    place: &Place,
    shared: &TxShared,
    runtime: &Handle,
) {
    let mut group = Vec::new();
    while take_group(&mut queue, &mut group) {
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
                (Err(NotWritten(error.reason())), None)
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
        answer(runtime, std::mem::take(&mut group), committed);
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

/// Answers a group's callers from one task of theirs: one wake-up crosses threads instead of one for each, and the writer goes on.
fn answer(runtime: &Handle, group: Vec<Box<dyn Operation>>, committed: Result<(), NotWritten>) {
    runtime.spawn(async move {
        for operation in group {
            operation.finish(&committed);
        }
        reach(Point::GroupAnswered);
    });
}

/// Waits for an operation and takes what else is there, as much as one commit may hold; `false` at the end.
fn take_group(queue: &mut mpsc::Receiver<Box<dyn Operation>>, group: &mut Vec<Box<dyn Operation>>) -> bool {
    let mut rows = 0;
    let mut next = queue.blocking_recv();
    while let Some(operation) = next {
        rows += operation.rows();
        group.push(operation);
        let is_full = group.len() >= GROUP_OPERATIONS_MAX || rows >= GROUP_ROWS_MAX;
        next = if is_full { None } else { queue.try_recv().ok() };
    }
    !group.is_empty()
}

/// Runs and commits a group; what is told comes back for the time after.
fn commit(
    connection: &mut SqliteConnection,
    group: &mut [Box<dyn Operation>],
    shared: &TxShared,
) -> StoreResult<Told> {
    connection.run_prepared("BEGIN IMMEDIATE")?;
    let told = if let Some(told) = together(connection, group, shared)? {
        told
    } else {
        connection.run_prepared("ROLLBACK")?;
        connection.run_prepared("BEGIN IMMEDIATE")?;
        one_by_one(connection, group, shared)?
    };
    reach(Point::GroupDone);
    let began = Instant::now();
    connection.run_prepared("COMMIT")?;
    shared.figures.sync_duration.add_duration(began.elapsed());
    reach(Point::GroupCommitted);
    Ok(told)
}

/// Runs a group without a way back for one of it; `None` where one would have needed it.
fn together(
    connection: &mut SqliteConnection,
    group: &mut [Box<dyn Operation>],
    shared: &TxShared,
) -> StoreResult<Option<Told>> {
    let mut told = Told::default();
    for operation in group {
        let changes = connection.changes();
        let (fine, news) = run_one(connection, operation, shared, Savepoints::Left)?;
        match news {
            Some(news) if fine => told.append(news),
            Some(_) if connection.changes() == changes => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(told))
}

/// Runs a group whose operations are undone alone.
fn one_by_one(
    connection: &mut SqliteConnection,
    group: &mut [Box<dyn Operation>],
    shared: &TxShared,
) -> StoreResult<Told> {
    let mut told = Told::default();
    for operation in group {
        connection.run_prepared("SAVEPOINT operation")?;
        let (fine, news) = run_one(connection, operation, shared, Savepoints::Set)?;
        match news {
            Some(news) if fine => told.append(news),
            _ => connection.run_prepared("ROLLBACK TO operation")?,
        }
        connection.run_prepared("RELEASE operation")?;
    }
    Ok(told)
}

fn run_one(
    connection: &mut SqliteConnection,
    operation: &mut Box<dyn Operation>,
    shared: &TxShared,
    savepoints: Savepoints,
) -> StoreResult<(bool, Option<Told>)> {
    let mut tx = Tx::new(connection, shared, savepoints);
    let fine = operation.run(&mut tx);
    let news = tx.into_told();
    if connection.is_idle() {
        return Err(StoreError::Unavailable("the database took the whole group back".to_owned()));
    }
    reach(Point::OperationDone);
    Ok((fine, news))
}

/// A process that goes on after a failed sync would acknowledge what may not be there.
pub fn end_if_unknown(error: &StoreError) {
    if matches!(error, StoreError::Unknown(_)) {
        tracing::error!(%error, "The disk failed to sync: callhook ends, so that nothing is acknowledged that may be lost");
        std::process::abort();
    }
}

fn ended() -> StoreError {
    StoreError::Unavailable("the writer has ended".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows_each: usize, queued: usize, expected: &[usize]) {
        let (sender, mut queue) = mpsc::channel::<Box<dyn Operation>>(WRITER_QUEUE_MAX);
        for _ in 0..queued {
            let operation = |_: &mut Tx<'_>| Ok(());
            let pending = Pending { rows: rows_each, operation, result: None, answer: oneshot::channel().0 };
            sender.try_send(Box::new(pending)).map_err(|_| "full").unwrap();
        }
        drop(sender);
        let (mut group, mut groups) = (Vec::new(), Vec::new());
        while take_group(&mut queue, &mut group) {
            groups.push(group.drain(..).count());
        }
        assert_eq!(groups, expected);
    }

    #[test]
    fn a_group_ends_by_operations_or_by_their_rows() {
        check(1, 1_000, &[512, 488]);
        check(500, 10, &[4, 4, 2]);
        check(5_000, 2, &[1, 1]);
        check(1, 0, &[]);
    }
}
