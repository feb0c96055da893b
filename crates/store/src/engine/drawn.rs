//! What an operation drew from clock and chance, so that it draws the same where it is run again to the point that it had reached.

use domain::{Timestamp, World};
use std::cell::{Cell, RefCell};

/// Draws in order, kept.
#[derive(Default)]
pub struct Drawn {
    now: Cell<Option<Timestamp>>,
    bytes: RefCell<Vec<u8>>,
    used: Cell<usize>,
}

impl Drawn {
    /// The operation is run from its beginning.
    pub fn rewind(&self) {
        self.used.set(0);
    }

    /// The time, which stands still.
    pub fn now(&self, world: &dyn World) -> Timestamp {
        let now = self.now.get().unwrap_or_else(|| world.now());
        self.now.set(Some(now));
        now
    }

    /// Random bytes.
    pub fn random<const N: usize>(&self, world: &dyn World) -> [u8; N] {
        let mut bytes = self.bytes.borrow_mut();
        let from = self.used.replace(self.used.get() + N);
        if let Some(known) = bytes.get(from..from + N).and_then(|known| known.try_into().ok()) {
            return known;
        }
        let fresh = world.random();
        bytes.extend_from_slice(&fresh);
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    /// Each draw is another.
    #[derive(Default)]
    struct Counting(AtomicU8);

    impl World for Counting {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.fetch_add(1, Ordering::Relaxed).into())
        }

        fn fill_random(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    #[test]
    fn what_was_drawn_is_drawn_again_and_then_anew() {
        let (world, drawn) = (Counting::default(), Drawn::default());
        let first: ([u8; 2], [u8; 3], _) = (drawn.random(&world), drawn.random(&world), drawn.now(&world));
        drawn.rewind();
        assert_eq!((drawn.random(&world), drawn.random(&world), drawn.now(&world)), first);
        let further: [u8; 2] = drawn.random(&world);
        assert_ne!(further, first.0);
    }
}
