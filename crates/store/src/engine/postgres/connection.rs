//! One connection: its transactions, its statements, and what its errors mean.
//!
//! It is used by one thread at a time, which also does its input and output: a statement wakes no other thread.

use super::address::Address;
use super::at_once::WholeGroup;
use super::configuration::Configuration;
use super::connecting::connect;
use super::failure::{Broken, Refused, is_of_another_table, not_connected, translate_error, with_a_warning};
use super::many::Ids;
use super::session::Session;
use super::statement::{PostgresRow, check, translate};
use crate::engine::{Row, Sql, State, Value};
use crate::error::{StoreError, StoreResult};
// Statements are looked up by their texts, which are long, for each row.
use foldhash::HashMap;
use futures_util::FutureExt as _;
use futures_util::future::{join, join_all};
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Prepared statements kept per connection; more than there are texts in this crate, filters included.
const STATEMENTS_MAX: usize = 256;
/// How often a statement is asked for before it is prepared anew for the first time.
const RENEW_AFTER: u32 = 32;
/// Rows that are fetched at a time where the reader may not want all.
const FETCH_ROWS: usize = 500;
/// How long a statement may be without an answer beyond what the server allows it: then the connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to tell the server that an answer is wanted no more.
const BREAK_OFF_WITHIN: Duration = Duration::from_secs(2);

/// What a transaction is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It writes.
    Write,
    /// It looks at one state of the database.
    Snapshot,
}

/// A statement that the server knows.
struct Prepared {
    statement: Statement,
    asked: u32,
    renew_after: u32,
}

/// A connection to the database.
pub struct PostgresConnection {
    // Taken out at the end, when it must not be waited for.
    pub(super) runtime: Option<Runtime>,
    pub(super) client: Client,
    tls: MakeRustlsConnect,
    pub(super) session: Session,
    /// Whether the connection was made with what the session asks for; else each transaction sets it.
    pub(super) is_set_up: bool,
    pub(super) guard: Option<String>,
    statements: HashMap<String, Prepared>,
    pub(super) sent: u64,
    changes: u64,
    pub(super) state: State,
    pub(super) is_ended: bool,
    /// What the last error was about, if it was about the transaction and not about the database.
    pub(super) refused: Option<Refused>,
    pub(super) ids: HashMap<String, Ids>,
    pub(super) configuration: Configuration,
    pub(super) whole_groups: HashMap<String, Arc<WholeGroup>>,
    pub(super) warned: Arc<AtomicBool>,
}

