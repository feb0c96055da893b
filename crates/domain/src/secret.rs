//! A text that must never be printed.

use std::fmt;

/// A secret in clear: a header's value, a signing key, a phone system's token. Does not print itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

/// What stands in place of a secret wherever one is shown.
pub const MASK: &str = "••••";

impl Secret {
    /// Takes a text that is secret from here on.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(••••)");
    }
}
