//! A statement for one row of parameters, made one for many: the rows come as arrays and are joined as `asked`.
//!
//! A query or a change has an array for each parameter: `?3` becomes `asked.p3`, and `asked.n` counts the rows from 1. An insert has a
//! single array of rows of its table, which costs the server half of what an array for each of forty columns does.

use tokio_postgres::types::Type;

/// Answers the query's rows for each row of parameters, followed by the row's number.
pub fn query(sql: &str, kinds: &[Type]) -> String {
    format!("SELECT q.*, asked.n FROM {} CROSS JOIN LATERAL ({}) AS q", asked(kinds, 1), of_asked(sql))
}

/// Changes what the statement changes for each row of parameters, and answers the row's number for each row that it changed. Its arrays
/// are the parameters from `first` on.
///
/// `None`: it is neither an update nor a deletion with a condition.
pub fn change(sql: &str, kinds: &[Type], first: usize) -> Option<String> {
    let joined = if sql.starts_with("UPDATE ") { "FROM" } else { "USING" };
    let is_change = joined == "FROM" || sql.starts_with("DELETE FROM ");
    let (change, condition) = sql.split_once("WHERE ").filter(|_| is_change)?;
    let (change, condition) = (of_asked(change), of_asked(condition));
    Some(format!("{change} {joined} {} WHERE {condition} RETURNING asked.n", asked(kinds, first)))
}

/// Inserts each row of parameters, and names the columns in which the parameters come. Its rows are the parameter `first`.
///
/// `None`: it is not an insert of one row of values, or one of its parameters is no column's.
pub fn insert(sql: &str, first: usize) -> Option<(String, Vec<&str>)> {
    let insert = Insert::parse(sql)?;
    let Insert { head, table, values, tail, .. } = insert;
    let columns: Vec<_> =
        (1..=sql.matches('?').count()).map_while(|number| insert.column_of(number)).collect();
    let mut text = format!("{head}SELECT {values} FROM UNNEST(${first}::{table}[]) AS asked{tail}");
    // From the last on, else `?1` would be found in `?12`.
    for (at, column) in columns.iter().enumerate().rev() {
        text = text.replace(&format!("?{}", at + 1), &format!("asked.{column}"));
    }
    (!text.contains('?')).then_some((text, columns))
}

/// The same insert without the words by which it leaves alone what is there already: there it fails. The server looks once for each row
/// then, and not twice.
pub fn of_new_rows(sql: &str) -> &str {
    let leaves_alone = |(_, conflict): &(&str, &str)| conflict.trim_end().ends_with("DO NOTHING");
    sql.split_once("ON CONFLICT (").filter(leaves_alone).map_or(sql, |(insert, _)| insert)
}

/// The same insert with a number more, which is the row's `id`.
pub fn with_id(sql: &str) -> Option<String> {
    let Insert { table, columns, values, tail, .. } = Insert::parse(sql)?;
    let id = values.matches('?').count() + 1;
    Some(format!("INSERT INTO {table} ({columns}, id) VALUES ({values}, ?{id}){tail}"))
}

/// The table of an insert.
pub fn table(sql: &str) -> Option<&str> {
    Insert::parse(sql).map(|insert| insert.table)
}

/// Which parameters, counted from 0, tell apart the rows that an insert may change instead: no two of one statement may meet.
pub fn key(sql: &str) -> Option<Vec<usize>> {
    let insert = Insert::parse(sql)?;
    let (target, action) = insert.tail.split_once("ON CONFLICT (")?.1.split_once(')')?;
    let parameter = |name: &str| {
        let (_, value) = insert.columns_and_values().find(|(column, _)| *column == name.trim())?;
        value.strip_prefix('?')?.parse::<usize>().ok()?.checked_sub(1)
    };
    action.contains("DO UPDATE").then(|| target.split(',').filter_map(parameter).collect())
}

/// `INSERT INTO table (columns) VALUES (values) tail`.
struct Insert<'a> {
    /// Until the values.
    head: &'a str,
    table: &'a str,
    columns: &'a str,
    values: &'a str,
    tail: &'a str,
}

impl<'a> Insert<'a> {
    fn parse(sql: &'a str) -> Option<Self> {
        let (before, rest) = sql.split_once("VALUES (")?;
        // A value that holds parentheses is not looked through.
        let (values, tail) = rest.split_once(')').filter(|(values, _)| !values.contains('('))?;
        let (table, columns) = before.strip_prefix("INSERT INTO ")?.split_once(" (")?;
        Some(Self { head: before, table, columns: columns.trim_end().strip_suffix(')')?, values, tail })
    }

    fn columns_and_values(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.columns.split(',').map(str::trim).zip(self.values.split(',').map(str::trim))
    }

    /// The column that a parameter, counted from 1, is written to.
    fn column_of(&self, parameter: usize) -> Option<&'a str> {
        let parameter = format!("?{parameter}");
        self.columns_and_values().find(|(_, value)| *value == parameter).map(|(column, _)| column)
    }
}

