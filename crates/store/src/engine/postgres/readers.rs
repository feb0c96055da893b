//! A few connections for reading, each used by one operation at a time.

use super::address::Address;
use super::connection::{Kind, PostgresConnection};
use crate::engine::group::caught;
use crate::engine::{Sql as _, State};
use crate::error::{StoreError, StoreResult};
use crate::tx::{Savepoints, Tx, TxShared};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

pub struct Readers {
    idle: Arc<Mutex<Vec<PostgresConnection>>>,
    free: Arc<Semaphore>,
    shared: Arc<TxShared>,
    address: Arc<Address>,
    schema: Arc<str>,
    timeout: Duration,
}

impl Readers {
    /// At most `count` connections, made when they are wanted; what takes longer than `timeout` on one of them is broken off.
    pub fn new(
        address: Arc<Address>,
        schema: Arc<str>,
        shared: Arc<TxShared>,
        count: usize,
        timeout: Duration,
    ) -> Self {
        let (idle, free) = (Arc::default(), Arc::new(Semaphore::new(count)));
        Self { idle, free, shared, address, schema, timeout }
    }

    pub async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let gone = || StoreError::Unavailable("the readers have ended".to_owned());
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| gone())?;
        let (idle, shared) = (Arc::clone(&self.idle), Arc::clone(&self.shared));
        let (address, schema, timeout) = (Arc::clone(&self.address), Arc::clone(&self.schema), self.timeout);
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut connection = loop {
                // That one has ended while it was idle shows when it is used.
                let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some(mut known) = known else {
                    let mut connection = PostgresConnection::open(&address, &schema, timeout)?;
                    connection.begin(Kind::Snapshot)?;
                    break connection;
                };
                if known.begin(Kind::Snapshot).is_ok() {
                    break known;
                }
            };
            let result = caught(|| operation(&mut Tx::new(&mut connection, &shared, Savepoints::Left)));
            // A connection that cannot end its transaction is of no use to the next.
            if connection.state() != State::Gone && connection.roll_back().is_ok() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            result
        });
        read.await.map_err(|error| StoreError::Unavailable(format!("a read was broken off: {error}")))?
    }
}
