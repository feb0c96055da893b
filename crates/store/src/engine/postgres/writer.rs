//! Group commit: one thread takes operations from a bounded queue and commits all that are waiting as one transaction.
//!
//! A group that fails for another that ran beside it is run again. Where the connection ends during a commit, nobody knows whether the
//! group is on disk: its callers are told so, and the schedule looks for what it may have made due. The next group connects anew.

use super::address::Address;
use super::connection::{Kind, PostgresConnection};
use super::rounds;
use super::session::Session;
use crate::engine::group::{self, Group, NotCommitted, Operation, Waiting, Way, Writer};
use crate::engine::{Sql as _, State};
use crate::error::{StoreError, StoreResult};
use crate::limits::WRITE_TIMEOUT;
use crate::tx::{Told, Tx, TxShared};
use failpoint::{Point, reach};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// How often a group is run that fails for others.
const TRIES: usize = 5;

/// How long a connection is taken to be there after it was heard of.
const WARM: Duration = Duration::from_secs(1);

/// Starts the writer, which connects for its first group.
pub fn start(
    name: &str,
    address: Arc<Address>,
    schema: Arc<str>,
    guard: String,
    shared: Arc<TxShared>,
) -> StoreResult<Writer> {
    let mut line = Line { address, schema, guard, connection: None, heard_at: Instant::now() };
    Writer::start(name, Arc::clone(&shared.figures), move |waiting, runtime| {
        run(&mut line, waiting, &shared, runtime);
    })
}

/// The writer's connection, made anew where it has ended.
struct Line {
    address: Arc<Address>,
    schema: Arc<str>,
    guard: String,
    connection: Option<PostgresConnection>,
    /// When it was last heard of.
    heard_at: Instant,
}

