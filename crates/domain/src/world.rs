//! What the program lets in from outside: the wall clock and chance, so that both can be set in a test.

use crate::time::Timestamp;

/// The wall clock and a cryptographic source of randomness.
pub trait World: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// A clock whose time counts is ahead of this one by so many milliseconds, or behind it where that is below 0. This one follows it from
    /// now on, where it can.
    fn follow(&self, _ahead_ms: i64) {}

    /// Fills `bytes` with what nobody can guess.
    fn fill_random(&self, bytes: &mut [u8]);
}

impl dyn World {
    /// So many random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill_random(&mut bytes);
        bytes
    }
}
