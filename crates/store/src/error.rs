//! How an operation of the store fails, by what the caller does about it.

use domain::Invalid;

/// A failed operation. "No" is never said on a failure of the database: that is [`StoreError::Unavailable`].
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The business has no such thing (it may be another's).
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It contradicts what is there; the sentence says what.
    #[error("{0}")]
    Conflict(String),
    /// A field names something that is not there or not allowed.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The API key does not exist, was revoked, or its role does not allow this.
    #[error("the API key is not valid any more")]
    KeyRevoked,
    /// The queue of writes is full: come again shortly. Nothing was written.
    #[error("the store is busy")]
    Busy,
    /// The store does not answer, is full or read-only. Nothing was written.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The commit's result is not known: it may or may not be on disk.
    #[error("the store did not confirm: {0}")]
    Unknown(String),
    /// A stored value cannot be read: a fault of callhook or of the disk.
    #[error("the store holds a value that cannot be read: {0}")]
    Corrupt(String),
}

/// The result of an operation of the store.
pub type StoreResult<T> = Result<T, StoreError>;
