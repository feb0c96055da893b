//! JSON documents as users send them: read with the path of what is wrong, changed by RFC 7386 merge patches.
//!
//! Reading is strict where serde is lenient: an object is an object (serde also takes a list of the fields' values), and what
//! follows the document is refused. A refusal never repeats the value, which may be a secret or megabytes long.

use domain::{Invalid, text};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::error::Category;
use std::fmt;
use std::marker::PhantomData;

/// Why a document is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no JSON text in UTF-8, or nested too deeply.
    Malformed(String),
    /// It is JSON, but a field is wrong.
    Invalid(Invalid),
}

/// Reads a document. Escaped lone surrogates, which JSON allows and no text can hold, are replaced.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Refused> {
    match text::mend_surrogates(json) {
        Some(mended) => read_mended(&mended),
        None => read_mended(json),
    }
}

fn read_mended<T: DeserializeOwned>(json: &[u8]) -> Result<T, Refused> {
    match serde_json::from_slice(json) {
        Ok(Object(document)) => Ok(document),
        Err(_) => read_traced(json),
    }
}

/// The same, keeping track of the path to what is wrong: not worth its time for what is right.
fn read_traced<T: DeserializeOwned>(json: &[u8]) -> Result<T, Refused> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let document: Object<T> = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        match error.classify() {
            // The first wrong field is found before the end is seen: what is no JSON at all is that above all.
            Category::Data => match serde_json::from_slice::<IgnoredAny>(json) {
                Ok(_) => Refused::Invalid(invalid(&path, &error)),
                Err(error) => Refused::Malformed(malformed(&error)),
            },
            Category::Syntax | Category::Eof | Category::Io => Refused::Malformed(malformed(&error)),
        }
    })?;
    deserializer.end().map_err(|error| Refused::Malformed(malformed(&error)))?;
    Ok(document.0)
}

/// Reads a document from what is JSON already.
pub fn read_value<T: DeserializeOwned>(value: Value) -> Result<T, Invalid> {
    let document: Object<T> = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        invalid(&path, &error.into_inner())
    })?;
    Ok(document.0)
}

/// A change of a thing: its whole document, or what differs.
#[derive(Clone, Debug)]
pub enum Change {
    /// The document as it is to be (PUT).
    Replace(Value),
    /// A merge patch (PATCH).
    Patch(Value),
}

impl Change {
    /// The document as it is to be, read. `current` is the document as it stands; the `read_only` fields that a client got with
    /// it may be sent back as they are.
    pub fn apply<T: DeserializeOwned>(
        &self,
        current: Value,
        read_only: &[(&str, Value)],
    ) -> Result<T, Invalid> {
        let (mut sent, is_patch) = match self {
            Self::Replace(document) => (document.clone(), false),
            Self::Patch(patch) => (patch.clone(), true),
        };
        let Value::Object(fields) = &mut sent else { return Err(Invalid::value("must be an object")) };
        for (name, value) in read_only {
            // Who changes a thing twice sends the time of the first reading with both.
            if fields.remove(*name).is_some_and(|sent| sent != *value) && *name != "updated_at" {
                let reason = "differs from what is stored: leave it out, or read the current version again";
                return Err(Invalid::field(*name, reason));
            }
        }
        if !is_patch {
            return read_value(sent);
        }
        let mut merged = current;
        merge(&mut merged, sent);
        read_value(merged)
    }
}

/// RFC 7386: `null` takes a member away, an object changes member by member, all else replaces.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in patch {
        if change.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), change);
        }
    }
}

/// A value that is an object in JSON, nothing else.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// For `#[serde(deserialize_with)]`: a field that is an object.
pub fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|object| object.0)
}

/// For `#[serde(deserialize_with)]`: a field that is an object or null.
pub fn object_or_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|object| object.0))
}

/// For `#[serde(deserialize_with)]`: a whole number, as a type wide enough that a range check can name the range.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    struct Whole;
    impl<'de> Visitor<'de> for Whole {
        type Value = Option<i64>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }
        fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
            Ok(Some(value))
        }
        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
            i64::try_from(value).map(Some).map_err(|_| E::custom("is out of range"))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_any(Self)
        }
    }
    deserializer.deserialize_option(Whole)
}

/// A whole number within bounds, of the type that the domain has for it.
pub fn within<T: TryFrom<i64>>(value: i64, minimum: i64, maximum: i64) -> Result<T, Invalid> {
    let refused = || Invalid::value(format!("is out of range: {minimum} to {maximum} is expected"));
    if !(minimum..=maximum).contains(&value) {
        return Err(refused());
    }
    T::try_from(value).map_err(|_| refused())
}

/// One of a few words.
pub fn word<T>(text: &str, from_word: impl Fn(&str) -> Option<T>, words: &[&str]) -> Result<T, Invalid> {
    from_word(text).ok_or_else(|| Invalid::value(format!("must be one of {}", words.join(", "))))
}

fn malformed(error: &serde_json::Error) -> String {
    format!("the body is not a JSON text in UTF-8: {error}")
}

/// What serde refused, in words for a user.
fn invalid(path: &str, error: &serde_json::Error) -> Invalid {
    let said = error.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(reason, _)| reason);
    let path = if path == "." { "" } else { path };
    for (beginning, reason) in [("missing field `", "is required"), ("duplicate field `", "is given twice")] {
        if let Some(name) = said.strip_prefix(beginning).map(|rest| rest.trim_end_matches('`')) {
            let field = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            return Invalid::field(field, reason);
        }
    }
    Invalid::field(bounded(path), reason(said))
}

fn reason(said: &str) -> String {
    if said.starts_with("unknown field") {
        let known = said.rsplit_once("`, ").map_or("", |(_, known)| known);
        return match said.split_once("`, expected ") {
            Some((_, known)) => format!("is not known here; expected is {}", known.replace('`', "")),
            None => format!("is not known here{known}"),
        };
    }
    if said.starts_with("invalid type") || said.starts_with("invalid value") {
        let expected = said.rsplit_once(", expected ").map_or("something else", |(_, expected)| expected);
        return format!("must be {}", in_words(expected));
    }
    said.to_owned()
}

fn in_words(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" => "a whole number that is not negative",
        "i64" => "a whole number",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

/// A path as it may stand in an answer: a client's own key may be megabytes long.
fn bounded(path: &str) -> String {
    path.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
