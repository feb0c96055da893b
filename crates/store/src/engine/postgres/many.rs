//! Statements of one connection, run for many rows of parameters at once; for one row as they stand.

use super::connection::PostgresConnection;
use super::sets;
use crate::engine::{Sql as _, Value};
use crate::error::{StoreError, StoreResult};
use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Field, IsNull, Kind, ToSql, Type, to_sql_checked};

/// Ids that are taken from the database at a time.
const IDS: i64 = 500;
const TAKE_IDS: &str =
    "SELECT nextval(sequence) FROM (SELECT pg_get_serial_sequence(?1, 'id')::REGCLASS AS sequence OFFSET 0) AS ids,
    generate_series(1, ?2)";

/// What stands in the place of a value's length where there is none.
const NULL: i32 = -1;

/// A statement, and the rows of parameters that it is to be run for.
pub type Set = (String, Vec<Vec<Value<'static>>>);

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
        if rows.len() == 1 || sets::change(sql, &kinds, 1).is_none() {
            return rows.iter().map(|params| self.execute(sql, params)).collect();
        }
        let mut changed = vec![0; rows.len()];
        for row in self.run_many(sql, rows, |kinds| sets::change(sql, kinds, 1))? {
            if let Some(count) = changed.get_mut(number(&row)) {
                *count += 1;
            }
        }
        Ok(changed)
    }

    /// Runs each statement for its rows, of which none meets another where it is an insert.
    pub fn put_many(&mut self, sets: &[Set]) -> StoreResult<()> {
        let mut all = Vec::with_capacity(sets.len());
        for (sql, rows) in sets {
            let as_set = if rows.len() > 1 { sets::insert(sql, 1) } else { None };
            if let Some((text, columns)) = as_set {
                all.push((self.prepare(&text)?, vec![Param::Rows(rows, columns)]));
            } else {
                let statement = self.prepare(sql)?;
                let each = rows.iter().map(|row| (statement.clone(), row.iter().map(Param::One).collect()));
                all.extend(each);
            }
        }
        self.run_all(&all)
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

/// What a parameter of a statement is made of.
#[derive(Debug)]
pub(super) enum Param<'a> {
    /// A value, for the one row that the statement is for.
    One(&'a Value<'static>),
    /// A value of each row, where a change is for many.
    Column(&'a [Vec<Value<'static>>], usize),
    /// All rows that an insert is for, with the columns that they give.
    Rows(&'a [Vec<Value<'static>>], Vec<&'a str>),
}

impl ToSql for Param<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::One(value) => value.to_sql(kind, out),
            Self::Column(rows, column) => {
                rows.iter().filter_map(|row| row.get(*column)).collect::<Vec<_>>().to_sql(kind, out)
            }
            Self::Rows(rows, columns) => {
                let Kind::Array(row) = kind.kind() else { return Err(not_a_row(kind)) };
                let Kind::Composite(fields) = row.kind() else { return Err(not_a_row(row)) };
                let given = |field: &Field| columns.iter().position(|column| *column == field.name());
                let given: Vec<_> = fields.iter().map(given).collect();
                rows.iter().map(|row| RowParam { row, given: &given }).collect::<Vec<_>>().to_sql(kind, out)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A row of a table. Which of its values each column is given; the others are null.
#[derive(Debug)]
struct RowParam<'a> {
    row: &'a [Value<'static>],
    given: &'a [Option<usize>],
}

impl ToSql for RowParam<'_> {
    /// As `record_recv` of the server reads it: how many columns, and of each its type, its length and its bytes.
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Kind::Composite(fields) = kind.kind() else { return Err(not_a_row(kind)) };
        out.extend_from_slice(&i32::try_from(fields.len())?.to_be_bytes());
        for (field, given) in fields.iter().zip(self.given) {
            out.extend_from_slice(&field.type_().oid().to_be_bytes());
            let length_at = out.len();
            out.extend_from_slice(&NULL.to_be_bytes());
            let value = given.and_then(|given| self.row.get(given)).unwrap_or(&Value::Null);
            if matches!(value.to_sql(field.type_(), out)?, IsNull::No) {
                let length = i32::try_from(out.len() - length_at - size_of::<i32>())?;
                out[length_at..][..size_of::<i32>()].copy_from_slice(&length.to_be_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn not_a_row(kind: &Type) -> Box<dyn Error + Sync + Send> {
    format!("rows are given where the parameter is {kind}").into()
}

/// Which row of parameters, counted from 0, an answered row belongs to.
fn number(row: &tokio_postgres::Row) -> usize {
    let number = row.len().checked_sub(1).and_then(|last| row.try_get::<_, i64>(last).ok());
    number.and_then(|number| usize::try_from(number - 1).ok()).unwrap_or(usize::MAX)
}
