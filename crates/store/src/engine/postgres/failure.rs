//! What the errors of a database mean: to a transaction, to an operation's caller, to whoever starts callhook.

use super::address::Address;
use crate::error::StoreError;
use std::io::ErrorKind;
use tokio_postgres::error::SqlState;

/// Why a transaction was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// For its data.
    Data,
    /// For another that ran beside it.
    Conflict,
    /// For a statement that took too long.
    Time,
}

impl Refused {
    pub fn of(code: &SqlState) -> Option<Self> {
        match code.code().get(..2)? {
            "21" | "22" | "23" => Some(Self::Data),
            _ if *code == SqlState::QUERY_CANCELED => Some(Self::Time),
            // The rows of a table were described by what it was before somebody changed it.
            _ if *code == SqlState::DATATYPE_MISMATCH => Some(Self::Conflict),
            "40" if *code != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN => Some(Self::Conflict),
            _ => None,
        }
    }

    /// Whether a commit that was refused for it is a no. Else nobody knows: a pooler may speak for a server that is gone.
    pub const fn is_no(self) -> bool {
        matches!(self, Self::Data | Self::Conflict)
    }
}

/// What a commit that came with a warning says: a standby did not confirm, and somebody has broken off waiting for it.
pub fn with_a_warning() -> StoreError {
    StoreError::Unknown("the database committed with a warning".to_owned())
}

/// Why a statement has no answer.
pub enum Broken {
    /// The server or the connection said so.
    Failed(tokio_postgres::Error),
    /// Nobody said anything for too long.
    Silent,
}

/// What is said where a statement that was prepared is not known, or known twice: that happens to nobody who has a connection of their own.
const FORGETS: &str = "a pooler stands before the database and forgets prepared statements: set max_prepared_statements = 256 in PgBouncer 1.21 or newer, or pool_mode = session";

/// What an error of the database means to the caller of an operation.
pub fn translate_error(broken: Broken) -> StoreError {
    let Broken::Failed(error) = broken else {
        return StoreError::Unavailable("the database does not answer".to_owned());
    };
    let Some(said) = error.as_db_error() else {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        return StoreError::Unavailable(format!("the connection to the database ended: {cause}"));
    };
    let text = said.message().to_owned();
    let code = said.code();
    match code.code().get(..2).unwrap_or_default() {
        _ if *code == SqlState::QUERY_CANCELED => {
            StoreError::Busy("this took too long to read; ask for less, by a filter or a shorter time")
        }
        // Every conflict that a client can cause is looked for before the write: what is left is a fault of ours.
        "22" | "23" => StoreError::Corrupt(text),
        _ if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED => {
            StoreError::Malformed(text)
        }
        _ if *code == SqlState::DISK_FULL => {
            StoreError::Unavailable("the database's disk is full: make room on it".to_owned())
        }
        _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::Unavailable(
            "the database is read-only (a standby, or default_transaction_read_only): connect the primary"
                .to_owned(),
        ),
        _ if *code == SqlState::LOCK_NOT_AVAILABLE => StoreError::Unavailable(
            "a lock that another session of the database holds was waited for in vain: see pg_locks and pg_stat_activity there"
                .to_owned(),
        ),
        _ if [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT].contains(code) => {
            StoreError::Unusable(FORGETS.to_owned())
        }
        _ => StoreError::Unavailable(text),
    }
}

/// What happened to the connection itself, where it did.
fn broken_way(error: &tokio_postgres::Error) -> Option<ErrorKind> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

/// Whether the server does not find, or does not take, what a table was when statements were prepared for it.
pub fn is_of_another_table(code: &SqlState) -> bool {
    let codes = [
        SqlState::CANNOT_COERCE,
        SqlState::UNDEFINED_OBJECT,
        SqlState::UNDEFINED_TABLE,
        SqlState::INTERNAL_ERROR,
    ];
    codes.contains(code)
}

/// Whether the same connection might be taken with TLS where it was without, or the other way round: the server said that it does not take it
/// so, or their handshake failed.
pub fn may_be_for_encryption(error: &tokio_postgres::Error) -> bool {
    let is_refused = error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    is_refused || broken_way(error) == Some(ErrorKind::InvalidData)
}

/// Of two refusals, the second of a connection without TLS or with it, the one that says what is wrong. That a connection in clear is not
/// taken, or that there is no TLS, says nothing where it was tried for want of the other.
pub fn telling(
    first: tokio_postgres::Error,
    second: tokio_postgres::Error,
    is_clear: bool,
) -> tokio_postgres::Error {
    let says_nothing = if is_clear {
        second.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    } else {
        second.as_db_error().is_none() && broken_way(&second).is_none()
    };
    if says_nothing { first } else { second }
}

/// Why there is no connection, and what to do.
pub fn not_connected(address: &Address, error: &tokio_postgres::Error) -> StoreError {
    let shown = &address.shown;
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let Some(said) = error.as_db_error() else {
        // Only what lies between here and there may mend itself.
        return match broken_way(error) {
            Some(ErrorKind::InvalidData) => StoreError::Unusable(format!(
                "the database {shown} cannot be trusted ({cause}): see sslmode and sslrootcert in --database-url"
            )),
            Some(_) => StoreError::Unavailable(format!(
                "the database {shown} cannot be reached ({cause}): see whether it runs and listens there"
            )),
            None => StoreError::Unusable(format!(
                "the database {shown} cannot be connected ({cause}): see host, password and sslmode in --database-url"
            )),
        };
    };
    let text = said.message();
    // A pooler says so while the server behind it is away.
    if said.code().code().starts_with("08") {
        return StoreError::Unavailable(format!("the database {shown} takes no connection: {text}"));
    }
    let what_to_do = match *said.code() {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "see user and password in --database-url, and pg_hba.conf at the server"
        }
        SqlState::INVALID_CATALOG_NAME => "create it, or name another in --database-url",
        // It starts, stops, or has no connection free: not for good.
        SqlState::CANNOT_CONNECT_NOW | SqlState::TOO_MANY_CONNECTIONS | SqlState::ADMIN_SHUTDOWN => {
            return StoreError::Unavailable(format!("the database {shown} takes no connection: {text}"));
        }
        _ => "see --database-url",
    };
    StoreError::Unusable(format!("the database {shown} refuses: {text}; {what_to_do}"))
}
