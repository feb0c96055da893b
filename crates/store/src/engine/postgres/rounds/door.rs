//! What an operation of a round sees of the database: what it was answered before, and a place to ask and to write.

use super::super::connection::PostgresConnection;
use super::super::statement::{PostgresRow, check};
use super::{Answer, Asker, GATHERED_BYTES_MAX, Of, Round, Strand};
use crate::engine::{Drawn, Row, Sql, State, Value};
use crate::error::{StoreError, StoreResult};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The statements' door of one operation.
pub struct Door<'a> {
    pub connection: &'a mut PostgresConnection,
    pub round: &'a mut Round,
    pub strands: &'a mut Vec<Strand>,
    pub of: usize,
    /// 0 is the operation outside of its parts.
    pub strand: usize,
    /// The strand of the next part that is counted as 0.
    pub parts_from: usize,
    pub changes: u64,
    pub is_waiting: bool,
    pub has_waited: bool,
    pub is_fit: bool,
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
            self.is_fit = false;
            return StoreError::Unavailable("nothing may be asked here".to_owned());
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

    fn gather(&mut self, sql: &str, row: Vec<Value<'static>>, adds: bool, answer: Answer) -> StoreResult<()> {
        self.round.gather(sql, row, adds);
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
    pub fn end_strand(&mut self) {
        let asker = self.asker();
        self.round.ended.insert(asker);
    }

    fn put_or_add(&mut self, sql: &str, params: &[Value<'_>], adds: bool) -> StoreResult<()> {
        match self.known() {
            Some(Answer::Gathered) => {
                self.changes += 1;
                Ok(())
            }
            Some(_) => Err(self.unfit()),
            None => {
                self.fits(sql, params)?;
                self.gather(sql, owned(params), adds, Answer::Gathered)
            }
        }
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
                self.gather(&sql, row, false, Answer::Inserted(id)).map(|()| id)
            }
        }
    }

    fn put(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<()> {
        self.put_or_add(sql, params, false)
    }

    fn add(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<()> {
        self.put_or_add(sql, params, true)
    }

    fn change_one(&mut self, sql: &str, params: &[Value<'_>]) -> StoreResult<bool> {
        if !self.round.is_unasked {
            return Ok(self.execute(sql, params)? > 0);
        }
        self.fits(sql, params)?;
        self.gather(sql, owned(params), false, Answer::Changed(1)).map(|()| true)
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
        // What is written unasked fails by itself where two write the same.
        if self.round.is_unasked {
            return Ok(());
        }
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
