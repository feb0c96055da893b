//! Lists: what the address asks for, page by page, with filters that stand in it and can be shared.

use super::error::PageError;
use super::moment::Clock;
use crate::app::parameter;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Invalid;
use std::convert::Infallible;
use std::str::FromStr;
use store::list::RowId;

/// The parameters of an address. What a form leaves empty counts as not given.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

/// The ways from a page of a list to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pager {
    /// Whether the page is the first.
    pub is_first: bool,
    /// The address of the first page, from another one.
    pub newest: Option<String>,
    /// The address of the page that follows.
    pub older: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// Reads `a=1&b=2`.
    #[must_use]
    pub fn read(query: &str) -> Self {
        let parameters = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self(parameters.filter(|(_, value)| !value.trim().is_empty()).collect())
    }

    /// The parameter's text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// Whether the parameter has this word.
    #[must_use]
    pub fn is(&self, name: &str, word: &(impl ToString + ?Sized)) -> bool {
        self.get(name).is_some_and(|chosen| chosen == word.to_string())
    }

    /// The same, for a field that shows it again.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The same, owned.
    #[must_use]
    pub fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A time: as an address of the API has it, or as a form's field gives it, on the person's clock.
    #[must_use]
    pub fn time(&self, name: &str, clock: &Clock) -> Option<String> {
        let text = self.get(name)?;
        Some(clock.read_field(text).map_or_else(|| text.to_owned(), |at| at.to_string()))
    }

    /// What was just done.
    #[must_use]
    pub fn done(&self) -> Option<&str> {
        self.get("done")
    }

    /// Whether it is the first page.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.get("cursor").is_none()
    }

    /// Whether the list is narrowed by one of these.
    #[must_use]
    pub fn is_narrowed(&self, by: &[&str]) -> bool {
        by.iter().any(|name| self.get(name).is_some())
    }

    /// Behind which row the page begins.
    pub fn before<I: From<[u8; 16]>>(&self) -> Result<Option<I>, Invalid> {
        let Some(text) = self.get("cursor") else { return Ok(None) };
        let wrong = || Invalid::field("cursor", "names no page: begin at the list's first one");
        parameter::read_cursor(text).map(Some).ok_or_else(wrong)
    }

    /// The ways from this page to others of the list, which stands at `path`.
    #[must_use]
    pub fn pager(&self, path: &str, next: Option<RowId>) -> Pager {
        let (is_first, filters) = (self.is_first(), self.filters());
        let to = |cursor: Option<String>| {
            let parameters = [Some(filters.clone()).filter(|filters| !filters.is_empty()), cursor];
            let parameters: Vec<_> = parameters.into_iter().flatten().collect();
            if parameters.is_empty() { path.to_owned() } else { format!("{path}?{}", parameters.join("&")) }
        };
        let older = next.map(|row| to(Some(format!("cursor={}", parameter::cursor(row)))));
        Pager { is_first, newest: (!is_first).then(|| to(None)), older }
    }

    /// The address's parameters without those that name a page or say what was done, for a link to another page.
    #[must_use]
    pub fn filters(&self) -> String {
        let kept = self.0.iter().filter(|(name, _)| !["cursor", "done"].contains(&name.as_str()));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
    }

    /// The parameters that narrow the list, for a form that keeps them.
    pub fn kept(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter().filter(|(name, _)| !["cursor", "done"].contains(&name.as_str()))
    }
}

/// The id in a path. What is no id names nothing.
pub fn id<T: FromStr>(text: &str) -> Result<T, PageError> {
    text.parse().map_err(|_| PageError::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_kept_and_pages_are_not() {
        let query =
            Query::read("status=failed&cursor=AAAAAAAAAAAAAAAAAAAAAA&error=&done=redelivered&search=a%20b");
        assert_eq!(query.filters(), "status=failed&search=a+b");
        assert_eq!(query.before::<[u8; 16]>().unwrap(), Some([0; 16]));
        assert!(!query.is_first() && query.is_narrowed(&["status"]) && !query.is_narrowed(&["error"]));
        assert_eq!(Query::read("cursor=x").before::<[u8; 16]>().unwrap_err().field, "cursor");
    }

    #[test]
    fn a_pager_leads_back_to_the_first_page_and_on_with_the_filters() {
        let pager = |query, next| Query::read(query).pager("/calls", next);
        let older = |query| pager(query, Some([0; 16])).older.unwrap_or_default();
        assert_eq!(pager("", None), Pager { is_first: true, newest: None, older: None });
        assert_eq!(older("done=erased"), "/calls?cursor=AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(older("search=a%26b"), "/calls?search=a%26b&cursor=AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(pager("search=x&cursor=y", None).newest.as_deref(), Some("/calls?search=x"));
        assert_eq!(pager("cursor=y", None).newest.as_deref(), Some("/calls"));
    }
}
