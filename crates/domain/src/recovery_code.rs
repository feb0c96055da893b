//! Codes that a person keeps on paper and gives, each once, where the authenticator app is not at hand.

use crate::World;
use crate::secret::Secret;

/// Characters of a code: 80 bits, which nobody finds by trying even with the hashes of a stolen store.
const CHARS: usize = 16;
/// Characters that are read and typed as one.
const GROUP_CHARS: usize = 4;
/// Digits and letters of which none looks like another (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A code that stands in for a code of the authenticator app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryCode(Secret);

impl RecoveryCode {
    /// Draws a code.
    #[must_use]
    pub fn draw(world: &dyn World) -> Self {
        let drawn = world.random::<CHARS>();
        let text: String = drawn.iter().map(|byte| ALPHABET[usize::from(byte % 32)] as char).collect();
        Self(Secret::new(text))
    }

    /// Reads what a person typed; `None` where it can be no such code.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let typed = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let code: String = typed.map(|c| meant(c.to_ascii_lowercase())).collect();
        let is_code = code.len() == CHARS && code.bytes().all(|c| ALPHABET.contains(&c));
        is_code.then(|| Self(Secret::new(code)))
    }

    /// The code as it is compared.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.0
    }

    /// The code as it is read and typed: `0a1b-2c3d-4e5f-6g7h`. It is shown once.
    #[must_use]
    pub fn in_groups(&self) -> String {
        let chars: Vec<char> = self.0.reveal().chars().collect();
        chars.chunks(GROUP_CHARS).map(String::from_iter).collect::<Vec<_>>().join("-")
    }
}

/// The character of the alphabet that this one was mistaken for.
const fn meant(c: char) -> char {
    match c {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    struct Counting;

    impl World for Counting {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        fn fill_random(&self, bytes: &mut [u8]) {
            for (at, byte) in (250..).zip(bytes) {
                *byte = u8::try_from(at % 256).unwrap();
            }
        }
    }

    #[test]
    fn a_code_is_read_as_it_was_shown_and_as_people_type_it() {
        let code = RecoveryCode::draw(&Counting);
        assert_eq!(code.in_groups(), "tvwx-yz01-2345-6789");
        for typed in
            ["tvwx-yz01-2345-6789", " TVWX YZ01 2345 6789\n", "tvwxyz0123456789", "tvwx-yzol-2345-6789"]
        {
            assert_eq!(RecoveryCode::read(typed).as_ref(), Some(&code), "{typed}");
        }
        for other in [
            "",
            "123456",
            "tvwx-yz01-2345-678",
            "tvwx-yz01-2345-67890",
            "tvwx-yz01-2345-678u",
            "tvwx-yz01-2345-678ä",
        ] {
            assert_eq!(RecoveryCode::read(other), None, "{other}");
        }
        assert_eq!(format!("{code:?}"), "RecoveryCode(••••)");
    }
}
