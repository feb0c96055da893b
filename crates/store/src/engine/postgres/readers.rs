//! A few connections for reading, each used by one operation at a time.

use super::address::Address;
use super::connection::{Kind, PostgresConnection};
use super::rounds;
use super::session::Session;
use crate::engine::group::caught;
use crate::engine::{Sql as _, State};
use crate::error::{StoreError, StoreResult};
use crate::tx::{Savepoints, Tx, TxShared};
use std::iter;
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
    by_index: bool,
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
        Self { idle, free, shared, address, schema, timeout, by_index: false }
    }

    /// See [`Session::by_index`].
    #[must_use]
    pub fn by_index(self) -> Self {
        Self { by_index: true, ..self }
    }

    pub async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.look(move |connection, shared| operation(&mut Tx::new(connection, shared, Savepoints::Left)))
            .await
    }

    /// Reads what its parts ask in the same words at once.
    pub async fn read_gathered<T: Send + 'static>(
        &self,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.look(move |connection, shared| {
            let mut result = None;
            let run = |tx: &mut Tx<'_>| {
                let read = operation(tx);
                let is_fine = read.is_ok();
                result = Some(read);
                is_fine
            };
            let is_read = rounds::run(connection, iter::once(run), shared)?.is_some();
            result
                .filter(|_| is_read)
                .unwrap_or_else(|| operation(&mut Tx::new(connection, shared, Savepoints::Left)))
        })
        .await
    }

    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PostgresConnection, &TxShared) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let gone = || StoreError::Unavailable("the readers have ended".to_owned());
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| gone())?;
        let (idle, shared) = (Arc::clone(&self.idle), Arc::clone(&self.shared));
        let (address, schema, timeout) = (Arc::clone(&self.address), Arc::clone(&self.schema), self.timeout);
        let by_index = self.by_index;
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut connection = loop {
                // That one has ended while it was idle shows when it is used.
                let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some(mut known) = known else {
                    let session = Session::new(&schema, timeout);
                    let session = if by_index { session.by_index() } else { session };
                    let mut connection = PostgresConnection::open(&address, session)?;
                    connection.begin(Kind::Snapshot)?;
                    break connection;
                };
                if known.begin(Kind::Snapshot).is_ok() {
                    break known;
                }
            };
            let result = caught(|| work(&mut connection, &shared));
            shared.figures.statements.add(connection.take_sent());
            // A connection that cannot end its transaction is of no use to the next.
            if connection.state() != State::Gone && connection.roll_back().is_ok() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            result
        });
        read.await.map_err(|error| StoreError::Unavailable(format!("a read was broken off: {error}")))?
    }
}
