//! Whether all tables are there, and are callhook's to change: a start that took calls without one of them would lose its word later.

use super::migrations;
use crate::engine::Sql;
use crate::error::{StoreError, StoreResult};
use crate::transfer::table::TABLES;
use std::collections::HashMap;

/// What the engine keeps for itself.
const OWN: [&str; 3] = ["configuration", "holder", "migrations"];
const SELECT_OWNED: &str = "SELECT relname::TEXT, pg_has_role(relowner, 'USAGE') FROM pg_class
    WHERE relnamespace = current_schema()::REGNAMESPACE AND relkind = 'r'";
/// What counts the changes of the configuration, see `configuration.rs`.
const COUNT_TRIGGERS: &str = "SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema()::REGNAMESPACE AND t.tgname = 'count_configuration' AND t.tgenabled IN ('O', 'A')
    AND c.relname IN ('businesses', 'api_keys', 'call_flows', 'destinations', 'numbers')";
const TRIGGERS: u64 = 5;
const SELECT_USER: &str = "SELECT current_user::TEXT";

/// Refuses a schema that lacks a table of this version, has one of another owner, or was brought here by steps that are not ours.
pub fn check(sql: &mut dyn Sql, schema: &str) -> StoreResult<()> {
    migrations::check(sql, schema)?;
    let found: HashMap<String, bool> =
        sql.rows(SELECT_OWNED, &[], |row| Ok((row.text(0)?, row.bool(1)?)))?.into_iter().collect();
    for name in TABLES.iter().map(|table| table.name).chain(OWN) {
        match found.get(name) {
            Some(true) => {}
            None => {
                return Err(StoreError::Unusable(format!(
                    "the schema {schema} lacks its table {name}: bring it back from a copy, or name another schema with --database-schema"
                )));
            }
            Some(false) => {
                let user = sql.row(SELECT_USER, &[], |row| row.text(0))?.unwrap_or_default();
                return Err(StoreError::Unusable(format!(
                    "the table {name} of the schema {schema} is another user's: ALTER TABLE {schema}.{name} OWNER TO {user}"
                )));
            }
        }
    }
    // Without them a key that was revoked would go on working.
    if sql.count(COUNT_TRIGGERS, &[])? != TRIGGERS {
        return Err(StoreError::Unusable(format!(
            "the schema {schema} lacks triggers named count_configuration, or they are disabled: enable them (ALTER TABLE … ENABLE TRIGGER count_configuration), or bring the schema back from a copy"
        )));
    }
    Ok(())
}
