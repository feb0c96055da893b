//! One connection: its settings, its statements, and what its errors mean.

use crate::engine::{Row, Sql, State, Value};
use crate::error::{StoreError, StoreResult};
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The first version in which several connections to a WAL cannot corrupt it.
const VERSION_MIN: i32 = 3_051_003;
/// Prepared statements kept per connection; more than there are texts in this crate, filters included.
const STATEMENTS_MAX: usize = 256;
/// Upkeep outside this process can hold a lock, and a checkpoint for a moment; it is waited for no longer than a request would.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a page: two rows of a call and its body fit.
const PAGE_BYTES: u32 = 8_192;
/// Steps of SQLite's machine between two looks at the clock: below a millisecond.
const DEADLINE_STEPS: i32 = 10_000;

/// A connection to the embedded database.
pub struct SqliteConnection(Connection);

impl SqliteConnection {
    /// Opens the writing connection; makes the file where it is not there.
    pub fn open(path: &Path) -> StoreResult<Self> {
        if rusqlite::version_number() < VERSION_MIN {
            return Err(StoreError::Unavailable(format!(
                "SQLite {} is too old: 3.51.3 is needed",
                rusqlite::version()
            )));
        }
        let connection = Connection::open(path).map_err(translate)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(translate)?;
        // These two only take effect before the first table is made.
        connection.pragma_update(None, "page_size", PAGE_BYTES).map_err(translate)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(translate)?;
        for (name, value) in [
            ("journal_mode", "WAL"),
            ("synchronous", "FULL"),
            ("secure_delete", "ON"),
            ("foreign_keys", "ON"),
        ] {
            connection.pragma_update(None, name, value).map_err(translate)?;
        }
        // See `checkpoint`: a commit never waits for one.
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(translate)?;
        connection.pragma_update(None, "mmap_size", 0).map_err(translate)?;
        connection.pragma_update(None, "cache_size", -32_768).map_err(translate)?;
        keep_plans(&connection)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        for (name, expected) in
            [("journal_mode", "wal"), ("synchronous", "2"), ("secure_delete", "1"), ("foreign_keys", "1")]
        {
            let read = connection
                .pragma_query_value(None, name, |row| row.get_ref(0).map(|value| pragma_text(value)))
                .map_err(translate)?;
            if read != expected {
                return Err(StoreError::Unavailable(format!(
                    "the database refuses {name}={expected} (it says {read})"
                )));
            }
        }
        Ok(Self(connection))
    }

    /// Opens a reading connection to a database that is there.
    pub fn open_reader(path: &Path) -> StoreResult<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(translate)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(translate)?;
        connection.pragma_update(None, "query_only", true).map_err(translate)?;
        connection.pragma_update(None, "mmap_size", 0).map_err(translate)?;
        connection.pragma_update(None, "cache_size", -4_096).map_err(translate)?;
        keep_plans(&connection)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(Self(connection))
    }

    /// Opens a database that is there, perhaps beside the process that owns it: changes no setting that others share, and leaves no file
    /// of the log behind that it has made.
    pub fn open_beside(path: &Path) -> StoreResult<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(translate)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(translate)?;
        connection.pragma_update(None, "mmap_size", 0).map_err(translate)?;
        Ok(Self(connection))
    }

    /// Breaks off the statement that runs as soon as `is_wanted` says so.
    pub fn break_off_when(&mut self, is_wanted: impl FnMut() -> bool + Send + 'static) -> StoreResult<()> {
        self.0.progress_handler(DEADLINE_STEPS, Some(is_wanted)).map_err(translate)
    }

    /// Runs statements that take no parameters: a migration, a transaction's begin and end.
    pub fn run(&self, sql: &str) -> StoreResult<()> {
        self.0.execute_batch(sql).map_err(translate)
    }

    /// Runs one short statement that is prepared once.
    pub fn run_prepared(&self, sql: &str) -> StoreResult<()> {
        self.0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(translate)
    }

    /// From when on a statement that still runs is broken off; `None`: never.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) -> StoreResult<()> {
        let handler = deadline.map(|deadline| move || Instant::now() >= deadline);
        self.0.progress_handler(DEADLINE_STEPS, handler).map_err(translate)
    }

    /// Whether no transaction is open: after an error, whether the engine rolled all of it back.
    pub fn is_idle(&self) -> bool {
        self.0.is_autocommit()
    }

    /// Waits no longer than this for a lock.
    pub fn set_patience(&self, patience: Duration) -> StoreResult<()> {
        self.0.busy_timeout(patience).map_err(translate)
    }

    /// Keeps the number of pages that the WAL holds after each commit of this connection.
    pub fn count_wal_pages(&mut self, pages: Arc<AtomicU32>) -> StoreResult<()> {
        let count = move |_: &mut Wal, counted| {
            pages.store(u32::try_from(counted).unwrap_or(u32::MAX), Ordering::Relaxed);
            Ok(())
        };
        self.0.wal_hook(Some(count)).map_err(translate)
    }

    /// Moves what the WAL holds into the database file and syncs it, as far as that goes without waiting for anybody. Answers how many
    /// pages it had to leave.
    pub fn checkpoint_some(&self) -> StoreResult<u32> {
        let left = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(1)?.saturating_sub(row.get::<_, i64>(2)?));
        let left = self.0.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], left).map_err(translate)?;
        Ok(u32::try_from(left).unwrap_or(0))
    }

    /// Moves all that the WAL holds into the database file, syncs it and empties the WAL. Answers whether it could: a reader may look
    /// at an old state, or a writer write on, for longer than anybody waits here.
    pub fn checkpoint(&self) -> StoreResult<bool> {
        let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let busy = self.0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], busy).map_err(translate)?;
        Ok(busy == 0)
    }
}