impl PostgresConnection {
    /// Connects.
    pub fn open(address: &Address, session: Session) -> StoreResult<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unavailable(format!("cannot connect the database: {error}")))?;
        let warned = Arc::new(AtomicBool::new(false));
        let connecting = connect(address, &session, &warned);
        // Of the library's own limits none is about the whole.
        let connected = runtime.block_on(async { timeout(PATIENCE, connecting).await });
        let connected = connected.map_err(|_| {
            StoreError::Unavailable(format!(
                "the database {} does not answer: see whether it is well",
                address.shown
            ))
        });
        let (client, is_set_up) = connected?.map_err(|error| not_connected(address, &error))?;
        Ok(Self {
            runtime: Some(runtime),
            client,
            tls: address.tls.clone(),
            session,
            is_set_up,
            guard: None,
            statements: HashMap::default(),
            sent: 0,
            changes: 0,
            state: State::Gone,
            is_ended: false,
            refused: None,
            ids: HashMap::default(),
            configuration: Configuration::default(),
            whole_groups: HashMap::default(),
            warned,
        })
    }

    /// How many statements were sent to be run since this was last asked.
    pub const fn take_sent(&mut self) -> u64 {
        std::mem::replace(&mut self.sent, 0)
    }

    /// Whether nothing can be asked of it any more.
    pub fn is_closed(&self) -> bool {
        self.is_ended || self.client.is_closed()
    }

    /// From now on a transaction that writes goes on only where `FROM` these rows there is one: it is asked with the settings.
    pub fn guard(&mut self, rows: String) {
        self.guard = Some(rows);
    }

    /// Begins a transaction; `false` where the guard does not let it go on.
    pub fn begin(&mut self, kind: Kind) -> StoreResult<bool> {
        let (begin, guard) = match kind {
            Kind::Write => ("BEGIN", self.guard.as_deref()),
            Kind::Snapshot => ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", None),
        };
        let settings = if self.is_set_up { self.session.is_set() } else { self.session.set() };
        let look = match guard {
            None => format!("SELECT {settings}"),
            Some(rows) => {
                format!("SELECT {settings}, version AS configuration {rows} FOR KEY SHARE OF holder")
            }
        };
        // Prepared, since it is asked for each group: parsing it would cost the server more than running it.
        let look = self.prepare(&look).inspect_err(|_| self.is_ended = true)?;
        self.refused = None;
        self.sent += 2;
        let Self { runtime, client, session, .. } = self;
        // Sent together, so that the way there and back is gone once.
        let both = join(client.batch_execute(begin), client.query(&look, &[]));
        let both = both.map(|(begun, rows)| begun.and(rows));
        let answers = wait(runtime.as_ref(), session.statement_timeout, both);
        // A part of it may have been done: what follows on this connection could end up in what it began.
        let answers = self.note(answers).inspect_err(|_| self.is_ended = true)?;
        self.state = State::Open;
        let Some(answer) = answers.first() else { return Ok(false) };
        if self.is_set_up && !answer.try_get(0).unwrap_or(false) {
            self.is_set_up = false;
            let set = format!("SELECT {}", self.session.set());
            self.query(&set, &[]).inspect_err(|_| self.is_ended = true)?;
        }
        self.configuration.begin(answer.try_get("configuration").ok());
        Ok(true)
    }

    /// Does `work` in a transaction of its own. One that writes is committed, unless the work fails.
    pub fn within<T>(
        &mut self,
        kind: Kind,
        work: impl FnOnce(&mut Self) -> StoreResult<T>,
    ) -> StoreResult<T> {
        self.begin(kind)?;
        let done = work(self)
            .and_then(|done| if kind == Kind::Write { self.commit().map(|()| done) } else { Ok(done) });
        // A commit has ended it, whatever came of it.
        if self.state != State::Gone && !self.is_closed() {
            let ended = self.roll_back();
            return done.and_then(|done| ended.map(|()| done));
        }
        done
    }

    /// Ends the transaction, for good or not; an error of the connection leaves unknown which.
    pub fn commit(&mut self) -> StoreResult<()> {
        self.warned.store(false, Ordering::Relaxed);
        self.state = State::Gone;
        self.refused = None;
        match self.run("COMMIT") {
            Ok(()) if self.warned.load(Ordering::Relaxed) => Err(with_a_warning()),
            Err(error) if !self.refused.is_some_and(Refused::is_no) => {
                self.is_ended = true;
                Err(StoreError::Unknown(error.reason()))
            }
            other => other,
        }
    }

    /// Takes the transaction back.
    pub fn roll_back(&mut self) -> StoreResult<()> {
        self.state = State::Gone;
        self.run("ROLLBACK")
    }

    /// Whether the transaction failed only for another that ran beside it: it may be run again.
    pub fn met_a_conflict(&self) -> bool {
        self.refused == Some(Refused::Conflict)
    }

    /// Whether what it was given is at fault, or took too long: other data may be taken.
    pub fn has_refused_data(&self) -> bool {
        matches!(self.refused, Some(Refused::Data | Refused::Time))
    }

    /// Runs statements that take no parameters, in one message.
    pub fn run(&mut self, sql: &str) -> StoreResult<()> {
        self.sent += 1;
        let Self { runtime, client, session, .. } = self;
        let ran = wait(runtime.as_ref(), session.statement_timeout, client.batch_execute(sql));
        self.note(ran)
    }

    /// A statement is prepared anew when it has run twice as often: what the server planned for it goes by the size that a table had, and
    /// a new table grows by thousands of rows before the server counts them.
    pub(super) fn prepare(&mut self, sql: &str) -> StoreResult<Statement> {
        let mut renew_after = RENEW_AFTER;
        if let Some(known) = self.statements.get_mut(sql) {
            known.asked += 1;
            if known.asked < known.renew_after {
                return Ok(known.statement.clone());
            }
            renew_after = known.renew_after.saturating_mul(2);
        }
        let Self { runtime, client, session, .. } = self;
        let prepared = wait(runtime.as_ref(), session.statement_timeout, client.prepare(&translate(sql)));
        let statement = self.note(prepared)?;
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        let prepared = Prepared { statement: statement.clone(), asked: 0, renew_after };
        self.statements.insert(sql.to_owned(), prepared);
        Ok(statement)
    }

    pub(super) fn query(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<Vec<tokio_postgres::Row>> {
        check(&self.prepare(sql)?, params)?;
        self.ask(sql, params)
    }

    /// Runs a statement with parameters that fit it.
    pub(super) fn ask<P: ToSql + Sync>(
        &mut self,
        sql: &str,
        params: &[P],
    ) -> StoreResult<Vec<tokio_postgres::Row>> {
        let statement = self.prepare(sql)?;
        let params: Vec<_> = params.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        self.sent += 1;
        let Self { runtime, client, session, .. } = self;
        let rows = wait(runtime.as_ref(), session.statement_timeout, client.query(&statement, &params));
        self.note(rows)
    }

    /// Sends statements one after the other and waits for all of them together.
    pub(super) fn run_all<P: ToSql + Sync>(&mut self, all: &[(Statement, Vec<P>)]) -> StoreResult<()> {
        self.sent += all.len() as u64;
        let Self { runtime, client, session, .. } = self;
        let answers = all.iter().map(|(statement, params)| client.execute_raw(statement, params));
        let answers = wait(runtime.as_ref(), session.statement_timeout, join_all(answers).map(Ok));
        // The first that failed says why; the others failed for it.
        let answers = self.note(answers)?;
        answers.into_iter().try_for_each(|answer| self.note(answer.map_err(Broken::Failed)).map(drop))
    }

    /// Has the server give up what it was asked: at a standby that is away it would go on for ever, and keep its place among the connections.
    fn break_off(&self) {
        let Some(runtime) = &self.runtime else { return };
        let token = self.client.cancel_token();
        let broken_off = token.cancel_query(self.tls.clone());
        if let Ok(Err(error)) = runtime.block_on(async { timeout(BREAK_OFF_WITHIN, broken_off).await }) {
            tracing::debug!(%error, "What the database does not answer could not be broken off");
        }
    }

    /// Keeps what an error has left of the transaction.
    pub(super) fn note<T>(&mut self, result: Result<T, Broken>) -> StoreResult<T> {
        result.map_err(|broken| {
            if matches!(broken, Broken::Silent) {
                self.break_off();
            }
            // Its answer may still come, and would be taken for the next statement's.
            self.is_ended |= matches!(broken, Broken::Silent);
            if let Broken::Failed(error) = &broken {
                let code = error.code();
                // Said just before the connection is closed.
                self.is_ended |= error.as_db_error().is_some_and(|said| {
                    matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
                });
                // Somebody has put another table in a table's place: what this connection knows of it leads nowhere any more.
                self.is_ended |= code.is_some_and(is_of_another_table);
                // Somebody has given a table another column: what is known of its rows is asked anew.
                if code == Some(&SqlState::DATATYPE_MISMATCH) {
                    self.client.clear_type_cache();
                    self.statements.clear();
                }
                // What fails after it fails for the transaction's state.
                self.refused = code.and_then(Refused::of).or(self.refused);
            }
            let is_answered = matches!(&broken, Broken::Failed(error) if error.as_db_error().is_some());
            // What is neither the server's answer nor the connection's end is a conversation that nobody understands any more.
            self.is_ended |= !is_answered;
            if self.state == State::Open {
                self.state = if is_answered && !self.is_closed() { State::Failed } else { State::Gone };
            }
            translate_error(broken)
        })
    }
}

