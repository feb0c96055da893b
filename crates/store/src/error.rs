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
    /// There is too much to do, as the sentence says: come again shortly. Nothing was written.
    #[error("the store is busy: {0}")]
    Busy(&'static str),
    /// The store does not answer, is full or read-only. Nothing was written.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The commit's result is not known: it may or may not be on disk.
    #[error("the store did not confirm: {0}")]
    Unknown(String),
    /// Another process works on the store.
    #[error(
        "{place} is in use by another callhook (process {process}): stop that one first, or use another {other}"
    )]
    InUse {
        /// The folder or the database, in words.
        place: String,
        /// The holder's process id, and its machine where that may be another, as far as it left them.
        process: String,
        /// What to take in its place, and by which setting.
        other: &'static str,
    },
    /// What was configured cannot be used as a store: the sentence says why, and what to do.
    #[error("{0}")]
    Unusable(String),
    /// The database file cannot be read as one.
    #[error("the store {} is damaged ({reason}): put a backup in its place with `callhook restore FILE`; keep the damaged file until you have seen that nothing is missing", file.display())]
    Damaged {
        /// The database file.
        file: std::path::PathBuf,
        /// What the engine says.
        reason: String,
    },
    /// There was a store in the data folder, and now there is none.
    #[error("the store {} is gone or empty, although there was one: put it back, or a backup with `callhook restore FILE`; to begin anew, remove what is left of it (callhook.db, callhook.lock)", file.display())]
    Gone {
        /// The database file.
        file: std::path::PathBuf,
    },
    /// The secret key is not the one with which the store was made.
    #[error(
        "the secret key does not open this store: start with the key it was made with (--secret-key, or the file secret.key in the data folder)"
    )]
    WrongKey,
    /// A sealed value does not open with the keys that were given.
    #[error("a sealed value cannot be opened with this secret key")]
    Sealed,
    /// A page of the database file is not what was written there. Whatever does not need that page goes on.
    #[error(
        "the store is damaged ({0}): stop callhook, look with `callhook doctor`, and put a backup in its place with `callhook restore FILE`"
    )]
    Malformed(String),
    /// A stored value cannot be read: a fault of callhook or of the disk.
    #[error("the store holds a value that cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether what was asked for is at fault, a row or a value: the store itself answers, and other rows fare well.
    #[must_use]
    pub const fn is_of_data(&self) -> bool {
        match self {
            Self::NotFound(_)
            | Self::Conflict(_)
            | Self::Invalid(_)
            | Self::KeyRevoked
            | Self::Sealed
            | Self::Malformed(_)
            | Self::Corrupt(_) => true,
            Self::Busy(_)
            | Self::Unavailable(_)
            | Self::Unknown(_)
            | Self::InUse { .. }
            | Self::Unusable(_)
            | Self::Damaged { .. }
            | Self::Gone { .. }
            | Self::WrongKey => false,
        }
    }

    /// What the engine says, without what that means to a request.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Unavailable(reason) | Self::Corrupt(reason) | Self::Malformed(reason) => reason.clone(),
            other => other.to_string(),
        }
    }

    /// The same while a store is opened, when what cannot be read is the store and not a row of it.
    #[must_use]
    pub fn at_start(self, data_dir: &std::path::Path) -> Self {
        match self {
            Self::Corrupt(reason) | Self::Malformed(reason) => {
                Self::Damaged { file: data_dir.join(crate::engine::sqlite::FILE_NAME), reason }
            }
            other => other,
        }
    }
}

/// The result of an operation of the store.
pub type StoreResult<T> = Result<T, StoreError>;
