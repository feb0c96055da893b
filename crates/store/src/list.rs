//! Pages of lists and the filters that narrow them.

use crate::engine::Value;
use std::fmt::Write as _;

/// A page of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// At most as many as asked for.
    pub rows: Vec<T>,
    /// Whether older ones follow.
    pub more: bool,
}

impl<T> Page<T> {
    /// Makes a page of what was read with a limit one higher than asked for.
    #[must_use]
    pub fn cut(mut rows: Vec<T>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        Self { rows, more }
    }
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
        self.params.push(value.into());
        let condition = condition.replace('?', &format!("?{}", self.params.len()));
        self.add_plain(&condition)
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
