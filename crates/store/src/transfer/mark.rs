//! What a move leaves in both stores, so that exactly one of them is worked on at any moment.
//!
//! The old store says where it has gone from before the first row is copied; the new one says that it has not arrived until all of it
//! was compared. Both name the move, by which a second run knows that it goes on with the first. Either mark keeps a server from
//! starting.

use crate::engine::{Sql, Value};
use crate::error::{StoreError, StoreResult};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The name of the mark in the store that is moved away.
pub const AWAY: &str = "moved away";
/// The name of the mark in the store that has not arrived as a whole.
pub const ARRIVING: &str = "moving in";

const SELECT: &str = "SELECT value FROM meta WHERE name = ?1";
const SET: &str =
    "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const REMOVE: &str = "DELETE FROM meta WHERE name = ?1";

/// Where a store has gone.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Away {
    /// Names the move.
    pub id: String,
    /// The new place, in words.
    pub to: String,
}

/// How much of a store has arrived.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Arriving {
    /// Names the move.
    pub id: String,
    /// The old place, in words.
    pub from: String,
    /// Rows that are here.
    pub rows: u64,
    /// The last of them; `None`: none is.
    pub reached: Option<Reached>,
}

/// A row up to which everything is copied.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Reached {
    /// Its table.
    pub table: String,
    /// Its key.
    pub key: Vec<Part>,
}

/// A value of a key.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Part {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Reached {
    /// The key as a statement takes it.
    pub fn key(&self) -> Vec<Value<'static>> {
        self.key.iter().cloned().map(Value::from).collect()
    }
}

impl From<Part> for Value<'static> {
    fn from(part: Part) -> Self {
        match part {
            Part::Int(int) => Self::Int(int),
            Part::Text(text) => text.into(),
            Part::Bytes(bytes) => bytes.into(),
        }
    }
}

impl TryFrom<&Value<'_>> for Part {
    type Error = StoreError;
    fn try_from(value: &Value<'_>) -> StoreResult<Self> {
        match value {
            Value::Int(int) => Ok(Self::Int(*int)),
            Value::Text(text) => Ok(Self::Text(text.clone().into_owned())),
            Value::Id(id) => Ok(Self::Bytes(id.to_vec())),
            Value::Blob(bytes) => Ok(Self::Bytes(bytes.clone().into_owned())),
            Value::Null => Err(StoreError::Corrupt("a part of a key is missing".to_owned())),
        }
    }
}

impl Away {
    /// The mark that is there.
    pub fn read(sql: &mut dyn Sql) -> StoreResult<Option<Self>> {
        read(sql, AWAY)
    }

    /// Leaves it.
    pub fn set(&self, sql: &mut dyn Sql) -> StoreResult<()> {
        set(sql, AWAY, self)
    }

    /// Takes it away. Answers whether it was there.
    pub fn remove(sql: &mut dyn Sql) -> StoreResult<bool> {
        remove(sql, AWAY)
    }

    fn refusal(&self) -> String {
        format!(
            "this store was moved to {}: use that one (--database-url, --data-dir) once `callhook migrate-store` has ended, or take this one back with `callhook resume`, and leave that one alone",
            self.to
        )
    }
}

impl Arriving {
    /// The mark that is there.
    pub fn read(sql: &mut dyn Sql) -> StoreResult<Option<Self>> {
        read(sql, ARRIVING)
    }

    /// Leaves it.
    pub fn set(&self, sql: &mut dyn Sql) -> StoreResult<()> {
        set(sql, ARRIVING, self)
    }

    /// Takes it away: all is here.
    pub fn remove(sql: &mut dyn Sql) -> StoreResult<bool> {
        remove(sql, ARRIVING)
    }

    fn refusal(&self) -> String {
        format!(
            "this store is an unfinished copy of {}: run `callhook migrate-store` again, which goes on where it was",
            self.from
        )
    }
}

/// Refuses a store that has not arrived as a whole.
pub fn check_arrived(sql: &mut dyn Sql) -> StoreResult<()> {
    Arriving::read(sql)?.map_or(Ok(()), |mark| Err(StoreError::Unusable(mark.refusal())))
}

/// Refuses a store that has moved away or has not arrived as a whole.
pub fn check_use(sql: &mut dyn Sql) -> StoreResult<()> {
    why_not_used(sql)?.map_or(Ok(()), |why| Err(StoreError::Unusable(why)))
}

/// Why no server is to work on a store, in one sentence; `None`: one may.
pub fn why_not_used(sql: &mut dyn Sql) -> StoreResult<Option<String>> {
    let away = Away::read(sql)?.map(|mark| mark.refusal());
    Ok(away.or(Arriving::read(sql)?.map(|mark| mark.refusal())))
}

fn read<T: DeserializeOwned>(sql: &mut dyn Sql, name: &str) -> StoreResult<Option<T>> {
    let text = sql.row(SELECT, &[name.into()], |row| row.blob(0))?;
    let read = |text: Vec<u8>| {
        serde_json::from_slice(&text)
            .map_err(|error| StoreError::Corrupt(format!("the mark {name:?}: {error}")))
    };
    text.map(read).transpose()
}

fn set(sql: &mut dyn Sql, name: &str, mark: &impl Serialize) -> StoreResult<()> {
    let text = serde_json::to_vec(mark)
        .map_err(|error| StoreError::Corrupt(format!("the mark {name:?}: {error}")))?;
    sql.execute(SET, &[name.into(), text.into()]).map(drop)
}

fn remove(sql: &mut dyn Sql, name: &str) -> StoreResult<bool> {
    Ok(sql.execute(REMOVE, &[name.into()])? > 0)
}
