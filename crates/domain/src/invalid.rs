//! The one way in which a rule refuses a value: which field, and what is wrong with it.

use std::fmt;

/// A value that breaks a rule. `field` is the path in the request body (`post_call_webhook.url`), empty where
/// the value has no name of its own yet; [`Invalid::within`] adds the outer names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// Path of the field, dots between names.
    pub field: String,
    /// One sentence for the user: what is wrong and what is allowed.
    pub reason: String,
}

impl Invalid {
    /// A refusal of the value itself; the caller names the field with [`Invalid::within`].
    pub fn value(reason: impl Into<String>) -> Self {
        Self { field: String::new(), reason: reason.into() }
    }

    /// A refusal of a named field.
    pub fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }

    /// Puts the name of the containing field before the path.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.field = if self.field.is_empty() { outer.to_owned() } else { format!("{outer}.{}", self.field) };
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.field, self.reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_names_are_put_before_the_path() {
        let refused = Invalid::value("is not a URL").within("url").within("post_call_webhook");
        assert_eq!(refused.to_string(), "post_call_webhook.url: is not a URL");
    }
}
