//! Brings a database to this version's tables, each step in its own transaction.
//!
//! Steps have the numbers and names of the embedded engine's. Two processes that start at once take turns by an advisory lock, which a
//! transaction holds, so that a pooler in between may give each its own connection.

use super::connection::{Kind, PostgresConnection};
use crate::engine::Sql;
use crate::error::{StoreError, StoreResult};
use failpoint::{Point, reach};

macro_rules! steps {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../migrations/postgres/", $name, ".sql")))),+]
    };
}

/// Every step in order; its place, from 1, is the version after it. Steps are added, never changed.
const STEPS: [(&str, &str); 6] = steps![
    "0001_initial",
    "0002_cheaper_checks",
    "0003_retention",
    "0004_list_filters",
    "0005_pending_by_flow",
    "0006_remains",
];

/// The version of the tables after every step.
pub const VERSION: usize = STEPS.len();

/// Whoever changes tables holds it: the letters of "callhook".
const LOCK: i64 = 0x6361_6c6c_686f_6f6b;
const TAKE_LOCK: &str = "SELECT 1 FROM (SELECT pg_advisory_xact_lock(?1)) AS taken";
const HAS_TABLE: &str =
    "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'migrations'";
const HAS_ANY_TABLE: &str = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema()";
const MAKE_TABLE: &str = "CREATE TABLE migrations (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL)";
const SELECT_DONE: &str = "SELECT coalesce(max(number), 0) FROM migrations";
const INSERT: &str = "INSERT INTO migrations (number, name) VALUES (?1, ?2)";

/// Runs the steps that this database has not seen.
pub fn run(connection: &mut PostgresConnection, schema: &str) -> StoreResult<()> {
    while step(connection, schema)? {
        reach(Point::TablesBroughtUpToDate);
    }
    Ok(())
}

/// Runs the next step; `false` where there is none.
fn step(connection: &mut PostgresConnection, schema: &str) -> StoreResult<bool> {
    connection.begin(Kind::Write)?;
    let ran = next(connection, schema);
    match ran {
        Ok(true) => connection.commit().map(|()| true),
        Ok(false) => connection.roll_back().map(|()| false),
        Err(error) => {
            // What is wrong was said already.
            let _ = connection.roll_back();
            Err(error)
        }
    }
}

/// The version of the tables that are there; `None`: none of callhook's are.
pub fn version(sql: &mut dyn Sql) -> StoreResult<Option<usize>> {
    if !sql.exists(HAS_TABLE, &[])? {
        return Ok(None);
    }
    Ok(Some(usize::try_from(sql.count(SELECT_DONE, &[])?).unwrap_or(usize::MAX)))
}

fn next(connection: &mut PostgresConnection, schema: &str) -> StoreResult<bool> {
    let sql: &mut dyn Sql = connection;
    sql.exists(TAKE_LOCK, &[LOCK.into()])?;
    let done = if let Some(done) = version(sql)? {
        done
    } else if sql.exists(HAS_ANY_TABLE, &[])? {
        return Err(StoreError::Unusable(format!(
            "the schema {schema} holds tables that are not callhook's: name another with --database-schema"
        )));
    } else {
        connection.run(MAKE_TABLE)?;
        0
    };
    if done > STEPS.len() {
        return Err(StoreError::Unusable(format!(
            "the schema {schema} was written by a newer callhook (its tables are of version {done}, this one knows {}): use that version",
            STEPS.len()
        )));
    }
    let Some((name, statements)) = STEPS.get(done) else { return Ok(false) };
    connection.run(statements)?;
    connection.execute(INSERT, &[(done as u64 + 1).into(), (*name).into()])?;
    Ok(true)
}
