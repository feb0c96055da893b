//! Operations run beside each other, in few statements: what several of them ask in the same words is asked once, for all.
//!
//! An operation is run until it asks what has no answer yet. When all have come so far, the questions are asked, each text once for
//! all its rows of parameters, and the operations are run again: they find what they were answered before, draw what they drew, and come
//! further. What they only write is gathered and written at the end, or before one asks on who has written.
//!
//! This is for operations that do not look at what others of their kind write; where one may, it says so by a claim.

use super::connection::PostgresConnection;
use super::many::Set;
use super::sets;
use super::statement::{PostgresRow, check};
use crate::engine::group;
use crate::engine::{Drawn, Row, Sql, State, Value};
use crate::error::{StoreError, StoreResult};
use crate::tx::{Savepoints, Told, Tx, TxShared};
use failpoint::{Point, reach};
use std::collections::{HashMap, HashSet};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// Bytes that are gathered before they are written: one statement's memory at the server is a few times that.
const GATHERED_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Runs operations, each of which says whether it went well; `None`: they are to be run in another way, on a transaction of their own.
pub fn run<F: FnMut(&mut Tx<'_>) -> bool>(
    connection: &mut PostgresConnection,
    operations: impl Iterator<Item = F>,
    shared: &TxShared,
) -> StoreResult<Option<Told>> {
    let mut open: Vec<Run<F>> = operations.enumerate().map(Run::new).collect();
    let (mut told, mut round) = (Told::default(), Round::default());
    while !open.is_empty() {
        let mut waiting = Vec::with_capacity(open.len());
        for mut run in open {
            match run.go_on(connection, &mut round, shared)? {
                Step::Waits => waiting.push(run),
                Step::Done(news) => told.append(news),
                Step::Unfit => return Ok(None),
            }
        }
        open = waiting;
        if round.questions.is_empty() {
            if !open.is_empty() && !round.release() {
                return Ok(None);
            }
            round.write(connection)?;
        } else {
            round.ask(connection, &mut open)?;
        }
    }
    Ok(Some(told))
}

/// Runs operations of a transaction that is not begun, as long as none has to ask: what is to be told, and what to be written.
pub fn run_unasked<F: FnMut(&mut Tx<'_>) -> bool>(
    connection: &mut PostgresConnection,
    operations: impl Iterator<Item = F>,
    shared: &TxShared,
) -> StoreResult<Option<(Told, Vec<Set>)>> {
    let (mut told, mut round) = (Told::default(), Round { is_unasked: true, ..Round::default() });
    for mut run in operations.enumerate().map(Run::new) {
        match run.go_on(connection, &mut round, shared)? {
            Step::Done(news) => told.append(news),
            Step::Waits | Step::Unfit => return Ok(None),
        }
    }
    Ok(Some((told, round.sets())))
}

/// An operation, and what became of it so far.
struct Run<F> {
    number: usize,
    operation: F,
    strands: Vec<Strand>,
}

enum Step {
    Waits,
    Done(Told),
    Unfit,
}

impl<F: FnMut(&mut Tx<'_>) -> bool> Run<F> {
    fn new((number, operation): (usize, F)) -> Self {
        Self { number, operation, strands: vec![Strand::default()] }
    }

    fn go_on(
        &mut self,
        connection: &mut PostgresConnection,
        round: &mut Round,
        shared: &TxShared,
    ) -> StoreResult<Step> {
        for strand in &mut self.strands {
            strand.at = 0;
            strand.drawn.rewind();
        }
        let mut door = Door {
            connection,
            round,
            strands: &mut self.strands,
            of: self.number,
            strand: 0,
            parts_from: 1,
            changes: 0,
            is_waiting: false,
            has_waited: false,
            is_fit: true,
        };
        let mut tx = Tx::new(&mut door, shared, Savepoints::Left);
        let fine = (self.operation)(&mut tx);
        let news = tx.into_told();
        if door.connection.state() != State::Open {
            return if door.connection.has_refused_data() {
                Ok(Step::Unfit)
            } else {
                Err(group::taken_back())
            };
        }
        if door.has_waited && door.is_fit {
            return Ok(Step::Waits);
        }
        // One that fails after it wrote needs a way back of its own; a part may have written that was not come to this time.
        let is_whole = door.is_fit && (fine || !door.strands.iter().any(Strand::has_written));
        door.enter(None);
        door.end_strand();
        reach(Point::OperationDone);
        Ok(match news {
            Some(news) if is_whole => Step::Done(if fine { news } else { Told::default() }),
            _ => Step::Unfit,
        })
    }
}

