//! What goes into a statement and comes out of a row: numbers, texts, bytes, nothing.

use crate::error::{StoreError, StoreResult};
use domain::Timestamp;
use std::borrow::Cow;

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value<'a> {
    /// SQL's NULL.
    Null,
    /// An integer, a boolean or a time.
    Int(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// An id: bytes as well, of which a row has many.
    Id([u8; 16]),
    /// Bytes.
    Blob(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// How many bytes it has, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Int(_) => size_of::<i64>(),
            Self::Text(text) => text.len(),
            Self::Id(id) => id.len(),
            Self::Blob(blob) => blob.len(),
        }
    }

    /// The same value, owning its bytes.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Int(int) => Value::Int(int),
            Self::Id(id) => Value::Id(id),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Blob(blob) => Value::Blob(Cow::Owned(blob.into_owned())),
        }
    }
}

macro_rules! int_values {
    ($($int:ty),+) => {$(
        impl From<$int> for Value<'_> {
            fn from(int: $int) -> Self {
                Self::Int(i64::from(int))
            }
        }
    )+};
}
int_values!(bool, u8, u16, u32, i64);

impl From<u64> for Value<'_> {
    // Versions and epochs, which count single changes, stay below 2^63.
    fn from(int: u64) -> Self {
        Self::Int(i64::try_from(int).unwrap_or(i64::MAX))
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Int(time.as_millis())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Blob(Cow::Borrowed(bytes))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Blob(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(Cow::Owned(bytes))
    }
}

macro_rules! id_values {
    ($($id:ident),+) => {$(
        impl From<domain::id::$id> for Value<'_> {
            fn from(id: domain::id::$id) -> Self {
                Self::Id(*id.as_bytes())
            }
        }
        impl From<&domain::id::$id> for Value<'_> {
            fn from(id: &domain::id::$id) -> Self {
                Self::Id(*id.as_bytes())
            }
        }
    )+};
}
id_values!(
    BusinessId,
    ApiKeyId,
    CallFlowId,
    NumberId,
    CallId,
    DestinationId,
    DeliveryId,
    SourceId,
    JobId,
    RedeliveryId,
    UserId,
    SessionId,
    InvitationId
);

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of an answer. Columns are counted from 0.
pub trait Row {
    /// The value of a column.
    fn value(&self, column: usize) -> StoreResult<Value<'_>>;
}

impl dyn Row + '_ {
    /// A number.
    pub fn int(&self, column: usize) -> StoreResult<i64> {
        self.opt_int(column)?.ok_or_else(|| unreadable(column, "a number"))
    }

    /// A number or nothing.
    pub fn opt_int(&self, column: usize) -> StoreResult<Option<i64>> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Int(int) => Ok(Some(int)),
            _ => Err(unreadable(column, "a number")),
        }
    }

    /// A number of a narrower type.
    pub fn number<T: TryFrom<i64>>(&self, column: usize) -> StoreResult<T> {
        T::try_from(self.int(column)?).map_err(|_| unreadable(column, "a number in range"))
    }

    /// A number of a narrower type, or nothing.
    pub fn opt_number<T: TryFrom<i64>>(&self, column: usize) -> StoreResult<Option<T>> {
        let convert = |int| T::try_from(int).map_err(|_| unreadable(column, "a number in range"));
        self.opt_int(column)?.map(convert).transpose()
    }

    /// Yes or no.
    pub fn bool(&self, column: usize) -> StoreResult<bool> {
        Ok(self.int(column)? != 0)
    }

    /// A time.
    pub fn time(&self, column: usize) -> StoreResult<Timestamp> {
        Ok(Timestamp::from_millis(self.int(column)?))
    }

    /// A time or nothing.
    pub fn opt_time(&self, column: usize) -> StoreResult<Option<Timestamp>> {
        Ok(self.opt_int(column)?.map(Timestamp::from_millis))
    }

    /// A text.
    pub fn text(&self, column: usize) -> StoreResult<String> {
        self.opt_text(column)?.ok_or_else(|| unreadable(column, "a text"))
    }

    /// A text or nothing.
    pub fn opt_text(&self, column: usize) -> StoreResult<Option<String>> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text.into_owned())),
            _ => Err(unreadable(column, "a text")),
        }
    }

    /// A text that is one of a type's words.
    pub fn word<T>(&self, column: usize, from_word: impl FnOnce(&str) -> Option<T>) -> StoreResult<T> {
        self.opt_word(column, from_word)?.ok_or_else(|| unreadable(column, "a known word"))
    }

    /// A text that is one of a type's words, or nothing.
    pub fn opt_word<T>(
        &self,
        column: usize,
        from_word: impl FnOnce(&str) -> Option<T>,
    ) -> StoreResult<Option<T>> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Text(text) => from_word(&text).map(Some).ok_or_else(|| unreadable(column, "a known word")),
            _ => Err(unreadable(column, "a text")),
        }
    }

    /// Bytes.
    pub fn blob(&self, column: usize) -> StoreResult<Vec<u8>> {
        self.opt_blob(column)?.ok_or_else(|| unreadable(column, "bytes"))
    }

    /// Bytes or nothing.
    pub fn opt_blob(&self, column: usize) -> StoreResult<Option<Vec<u8>>> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Blob(blob) => Ok(Some(blob.into_owned())),
            _ => Err(unreadable(column, "bytes")),
        }
    }

    /// An id.
    pub fn id<T: From<[u8; 16]>>(&self, column: usize) -> StoreResult<T> {
        self.opt_id(column)?.ok_or_else(|| unreadable(column, "an id"))
    }

    /// An id or nothing.
    pub fn opt_id<T: From<[u8; 16]>>(&self, column: usize) -> StoreResult<Option<T>> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Blob(blob) => <[u8; 16]>::try_from(&*blob)
                .map(|bytes| Some(bytes.into()))
                .map_err(|_| unreadable(column, "an id")),
            _ => Err(unreadable(column, "an id")),
        }
    }
}

fn unreadable(column: usize, expected: &str) -> StoreError {
    StoreError::Corrupt(format!("column {column} is not {expected}"))
}