impl Line {
    /// Commits a group that has nothing to ask in one statement. `None`: it is to be run step by step.
    fn commit_at_once(&mut self, group: &mut Group, shared: &TxShared) -> StoreResult<Option<Told>> {
        // A connection may have ended while it was idle; sent over that, nobody would know what became of the group.
        let is_warm = self.heard_at.elapsed() < WARM;
        let is_gathered = group.iter().all(|operation| operation.way() == Way::Gathered);
        let Some(connection) = self
            .connection
            .as_mut()
            .filter(|connection| is_warm && is_gathered && connection.knows_its_beginning())
        else {
            return Ok(None);
        };
        connection.suppose();
        let operations = group.iter_mut().map(|operation| |tx: &mut Tx<'_>| operation.run(tx));
        let Ok(Some((told, sets))) = rounds::run_unasked(connection, operations, shared) else {
            return Ok(None);
        };
        reach(Point::GroupDone);
        let Some(took) = connection.commit_at_once(&sets)? else { return Ok(None) };
        shared.figures.sync_duration.add_duration(took);
        reach(Point::GroupCommitted);
        Ok(Some(told))
    }

    /// The connection with a transaction begun. That it has ended while it was idle shows when it is used.
    fn begin(&mut self) -> StoreResult<&mut PostgresConnection> {
        let is_begun = match &mut self.connection {
            None => false,
            // What it was asked last may still be under way, in a transaction that was never ended.
            Some(connection) if connection.is_closed() => false,
            Some(connection) => match begin(connection) {
                Err(error) if !connection.is_closed() => return Err(error),
                begun => begun.is_ok(),
            },
        };
        if !is_begun {
            self.connection = None;
            let session = Session::new(&self.schema, WRITE_TIMEOUT).by_index();
            let connection = self.connection.insert(PostgresConnection::open(&self.address, session)?);
            connection.guard(self.guard.clone());
            begin(connection)?;
        }
        self.connection.as_mut().ok_or_else(group::ended)
    }

    /// Whether what failed may be run again.
    fn met_a_conflict(&self) -> bool {
        self.connection
            .as_ref()
            .is_some_and(|connection| connection.met_a_conflict() && !connection.is_closed())
    }
}

fn run(line: &mut Line, mut waiting: Waiting, shared: &TxShared, runtime: &Handle) {
    let mut group = Group::new();
    while group::take(&mut waiting, &mut group) {
        reach(Point::GroupTaken);
        let began = Instant::now();
        let (committed, told) = match commit(line, &mut group, shared) {
            Ok(told) => (Ok(()), Some(told)),
            Err(error) => {
                tracing::error!(%error, operations = group.len(), "A group of writes was not committed");
                shared.figures.groups_failed.add(1);
                let reason = error.reason();
                let unknown = matches!(error, StoreError::Unknown(_));
                (
                    Err(if unknown { NotCommitted::Unknown(reason) } else { NotCommitted::Nothing(reason) }),
                    None,
                )
            }
        };
        shared.figures.statements.add(line.connection.as_mut().map_or(0, PostgresConnection::take_sent));
        shared.figures.group_operations.add(group.len() as u64);
        shared.figures.group_duration.add_duration(began.elapsed());
        if let Some(told) = told {
            told.tell(shared);
            reach(Point::GroupTold);
        } else if matches!(committed, Err(NotCommitted::Unknown(_))) {
            // Perhaps a key was revoked, perhaps something became due.
            shared.scopes.forget();
            shared.listener.unknown();
        }
        line.heard_at = Instant::now();
        group::answer(runtime, std::mem::take(&mut group), committed);
    }
    reach(Point::WriterEnded);
}

/// Runs and commits a group; what is told comes back for the time after.
fn commit(line: &mut Line, group: &mut Group, shared: &TxShared) -> StoreResult<Told> {
    if let Some(told) = line.commit_at_once(group, shared)? {
        return Ok(told);
    }
    for _ in 1..TRIES {
        match try_commit(line.begin()?, group, shared) {
            Err(_) if line.met_a_conflict() => {}
            other => return other,
        }
    }
    try_commit(line.begin()?, group, shared)
}

fn try_commit(
    connection: &mut PostgresConnection,
    group: &mut Group,
    shared: &TxShared,
) -> StoreResult<Told> {
    let run = run_group(connection, group, shared);
    if run.is_err() || connection.state() != State::Open {
        if !connection.is_closed() {
            connection.roll_back()?;
        }
        return run.and_then(|_| Err(met_a_conflict()));
    }
    reach(Point::GroupDone);
    let began = Instant::now();
    connection.commit()?;
    shared.figures.sync_duration.add_duration(began.elapsed());
    reach(Point::GroupCommitted);
    run
}

fn run_group(connection: &mut PostgresConnection, group: &mut Group, shared: &TxShared) -> StoreResult<Told> {
    // Sorting leaves those of a kind in their order.
    group.sort_by_key(|operation| operation.way() != Way::Gathered);
    if let Some(told) = run_whole(connection, group, shared)? {
        return Ok(told);
    }
    connection.roll_back()?;
    begin(connection)?;
    let mut told = Told::default();
    run_halves(connection, group, shared, &mut told)?;
    Ok(told)
}

/// Runs operations without a way back for one of them; `None` where one would have needed it.
fn run_whole(
    connection: &mut PostgresConnection,
    group: &mut [Box<dyn Operation>],
    shared: &TxShared,
) -> StoreResult<Option<Told>> {
    let mut run = |connection: &mut PostgresConnection| {
        let mut told = Told::default();
        for operations in
            group.chunk_by_mut(|one, other| (one.way(), other.way()) == (Way::Gathered, Way::Gathered))
        {
            if operations.iter().any(|operation| operation.way() != Way::Gathered) {
                connection.configuration.may_change();
            }
            let is_straight = operations.iter().all(|operation| operation.way() == Way::Straight);
            let news = if is_straight {
                group::together(connection, operations, shared)?
            } else {
                let operations = operations.iter_mut().map(|operation| |tx: &mut Tx<'_>| operation.run(tx));
                rounds::run(connection, operations, shared)?
            };
            let Some(news) = news else { return Ok(None) };
            told.append(news);
        }
        Ok(Some(told))
    };
    match run(connection) {
        Err(_) if connection.has_refused_data() && !connection.is_closed() => Ok(None),
        Ok(None) if connection.met_a_conflict() => Err(met_a_conflict()),
        // Neither data nor time: a lock that somebody holds, a full disk. The next operation would wait for the same.
        Ok(None) if connection.state() != State::Open && !connection.has_refused_data() => {
            Err(group::taken_back())
        }
        ran => ran,
    }
}

/// Halves what cannot be run as a whole, until what is at fault stands alone.
fn run_halves(
    connection: &mut PostgresConnection,
    group: &mut [Box<dyn Operation>],
    shared: &TxShared,
    told: &mut Told,
) -> StoreResult<()> {
    if group.len() <= 1 {
        told.append(group::one_by_one(connection, group, shared)?);
        return Ok(());
    }
    let (first, second) = group.split_at_mut(group.len() / 2);
    for half in [first, second] {
        connection.control("SAVEPOINT half")?;
        if let Some(news) = run_whole(connection, half, shared)? {
            told.append(news);
        } else {
            connection.control("ROLLBACK TO half")?;
            run_halves(connection, half, shared, told)?;
        }
        connection.control("RELEASE half")?;
    }
    Ok(())
}

/// Begins a group, unless another process has taken this one's place.
fn begin(connection: &mut PostgresConnection) -> StoreResult<()> {
    if connection.begin(Kind::Write)? {
        return Ok(());
    }
    connection.roll_back()?;
    Err(StoreError::Unavailable(
        "another callhook has taken the database over, since this one was not heard of: stop one of them"
            .to_owned(),
    ))
}

fn met_a_conflict() -> StoreError {
    StoreError::Unavailable("what was written met a conflict with another, again and again".to_owned())
}
