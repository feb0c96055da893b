//! What was read of keys, call flows, numbers and destinations, for as long as nobody has changed any of them.
//!
//! A version in the database counts their changes, as triggers see them. The statement that begins a group reads it, so that a group goes by
//! what was so when it began, as one that asked again would.

use crate::engine::Value;
use foldhash::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tokio_postgres::Row;

/// Answers that are kept; beyond that all are given up, since reading them again costs little.
const ANSWERS_MAX: usize = 1_000;

/// Rows of one statement for all that asked it, and which of them answer one.
pub type Rows = (Arc<Vec<Row>>, Range<usize>);

/// Answers of one version.
#[derive(Default)]
pub struct Configuration {
    /// `None`: nobody knows, so that nothing is kept.
    version: Option<i64>,
    /// Whether all that the transaction sees is of the version.
    is_settled: bool,
    answers: HashMap<Vec<Value<'static>>, HashMap<String, Rows>>,
    count: usize,
}

impl Configuration {
    /// A transaction has begun, and read this version.
    pub fn begin(&mut self, version: Option<i64>) {
        self.is_settled = version.is_some();
        if self.version != version || self.count >= ANSWERS_MAX {
            self.answers.clear();
            (self.version, self.count) = (version, 0);
        }
    }

    /// The version that is kept.
    pub const fn version(&self) -> Option<i64> {
        self.version
    }

    /// What follows goes by what is kept, on the condition that its version still stands.
    pub const fn suppose(&mut self) {
        self.is_settled = self.version.is_some();
    }

    /// From here on the transaction may change some of it, for itself alone until it is committed.
    pub const fn may_change(&mut self) {
        self.is_settled = false;
    }

    /// What this statement answered before.
    pub fn recall(&self, sql: &str, params: &[Value<'static>]) -> Option<Rows> {
        if self.is_settled { self.answers.get(params)?.get(sql).cloned() } else { None }
    }

    /// Keeps what it answers now.
    pub fn keep(&mut self, sql: &str, params: &[Value<'static>], rows: Rows) {
        if self.is_settled && self.count < ANSWERS_MAX {
            self.count += 1;
            self.answers.entry(params.to_vec()).or_default().insert(sql.to_owned(), rows);
        }
    }
}
