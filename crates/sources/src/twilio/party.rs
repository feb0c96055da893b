//! Callers that withhold their number, whom Twilio writes as a number: the keys of a word on a telephone's keypad.

use domain::Invalid;
use domain::phone_number::{Country, Party};

/// What a phone system says of a caller without a number.
const WORDS: [&str; 5] = ["anonymous", "restricted", "blocked", "unknown", "unavailable"];

/// The caller of a call whose phone system left the number blank.
pub(super) const ANONYMOUS: &str = WORDS[0];

/// Reads a caller or a called party.
pub(super) fn read(text: &str, country: Country) -> Result<Party, Invalid> {
    let party = Party::parse(text, country)?;
    let digits = text.trim().trim_start_matches('+');
    let withheld = WORDS.into_iter().find(|word| word.eq_ignore_ascii_case(digits) || keys(word) == digits);
    Ok(withheld.map_or(party, |word| Party::Word(word.to_owned())))
}

/// The keys that spell a word on a keypad (ITU-T E.161): `anonymous` is 266696687.
fn keys(word: &str) -> String {
    word.bytes()
        .map(|letter| match letter {
            b'a'..=b'c' => '2',
            b'd'..=b'f' => '3',
            b'g'..=b'i' => '4',
            b'j'..=b'l' => '5',
            b'm'..=b'o' => '6',
            b'p'..=b's' => '7',
            b't'..=b'v' => '8',
            _ => '9',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn withheld_numbers_become_the_word_that_their_keys_spell() {
        for (given, expected) in [
            ("+266696687", "anonymous"),
            ("266696687", "anonymous"),
            ("Anonymous", "anonymous"),
            ("+7378742833", "restricted"),
            ("RESTRICTED", "restricted"),
            ("+2562533", "blocked"),
            ("+8656696", "unknown"),
            ("+86282452253", "unavailable"),
            ("+13055559876", "+13055559876"),
            ("client:alice", "client:alice"),
            ("sip:anonymous@anonymous.invalid", "sip:anonymous@anonymous.invalid"),
        ] {
            let party = read(given, Country::US).unwrap();
            assert_eq!(party.as_str(), expected, "{given}");
            assert_eq!(matches!(party, Party::Number(_)), expected.starts_with('+'), "{given}");
        }
    }
}
