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
    Ok(())
}
