//! How the domain's words are written into a kept state: as texts, for `#[serde(with)]`.
//!
//! The domain's types do not read themselves from JSON, so that no request can get round their checks. A kept state
//! holds what was checked before it was written.

use domain::Timestamp;
use domain::phone_number::{Country, Party, PhoneNumber};
use domain::secret::Secret;
use serde::{Deserialize, Deserializer, Serializer, de};

/// A word that is kept as a text.
pub(super) trait Kept: Sized {
    /// The text.
    fn to_text(&self) -> String;
    /// The word of that text; `None` if the text was not written by `to_text`.
    fn from_text(text: String) -> Option<Self>;
}

impl Kept for PhoneNumber {
    fn to_text(&self) -> String {
        self.as_str().to_owned()
    }

    fn from_text(text: String) -> Option<Self> {
        // With its `+` the number names its country itself.
        Self::parse(&text, Country::US).ok().filter(|number| number.as_str() == text)
    }
}

impl Kept for Party {
    fn to_text(&self) -> String {
        self.as_str().to_owned()
    }

    fn from_text(text: String) -> Option<Self> {
        // Only what was a number when it was checked has this form.
        let number = text.starts_with('+').then(|| PhoneNumber::from_text(text.clone())).flatten();
        Some(number.map_or(Self::Word(text), Self::Number))
    }
}

impl Kept for Timestamp {
    fn to_text(&self) -> String {
        self.to_rfc3339_millis()
    }

    fn from_text(text: String) -> Option<Self> {
        text.parse().ok()
    }
}

impl Kept for Secret {
    fn to_text(&self) -> String {
        self.reveal().to_owned()
    }

    fn from_text(text: String) -> Option<Self> {
        Some(Self::new(text))
    }
}

pub(super) fn serialize<T: Kept, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_text())
}

pub(super) fn deserialize<'de, T: Kept, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    read(String::deserialize(deserializer)?)
}

fn read<T: Kept, E: de::Error>(text: String) -> Result<T, E> {
    T::from_text(text).ok_or_else(|| E::custom("is not what a kept state holds"))
}

/// The same for what may be unknown.
pub(super) mod option {
    use super::{Deserialize, Deserializer, Kept, Serializer, read};

    // Reason: serde hands over the field as it is.
    #[expect(clippy::ref_option)]
    pub(crate) fn serialize<T: Kept, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: Kept, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        Option::<String>::deserialize(from)?.map(read).transpose()
    }
}
