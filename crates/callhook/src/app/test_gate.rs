//! The gate that tests of webhooks pass: each waits for another server, and only so many may at a time.

use super::places::{self, Places};
use domain::id::BusinessId;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{StoreError, StoreResult};

/// Tests under way at a time.
const TESTS_MAX: usize = 32;
/// Tests of one business under way at a time, so that none takes all places.
const TESTS_OF_BUSINESS_MAX: usize = 4;

/// An `Idempotency-Key` of a business.
type Key = (BusinessId, String);

/// Knows the tests that are under way.
pub struct TestGate {
    places: Places<BusinessId>,
    keys: Arc<Mutex<HashSet<Key>>>,
}

/// A test's place, given back when it is dropped.
pub struct Place {
    _share: places::Place<BusinessId>,
    key: Option<Key>,
    keys: Arc<Mutex<HashSet<Key>>>,
}

impl Default for TestGate {
    fn default() -> Self {
        Self { places: Places::new(TESTS_OF_BUSINESS_MAX, TESTS_MAX), keys: Arc::default() }
    }
}

impl TestGate {
    /// Lets a test in. A conflict where one with the same `Idempotency-Key` is under way; busy where no place is left.
    pub fn enter(&self, business_id: BusinessId, key: Option<&str>) -> StoreResult<Place> {
        let key = key.map(|key| (business_id, key.to_owned()));
        let mut keys = lock(&self.keys);
        if key.as_ref().is_some_and(|key| keys.contains(key)) {
            let reason =
                "the test with this Idempotency-Key is under way: send the request again for its answer";
            return Err(StoreError::Conflict(reason.to_owned()));
        }
        let full = StoreError::Busy("too many test webhooks are under way; come again when they have ended");
        let share = self.places.enter(business_id).ok_or(full)?;
        keys.extend(key.clone());
        Ok(Place { _share: share, key, keys: Arc::clone(&self.keys) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            lock(&self.keys).remove(key);
        }
    }
}

fn lock(keys: &Mutex<HashSet<Key>>) -> MutexGuard<'_, HashSet<Key>> {
    // Whole after every step: a panic elsewhere has not left it in between.
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;

    fn business(number: u8) -> BusinessId {
        BusinessId::new(Timestamp::from_millis(1_774_880_000_000), [number; 10])
    }

    #[test]
    fn a_business_has_four_tests_under_way_and_is_told_to_come_again() {
        let gate = TestGate::default();
        let places: Vec<_> = (0..4).map(|_| gate.enter(business(1), None).unwrap()).collect();
        assert!(matches!(gate.enter(business(1), Some("a")), Err(StoreError::Busy(_))));
        assert!(lock(&gate.keys).is_empty(), "what was not let in is not under way");
        drop(places);
        gate.enter(business(1), Some("a")).unwrap();
        assert!(lock(&gate.keys).is_empty());
    }

    #[test]
    fn a_key_is_under_way_once_in_its_business() {
        let gate = TestGate::default();
        let first = gate.enter(business(1), Some("a")).unwrap();
        assert!(matches!(gate.enter(business(1), Some("a")), Err(StoreError::Conflict(_))));
        let others =
            [gate.enter(business(1), Some("b")).unwrap(), gate.enter(business(2), Some("a")).unwrap()];
        drop(first);
        assert!(gate.enter(business(1), Some("a")).is_ok());
        drop(others);
    }
}
