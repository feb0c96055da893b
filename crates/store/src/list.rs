//! Pages of lists and the filters that narrow them.
//!
//! A filter of several conditions, or of one that no index serves, may have to look at every row of a business to find the few that
//! match. Nobody waits for that: a page ends after it has looked at [`ROWS_LOOKED_AT_MAX`] rows, and its cursor goes on from there.

use crate::engine::{Row, Value};
use crate::error::StoreResult;
use crate::limits::ROWS_LOOKED_AT_MAX;
use crate::tx::Tx;
use std::fmt::Write as _;
use std::ops::ControlFlow;

/// A page of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// At most as many as asked for.
    pub rows: Vec<T>,
    /// Whether older ones follow, or may follow.
    pub more: bool,
    /// The id of the last row that was looked at, where the page ended for having looked at so many.
    looked_until: Option<[u8; 16]>,
}

impl<T> Page<T> {
    /// Makes a page of what was read with a limit one higher than asked for.
    #[must_use]
    pub fn cut(mut rows: Vec<T>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        Self { rows, more, looked_until: None }
    }

    /// Before which id the next page begins; `None` at the end.
    pub fn next(&self, id: impl Fn(&T) -> [u8; 16]) -> Option<[u8; 16]> {
        self.looked_until.or_else(|| self.rows.last().map(id)).filter(|_| self.more)
    }
}

/// A filter on its way to a statement: one condition that an index serves leads to rows, all others are asked of each row that is
/// looked at, so that those can be counted.
#[derive(Default)]
pub struct Search {
    conditions: Conditions,
    asked: Vec<String>,
    is_led: bool,
}

impl Search {
    /// A condition that every index serves as well: the business, a range of ids.
    pub fn within(&mut self, condition: &str, value: Option<impl Into<Value<'static>>>) -> &mut Self {
        self.conditions.add_some(condition, value);
        self
    }

    /// A condition that an index serves. The first that is given leads. `index` is the condition of a partial index, which the
    /// planner takes only where it is part of the statement.
    pub fn led(
        &mut self,
        condition: &str,
        value: Option<impl Into<Value<'static>>>,
        index: Option<&str>,
    ) -> &mut Self {
        let Some(value) = value else { return self };
        if self.is_led {
            return self.asked(condition, Some(value));
        }
        self.is_led = true;
        self.conditions.add(condition, value);
        index.map(|index| self.conditions.add_plain(index));
        self
    }

    /// A condition that is asked of each row.
    pub fn asked(&mut self, condition: &str, value: Option<impl Into<Value<'static>>>) -> &mut Self {
        if let Some(value) = value {
            let condition = self.conditions.number(condition, value);
            self.asked.push(condition);
        }
        self
    }

    /// All conditions as one, for a statement that has to see every row that matches.
    #[must_use]
    pub fn into_conditions(self) -> Conditions {
        let Self { mut conditions, asked, .. } = self;
        for condition in asked {
            conditions.add_plain(&condition);
        }
        conditions
    }

    /// One page of `columns`, newest first: at most `limit` rows, and no more after one that `read` takes for the last.
    pub fn page<T>(
        &self,
        tx: &mut Tx<'_>,
        table: &Table,
        limit: usize,
        mut read: impl FnMut(&dyn Row) -> StoreResult<(T, ControlFlow<()>)>,
    ) -> StoreResult<Page<T>> {
        let Table { name, columns, id } = table;
        let asked = if self.asked.is_empty() { "1".to_owned() } else { self.asked.join(" AND ") };
        let conditions = self.conditions.sql();
        let sql = format!("SELECT {columns}, {id}, {asked} FROM {name} {conditions} ORDER BY {id} DESC");
        let id_column = columns.matches(',').count() + 1;
        let (mut page, mut looked_at, mut is_full) = (Page::cut(Vec::new(), limit), 0, limit == 0);
        tx.sql().each_row(&sql, self.conditions.params(), &mut |row| {
            looked_at += 1;
            if row.opt_int(id_column + 1)? == Some(1) {
                if is_full {
                    page.more = true;
                    return Ok(ControlFlow::Break(()));
                }
                let (read, more) = read(row)?;
                page.rows.push(read);
                is_full = more.is_break() || page.rows.len() >= limit;
            }
            if looked_at >= ROWS_LOOKED_AT_MAX {
                page.more = true;
                page.looked_until = Some(row.id(id_column)?);
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }
}

/// What a page is read from.
pub struct Table {
    /// The table, with its short name.
    pub name: &'static str,
    /// What is read of each row.
    pub columns: &'static str,
    /// The id, by which the list is ordered.
    pub id: &'static str,
}

/// Conditions joined by AND, with their parameters.
#[derive(Default)]
pub struct Conditions {
    sql: String,
    params: Vec<Value<'static>>,
}

impl Conditions {
    /// Adds a condition in which `?` stands for the value.
    pub fn add(&mut self, condition: &str, value: impl Into<Value<'static>>) -> &mut Self {
        let condition = self.number(condition, value);
        self.add_plain(&condition)
    }

    /// The condition with its parameter's number, which is kept with the others.
    fn number(&mut self, condition: &str, value: impl Into<Value<'static>>) -> String {
        self.params.push(value.into());
        condition.replace('?', &format!("?{}", self.params.len()))
    }

    /// Adds a condition where there is a value.
    pub fn add_some(&mut self, condition: &str, value: Option<impl Into<Value<'static>>>) -> &mut Self {
        match value {
            Some(value) => self.add(condition, value),
            None => self,
        }
    }

    /// Adds a condition without a value.
    pub fn add_plain(&mut self, condition: &str) -> &mut Self {
        let joint = if self.sql.is_empty() { "WHERE " } else { " AND " };
        // Writing to a String cannot fail.
        let _ = write!(self.sql, "{joint}{condition}");
        self
    }

    /// The clause, `WHERE` included.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The parameters in order.
    #[must_use]
    pub fn params(&self) -> &[Value<'static>] {
        &self.params
    }
}

/// A text as it is searched for with `LIKE … ESCAPE '\'`.
#[must_use]
pub fn like(text: &str) -> String {
    let escaped = text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    format!("%{escaped}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_number_their_parameters() {
        let mut conditions = Conditions::default();
        conditions
            .add("a = ?", 1_i64)
            .add_some("b > ?", None::<i64>)
            .add_plain("c IS NULL")
            .add("(d = ? OR e = ?)", 2_i64);
        assert_eq!(conditions.sql(), "WHERE a = ?1 AND c IS NULL AND (d = ?2 OR e = ?2)");
        assert_eq!(conditions.params(), [Value::Int(1), Value::Int(2)]);
    }

    #[test]
    fn wildcards_are_searched_for_as_themselves() {
        assert_eq!(like(r"50%_\"), r"%50\%\_\\%");
    }
}
