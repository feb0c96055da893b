//! Phone numbers: E.164 where they can be, the source's own word where not.

use crate::{Invalid, limits, text};
use phonenumber::Mode;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A number in E.164 form: `+`, then 7 to 15 digits, the first not 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PhoneNumber(String);

/// Who called: a number, or what the phone system said instead (`anonymous`, `sip:alice@example.com`, `611`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// A number that could be written as E.164.
    Number(PhoneNumber),
    /// The source's word.
    Word(String),
}

/// The country by which a business's numbers without `+` are read: an ISO 3166-1 alpha-2 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Country(phonenumber::country::Id);

impl PhoneNumber {
    /// Reads a number; `country` is used where it has no `+`.
    pub fn parse(text: &str, country: Country) -> Result<Self, Invalid> {
        read(text.trim(), country).ok_or_else(|| {
            Invalid::value("is not a phone number: E.164 such as +15735551234 is expected, or a national number of the default country")
        })
    }

    /// `+15735551234`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `+1 573-555-1234`: grouped as its country writes it.
    #[must_use]
    pub fn grouped(&self) -> String {
        let known = phonenumber::parse(None, &self.0);
        known.map_or_else(|_| self.0.clone(), |number| number.format().mode(Mode::International).to_string())
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Party {
    /// Reads a party; what is no number is kept as it is.
    pub fn parse(text: &str, country: Country) -> Result<Self, Invalid> {
        let word = text::line(text, limits::CALLER_CHARS_MAX)?;
        Ok(read(&word, country).map_or(Self::Word(word), Self::Number))
    }

    /// The number grouped as its country writes it, or the word.
    #[must_use]
    pub fn grouped(&self) -> String {
        match self {
            Self::Number(number) => number.grouped(),
            Self::Word(word) => word.clone(),
        }
    }

    /// The text of the number or the word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Number(number) => number.as_str(),
            Self::Word(word) => word,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Party {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Country {
    /// The United States, the default of a new business.
    pub const US: Self = Self(phonenumber::country::Id::US);

    /// The code in capitals, `US`.
    #[must_use]
    pub fn code(&self) -> &str {
        self.0.as_ref()
    }
}

impl FromStr for Country {
    type Err = Invalid;
    fn from_str(code: &str) -> Result<Self, Invalid> {
        code.to_ascii_uppercase().parse().map(Self).map_err(|_| {
            Invalid::value("is not a country: an ISO 3166 code of two letters such as US or DE is expected")
        })
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

fn read(text: &str, country: Country) -> Option<PhoneNumber> {
    // By far the most numbers come in the right form already; the parser of national forms takes microseconds.
    if is_e164(text) {
        return Some(PhoneNumber(text.to_owned()));
    }
    // Letters and SIP addresses are words; the parser would read vanity letters and extensions out of them.
    if !text.bytes().all(|b| b.is_ascii_digit() || b" +-.()/\t".contains(&b)) {
        return None;
    }
    if let Ok(number) = phonenumber::parse(Some(country.0), text)
        && phonenumber::is_valid(&number)
    {
        return Some(PhoneNumber(number.format().mode(Mode::E164).to_string()));
    }
    // A number with `+` says its country itself: what the tables do not know yet may still be one.
    let digits: String = text.strip_prefix('+')?.chars().filter(char::is_ascii_digit).collect();
    let number = format!("+{digits}");
    is_e164(&number).then_some(PhoneNumber(number))
}

fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, country: &str, expected: &str) {
        let party = Party::parse(input, country.parse().unwrap()).unwrap();
        assert_eq!(party.as_str(), expected, "{input}");
        assert_eq!(matches!(party, Party::Number(_)), expected.starts_with('+'), "{input}");
    }

    #[test]
    fn parties_become_e164_where_they_can() {
        check("+15735551234", "US", "+15735551234");
        check("(573) 555-1234", "US", "+15735551234");
        check("1 573 555 1234", "US", "+15735551234");
        check("+1 (573) 555-1234", "DE", "+15735551234");
        check("030 901820", "DE", "+4930901820");
        check("+44 20 7946 0958", "US", "+442079460958");
        check("020 7946 0958", "gb", "+442079460958");
        check("anonymous", "US", "anonymous");
        check("Restricted", "US", "Restricted");
        check("611", "US", "611");
        check("sip:+15735551234@example.com", "US", "sip:+15735551234@example.com");
        check("1-800-FLOWERS", "US", "1-800-FLOWERS");
    }

    #[test]
    fn what_is_no_party_is_refused() {
        for wrong in ["", "  ", "+1573\n5551234", "a\0b", &"9".repeat(256)] {
            assert!(Party::parse(wrong, Country::US).is_err(), "{wrong:?}");
        }
        assert!(PhoneNumber::parse("anonymous", Country::US).is_err());
        assert!(PhoneNumber::parse("+0123456789", Country::US).is_err());
        assert!("XX".parse::<Country>().is_err());
    }
}
