//! A few connections for reading, each used by one operation at a time.

use super::connection::SqliteConnection;
use crate::error::{StoreError, StoreResult};
use crate::limits::READERS;
use crate::tx::{Tx, TxShared};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

pub struct Readers {
    idle: Arc<Mutex<Vec<SqliteConnection>>>,
    free: Arc<Semaphore>,
    shared: Arc<TxShared>,
}

impl Readers {
    pub fn open(path: &Path, shared: Arc<TxShared>) -> StoreResult<Self> {
        let connections =
            (0..READERS).map(|_| SqliteConnection::open_reader(path)).collect::<StoreResult<Vec<_>>>()?;
        Ok(Self { idle: Arc::new(Mutex::new(connections)), free: Arc::new(Semaphore::new(READERS)), shared })
    }

    pub async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let gone = || StoreError::Unavailable("the readers have ended".to_owned());
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| gone())?;
        let (idle, shared) = (Arc::clone(&self.idle), Arc::clone(&self.shared));
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut connection =
                idle.lock().unwrap_or_else(PoisonError::into_inner).pop().ok_or_else(gone)?;
            let result = in_snapshot(&mut connection, &shared, operation);
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
    operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T>,
) -> StoreResult<T> {
    connection.run_prepared("BEGIN")?;
    let result = operation(&mut Tx::new(connection, shared));
    connection.run_prepared("ROLLBACK")?;
    result
}
