//! Brings a database to this version's tables, each step in its own transaction.
//!
//! Steps have the numbers and names of the embedded engine's. Two processes that start at once take turns by an advisory lock, which a
//! transaction holds, so that a pooler in between may give each its own connection.

use super::connection::{Kind, PostgresConnection};
use super::rights;
use super::session::LOCK_TIMEOUT;
use crate::engine::Sql;
use crate::error::{StoreError, StoreResult};
use crate::limits;
use failpoint::{Point, reach};

macro_rules! steps {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../migrations/postgres/", $name, ".sql")))),+]
    };
}

/// Every step in order; its place, from 1, is the version after it. Steps are added, never changed.
const STEPS: [(&str, &str); 17] = steps![
    "0001_initial",
    "0002_cheaper_checks",
    "0003_retention",
    "0004_list_filters",
    "0005_pending_by_flow",
    "0006_remains",
    "0007_users",
    "0008_attempt_phases",
    "0009_source_arrivals",
    "0010_configuration",
    "0011_attempt_headers",
    "0012_recovery_codes",
    "0013_redeliveries",
    "0014_statistics_by_call_flow",
    "0015_api_key_makers",
    "0016_fewer_checks",
    "0017_vacuum_of_small_tables",
];

/// The version of the tables after every step.
pub const VERSION: usize = STEPS.len();

/// Whoever changes a schema's tables holds a lock of its name and this, the letters of "callhook".
const LOCK: i64 = 0x6361_6c6c_686f_6f6b;
const TAKE_LOCK: &str = "SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended(?2, ?1))) AS taken";
const HAS_SCHEMA: &str = "SELECT 1 WHERE current_schema() IS NOT NULL";
/// Others call a table of theirs the same.
const HAS_TABLE: &str = "SELECT 1 FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relnamespace = current_schema()::REGNAMESPACE AND relname = 'migrations' AND relkind = 'r' AND attname = 'number'";
/// Whatever lies in a schema depends on it. What an extension has put there is nobody's work.
const SELECT_FOREIGN: &str = "SELECT pg_describe_object(lies.classid, lies.objid, 0) FROM pg_depend AS lies
    WHERE lies.refclassid = 'pg_namespace'::REGCLASS AND lies.refobjid = current_schema()::REGNAMESPACE AND lies.deptype = 'n'
        AND lies.classid <> 'pg_extension'::REGCLASS AND NOT EXISTS (SELECT 1 FROM pg_depend AS member
            WHERE member.classid = lies.classid AND member.objid = lies.objid AND member.deptype = 'e')
    ORDER BY 1 LIMIT 1";
const MAKE_TABLE: &str = "CREATE TABLE migrations (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL)";
const SELECT_DONE: &str = "SELECT coalesce(max(number), 0) FROM migrations";
const SELECT_STEPS: &str = "SELECT number, name FROM migrations ORDER BY number";
const INSERT: &str = "INSERT INTO migrations (number, name) VALUES (?1, ?2)";

/// Makes the schema and its first tables where they are not there. Nothing that somebody uses is changed.
pub fn make(connection: &mut PostgresConnection, schema: &str) -> StoreResult<()> {
    alone(connection, schema, |connection| make_schema(connection, schema))?;
    alone(connection, schema, |connection| match version(connection)? {
        None => next(connection, schema).map(drop),
        Some(done) if done > VERSION => Err(StoreError::Unusable(format!(
            "the schema {schema} was written by a newer callhook (its tables are of version {done}, this one knows {VERSION}): use that version"
        ))),
        Some(_) => Ok(()),
    })
}

/// Runs the steps that this database has not seen; to be called by whoever holds it.
pub fn run(connection: &mut PostgresConnection, schema: &str) -> StoreResult<()> {
    while alone(connection, schema, |connection| next(connection, schema))? {
        reach(Point::TablesBroughtUpToDate);
    }
    Ok(())
}

/// Does it in a transaction beside which no other process changes tables.
fn alone<T>(
    connection: &mut PostgresConnection,
    schema: &str,
    change: impl FnOnce(&mut PostgresConnection) -> StoreResult<T>,
) -> StoreResult<T> {
    connection.within(Kind::Write, |connection| {
        take_turn(connection, schema)?;
        change(connection)
    })
}

/// Another's step may take long; a table that somebody uses is not waited for as long.
fn take_turn(connection: &mut PostgresConnection, schema: &str) -> StoreResult<()> {
    connection.run(&format!("SET LOCAL lock_timeout TO {}", limits::TABLES_TURN_TIMEOUT.as_millis()))?;
    let sql: &mut dyn Sql = connection;
    let taken = sql.exists(TAKE_LOCK, &[LOCK.into(), schema.into()]);
    taken.map_err(|error| not_up_to_date("another callhook changes them", error))?;
    connection.run(&format!("SET LOCAL lock_timeout TO {}", LOCK_TIMEOUT.as_millis()))
}

/// Who may use a schema need not have the right to make one.
fn make_schema(connection: &mut PostgresConnection, schema: &str) -> StoreResult<()> {
    let sql: &mut dyn Sql = connection;
    rights::check(sql, schema)?;
    if sql.exists(HAS_SCHEMA, &[])? {
        return Ok(());
    }
    connection.run(&format!("CREATE SCHEMA {schema}"))
}

/// The version of the tables that are there; `None`: none of callhook's are.
pub fn version(sql: &mut dyn Sql) -> StoreResult<Option<usize>> {
    if !sql.exists(HAS_TABLE, &[])? {
        return Ok(None);
    }
    Ok(Some(usize::try_from(sql.count(SELECT_DONE, &[])?).unwrap_or(usize::MAX)))
}

/// Refuses a schema that is somebody else's.
pub fn check_free(sql: &mut dyn Sql, schema: &str) -> StoreResult<()> {
    match sql.row(SELECT_FOREIGN, &[], |row| row.text(0))? {
        None => Ok(()),
        Some(foreign) => Err(StoreError::Unusable(format!(
            "the schema {schema} holds what is not callhook's ({foreign}): name another with --database-schema"
        ))),
    }
}

/// Refuses a schema that came here by other steps than this program's.
pub fn check(sql: &mut dyn Sql, schema: &str) -> StoreResult<()> {
    let done = sql.rows(SELECT_STEPS, &[], |row| Ok((row.number::<usize>(0)?, row.text(1)?)))?;
    let expected = STEPS.iter().enumerate().map(|(index, (name, _))| (index + 1, (*name).to_owned()));
    if expected.take(done.len()).eq(done) {
        return Ok(());
    }
    Err(StoreError::Unusable(format!(
        "the table migrations of the schema {schema} does not say what callhook wrote there: bring the schema back from a copy"
    )))
}

fn next(connection: &mut PostgresConnection, schema: &str) -> StoreResult<bool> {
    let sql: &mut dyn Sql = connection;
    let done = if let Some(done) = version(sql)? {
        done
    } else {
        check_free(sql, schema)?;
        connection.run(MAKE_TABLE)?;
        0
    };
    let Some((name, statements)) = STEPS.get(done) else { return Ok(false) };
    connection.run(statements).map_err(|error| not_up_to_date(name, error))?;
    connection.execute(INSERT, &[(done as u64 + 1).into(), (*name).into()])?;
    Ok(true)
}

/// What is said where the tables cannot be changed now.
fn not_up_to_date(step: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(why) => {
            StoreError::Unavailable(format!("the tables are not brought up to date ({step}): {why}"))
        }
        other => other,
    }
}
