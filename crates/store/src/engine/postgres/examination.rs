//! What a database holds, read without changing it and whether or not a server uses it.

use super::address::Address;
use super::connection::{Kind, PostgresConnection};
use super::durability::Durability;
use super::holder;
use super::migrations::{VERSION, check_free, version};
use super::session::Session;
use super::{Database, Server, check_server, connect, pooler, quoted, rights, tables};
use crate::backup::{self, Endpoint, Holdings};
use crate::engine::Sql;
use crate::error::{StoreError, StoreResult};
use crate::limits::WRITE_TIMEOUT;
use crate::seal::Keyring;
use domain::Timestamp;
use domain::id::CallFlowId;

const NEWEST_CALL: &str = "SELECT max(reported_at) FROM calls";

/// What was found.
pub struct Examined {
    /// Where the database is, and its server's version.
    pub place: String,
    /// What its server makes of what is acknowledged.
    pub durability: Durability,
    /// What the schema holds; `None`: nothing yet.
    pub holdings: Option<Holdings>,
    /// Names who works on it, as [`crate::Store::holder`] does; `None`: nobody.
    pub holder: Option<String>,
}

/// Connects and looks.
pub fn examine(database: &Database, keyring: Option<&Keyring>, now: Timestamp) -> StoreResult<Examined> {
    let (address, server, holdings) = looked_at(database, |connection| {
        let sql: &mut dyn Sql = connection;
        rights::check(sql, &database.schema)?;
        let Some(version) = version(sql)? else {
            check_free(sql, &database.schema)?;
            return Ok(None);
        };
        if version > VERSION {
            return Err(StoreError::Unusable(format!(
                "a newer callhook wrote its tables (they are of version {version}, this one knows {VERSION}): use that version"
            )));
        }
        // Older tables are brought up to date by the next start, which looks as well.
        if version == VERSION {
            tables::check(sql, &database.schema)?;
        }
        let newest = sql.row(NEWEST_CALL, &[], |row| row.opt_time(0))?.flatten();
        let holdings = backup::holdings_in(sql, (version, VERSION), newest, keyring, now)?;
        Ok(Some((holdings, holder::id(sql)?)))
    })?;
    let (holdings, holder) = holdings.map_or((None, None), |(holdings, holder)| (Some(holdings), holder));
    let place = format!("PostgreSQL {}, {}", server.version, address.shown);
    Ok(Examined { place, durability: server.durability, holdings, holder })
}

/// Whether callhook's tables lie there, and so something that was made with a key. A database that is not there is waited for a while.
pub fn holds_store(database: &Database) -> StoreResult<bool> {
    let address = Address::parse(&database.url)?;
    let schema = quoted(&database.schema)?;
    let mut connection = connect(&address, &schema)?;
    connection.within(Kind::Snapshot, |connection| {
        rights::check(connection, &schema)?;
        Ok(version(connection)?.is_some())
    })
}

/// Where the database is and which of its schemas is meant, in words.
pub fn shown(database: &Database) -> StoreResult<String> {
    Ok(format!("{}, schema {}", Address::parse(&database.url)?.shown, database.schema))
}

/// Where the call flow's webhook goes, whichever business it is of; `None`: there is no such flow.
pub fn endpoint(database: &Database, call_flow: CallFlowId) -> StoreResult<Option<Endpoint>> {
    Ok(looked_at(database, |connection| backup::endpoint_in(connection, call_flow))?.2)
}

fn looked_at<T>(
    database: &Database,
    look: impl FnOnce(&mut PostgresConnection) -> StoreResult<T>,
) -> StoreResult<(Address, Server, T)> {
    let address = Address::parse(&database.url)?;
    let schema = quoted(&database.schema)?;
    let mut connection = PostgresConnection::open(&address, Session::new(&schema, WRITE_TIMEOUT))?;
    let server = check_server(&mut connection, &address)?;
    pooler::check(&mut connection, &address, &schema)?;
    let seen = connection.within(Kind::Snapshot, look)?;
    Ok((address, server, seen))
}