/// What an operation, or one of its parts, was answered so far.
#[derive(Default)]
struct Strand {
    answers: Vec<Answer>,
    drawn: Drawn,
    /// How many answers it has looked at in this run.
    at: usize,
    /// Up to which writing it had something to write.
    wrote_in: u64,
}

impl Strand {
    fn has_written(&self) -> bool {
        self.answers.iter().any(|answer| match answer {
            Answer::Gathered | Answer::Inserted(_) => true,
            Answer::Changed(changed) => *changed > 0,
            Answer::Rows(..) | Answer::Claimed => false,
        })
    }
}

#[derive(Clone)]
enum Answer {
    Rows(Arc<Vec<tokio_postgres::Row>>, Range<usize>),
    Changed(u64),
    Inserted(i64),
    Gathered,
    Claimed,
}

/// Which strand of which operation.
type Asker = (usize, usize);

/// What is asked and written for all operations together.
#[derive(Default)]
struct Round {
    questions: Vec<Questions>,
    gathered: Vec<(String, Vec<Vec<Value<'static>>>)>,
    gathered_bytes: usize,
    /// Writings so far.
    writings: u64,
    /// Whether somebody who asks has written what is not there yet.
    writes_first: bool,
    claims: HashMap<Claim, Asker>,
    ended: HashSet<Asker>,
    /// Whether nothing may be sent yet.
    is_unasked: bool,
}

type Claim = (&'static str, Vec<Value<'static>>);

/// What a statement is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Change,
    Rows,
    /// Rows whose answer may be kept, see [`super::configuration`].
    Configuration,
}

/// What is asked in the same words.
struct Questions {
    sql: String,
    of: Of,
    rows: Vec<(Vec<Value<'static>>, Asker)>,
}

impl Round {
    fn question(&mut self, sql: &str, of: Of, params: Vec<Value<'static>>, asker: Asker) {
        let row = (params, asker);
        match self.questions.iter_mut().find(|questions| questions.sql == sql) {
            Some(questions) => questions.rows.push(row),
            None => self.questions.push(Questions { sql: sql.to_owned(), of, rows: vec![row] }),
        }
    }

    fn gather(&mut self, sql: &str, row: Vec<Value<'static>>) {
        self.gathered_bytes += row.iter().map(Value::bytes).sum::<usize>();
        match self.gathered.iter_mut().find(|(known, _)| known == sql) {
            Some((_, rows)) => rows.push(row),
            None => self.gathered.push((sql.to_owned(), vec![row])),
        }
    }

    /// Lets go what was claimed by those who have ended; `false` where nothing is let go.
    fn release(&mut self) -> bool {
        let before = self.claims.len();
        self.claims.retain(|_, holder| !self.ended.contains(holder));
        self.claims.len() < before
    }

    fn write(&mut self, connection: &mut PostgresConnection) -> StoreResult<()> {
        connection.put_many(&self.sets())
    }

    /// What is gathered, to be written now.
    fn sets(&mut self) -> Vec<Set> {
        self.writings += 1;
        (self.gathered_bytes, self.writes_first) = (0, false);
        let mut sets = Vec::with_capacity(self.gathered.len());
        // The texts stay, in the order in which they came first: a row that another names is written before it.
        for (sql, rows) in &mut self.gathered {
            let mut left = std::mem::take(rows);
            while !left.is_empty() {
                let (now, later) = apart(sql, left);
                sets.push((sql.clone(), now));
                left = later;
            }
        }
        sets
    }

