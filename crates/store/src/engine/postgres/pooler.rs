//! Whether a pooler that stands between, and gives out connections by transaction, hands prepared statements on.

use super::address::Address;
use super::connection::{Kind, PostgresConnection};
use super::session::Session;
use crate::error::{StoreError, StoreResult};
use std::time::Duration;

/// How long a statement of this look may take: a pooler with a single connection gives out none to the second that asks.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Refuses one that forgets them: callhook would start, and fail now and then.
///
/// Another connection prepares a statement on that of the server which this one then holds. Where it is asked again it gets a connection that
/// never heard of its statement, and has to be told.
pub fn check(connection: &mut PostgresConnection, address: &Address, schema: &str) -> StoreResult<()> {
    let mut other = PostgresConnection::open(address, Session::new(schema, LOOK_TIMEOUT))?;
    other.within(Kind::Snapshot, |_| Ok(()))?;
    let asked = connection.within(Kind::Snapshot, |_| Ok(other.begin(Kind::Snapshot)));
    match asked? {
        Err(StoreError::Unusable(why)) => Err(StoreError::Unusable(why)),
        // What else may be wrong with it is met by whoever needs it.
        _ => Ok(()),
    }
}