impl Drop for PostgresConnection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever lets go of a store must not wait for a database that does not answer.
            runtime.shutdown_background();
        }
    }
}

impl Sql for PostgresConnection {
    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<u64> {
        let statement = self.prepare(sql)?;
        check(&statement, params)?;
        self.sent += 1;
        let Self { runtime, client, session, .. } = self;
        let ran = wait(runtime.as_ref(), session.statement_timeout, client.execute_raw(&statement, params));
        let changed = self.note(ran)?;
        self.changes += changed;
        Ok(changed)
    }

    fn insert(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<i64> {
        let rows = self.query(&format!("{sql} RETURNING id"), params)?;
        self.changes += 1;
        let row = rows.first().ok_or_else(|| StoreError::Corrupt("an insert answers no id".to_owned()))?;
        let row: &dyn Row = &PostgresRow(row);
        row.int(0)
    }

    fn each_row(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<ControlFlow<()>>,
    ) -> StoreResult<()> {
        // Through a cursor: rows that nobody will want are not looked for.
        // Each text has a cursor of its own name: a prepared statement keeps the types of what it answers.
        let mut text = DefaultHasher::new();
        sql.hash(&mut text);
        let cursor = format!("look_{:x}", text.finish());
        self.execute(&format!("DECLARE {cursor} NO SCROLL CURSOR FOR {sql}"), params)?;
        let fetch = format!("FETCH {FETCH_ROWS} FROM {cursor}");
        let mut looked = Ok(());
        'rows: while looked.is_ok() {
            let rows = self.query(&fetch, &[])?;
            for row in &rows {
                match each(&PostgresRow(row)) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break 'rows,
                    Err(error) => looked = Err(error),
                }
            }
            if rows.len() < FETCH_ROWS {
                break;
            }
        }
        self.run(&format!("CLOSE {cursor}"))?;
        looked
    }

    fn every_row(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<()>,
    ) -> StoreResult<()> {
        self.query(sql, params)?.iter().try_for_each(|row| each(&PostgresRow(row)))
    }

    fn rows_of_each(
        &mut self,
        sql: &str,
        params: &[Vec<Value<'_>>],
        each: &mut dyn FnMut(usize, &dyn Row) -> StoreResult<()>,
    ) -> StoreResult<()> {
        let params: Vec<_> = params.iter().map(|params| &params[..]).collect();
        let (found, ranges) = self.query_many(sql, &params)?;
        for (place, range) in ranges.into_iter().enumerate() {
            for row in found.get(range).unwrap_or_default() {
                each(place, &PostgresRow(row))?;
            }
        }
        Ok(())
    }

    fn changes(&self) -> u64 {
        self.changes
    }

    fn control(&mut self, sql: &str) -> StoreResult<()> {
        self.run(sql)?;
        if self.state == State::Failed && sql.starts_with("ROLLBACK TO") {
            (self.state, self.refused) = (State::Open, None);
        }
        Ok(())
    }

    fn state(&self) -> State {
        self.state
    }
}

pub(super) fn wait<T>(
    runtime: Option<&Runtime>,
    statement_timeout: Duration,
    statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Broken> {
    let Some(runtime) = runtime else { return Err(Broken::Silent) };
    let patience = statement_timeout + PATIENCE.min(statement_timeout);
    match runtime.block_on(async { timeout(patience, statement).await }) {
        Ok(answer) => answer.map_err(Broken::Failed),
        Err(_) => Err(Broken::Silent),
    }
}
