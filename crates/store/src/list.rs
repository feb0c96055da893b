//! Pages of lists and the filters that narrow them.
//!
//! A filter of several conditions, or of one that no index serves, may have to look at every row of a business to find the few that
//! match. Nobody waits for that: a look ends after [`ROWS_LOOKED_AT_MAX`] rows or [`LOOK_TIME_MAX`], and says where to go on.

use crate::engine::{Row, Value};
use crate::error::StoreResult;
use crate::limits::{LOOK_TIME_MAX, ROWS_LOOKED_AT_MAX, ROWS_READ_AT_ONCE};
use crate::tx::Tx;
use domain::id::BusinessId;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::Hash;
use std::ops::ControlFlow;
use tokio::time::Instant;

/// A page of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// At most as many as asked for.
    pub rows: Vec<T>,
    /// Whether older ones follow, or may follow.
    pub more: bool,
    /// The id of the last row that was looked at, where the page ended for having looked at so many.
    looked_until: Option<RowId>,
}

/// The bytes of a row's id.
pub type RowId = [u8; 16];

impl<T> Page<T> {
    /// Makes a page of what was read with a limit one higher than asked for.
    #[must_use]
    pub fn cut(mut rows: Vec<T>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        Self { rows, more, looked_until: None }
    }

    /// Before which id the next page begins; `None` at the end.
    pub fn next(&self, id: impl Fn(&T) -> RowId) -> Option<RowId> {
        self.looked_until.or_else(|| self.rows.last().map(id)).filter(|_| self.more)
    }
}

/// Which end of a table a look begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As lists are shown.
    NewestFirst,
    /// As work is done.
    OldestFirst,
}

/// What a look through a table found.
pub struct Found {
    /// The rows that match.
    pub ids: Vec<RowId>,
    /// The row after which to go on; `None` where no more can match.
    pub until: Option<RowId>,
}

/// A filter on its way to a statement: one condition that an index serves leads to rows, all others are asked of each row that is
/// looked at, so that those can be counted.
#[derive(Default)]
pub struct Search {
    conditions: Conditions,
    asked: Vec<String>,
    told: Option<String>,
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

    /// Conditions of which one has to hold, asked of each row.
    pub fn asked_either(&mut self, conditions: [(&str, Option<String>); 2]) -> &mut Self {
        let given = conditions.into_iter().filter_map(|(condition, value)| Some((condition, value?)));
        let either: Vec<_> =
            given.map(|(condition, value)| self.conditions.number(condition, value)).collect();
        if !either.is_empty() {
            self.asked.push(format!("({})", either.join(" OR ")));
        }
        self
    }

    /// What is said of each row that matches: an expression that answers a number, in which `?` stands for the value.
    pub fn told(&mut self, expression: &str, value: impl Into<Value<'static>>) -> &mut Self {
        self.told = Some(self.conditions.number(expression, value));
        self
    }

    /// Looks for at most `matches_max` rows. It computes nothing of a row but whether it matches: its texts may be long.
    pub fn look(
        &self,
        tx: &mut Tx<'_>,
        table: &Table,
        order: Order,
        matches_max: usize,
    ) -> StoreResult<Found> {
        let (mut ids, mut is_full) = (Vec::new(), false);
        let until = self.walk(tx, table, order, &mut |id, _| {
            is_full = ids.len() == matches_max;
            if is_full {
                return ControlFlow::Break(());
            }
            ids.push(id);
            ControlFlow::Continue(())
        })?;
        let until = if is_full { ids.last().copied() } else { until };
        Ok(Found { ids, until })
    }

