//! The door to a database: statements, values and rows, the same for every engine.
//!
//! A noun's operation is written once against [`Sql`] and runs inside a transaction that an engine opened. Statements number
//! their parameters `?1`, `?2` …; an engine whose dialect writes them otherwise translates.

mod drawn;
pub(crate) mod group;
pub mod postgres;
pub mod sqlite;
mod value;

pub use drawn::Drawn;
pub use value::{Row, Value};

use crate::error::StoreResult;
use crate::limits;
use crate::tx::Tx;
use std::ops::ControlFlow;
use std::time::Duration;

/// An open transaction, or a snapshot for reading.
pub trait Sql {
    /// Runs a statement that answers no rows; returns how many it changed.
    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<u64>;

    /// Runs a statement that inserts one row; returns the id that the database gave it.
    ///
    /// Not `RETURNING`, for which SQLite makes a table of its own each time: that costs as much as the insert.
    fn insert(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<i64>;

    /// Runs a statement whose effect the operation does not look at: an engine may do it later, together with others of the same text.
    /// It inserts a row; what changes one is for [`Self::change_one`]. One that would leave alone what is there may be run as if nothing were,
    /// and everything again where it is.
    fn put(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<()> {
        self.execute(sql, params).map(drop)
    }

    /// The same for a statement that adds its last parameter, a number, to the row that the others name, or inserts that: an engine may
    /// add up beforehand what is for one row.
    fn add(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<()> {
        self.put(sql, params)
    }

    /// Runs a statement and hands each row to `each`, which may not use the transaction and says whether to go on.
    fn each_row(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<ControlFlow<()>>,
    ) -> StoreResult<()>;

    /// Runs a statement and hands all of its rows to `each`.
    fn every_row(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<()>,
    ) -> StoreResult<()> {
        self.each_row(sql, params, &mut |row| each(row).map(ControlFlow::Continue))
    }

    /// The same for rows of keys, call flows, numbers and destinations: an engine may answer what it read in an earlier transaction, as long
    /// as nobody has changed any of them since.
    fn every_row_of_configuration(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<()>,
    ) -> StoreResult<()> {
        self.every_row(sql, params, each)
    }

    /// Runs a query for each of several rows of parameters, and hands each row of its answers to `each` with the place of the parameters
    /// that it answers, in their order.
    fn rows_of_each(
        &mut self,
        sql: &str,
        params: &[Vec<Value<'_>>],
        each: &mut dyn FnMut(usize, &dyn Row) -> StoreResult<()>,
    ) -> StoreResult<()> {
        let mut asked = params.iter().enumerate();
        asked.try_for_each(|(place, params)| self.every_row(sql, params, &mut |row| each(place, row)))
    }

    /// Changes one row that is most likely there, and says whether it was: an engine may go on as if it were, and run everything again
    /// where it was not.
    fn change_one(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<bool> {
        Ok(self.execute(sql, params)? > 0)
    }

    /// How many rows were changed over this door so far: whether an operation has written anything.
    fn changes(&self) -> u64;

    /// Sets a savepoint, gives it up or goes back to it.
    fn control(&mut self, sql: &str) -> StoreResult<()>;

    /// What an error has left of the transaction.
    fn state(&self) -> State;

    /// Says that what is looked for next is written where it is not there: of two gathered operations, the second looks after the first
    /// has written. Where an engine lets nothing be looked for, nothing has to be claimed.
    fn claim(&mut self, _what: &'static str, _key: &[Value<'_>]) -> StoreResult<()> {
        Ok(())
    }

    /// The operation begins with one of its parts, counted from 0, that do not depend on each other; `None`: they are behind it.
    fn enter(&mut self, _part: Option<usize>) {}

    /// Whether the last error only says that an answer is still to come: then the operation is run again, and its other parts may ask
    /// meanwhile.
    fn is_waiting(&self) -> bool {
        false
    }

    /// What the operation drew from clock and chance when it was run before, and is to draw again.
    fn drawn(&self) -> Option<&Drawn> {
        None
    }
}

/// What is left of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It goes on, whatever a statement answered.
    Open,
    /// It takes no statement any more but the way back to a savepoint.
    Failed,
    /// The engine took it back as a whole.
    Gone,
}

/// How large an engine's parts are at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Its files; `None` where they are a server's.
    pub files: Option<FileSizes>,
    /// Writes that wait for the writer.
    pub writes_queued: usize,
}

/// How large the embedded engine's files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSizes {
    /// Bytes of the database file.
    pub database_bytes: u64,
    /// Bytes of the WAL's file, which keeps the size that it has reached until something is erased.
    pub log_bytes: u64,
}

impl dyn Sql + '_ {
    /// All rows, read by `read`.
    pub fn rows<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        mut read: impl FnMut(&dyn Row) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let mut rows = Vec::new();
        self.every_row(sql, params, &mut |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row, read by `read`; `None` where there is none.
    pub fn row<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        read: impl FnMut(&dyn Row) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        Ok(self.rows(sql, params, read)?.into_iter().next())
    }

