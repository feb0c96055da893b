//! Lists: query parameters checked one by one, pages by an opaque cursor, newest first.

use super::error::ApiError;
use super::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::app::{document, parameter};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Invalid;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use store::list::Page;
use utoipa::IntoParams;

/// Query parameters as texts, in a struct that names every one that is known; others are refused.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(read(parts.uri.query().unwrap_or_default())?))
    }
}

/// The parameters of a list without filters.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Rows of the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<I> {
    /// Rows behind this one.
    pub before: Option<I>,
    /// At most so many.
    pub limit: usize,
}

impl<I: From<[u8; 16]>> Position<I> {
    /// Reads `limit` and `cursor`.
    pub fn read(limit: Option<&str>, cursor: Option<&str>) -> Result<Self, Invalid> {
        let limit = parameter::number("limit", limit, 1, PAGE_ROWS_MAX as u64)?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_ROWS_DEFAULT);
        let before = match cursor {
            None => None,
            Some(text) => Some(parameter::read_cursor(text).ok_or_else(|| {
                Invalid::field("cursor", "is not a cursor: send the next_cursor of the page before")
            })?),
        };
        Ok(Self { before, limit })
    }
}

impl ListQuery {
    /// Which page is asked for.
    pub fn position<I: From<[u8; 16]>>(&self) -> Result<Position<I>, Invalid> {
        Position::read(self.limit.as_deref(), self.cursor.as_deref())
    }
}

/// The cursor of the page after this one; `None` at the end.
pub fn next_cursor<T>(page: &Page<T>, id: impl Fn(&T) -> [u8; 16]) -> Option<String> {
    page.next(id).map(parameter::cursor)
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, Invalid> {
    let mut parameters = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let name = name.into_owned();
        if parameters.contains_key(&name) {
            return Err(Invalid::field(name, "is given twice"));
        }
        parameters.insert(name, Value::String(value.into_owned()));
    }
    document::read_value(Value::Object(parameters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::CallId;

    #[track_caller]
    fn check(query: &str, expected: Result<(usize, bool), &str>) {
        let position = read::<ListQuery>(query).and_then(|query| query.position::<CallId>());
        let got = position.map(|position| (position.limit, position.before.is_some()));
        assert_eq!(got.map_err(|refused| refused.field), expected.map_err(str::to_owned), "{query}");
    }

    #[test]
    fn limit_and_cursor_are_checked() {
        check("", Ok((50, false)));
        check("limit=1", Ok((1, false)));
        check("limit=500&cursor=AAAAAAAAAAAAAAAAAAAAAA", Ok((500, true)));
        for wrong in ["0", "501", "-1", "+5", "1.5", "x", "", "99999999999999999999"] {
            check(&format!("limit={wrong}"), Err("limit"));
        }
        for wrong in ["", "x", "AAAA", "AAAAAAAAAAAAAAAAAAAAA=", "//////////////////////"] {
            check(&format!("cursor={wrong}"), Err("cursor"));
        }
        check("page=2", Err("page"));
        check("limit=1&limit=2", Err("limit"));
    }
}