    fn ask<F>(&mut self, connection: &mut PostgresConnection, open: &mut [Run<F>]) -> StoreResult<()> {
        if self.writes_first {
            self.write(connection)?;
        }
        let mut answer = |(of, strand): Asker, answer: Answer| {
            let run = open.binary_search_by_key(&of, |run| run.number).ok().and_then(|at| open.get_mut(at));
            if let Some(strand) = run.and_then(|run| run.strands.get_mut(strand)) {
                strand.answers.push(answer);
            }
        };
        for Questions { sql, of, mut rows } in self.questions.drain(..) {
            // In the order of the keys, in which any two who change the same rows lock them.
            rows.sort();
            if of == Of::Change {
                let params: Vec<_> = rows.iter().map(|(params, _)| &params[..]).collect();
                for (changed, (_, asker)) in connection.change_many(&sql, &params)?.into_iter().zip(&rows) {
                    answer(*asker, Answer::Changed(changed));
                }
                continue;
            }
            let mut params: Vec<_> = rows.iter().map(|(params, _)| &params[..]).collect();
            params.dedup();
            let (found, ranges) = connection.query_many(&sql, &params)?;
            let found = Arc::new(found);
            for (same, range) in rows.chunk_by(|one, other| one.0 == other.0).zip(ranges) {
                if let (Of::Configuration, Some((params, _))) = (of, same.first()) {
                    connection.configuration.keep(&sql, params, (Arc::clone(&found), range.clone()));
                }
                for (_, asker) in same {
                    answer(*asker, Answer::Rows(Arc::clone(&found), range.clone()));
                }
            }
        }
        Ok(())
    }
}

/// Rows that one statement can write, and those that would meet one of them.
fn apart(sql: &str, rows: Vec<Vec<Value<'static>>>) -> (Vec<Vec<Value<'static>>>, Vec<Vec<Value<'static>>>) {
    let Some(key) = sets::key(sql) else { return (rows, Vec::new()) };
    let mut known = HashSet::new();
    rows.into_iter().partition(|row| {
        let key: Vec<_> = key.iter().filter_map(|at| row.get(*at)).cloned().collect();
        known.insert(key)
    })
}

/// The statements' door of one operation.
struct Door<'a> {
    connection: &'a mut PostgresConnection,
    round: &'a mut Round,
    strands: &'a mut Vec<Strand>,
    of: usize,
    /// 0 is the operation outside of its parts.
    strand: usize,
    /// The strand of the next part that is counted as 0.
    parts_from: usize,
    changes: u64,
    is_waiting: bool,
    has_waited: bool,
    is_fit: bool,
}

