//! Brings a database to this version's tables, each step in its own transaction.

use super::connection::SqliteConnection;
use crate::engine::Sql;
use crate::error::{StoreError, StoreResult};
use failpoint::{Point, reach};

/// Every step in order; its place, from 1, is the `user_version` after it. Steps are added, never changed.
const STEPS: [&str; 17] = [
    include_str!("../../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../../migrations/sqlite/0002_cheaper_checks.sql"),
    include_str!("../../../migrations/sqlite/0003_retention.sql"),
    include_str!("../../../migrations/sqlite/0004_list_filters.sql"),
    include_str!("../../../migrations/sqlite/0005_pending_by_flow.sql"),
    include_str!("../../../migrations/sqlite/0006_remains.sql"),
    include_str!("../../../migrations/sqlite/0007_users.sql"),
    include_str!("../../../migrations/sqlite/0008_attempt_phases.sql"),
    include_str!("../../../migrations/sqlite/0009_source_arrivals.sql"),
    include_str!("../../../migrations/sqlite/0010_configuration.sql"),
    include_str!("../../../migrations/sqlite/0011_attempt_headers.sql"),
    include_str!("../../../migrations/sqlite/0012_recovery_codes.sql"),
    include_str!("../../../migrations/sqlite/0013_redeliveries.sql"),
    include_str!("../../../migrations/sqlite/0014_statistics_by_call_flow.sql"),
    include_str!("../../../migrations/sqlite/0015_api_key_makers.sql"),
    include_str!("../../../migrations/sqlite/0016_fewer_checks.sql"),
    include_str!("../../../migrations/sqlite/0017_vacuum_of_small_tables.sql"),
];

/// The version of the tables after every step.
pub const VERSION: usize = STEPS.len();

/// Runs the steps that this database has not seen.
pub fn run(connection: &mut SqliteConnection) -> StoreResult<()> {
    let sql: &mut dyn Sql = connection;
    let done = sql.count("PRAGMA user_version", &[])?;
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    if done > STEPS.len() {
        return Err(StoreError::Unavailable(format!(
            "the data folder was written by a newer callhook (its tables are of version {done}, this one knows {}): use that version, or restore a backup",
            STEPS.len()
        )));
    }
    for (index, step) in STEPS.iter().enumerate().skip(done) {
        connection.run(&format!("BEGIN IMMEDIATE; {step} PRAGMA user_version = {}; COMMIT;", index + 1))?;
        reach(Point::TablesBroughtUpToDate);
    }
    if done < STEPS.len() {
        // A step may bring figures for the planner, which a connection reads at its start and here.
        connection.run("ANALYZE sqlite_schema")?;
    }
    Ok(())
}
