//! A group of writes in one exchange: begun, written and committed, without a word from the server in between.
//!
//! That can be done where nobody has to ask anything: what a group would find at its beginning is supposed, and the server holds it to that.

use super::connection::{PostgresConnection, wait};
use super::failure::{Broken, Refused, translate_error, with_a_warning};
use super::many::Set;
use crate::engine::State;
use crate::error::{StoreError, StoreResult};
use futures_util::FutureExt as _;
use futures_util::future::{join_all, join4};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;

impl PostgresConnection {
    /// What is run next is run as if its transaction had begun.
    pub const fn suppose(&mut self) {
        self.configuration.suppose();
        self.state = State::Open;
    }

    /// Whether a group can be written in one exchange: it is known what a transaction would find at its beginning.
    pub fn knows_its_beginning(&self) -> bool {
        self.is_set_up && self.guard.is_some() && self.configuration.version().is_some() && !self.is_closed()
    }

    /// Begins, writes and commits in one exchange, as long as the guard lets it and the configuration is what was kept of it. `None`: for
    /// one of these, or for what was to be written, nothing was. Else how long the commit itself took.
    pub fn commit_at_once(&mut self, sets: &[Set]) -> StoreResult<Option<Duration>> {
        let (Some(rows), Some(version)) = (&self.guard, self.configuration.version()) else {
            return Ok(None);
        };
        // Without such a row it fails, and all that follows fails for it.
        let look = format!(
            "SELECT 1 / (SELECT count(*) FROM (SELECT {rows} AND version = ?1 AND {} FOR KEY SHARE OF holder) AS held)",
            self.session.is_set()
        );
        let (Ok(look), Ok(statements)) = (self.prepare(&look), self.statements(sets)) else {
            return Ok(None);
        };
        self.warned.store(false, Ordering::Relaxed);
        self.refused = None;
        self.sent += 3 + statements.len() as u64;
        let Self { runtime, client, session, .. } = self;
        let version: [&(dyn ToSql + Sync); 1] = [&version];
        // Sent in this order, since each is sent as it is first looked at, those of `join_all` one after the other.
        let all = join4(
            client.batch_execute("BEGIN"),
            client.query(&look, &version),
            join_all(statements.iter().map(|(statement, params)| client.execute_raw(statement, params)))
                .map(|answers| (answers, Instant::now())),
            client.batch_execute("COMMIT"),
        );
        let answers = wait(runtime.as_ref(), session.statement_timeout, all.map(Ok));
        self.state = State::Gone;
        let (begun, looked, (written, at), committed) = match answers {
            Ok(answers) => answers,
            Err(broken) => {
                let said = self.note::<()>(Err(broken)).err();
                return Err(StoreError::Unknown(said.map_or_else(String::new, |error| error.reason())));
            }
        };
        let has_begun = begun.is_ok();
        let before = [begun.err(), looked.err()].into_iter().flatten();
        let failed = before.chain(written.into_iter().filter_map(Result::err)).next();
        match (failed, committed) {
            (None, Ok(())) if self.warned.load(Ordering::Relaxed) => Err(with_a_warning()),
            (None, Ok(())) => Ok(Some(at.elapsed())),
            // It was asked to commit what it had found at fault, and has answered: it took all of it back. Where nothing was begun, what
            // followed stood alone.
            (Some(failed), Ok(())) if has_begun && failed.as_db_error().is_some() => Ok(None),
            (None, Err(error)) if error.code().and_then(Refused::of).is_some_and(Refused::is_no) => Ok(None),
            (failed, committed) => {
                self.is_ended = true;
                let error = failed.or(committed.err()).map(|error| translate_error(Broken::Failed(error)));
                Err(StoreError::Unknown(error.map_or_else(String::new, |error| error.reason())))
            }
        }
    }
}
