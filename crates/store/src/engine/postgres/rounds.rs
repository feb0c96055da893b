//! Operations run beside each other, in few statements: what several of them ask in the same words is asked once, for all.
//!
//! An operation is run until it asks what has no answer yet. When all have come so far, the questions are asked, each text once for
//! all its rows of parameters, and the operations are run again: they find what they were answered before, draw what they drew, and come
//! further. What they only write is gathered and written at the end, or before one asks on who has written.
//!
//! This is for operations that do not look at what others of their kind write; where one may, it says so by a claim.

mod door;

use super::connection::PostgresConnection;
use super::many::Set;
use super::sets;
use crate::engine::group;
use crate::engine::{Drawn, Sql as _, State, Value};
use crate::error::StoreResult;
use crate::tx::{Savepoints, Told, Tx, TxShared};
use door::Door;
use failpoint::{Point, reach};
use foldhash::{HashMap, HashSet};
use std::collections::BTreeMap;
use std::ops::Range;
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

/// Runs operations of a transaction that is not begun, as long as none has to ask: what is to be told, and what to be written, where each
/// change is supposed to be one of a row that is there.
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
    gathered: Vec<Gathered>,
    gathered_bytes: usize,
    /// Writings so far.
    writings: u64,
    /// Whether somebody who asks has written what is not there yet.
    writes_first: bool,
    claims: HashMap<Claim, Asker>,
    ended: HashSet<Asker>,
    /// Whether nothing may be asked.
    is_unasked: bool,
}

/// What is written in the same words.
struct Gathered {
    sql: String,
    rows: Vec<Vec<Value<'static>>>,
    /// Whether the last parameter is added to what is there.
    adds: bool,
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

    fn gather(&mut self, sql: &str, row: Vec<Value<'static>>, adds: bool) {
        self.gathered_bytes += row.iter().map(Value::bytes).sum::<usize>();
        match self.gathered.iter_mut().find(|gathered| gathered.sql == sql) {
            Some(gathered) => gathered.rows.push(row),
            None => self.gathered.push(Gathered { sql: sql.to_owned(), rows: vec![row], adds }),
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
        // The texts stay, in the order in which they came first: statement by statement, a row that another names is written before it.
        for Gathered { sql, rows, adds } in &mut self.gathered {
            let mut left = std::mem::take(rows);
            if *adds {
                left = added_up(left);
            }
            // Rows that are there already are locked in the order of their keys, as by all others.
            let key = sets::key(sql);
            if key.is_some() || sets::table(sql).is_none() {
                left.sort();
            }
            while !left.is_empty() {
                let (now, later) = apart(key.as_deref(), left);
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

/// Of rows that differ in their last parameter alone, one with the sum.
fn added_up(rows: Vec<Vec<Value<'static>>>) -> Vec<Vec<Value<'static>>> {
    let mut sums: BTreeMap<_, i64> = BTreeMap::new();
    for mut row in rows {
        if let Some(Value::Int(count)) = row.pop() {
            let sum = sums.entry(row).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    sums.into_iter().map(|(row, sum)| row.into_iter().chain([sum.into()]).collect()).collect()
}

/// Rows that one statement can write, and those that would meet one of them by its key, where it has one.
fn apart(
    key: Option<&[usize]>,
    rows: Vec<Vec<Value<'static>>>,
) -> (Vec<Vec<Value<'static>>>, Vec<Vec<Value<'static>>>) {
    let Some(key) = key else { return (rows, Vec::new()) };
    let mut known = HashSet::default();
    rows.into_iter().partition(|row| {
        let key: Vec<_> = key.iter().filter_map(|at| row.get(*at)).cloned().collect();
        known.insert(key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: i64, count: i64) -> Vec<Value<'static>> {
        vec![Value::Int(key), Value::Int(count)]
    }

    #[test]
    fn what_is_added_to_one_row_is_added_up_before_it_is_written() {
        let mut round = Round::default();
        for (key, count) in [(2, 1), (1, 2), (2, 3), (1, 4)] {
            round.gather("add", row(key, count), true);
        }
        assert_eq!(round.sets(), [("add".to_owned(), vec![row(1, 6), row(2, 4)])]);
    }

    #[test]
    fn what_may_be_there_is_written_in_the_order_of_its_keys_and_what_is_new_as_it_came() {
        let insert = "INSERT INTO t (a, b) VALUES (?1, ?2)";
        for (sql, is_sorted) in [
            ("UPDATE t SET b = ?2 WHERE a = ?1", true),
            (&*format!("{insert} ON CONFLICT (a) DO UPDATE SET b = excluded.b"), true),
            (insert, false),
        ] {
            let mut round = Round::default();
            round.gather(sql, row(2, 0), false);
            round.gather(sql, row(1, 0), false);
            let rows = if is_sorted { [1, 2] } else { [2, 1] }.map(|key| row(key, 0));
            assert_eq!(round.sets(), [(sql.to_owned(), rows.to_vec())]);
        }
    }
}
