//! A form as a browser sends it: names and texts, some of them several times.

use super::guard::Posted;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::secret::Secret;
use std::convert::Infallible;

/// The fields of a form, in order.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let posted = parts.extensions.get::<Posted>().cloned().unwrap_or_default();
        Ok(Self::read(&posted.0))
    }
}

impl Form {
    /// Reads `a=1&b=2`.
    #[must_use]
    pub fn read(form: &[u8]) -> Self {
        Self(form_urlencoded::parse(form).into_owned().collect())
    }

    /// The field's text; empty where it is not there.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, text)| text)
    }

    /// The field's text, where there is one.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<String> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The same, which nothing shows.
    #[must_use]
    pub fn secret(&self, name: &str) -> Secret {
        Secret::new(self.text(name))
    }

    /// Whether a box is ticked.
    #[must_use]
    pub fn is_ticked(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// Each text of a field that may stand several times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, text)| text.as_str())
    }

    /// The same as `a=1&b=2` again.
    #[must_use]
    pub fn encoded(&self) -> Secret {
        Secret::new(form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish())
    }

    /// All fields.
    #[must_use]
    pub fn fields(&self) -> &[(String, String)] {
        &self.0
    }
}