fn of_asked(sql: &str) -> String {
    sql.replace('?', "asked.p")
}

fn asked(kinds: &[Type], first: usize) -> String {
    let arrays: Vec<_> =
        kinds.iter().enumerate().map(|(at, kind)| format!("${}::{}[]", first + at, kind.name())).collect();
    let names: Vec<_> = (1..=kinds.len()).map(|at| format!("p{at}")).collect();
    format!("UNNEST({}) WITH ORDINALITY AS asked ({}, n)", arrays.join(", "), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Type; 2] = [Type::BYTEA, Type::INT8];
    const ASKED: &str = "UNNEST($1::bytea[], $2::int8[]) WITH ORDINALITY AS asked (p1, p2, n)";

    #[test]
    fn a_query_is_joined_to_each_row() {
        assert_eq!(
            query("SELECT a FROM t WHERE b = ?1 AND c LIKE ?2", &KINDS),
            format!(
                "SELECT q.*, asked.n FROM {ASKED} CROSS JOIN LATERAL (SELECT a FROM t WHERE b = asked.p1 AND c LIKE asked.p2) AS q"
            )
        );
    }

    #[test]
    fn a_change_tells_for_which_rows_it_was_made() {
        assert_eq!(
            change("UPDATE t SET a = ?2 WHERE b = ?1 AND EXISTS (SELECT 1 FROM u WHERE c = ?2)", &KINDS, 1)
                .unwrap(),
            format!(
                "UPDATE t SET a = asked.p2  FROM {ASKED} WHERE b = asked.p1 AND EXISTS (SELECT 1 FROM u WHERE c = asked.p2) RETURNING asked.n"
            )
        );
        assert_eq!(
            change("DELETE FROM t WHERE a = ?1 AND b = ?2", &KINDS, 1).unwrap(),
            format!("DELETE FROM t  USING {ASKED} WHERE a = asked.p1 AND b = asked.p2 RETURNING asked.n")
        );
        for other in ["UPDATE t SET a = ?1", "INSERT INTO t (a) SELECT b FROM u WHERE c = ?1", "SELECT 1"] {
            assert_eq!(change(other, &KINDS, 1), None, "{other}");
        }
    }

    #[test]
    fn an_insert_takes_each_row() {
        assert_eq!(
            insert("INSERT INTO t (a, b, c) VALUES (?2, 'x', ?1) ON CONFLICT (a) DO UPDATE SET c = ?1", 3)
                .unwrap(),
            (
                "INSERT INTO t (a, b, c) SELECT asked.a, 'x', asked.c FROM UNNEST($3::t[]) AS asked \
                ON CONFLICT (a) DO UPDATE SET c = asked.c"
                    .to_owned(),
                vec!["c", "a"]
            )
        );
        let columns: Vec<_> = ('a'..='l').map(String::from).collect();
        let values: Vec<_> = (1..=12).map(|number| format!("?{number}")).collect();
        let (text, _) =
            insert(&format!("INSERT INTO t ({}) VALUES ({})", columns.join(", "), values.join(", ")), 1)
                .unwrap();
        assert!(text.contains("SELECT asked.a, ") && text.contains("asked.k, asked.l FROM"), "{text}");
        for other in [
            "INSERT INTO t (a) SELECT ?1",
            "INSERT INTO t (a) VALUES (?1) ON CONFLICT (a) DO UPDATE SET a = ?2",
        ] {
            assert_eq!(insert(other, 1), None, "{other}");
        }
        assert_eq!(
            with_id("INSERT INTO t (a, b) VALUES (?2, ?1)").unwrap(),
            "INSERT INTO t (a, b, id) VALUES (?2, ?1, ?3)"
        );
        assert_eq!(table("INSERT INTO t (a, b) VALUES (?2, ?1)"), Some("t"));
    }

    #[test]
    fn what_leaves_alone_what_is_there_is_told_apart_from_what_changes_it() {
        let insert = "INSERT INTO t (a, b) VALUES (?1, ?2) ";
        assert_eq!(of_new_rows(&format!("{insert}ON CONFLICT (a) DO NOTHING")), insert);
        let upsert = format!("{insert}ON CONFLICT (a) DO UPDATE SET b = excluded.b");
        assert_eq!(of_new_rows(&upsert), upsert);
        assert_eq!(of_new_rows(insert), insert);
    }

    #[test]
    fn rows_that_may_meet_are_told_apart_by_their_key() {
        let of = |action: &str| {
            key(&format!("INSERT INTO t (a, b, c)\n VALUES (?2, ?1, ?3)\n ON CONFLICT (b, a) {action}"))
        };
        assert_eq!(of("DO UPDATE SET c = excluded.c"), Some(vec![0, 1]));
        assert_eq!(of("DO NOTHING"), None);
        assert_eq!(key("INSERT INTO t (a) VALUES (?1)"), None);
    }
}
