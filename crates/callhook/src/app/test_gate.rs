//! The gate that tests of webhooks pass: each waits for another server, and only so many may at a time.

use domain::id::BusinessId;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{StoreError, StoreResult};

/// Tests under way at a time.
const TESTS_MAX: usize = 32;
/// Tests of one business under way at a time, so that none takes all places.
const TESTS_OF_BUSINESS_MAX: usize = 4;

/// Knows the tests that are under way.
#[derive(Clone, Default)]
pub struct TestGate(Arc<Mutex<UnderWay>>);

#[derive(Default)]
struct UnderWay {
    of_business: HashMap<BusinessId, usize>,
    keys: HashSet<(BusinessId, String)>,
}

/// A test's place, given back when it is dropped.
pub struct Place {
    gate: TestGate,
    business_id: BusinessId,
    key: Option<String>,
}

impl TestGate {
    /// Lets a test in. A conflict where one with the same `Idempotency-Key` is under way; busy where no place is left.
    pub fn enter(&self, business_id: BusinessId, key: Option<&str>) -> StoreResult<Place> {
        let mut under_way = self.under_way();
        let key = key.map(str::to_owned);
        let named = key.clone().map(|key| (business_id, key));
        if named.as_ref().is_some_and(|named| under_way.keys.contains(named)) {
            let reason =
                "the test with this Idempotency-Key is under way: send the request again for its answer";
            return Err(StoreError::Conflict(reason.to_owned()));
        }
        let own = under_way.of_business.get(&business_id).copied().unwrap_or_default();
        if own >= TESTS_OF_BUSINESS_MAX || under_way.of_business.values().sum::<usize>() >= TESTS_MAX {
            return Err(StoreError::Busy(
                "too many test webhooks are under way; come again when they have ended",
            ));
        }
        under_way.of_business.insert(business_id, own + 1);
        under_way.keys.extend(named);
        Ok(Place { gate: self.clone(), business_id, key })
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // Whole after every step: a panic elsewhere has not left it in between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.gate.under_way();
        if let Some(key) = self.key.take() {
            under_way.keys.remove(&(self.business_id, key));
        }
        let own = under_way.of_business.get(&self.business_id).copied().unwrap_or_default();
        if own > 1 {
            under_way.of_business.insert(self.business_id, own - 1);
        } else {
            under_way.of_business.remove(&self.business_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;

    fn business(number: u8) -> BusinessId {
        BusinessId::new(Timestamp::from_millis(1_774_880_000_000), [number; 10])
    }

    #[test]
    fn places_are_bounded_in_all_and_given_back() {
        let gate = TestGate::default();
        let mut places = Vec::new();
        for number in 0..8 {
            places.extend((0..4).map(|_| gate.enter(business(number), None).unwrap()));
            assert!(matches!(gate.enter(business(number), None), Err(StoreError::Busy(_))));
        }
        assert!(matches!(gate.enter(business(8), None), Err(StoreError::Busy(_))));
        places.pop();
        places.push(gate.enter(business(8), None).unwrap());
        assert!(matches!(gate.enter(business(9), None), Err(StoreError::Busy(_))));
        places.clear();
        let under_way = gate.under_way();
        assert!(under_way.of_business.is_empty() && under_way.keys.is_empty());
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
