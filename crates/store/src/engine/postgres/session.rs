//! What every transaction goes by: where its tables are, how long it may take, how it is planned.
//!
//! It is asked for as the connection is made, so that a transaction has only to look whether it is so. A pooler in between may refuse that
//! or leave it out, and may give each transaction another's connection: then each sets it for itself, and nothing stays behind.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// How long a statement waits for a lock.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server keeps a transaction, and its locks, of which it hears nothing more: its client may be gone without a word.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Shows that a connection was made with these settings.
const MARK: &str = "callhook.session";
/// What is acknowledged is on disk, also where the server is set up to be content with less.
const DURABLE: &str =
    "set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true)";
const IS_DURABLE: &str = "current_setting('synchronous_commit') <> 'off'";

/// The settings of a connection's transactions.
pub struct Session {
    /// How long a statement may take.
    pub statement_timeout: Duration,
    settings: Vec<(&'static str, String)>,
    /// Known by it; made once, since each transaction asks for it.
    mark: String,
}

impl Session {
    /// Tables are those of `schema`, a name as it stands in a statement.
    pub fn new(schema: &str, statement_timeout: Duration) -> Self {
        let ms = |time: Duration| time.as_millis().to_string();
        let settings = vec![
            ("search_path", schema.to_owned()),
            ("statement_timeout", ms(statement_timeout)),
            ("lock_timeout", ms(LOCK_TIMEOUT)),
            ("idle_in_transaction_session_timeout", ms(IDLE_TIMEOUT)),
            // A commit that was not confirmed by a standby is told by a warning alone.
            ("client_min_messages", "warning".to_owned()),
            // Whoever looks for a few rows waits longer for a plan's translation into machine code than for the rows.
            ("jit", "off".to_owned()),
        ];
        Self { statement_timeout, mark: mark(&settings), settings }
    }

    /// Rows are found by an index and in its order, whatever the server has counted: what it plans for a table that is still small is kept,
    /// while the table grows by thousands of rows in a second; and how many rows of a lane are pending it guesses badly.
    #[must_use]
    pub fn by_index(mut self) -> Self {
        let ways =
            ["enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_hashjoin", "enable_mergejoin"];
        self.settings.extend(ways.map(|way| (way, "off".to_owned())));
        // What is planned so is the same for all parameters, and planning costs the server more than many a statement.
        self.settings.push(("plan_cache_mode", "force_generic_plan".to_owned()));
        self.mark = mark(&self.settings);
        self
    }

    /// What a connection is asked for as it is made.
    pub fn options(&self) -> String {
        let all = self.settings.iter().map(|(name, value)| (*name, value)).chain([(MARK, &self.mark)]);
        // None of the values holds a space or a backslash, which would have to be escaped.
        all.map(|(name, value)| format!("-c {name}={value}")).collect::<Vec<_>>().join(" ")
    }

    /// Whether the connection was made so, as a value of a `SELECT`.
    pub fn is_set(&self) -> String {
        format!("coalesce(current_setting('{MARK}', true), '') = '{}' AND {IS_DURABLE}", self.mark)
    }

    /// Sets all of it for the transaction, as values of a `SELECT`.
    pub fn set(&self) -> String {
        let each = self.settings.iter().map(|(name, value)| format!("set_config('{name}', '{value}', true)"));
        each.chain([DURABLE.to_owned()]).collect::<Vec<_>>().join(", ")
    }
}

fn mark(settings: &[(&'static str, String)]) -> String {
    let mut mark = DefaultHasher::new();
    settings.hash(&mut mark);
    format!("{:016x}", mark.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connection_is_made_with_is_what_a_transaction_would_set() {
        let session = Session::new("\"calls\"", Duration::from_secs(20)).by_index();
        let (options, set) = (session.options(), session.set());
        for (name, value) in &session.settings {
            assert!(options.contains(&format!("-c {name}={value}")), "{options}");
            assert!(set.contains(&format!("set_config('{name}', '{value}', true)")), "{set}");
        }
        let other = Session::new("\"calls\"", Duration::from_secs(20));
        assert_ne!(session.is_set(), other.is_set());
    }
}