    /// Hands each row that matches to `each`, in order, with what is told of it. A row at which that breaks off counts as not looked at.
    /// Answers the row after which to go on; `None` where no more can match.
    pub fn walk(
        &self,
        tx: &mut Tx<'_>,
        table: &Table,
        order: Order,
        each: &mut dyn FnMut(RowId, i64) -> ControlFlow<()>,
    ) -> StoreResult<Option<RowId>> {
        let Table { name, id, .. } = table;
        let asked = if self.asked.is_empty() { "TRUE".to_owned() } else { self.asked.join(" AND ") };
        let (told, conditions) = (self.told.as_deref().unwrap_or("1"), self.conditions.sql());
        let order = match order {
            Order::NewestFirst => "DESC",
            Order::OldestFirst => "ASC",
        };
        // The bound stands in the text as well: a planner that knows of it takes the order from an index.
        let sql = format!(
            "SELECT {id}, CASE WHEN {asked} THEN {told} END FROM {name} {conditions} ORDER BY {id} {order} LIMIT {ROWS_LOOKED_AT_MAX}"
        );
        let (mut until, mut last, mut looked_at, began) = (None, None, 0, Instant::now());
        tx.sql().each_row(&sql, self.conditions.params(), &mut |row| {
            looked_at += 1;
            let id: RowId = row.id(0)?;
            if row.opt_int(1)?.is_some_and(|told| each(id, told).is_break()) {
                until = last;
                return Ok(ControlFlow::Break(()));
            }
            last = Some(id);
            if looked_at >= ROWS_LOOKED_AT_MAX || began.elapsed() >= LOOK_TIME_MAX {
                until = last;
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(until)
    }

    /// One page, newest first: at most `limit` rows, and no more after one that `read` takes for the last.
    pub fn page<T>(
        &self,
        tx: &mut Tx<'_>,
        business_id: BusinessId,
        table: &Table,
        limit: usize,
        mut read: impl FnMut(&dyn Row) -> StoreResult<(T, ControlFlow<()>)>,
    ) -> StoreResult<Page<T>> {
        let found = self.look(tx, table, Order::NewestFirst, limit)?;
        let Table { name, columns, business, id } = table;
        let sql = format!("SELECT {columns} FROM {name} WHERE {business} = ?1 AND {id} = ?2");
        let mut page = Page { rows: Vec::new(), more: found.until.is_some(), looked_until: found.until };
        for ids in found.ids.chunks(ROWS_READ_AT_ONCE) {
            let params: Vec<Vec<Value<'_>>> =
                ids.iter().map(|id| vec![business_id.into(), (&id[..]).into()]).collect();
            let mut last = None;
            tx.sql().rows_of_each(&sql, &params, &mut |place, row| {
                if last.is_none() {
                    let (row, more) = read(row)?;
                    page.rows.push(row);
                    last = more.is_break().then(|| ids.get(place).copied()).flatten();
                }
                Ok(())
            })?;
            if last.is_some() {
                // What was looked at behind it is looked at again.
                (page.more, page.looked_until) = (page.more || last != found.ids.last().copied(), last);
                break;
            }
        }
        Ok(page)
    }
}

/// What a page is read from.
pub struct Table {
    /// The table, with its short name.
    pub name: &'static str,
    /// What is read of each row.
    pub columns: &'static str,
    /// The business, which with the id is the key.
    pub business: &'static str,
    /// The id, by which the list is ordered.
    pub id: &'static str,
}

/// Conditions joined by AND, with their parameters.
#[derive(Clone, Default)]
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

/// What a statement tells of each of these rows, by the id; of those that are gone nothing. Its parameters are the business and the id.
pub fn of_ids<I: Copy + Ord + Hash + Into<Value<'static>>, T>(
    tx: &mut Tx<'_>,
    sql: &str,
    business_id: BusinessId,
    mut ids: Vec<I>,
    read: impl Fn(&dyn Row) -> StoreResult<T>,
) -> StoreResult<HashMap<I, T>> {
    ids.sort_unstable();
    ids.dedup();
    let params: Vec<Vec<Value<'_>>> = ids.iter().map(|id| vec![business_id.into(), (*id).into()]).collect();
    let mut told = HashMap::new();
    tx.sql().rows_of_each(sql, &params, &mut |place, row| {
        if let Some(id) = ids.get(place) {
            told.insert(*id, read(row)?);
        }
        Ok(())
    })?;
    Ok(told)
}

/// What holds a text somewhere, as it is searched for with `LIKE … ESCAPE '\'`.
#[must_use]
pub fn like(text: &str) -> String {
    format!("%{}%", escaped(text))
}

/// The same in a column of numbers in E.164: one is found as people write it, in groups, and from seven digits on whatever is dialled
/// before it.
#[must_use]
pub fn like_number(text: &str) -> String {
    // Hyphens and dashes of all kinds, and the marks without width that contacts are copied with.
    let is_beside_digits = |c: char| {
        c.is_whitespace()
            || "()-./,;".contains(c)
            || matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let bare = text.trim_start_matches(is_beside_digits);
    let bare = bare.strip_prefix("tel:").unwrap_or(bare);
    let (plus, groups) = bare.strip_prefix('+').map_or(("", bare), |groups| ("+", groups));
    if groups.contains(|c: char| !c.is_ascii_digit() && !is_beside_digits(c)) {
        return like(text);
    }
    let digits = groups.replace(is_beside_digits, "");
    let digits = if digits.len() < 7 { &digits } else { digits.trim_start_matches('0') };
    if digits.is_empty() { like(text) } else { like(&format!("{plus}{digits}")) }
}

/// What is the text and no more, likewise.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
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
    fn numbers_are_found_as_people_write_them() {
        for written in [
            "+1 305-555-9876",
            "+1 (305) 555-9876",
            "+13055559876",
            "+1.305.555.9876",
            "tel:+13055559876",
            "\u{202a}+1 305\u{2013}555\u{2013}9876\u{202c},",
        ] {
            assert_eq!(like_number(written), "%+13055559876%");
        }
        for written in ["(305) 555-9876", "305 555 9876", "0305\u{a0}555/9876", "003055559876"] {
            assert_eq!(like_number(written), "%3055559876%", "{written}");
        }
        assert_eq!(like_number("555-98"), "%55598%");
        assert_eq!(like_number("0098"), "%0098%", "a part of a number");
        for no_number in ["", "-", "roof-2", "0000000", "12%34"] {
            assert_eq!(like_number(no_number), like(no_number));
        }
    }

    #[test]
    fn wildcards_are_searched_for_as_themselves() {
        assert_eq!(like(r"50%_\"), r"%50\%\_\\%");
    }
}
