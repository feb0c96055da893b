//! Statements of one connection, run for many rows of parameters at once; for one row as they stand.

use super::connection::PostgresConnection;
use super::sets;
use crate::engine::{Sql as _, Value};
use crate::error::{StoreError, StoreResult};
use std::ops::Range;
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Ids that are taken from the database at a time.
const IDS: i64 = 500;
const TAKE_IDS: &str = "SELECT nextval(pg_get_serial_sequence(?1, 'id')) FROM generate_series(1, ?2)";

/// Ids of a table that are taken, and the insert that gives one.
pub struct Ids {
    insert: Arc<str>,
    /// The last one is the next.
    free: Vec<i64>,
}

impl PostgresConnection {
    /// The rows that a query answers for each row of parameters: all of them, and where those of each lie.
    pub fn query_many(
        &mut self,
        sql: &str,
        rows: &[&[Value<'_>]],
    ) -> StoreResult<(Vec<tokio_postgres::Row>, Vec<Range<usize>>)> {
        if let [params] = rows {
            let found = self.query(sql, params)?;
            let all = 0..found.len();
            return Ok((found, vec![all]));
        }
        let mut found = self.run_many(sql, rows, |kinds| Some(sets::query(sql, kinds)))?;
        // Stable: what the query ordered stays so.
        found.sort_by_key(number);
        let mut from = 0;
        let ranges = (0..rows.len()).map(|row| {
            let to = from + found[from..].partition_point(|found| number(found) <= row);
            std::mem::replace(&mut from, to)..to
        });
        let ranges = ranges.collect();
        Ok((found, ranges))
    }

    /// How many rows a statement changes for each row of parameters.
    pub fn change_many(&mut self, sql: &str, rows: &[&[Value<'_>]]) -> StoreResult<Vec<u64>> {
        let kinds = self.prepare(sql)?.params().to_vec();
        if rows.len() == 1 || sets::change(sql, &kinds).is_none() {
            return rows.iter().map(|params| self.execute(sql, params)).collect();
        }
        let mut changed = vec![0; rows.len()];
        for row in self.run_many(sql, rows, |kinds| sets::change(sql, kinds))? {
            if let Some(count) = changed.get_mut(number(&row)) {
                *count += 1;
            }
        }
        Ok(changed)
    }

    /// Writes rows of which none meets another.
    pub fn insert_many(&mut self, sql: &str, rows: &[Vec<Value<'static>>]) -> StoreResult<()> {
        let kinds = self.prepare(sql)?.params().to_vec();
        if rows.len() == 1 || sets::insert(sql, &kinds).is_none() {
            return rows.iter().try_for_each(|params| self.execute(sql, params).map(drop));
        }
        let rows: Vec<_> = rows.iter().map(|row| &row[..]).collect();
        self.run_many(sql, &rows, |kinds| sets::insert(sql, kinds)).map(drop)
    }

    /// An id for a row that is to be inserted, and the statement that inserts it with its id as the last parameter.
    /// `None`: the statement is not an insert of one row.
    pub fn take_id(&mut self, sql: &str) -> StoreResult<Option<(Arc<str>, i64)>> {
        if self.ids.get(sql).is_none_or(|ids| ids.free.is_empty()) {
            let Some((table, insert)) = sets::table(sql).zip(sets::with_id(sql)) else { return Ok(None) };
            let mut free = Vec::new();
            self.every_row(TAKE_IDS, &[table.into(), IDS.into()], &mut |row| {
                free.push(row.int(0)?);
                Ok(())
            })?;
            free.reverse();
            self.ids.insert(sql.to_owned(), Ids { insert: insert.into(), free });
        }
        let taken = self.ids.get_mut(sql).and_then(|ids| Some((Arc::clone(&ids.insert), ids.free.pop()?)));
        Ok(taken)
    }

    fn run_many(
        &mut self,
        sql: &str,
        rows: &[&[Value<'_>]],
        text: impl FnOnce(&[Type]) -> Option<String>,
    ) -> StoreResult<Vec<tokio_postgres::Row>> {
        let statement = self.prepare(sql)?;
        let Some(text) = text(statement.params()) else {
            return Err(StoreError::Corrupt("a statement is not for many rows".to_owned()));
        };
        let columns: Vec<Vec<&Value<'_>>> = (0..statement.params().len())
            .map(|column| rows.iter().filter_map(|row| row.get(column)).collect())
            .collect();
        self.ask(&text, &columns)
    }
}

/// Which row of parameters, counted from 0, an answered row belongs to.
fn number(row: &tokio_postgres::Row) -> usize {
    let number = row.len().checked_sub(1).and_then(|last| row.try_get::<_, i64>(last).ok());
    number.and_then(|number| usize::try_from(number - 1).ok()).unwrap_or(usize::MAX)
}
