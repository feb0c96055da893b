//! API keys: what they look like, what they allow.

use crate::id::{ApiKeyId, BusinessId, UserId};
use crate::secret::Secret;
use crate::{Invalid, Timestamp};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use utoipa::ToSchema;

/// What every key starts with, so that one in a log or a repository is recognised.
pub const PREFIX: &str = "ch_key_";
/// Characters after the prefix: 32 random bytes in base64url.
pub const RANDOM_CHARS: usize = 43;
/// Characters after the prefix by which a person recognises a key.
pub const HINT_CHARS: usize = 8;

/// What the holder of a key may do; each role may what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read.
    Viewer,
    /// Read and write.
    Member,
    /// Also keys and secrets.
    Admin,
}

/// A key as it is listed; the key itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Names the key for its revocation.
    pub id: ApiKeyId,
    /// The only business that it opens.
    pub business_id: BusinessId,
    /// What its holder calls it.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The first characters after the prefix.
    pub hint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it opens nothing.
    pub revoked_at: Option<Timestamp>,
    /// The person who made it, by hand or with a key of the person's own; `None` where whoever runs the server did, or nobody knows.
    pub made_by: Option<UserId>,
}

/// A key in clear: shown once, then only its hash is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyText(Secret);

impl KeyText {
    /// Checks the form only.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let random = text.strip_prefix(PREFIX).unwrap_or_default();
        let fits = random.len() == RANDOM_CHARS
            && random.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits {
            Ok(Self(Secret::new(text)))
        } else {
            Err(Invalid::value("is not an API key: ch_key_ and 43 characters of base64url are expected"))
        }
    }

    /// The whole key.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// The part by which a person recognises it.
    #[must_use]
    pub fn hint(&self) -> &str {
        // The form was checked: all ASCII, and longer than this.
        &self.reveal()[PREFIX.len()..PREFIX.len() + HINT_CHARS]
    }
}

impl Role {
    /// The word in the API and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = Invalid;
    fn from_str(word: &str) -> Result<Self, Invalid> {
        [Self::Viewer, Self::Member, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| Invalid::value("is not a role: viewer, member or admin is expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_form_is_a_key() {
        let text = format!("{PREFIX}{}", "aB3-_".repeat(9).get(..43).unwrap());
        assert_eq!(KeyText::parse(&text).unwrap().hint(), "aB3-_aB3");
        for wrong in
            ["", "ch_key_", &text[1..], &text[..text.len() - 1], &format!("{text}x"), &text.replace('a', "=")]
        {
            assert!(KeyText::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn roles_are_ordered_by_what_they_may() {
        assert!(Role::Viewer < Role::Member && Role::Member < Role::Admin);
    }
}
