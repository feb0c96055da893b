//! A few connections for reading, each used by one operation at a time.

use super::connection::SqliteConnection;
use crate::engine::group::caught;
use crate::error::{StoreError, StoreResult};
use crate::tx::{Savepoints, Tx, TxShared};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub struct Readers {
    idle: Arc<Mutex<Vec<SqliteConnection>>>,
    free: Arc<Semaphore>,
    shared: Arc<TxShared>,
    timeout: Option<Duration>,
}

impl Readers {
    /// Opens `count` connections; what takes longer than `timeout` on one of them is broken off.
    pub fn open(
        path: &Path,
        shared: Arc<TxShared>,
        count: usize,
        timeout: Option<Duration>,
    ) -> StoreResult<Self> {
        let connections =
            (0..count).map(|_| SqliteConnection::open_reader(path)).collect::<StoreResult<Vec<_>>>()?;
        let (idle, free) = (Arc::new(Mutex::new(connections)), Arc::new(Semaphore::new(count)));
        Ok(Self { idle, free, shared, timeout })
    }

    pub async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let gone = || StoreError::Unavailable("the readers have ended".to_owned());
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| gone())?;
        let (idle, shared, timeout) = (Arc::clone(&self.idle), Arc::clone(&self.shared), self.timeout);
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut connection =
                idle.lock().unwrap_or_else(PoisonError::into_inner).pop().ok_or_else(gone)?;
            let result = in_snapshot(&mut connection, &shared, timeout, operation);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            result
        });
        read.await.map_err(|error| StoreError::Unavailable(format!("a read was broken off: {error}")))?
    }
}

/// All statements of one operation see the same state; the snapshot ends with it, so that the WAL can be checkpointed.
fn in_snapshot<T>(
    connection: &mut SqliteConnection,
    shared: &TxShared,
    timeout: Option<Duration>,
    operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T>,
) -> StoreResult<T> {
    connection.run_prepared("BEGIN")?;
    connection.set_deadline(timeout.map(|timeout| Instant::now() + timeout))?;
    let result = caught(|| operation(&mut Tx::new(connection, shared, Savepoints::Left)));
    connection.set_deadline(None)?;
    // An engine that met an error of its own may have ended the transaction.
    if !connection.is_idle() {
        connection.run_prepared("ROLLBACK")?;
    }
    result
}
