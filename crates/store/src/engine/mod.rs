//! The door to a database: statements, values and rows, the same for every engine.
//!
//! A noun's operation is written once against [`Sql`] and runs inside a transaction that an engine opened. Statements number
//! their parameters `?1`, `?2` …; an engine whose dialect writes them otherwise translates.

pub mod sqlite;
mod value;

pub use value::{Row, Value};

use crate::error::StoreResult;
use std::ops::ControlFlow;

/// An open transaction, or a snapshot for reading.
pub trait Sql {
    /// Runs a statement that answers no rows; returns how many it changed.
    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<u64>;

    /// Runs a statement that inserts one row; returns the id that the database gave it.
    ///
    /// Not `RETURNING`, for which SQLite makes a table of its own each time: that costs as much as the insert.
    fn insert(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<i64>;

    /// Runs a statement and hands each row to `each`, which may not use the transaction and says whether to go on.
    fn each_row(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<ControlFlow<()>>,
    ) -> StoreResult<()>;

    /// How many rows were changed over this door so far: whether an operation has written anything.
    fn changes(&self) -> u64;
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
        self.each_row(sql, params, &mut |row| {
            rows.push(read(row)?);
            Ok(ControlFlow::Continue(()))
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
