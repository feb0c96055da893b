//! A group of writes as one statement: nothing is begun, and nothing is left to be committed.
//!
//! That can be done where nobody has to ask anything: what a group would find at its beginning is supposed, and so is that each row that it
//! changes is there, and each that it inserts is not. The statement fails where one of these is not so.

use super::connection::{PostgresConnection, wait};
use super::failure::{Broken, with_a_warning};
use super::many::{Param, Set};
use super::sets;
use crate::engine::{State, Value};
use crate::error::{StoreError, StoreResult};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::ToSql;

/// Statements for whole groups that are kept: groups are made of few kinds of writes.
const WHOLE_GROUPS_MAX: usize = 64;

/// The statement for groups that write the same kinds of rows.
pub struct WholeGroup {
    text: String,
    /// Its parameters from the second on.
    places: Vec<Place>,
}

/// What a parameter is made of.
enum Place {
    /// The rows of a set, of which these columns are given.
    Rows { set: usize, columns: Vec<String> },
    /// A column of a set's rows.
    Column { set: usize, column: usize },
    /// How many rows a set has.
    Count { set: usize },
}

impl PostgresConnection {
    /// What is run next is run as if its transaction had begun.
    pub const fn suppose(&mut self) {
        self.configuration.suppose();
        self.state = State::Open;
    }

    /// Whether a group can be written in one statement: it is known what a transaction would find at its beginning.
    pub fn knows_its_beginning(&self) -> bool {
        self.is_set_up && self.guard.is_some() && self.configuration.version().is_some() && !self.is_closed()
    }

    /// Writes and commits in one statement, as long as the guard lets it, the configuration is what was kept of it, and each row is there
    /// that is to be changed and none that is to be inserted. `None`: for one of these, or for what was to be written, nothing was. Else how
    /// long it took.
    pub fn commit_at_once(&mut self, sets: &[Set]) -> StoreResult<Option<Duration>> {
        self.state = State::Gone;
        let texts: Vec<_> = sets.iter().map(|(sql, _)| sql.as_str()).collect();
        // Whatever this finds is found again step by step, on a new connection where this one has ended.
        let Ok(Some(group)) = self.statement_of(&texts) else { return Ok(None) };
        let Ok(statement) = self.prepare(&group.text) else { return Ok(None) };
        let version = self.configuration.version().into();
        let counts: Vec<_> = sets.iter().map(|(_, rows)| Value::from(rows.len() as u64)).collect();
        let params = group.places.iter().map(|place| match place {
            Place::Rows { set, columns } => {
                Param::Rows(&sets[*set].1, columns.iter().map(String::as_str).collect())
            }
            Place::Column { set, column } => Param::Column(&sets[*set].1, *column),
            Place::Count { set } => Param::One(&counts[*set]),
        });
        let params: Vec<_> = [Param::One(&version)].into_iter().chain(params).collect();
        let params: Vec<_> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
        self.warned.store(false, Ordering::Relaxed);
        self.refused = None;
        self.sent += 1;
        let began = Instant::now();
        let Self { runtime, client, session, .. } = self;
        let written = wait(runtime.as_ref(), session.statement_timeout, client.query(&statement, &params));
        let failed = match &written {
            Err(Broken::Failed(error)) => Some(error),
            _ => None,
        };
        let is_taken_back = failed.is_some_and(is_taken_back);
        let is_locked_out = failed.is_some_and(|error| error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE));
        match self.note(written) {
            Ok(_) if self.warned.load(Ordering::Relaxed) => Err(with_a_warning()),
            Ok(_) => Ok(Some(began.elapsed())),
            // Step by step it would wait for the same lock once more.
            Err(error) if is_taken_back && is_locked_out => Err(error),
            Err(error) if is_taken_back => {
                tracing::debug!(%error, "A group is written step by step");
                Ok(None)
            }
            Err(error) => {
                self.is_ended = true;
                Err(StoreError::Unknown(error.reason()))
            }
        }
    }

    /// One statement that writes sets of these texts, made once. `None`: two of them are about the same rows, or one is not for many.
    fn statement_of(&mut self, texts: &[&str]) -> StoreResult<Option<Arc<WholeGroup>>> {
        let key = texts.join(";");
        if let Some(known) = self.whole_groups.get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(made) = self.make_statement_of(texts)? else { return Ok(None) };
        if self.whole_groups.len() >= WHOLE_GROUPS_MAX {
            self.whole_groups.clear();
        }
        let made = Arc::new(made);
        self.whole_groups.insert(key, Arc::clone(&made));
        Ok(Some(made))
    }

    fn make_statement_of(&mut self, texts: &[&str]) -> StoreResult<Option<WholeGroup>> {
        let Some(rows) = &self.guard else { return Ok(None) };
        let mut text = format!(
            "WITH held AS MATERIALIZED (SELECT {rows} AND version = ?1 AND {} FOR KEY SHARE OF holder)",
            self.session.is_set()
        );
        let mut condition = "(SELECT count(*) FROM held) > 0".to_owned();
        let mut places = Vec::new();
        for (set, sql) in texts.iter().enumerate() {
            // Each part of a statement sees what was there before it: the second of one text would miss what the first wrote.
            if texts[..set].contains(sql) {
                return Ok(None);
            }
            // The version of the configuration is the first parameter.
            let first = places.len() + 2;
            let part = if let Some((part, columns)) = sets::insert(sets::of_new_rows(sql), first) {
                places.push(Place::Rows { set, columns: columns.into_iter().map(str::to_owned).collect() });
                part
            } else {
                let kinds = self.prepare(sql)?.params().to_vec();
                let Some(part) = sets::change(sql, &kinds, first) else { return Ok(None) };
                places.extend((0..kinds.len()).map(|column| Place::Column { set, column }));
                places.push(Place::Count { set });
                let _ =
                    write!(condition, " AND (SELECT count(*) FROM written_{set}) = ?{}", places.len() + 1);
                part
            };
            let _ = write!(text, ", written_{set} AS ({part})");
        }
        let _ = write!(text, " SELECT 1 / CASE WHEN {condition} THEN 1 ELSE 0 END");
        Ok(Some(WholeGroup { text, places }))
    }
}

/// A statement that the server calls failed has changed nothing; whatever else ends it leaves that unknown.
fn is_taken_back(error: &tokio_postgres::Error) -> bool {
    // A pooler may speak for a server that is gone: that is of the class of connections.
    error.as_db_error().is_some_and(|said| {
        said.parsed_severity() == Some(Severity::Error)
            && !said.code().code().starts_with("08")
            && *said.code() != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN
    })
}