impl Door<'_> {
    const fn asker(&self) -> Asker {
        (self.of, self.strand)
    }

    fn known(&mut self) -> Option<Answer> {
        let strand = self.strands.get_mut(self.strand)?;
        let answer = strand.answers.get(strand.at)?.clone();
        strand.at += 1;
        Some(answer)
    }

    fn keep(&mut self, answer: Answer) {
        if let Some(strand) = self.strands.get_mut(self.strand) {
            strand.answers.push(answer);
            strand.at += 1;
        }
    }

    fn waits(&mut self) -> StoreError {
        (self.is_waiting, self.has_waited) = (true, true);
        StoreError::Unavailable("the answer is still to come".to_owned())
    }

    fn ask(&mut self, sql: &str, of: Of, params: &[Value<'_>]) -> StoreError {
        // Where nothing may be asked it is known now that this way leads nowhere.
        if self.round.is_unasked {
            return self.unfit();
        }
        if let Err(error) = self.fits(sql, params) {
            return error;
        }
        let asker = self.asker();
        self.round.question(sql, of, owned(params), asker);
        let has_written =
            self.strands.get(self.strand).is_some_and(|strand| strand.wrote_in > self.round.writings);
        self.round.writes_first |= has_written;
        self.waits()
    }

    fn rows(
        &mut self,
        sql: &str,
        of: Of,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<()>,
    ) -> StoreResult<()> {
        let known = self.known().or_else(|| {
            let kept = (of == Of::Configuration)
                .then(|| self.connection.configuration.recall(sql, &owned(params)))
                .flatten();
            kept.map(|(rows, range)| {
                self.keep(Answer::Rows(Arc::clone(&rows), range.clone()));
                Answer::Rows(rows, range)
            })
        });
        match known {
            Some(Answer::Rows(rows, range)) => {
                rows.get(range).unwrap_or_default().iter().try_for_each(|row| each(&PostgresRow(row)))
            }
            Some(_) => Err(self.unfit()),
            None => Err(self.ask(sql, of, params)),
        }
    }

    fn fits(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<()> {
        check(&self.connection.prepare(sql)?, params)
    }

    fn gather(&mut self, sql: &str, row: Vec<Value<'static>>, answer: Answer) -> StoreResult<()> {
        self.round.gather(sql, row);
        if let Some(strand) = self.strands.get_mut(self.strand) {
            strand.wrote_in = self.round.writings + 1;
        }
        self.keep(answer);
        self.changes += 1;
        if self.round.gathered_bytes > GATHERED_BYTES_MAX {
            if self.round.is_unasked {
                return Err(self.unfit());
            }
            self.round.write(self.connection)?;
        }
        Ok(())
    }

    /// What this strand claims is there, as soon as what is gathered is written.
    fn end_strand(&mut self) {
        let asker = self.asker();
        self.round.ended.insert(asker);
    }

    fn unfit(&mut self) -> StoreError {
        self.is_fit = false;
        StoreError::Corrupt("this cannot be run beside others".to_owned())
    }
}

impl Sql for Door<'_> {
    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<u64> {
        match self.known() {
            Some(Answer::Changed(changed)) => {
                self.changes += changed;
                Ok(changed)
            }
            Some(_) => Err(self.unfit()),
            None => Err(self.ask(sql, Of::Change, params)),
        }
    }

    fn insert(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<i64> {
        match self.known() {
            Some(Answer::Inserted(id)) => {
                self.changes += 1;
                Ok(id)
            }
            Some(_) => Err(self.unfit()),
            None => {
                self.fits(sql, params)?;
                let Some((sql, id)) = self.connection.take_id(sql)? else { return Err(self.unfit()) };
                let mut row = owned(params);
                row.push(Value::Int(id));
                self.gather(&sql, row, Answer::Inserted(id)).map(|()| id)
            }
        }
    }

    fn put(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<()> {
        match self.known() {
            Some(Answer::Gathered) => {
                self.changes += 1;
                Ok(())
            }
            Some(_) => Err(self.unfit()),
            None => {
                self.fits(sql, params)?;
                self.gather(sql, owned(params), Answer::Gathered)
            }
        }
    }

    fn each_row(
        &mut self,
        _: &str,
        _: &[Value<'_>],
        _: &mut dyn FnMut(&dyn Row) -> StoreResult<ControlFlow<()>>,
    ) -> StoreResult<()> {
        Err(self.unfit())
    }

    fn every_row(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<()>,
    ) -> StoreResult<()> {
        self.rows(sql, Of::Rows, params, each)
    }

    fn every_row_of_configuration(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> StoreResult<()>,
    ) -> StoreResult<()> {
        self.rows(sql, Of::Configuration, params, each)
    }

    fn changes(&self) -> u64 {
        self.changes
    }

    fn control(&mut self, _: &str) -> StoreResult<()> {
        Err(self.unfit())
    }

    fn state(&self) -> State {
        self.connection.state()
    }

    fn claim(&mut self, what: &'static str, key: &[Value<'_>]) -> StoreResult<()> {
        match self.known() {
            Some(Answer::Claimed) => return Ok(()),
            Some(_) => return Err(self.unfit()),
            None => {}
        }
        let (claim, asker) = ((what, owned(key)), self.asker());
        if *self.round.claims.entry(claim).or_insert(asker) != asker {
            return Err(self.waits());
        }
        self.keep(Answer::Claimed);
        Ok(())
    }

    fn enter(&mut self, part: Option<usize>) {
        if self.strand > 0 && !self.is_waiting {
            self.end_strand();
        }
        self.is_waiting = false;
        if part.is_none() {
            // A second list of parts has strands of its own.
            self.parts_from = self.parts_from.max(self.strand + 1);
        }
        self.strand = part.map_or(0, |part| self.parts_from + part);
        while self.strands.len() <= self.strand {
            self.strands.push(Strand::default());
        }
    }

    fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    fn drawn(&self) -> Option<&Drawn> {
        self.strands.get(self.strand).map(|strand| &strand.drawn)
    }
}

fn owned(params: &[Value<'_>]) -> Vec<Value<'static>> {
    params.iter().cloned().map(Value::into_owned).collect()
}