impl Sql for SqliteConnection {
    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<u64> {
        let mut statement = self.0.prepare_cached(sql).map_err(translate)?;
        let changed = statement.execute(rusqlite::params_from_iter(params)).map_err(translate)?;
        Ok(changed as u64)
    }

    fn insert(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<i64> {
        let mut statement = self.0.prepare_cached(sql).map_err(translate)?;
        statement.insert(rusqlite::params_from_iter(params)).map_err(translate)
    }

    fn each_row(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<ControlFlow<()>>,
    ) -> StoreResult<()> {
        let mut statement = self.0.prepare_cached(sql).map_err(translate)?;
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(translate)?;
        while let Some(row) = rows.next().map_err(translate)? {
            if each(&SqliteRow(row))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn changes(&self) -> u64 {
        self.0.total_changes()
    }

    fn control(&mut self, sql: &str) -> StoreResult<()> {
        self.run_prepared(sql)
    }

    fn state(&self) -> State {
        if self.is_idle() { State::Gone } else { State::Open }
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(int) => ValueRef::Integer(*int),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Id(id) => ValueRef::Blob(id),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }))
    }
}

struct SqliteRow<'a>(&'a rusqlite::Row<'a>);

impl Row for SqliteRow<'_> {
    fn value(&self, column: usize) -> StoreResult<Value<'_>> {
        match self.0.get_ref(column).map_err(translate)? {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(int) => Ok(Value::Int(int)),
            ValueRef::Text(text) => std::str::from_utf8(text)
                .map(|text| Value::Text(Cow::Borrowed(text)))
                .map_err(|_| StoreError::Corrupt(format!("column {column} is not UTF-8"))),
            ValueRef::Blob(blob) => Ok(Value::Blob(Cow::Borrowed(blob))),
            ValueRef::Real(_) => Err(StoreError::Corrupt(format!("column {column} is a fraction"))),
        }
    }
}

/// A statement is planned once. Else SQLite plans one that could use a partial index anew whenever a parameter is bound, which costs
/// more than running it; the price is that a partial index is used only where its condition stands in the statement's text.
fn keep_plans(connection: &Connection) -> StoreResult<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop).map_err(translate)
}

/// What an error of SQLite means to the caller of an operation.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err by name, forty times")]
pub fn translate(error: rusqlite::Error) -> StoreError {
    let rusqlite::Error::SqliteFailure(failure, message) = &error else {
        return StoreError::Corrupt(error.to_string());
    };
    let text = message.clone().unwrap_or_else(|| failure.to_string());
    match failure.code {
        // Only the handler of `set_deadline` interrupts.
        ErrorCode::OperationInterrupted => {
            StoreError::Busy("this took too long to read; ask for less, by a filter or a shorter time")
        }
        // Every conflict that a client can cause is looked for before the write: what is left is a fault of ours.
        ErrorCode::ConstraintViolation | ErrorCode::NotADatabase | ErrorCode::TypeMismatch => {
            StoreError::Corrupt(text)
        }
        ErrorCode::DatabaseCorrupt => StoreError::Malformed(text),
        ErrorCode::DiskFull => StoreError::Unavailable("the disk is full: make room on it".to_owned()),
        ErrorCode::ReadOnly => StoreError::Unavailable(format!("{text}: make its disk and files writable")),
        _ if is_failed_sync(failure.extended_code) => StoreError::Unknown(text),
        _ => StoreError::Unavailable(text),
    }
}

/// After a failed sync nobody knows what is on disk, and a second sync may claim success for pages that were dropped.
const fn is_failed_sync(extended_code: i32) -> bool {
    matches!(extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
}

fn pragma_text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Integer(int) => int.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}
