//! What the statements of the nouns are called here, and how values go in and out.

use crate::engine::{Row, Value};
use crate::error::{StoreError, StoreResult};
use std::borrow::Cow;
use std::error::Error;
use tokio_postgres::Statement;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// The same statement in this dialect: parameters are `$1`, and `LIKE` minds no case where it is called `ILIKE`.
pub fn translate(sql: &str) -> String {
    sql.replace('?', "$").replace(" LIKE ", " ILIKE ")
}

/// Whether each value fits its place, before anything is sent: else the value is at fault, not the connection.
pub fn check(statement: &Statement, params: &[Value<'_>]) -> StoreResult<()> {
    let kinds = statement.params();
    let is_fitting = |(value, kind): (&Value<'_>, &Type)| match value {
        Value::Null => true,
        Value::Int(int) => match *kind {
            Type::INT8 | Type::BOOL => true,
            Type::INT4 => i32::try_from(*int).is_ok(),
            Type::INT2 => i16::try_from(*int).is_ok(),
            _ => false,
        },
        // The server takes no text with a zero in it; `domain` replaces it.
        Value::Text(text) => <&str as ToSql>::accepts(kind) && !text.contains('\0'),
        Value::Id(_) | Value::Blob(_) => *kind == Type::BYTEA,
    };
    if kinds.len() == params.len() && params.iter().zip(kinds).all(is_fitting) {
        return Ok(());
    }
    Err(StoreError::Corrupt("a value does not fit the column that it is for".to_owned()))
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(int) => match *kind {
                Type::INT8 => int.to_sql(kind, out),
                Type::INT4 => i32::try_from(*int)?.to_sql(kind, out),
                Type::INT2 => i16::try_from(*int)?.to_sql(kind, out),
                Type::BOOL => (*int != 0).to_sql(kind, out),
                _ => Err(format!("a number is given where the column is {kind}").into()),
            },
            Self::Text(text) if <&str as ToSql>::accepts(kind) => text.as_ref().to_sql(kind, out),
            Self::Id(id) if *kind == Type::BYTEA => id.as_slice().to_sql(kind, out),
            Self::Blob(blob) if *kind == Type::BYTEA => blob.as_ref().to_sql(kind, out),
            Self::Text(_) | Self::Id(_) | Self::Blob(_) => {
                Err(format!("a text or bytes are given where the column is {kind}").into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A row of an answer.
pub struct PostgresRow<'a>(pub &'a tokio_postgres::Row);

impl Row for PostgresRow<'_> {
    fn value(&self, column: usize) -> StoreResult<Value<'_>> {
        let Some(found) = self.0.columns().get(column) else {
            return Err(StoreError::Corrupt(format!("there is no column {column}")));
        };
        let value = match *found.type_() {
            Type::INT8 => self.get::<i64>(column)?.map(Value::Int),
            Type::INT4 => self.get::<i32>(column)?.map(Value::from_int),
            Type::INT2 => self.get::<i16>(column)?.map(Value::from_int),
            Type::BOOL => self.get::<bool>(column)?.map(Value::from_int),
            Type::TEXT => self.get::<&str>(column)?.map(|text| Value::Text(Cow::Borrowed(text))),
            Type::BYTEA => self.get::<&[u8]>(column)?.map(|blob| Value::Blob(Cow::Borrowed(blob))),
            ref other => return Err(StoreError::Corrupt(format!("column {column} is of type {other}"))),
        };
        Ok(value.unwrap_or(Value::Null))
    }
}

impl Value<'_> {
    fn from_int(int: impl Into<i64>) -> Self {
        Self::Int(int.into())
    }
}

impl<'a> PostgresRow<'a> {
    fn get<T: FromSql<'a>>(&self, column: usize) -> StoreResult<Option<T>> {
        self.0.try_get(column).map_err(|error| StoreError::Corrupt(format!("column {column}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_searches_are_translated() {
        assert_eq!(
            translate("SELECT 1 FROM calls WHERE id = ?1 AND (summary LIKE ?2 ESCAPE '\\' OR id = ?12)"),
            "SELECT 1 FROM calls WHERE id = $1 AND (summary ILIKE $2 ESCAPE '\\' OR id = $12)"
        );
    }
}
