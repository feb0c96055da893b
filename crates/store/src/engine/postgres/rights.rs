//! Whether callhook's user may do in its schema what a start does, and the statement that mends it.

use super::migrations::{VERSION, version};
use crate::engine::Sql;
use crate::error::{StoreError, StoreResult};

const SELECT_USER: &str = "SELECT quote_ident(current_user), quote_ident(current_database()),
    has_database_privilege(current_database(), 'CREATE')";
const QUOTE: &str = "SELECT quote_ident(?1::TEXT)";
const SELECT_SCHEMA: &str =
    "SELECT quote_ident(pg_get_userbyid(nspowner)), has_schema_privilege(oid, 'USAGE'),
    has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = ?1::TEXT";
const SELECT_CLOSED: &str = "SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class
    WHERE relnamespace = current_schema()::REGNAMESPACE AND relname = 'migrations' AND relkind = 'r'
        AND NOT has_table_privilege(oid, 'SELECT')";

/// Refuses a schema that this user can neither make nor use, in the words of the one who may change that. `schema` as it stands in a statement.
pub fn check(sql: &mut dyn Sql, schema: &str) -> StoreResult<()> {
    let user = sql.row(SELECT_USER, &[], |row| Ok((row.text(0)?, row.text(1)?, row.bool(2)?)))?;
    let (user, database, may_make) =
        user.ok_or_else(|| StoreError::Corrupt("the database does not say who asks".to_owned()))?;
    let bare = schema.trim_matches('"');
    // In a statement that somebody runs it may need its quotes: `user`, `1a`.
    let name = sql.row(QUOTE, &[bare.into()], |row| row.text(0))?.unwrap_or_else(|| schema.to_owned());
    let found =
        sql.row(SELECT_SCHEMA, &[bare.into()], |row| Ok((row.text(0)?, row.bool(1)?, row.bool(2)?)))?;
    let Some((owner, may_use, may_make_tables)) = found else {
        if may_make {
            return Ok(());
        }
        return Err(StoreError::Unusable(format!(
            "the schema {name} is not there, and the user {user} lacks the right CREATE on the database {database}: as its owner run CREATE SCHEMA {name} AUTHORIZATION {user}"
        )));
    };
    let lacks = |rights: &str| {
        StoreError::Unusable(format!(
            "the schema {name} is {owner}'s, and the user {user} lacks the right {rights} on it: as {owner} run GRANT USAGE, CREATE ON SCHEMA {name} TO {user}"
        ))
    };
    match (may_use, may_make_tables) {
        (true, _) => {}
        (false, true) => return Err(lacks("USAGE")),
        (false, false) => return Err(lacks("USAGE and the right CREATE")),
    }
    if let Some(owner) = sql.row(SELECT_CLOSED, &[], |row| row.text(0))? {
        return Err(StoreError::Unusable(format!(
            "the tables of the schema {name} are {owner}'s, and the user {user} may not read them: connect as {owner}, or as {owner} run ALTER TABLE {name}.migrations OWNER TO {user}, and so for each other table"
        )));
    }
    // Tables that are as they are to be need nothing made.
    if !may_make_tables && version(sql)?.is_none_or(|done| done < VERSION) {
        return Err(lacks("CREATE"));
    }
    Ok(())
}