    /// The first row of configuration, see [`Sql::every_row_of_configuration`].
    pub fn row_of_configuration<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        mut read: impl FnMut(&dyn Row) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        let mut first = None;
        self.every_row_of_configuration(sql, params, &mut |row| {
            if first.is_none() {
                first = Some(read(row)?);
            }
            Ok(())
        })?;
        Ok(first)
    }

    /// Whether the statement answers any row.
    pub fn exists(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<bool> {
        Ok(self.row(sql, params, |_| Ok(()))?.is_some())
    }

    /// The one number that the statement answers.
    pub fn count(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<u64> {
        let count = self.row(sql, params, |row| row.int(0))?.unwrap_or(0);
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

/// An open engine.
pub(crate) enum Engine {
    /// In a file of this process alone.
    Sqlite(sqlite::SqliteEngine),
    /// In a database server.
    Postgres(postgres::PostgresEngine),
}

impl Engine {
    /// Runs an operation in a transaction, together with others that are waiting, and answers when it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        demand: group::Demand,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        match self {
            Self::Sqlite(engine) => engine.write(demand, operation).await,
            Self::Postgres(engine) => engine.write(demand, operation).await,
        }
    }

    /// Runs an operation on a snapshot of what is committed; one that takes too long is broken off.
    pub async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        match self {
            Self::Sqlite(engine) => engine.read(operation).await,
            Self::Postgres(engine) => engine.read(operation).await,
        }
    }

    /// The same for what the delivery engine and authentication need, which waits behind no other reader.
    pub async fn read_engine<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        match self {
            Self::Sqlite(engine) => engine.read_engine(operation).await,
            Self::Postgres(engine) => engine.read_engine(operation).await,
        }
    }

    /// The same for an operation whose parts ask the same of many rows: an engine may ask for all of them at once.
    pub async fn read_gathered<T: Send + 'static>(
        &self,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        match self {
            Self::Sqlite(engine) => engine.read_engine(operation).await,
            Self::Postgres(engine) => engine.read_gathered(operation).await,
        }
    }

    /// Whether it keeps a file of its own, with pages that are its own to look after.
    pub const fn is_a_file(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// See [`crate::Store::outcome_wait`].
    pub const fn outcome_wait(&self) -> Duration {
        match self {
            Self::Sqlite(_) => Duration::ZERO,
            Self::Postgres(_) => limits::OUTCOME_WAIT,
        }
    }

    /// Names this process's hold of a schema; `None` of a folder, which the system locks.
    pub fn holder(&self) -> Option<String> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(engine) => Some(engine.holder()),
        }
    }

    /// Answers when the store is not this process's any more, and says why; of a folder never.
    pub async fn displaced(&self) -> String {
        match self {
            Self::Sqlite(_) => std::future::pending().await,
            Self::Postgres(engine) => engine.displaced().await,
        }
    }

    /// How large its parts are now.
    pub fn sizes(&self) -> Sizes {
        match self {
            Self::Sqlite(engine) => engine.sizes(),
            Self::Postgres(engine) => engine.sizes(),
        }
    }
}
