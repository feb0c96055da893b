//! Group commit: one thread takes operations from a bounded queue and commits all that are waiting as one transaction.
//!
//! Each operation has a savepoint of its own, so that one that fails fails alone. A group grows by what arrives while the
//! group before it is being synced: no lingering. Nobody is answered, and nobody hears of a commit, before it is on disk.

use super::caught;
use super::connection::SqliteConnection;
use crate::error::{StoreError, StoreResult};
use crate::limits::{GROUP_OPERATIONS_MAX, WRITER_QUEUE_MAX};
use crate::tx::{Told, Tx, TxShared};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// An operation on its way: run inside the group, then told how the commit went.
trait Operation: Send {
    /// Runs it; `false` where its changes are to be undone.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Answers its caller.
    fn finish(self: Box<Self>, committed: &Result<(), GroupFailure>);
}

/// Why a whole group failed.
enum GroupFailure {
    /// Nothing of it was written.
    NotWritten(String),
}

pub struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Operation>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(connection: SqliteConnection, shared: Arc<TxShared>) -> StoreResult<Self> {
        let (sender, receiver) = mpsc::channel(WRITER_QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(connection, receiver, &shared))
            .map_err(|error| StoreError::Unavailable(format!("cannot start the writer: {error}")))?;
        Ok(Self { queue: Some(sender), thread: Some(thread) })
    }

    pub async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (answer, answered) = oneshot::channel();
        let pending = Pending { operation: Some(operation), result: None, answer };
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.try_send(Box::new(pending)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy("too many writes wait"),
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
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
    operation: Option<F>,
    result: Option<StoreResult<T>>,
    answer: oneshot::Sender<StoreResult<T>>,
}

impl<F, T> Operation for Pending<F, T>
where
    F: FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(operation) = self.operation.take() else { return false };
        let result = caught(|| operation(tx));
        let fine = result.is_ok();
        self.result = Some(result);
        fine
    }

    fn finish(self: Box<Self>, committed: &Result<(), GroupFailure>) {
        let result = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(GroupFailure::NotWritten(reason))) => Err(StoreError::Unavailable(reason.clone())),
            (None, Ok(())) => Err(ended()),
        };
        // A caller that hung up loses nothing: what was committed is told to the listener below.
        let _ = self.answer.send(result);
    }
}

fn run(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Box<dyn Operation>>, shared: &TxShared) {
    let mut group = Vec::with_capacity(GROUP_OPERATIONS_MAX);
    while queue.blocking_recv_many(&mut group, GROUP_OPERATIONS_MAX) > 0 {
        let (committed, told) = match commit(&mut connection, &mut group, shared) {
            Ok(told) => (Ok(()), Some(told)),
            Err(error) => {
                end_if_unknown(&error);
                if !connection.is_idle()
                    && let Err(error) = connection.run_prepared("ROLLBACK")
                {
                    tracing::error!(%error, "A group of writes could not be rolled back");
                }
                tracing::error!(%error, operations = group.len(), "A group of writes was not committed");
                (Err(GroupFailure::NotWritten(error.to_string())), None)
            }
        };
        if let Some(told) = told {
            told.tell(shared);
        }
        for operation in group.drain(..) {
            operation.finish(&committed);
        }
    }
    if let Err(error) = connection.checkpoint() {
        tracing::warn!(%error, "The last checkpoint failed; the next start does it");
    }
}

/// Runs and commits a group; what is told comes back for the time after.
fn commit(
    connection: &mut SqliteConnection,
    group: &mut [Box<dyn Operation>],
    shared: &TxShared,
) -> StoreResult<Told> {
    connection.run_prepared("BEGIN IMMEDIATE")?;
    let mut told = Told::default();
    for operation in group.iter_mut() {
        connection.run_prepared("SAVEPOINT operation")?;
        let mut tx = Tx::new(connection, shared);
        let fine = operation.run(&mut tx);
        let news = tx.into_told();
        if connection.is_idle() {
            return Err(StoreError::Unavailable("the database took the whole group back".to_owned()));
        }
        if fine {
            told.append(news);
        } else {
            connection.run_prepared("ROLLBACK TO operation")?;
        }
        connection.run_prepared("RELEASE operation")?;
    }
    connection.run_prepared("COMMIT")?;
    Ok(told)
}

/// A process that goes on after a failed sync would acknowledge what may not be there.
fn end_if_unknown(error: &StoreError) {
    if matches!(error, StoreError::Unknown(_)) {
        tracing::error!(%error, "The disk failed to sync: callhook ends, so that nothing is acknowledged that may be lost");
        std::process::abort();
    }
}

fn ended() -> StoreError {
    StoreError::Unavailable("the writer has ended".to_owned())
}
