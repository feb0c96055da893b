//! Places that are few: so many for each, so that none takes all, and so many in all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the places that are taken, by whoever has them.
pub struct Places<K> {
    of_one_max: usize,
    max: usize,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// A place, given back when it is dropped.
pub struct Place<K: Eq + Hash> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    owner: K,
}

impl<K: Eq + Hash + Clone> Places<K> {
    /// Places of which one may have `of_one_max`, and all together `max`.
    #[must_use]
    pub fn new(of_one_max: usize, max: usize) -> Self {
        Self { of_one_max, max, taken: Arc::default() }
    }

    /// Takes a place; `None` where none is left.
    #[must_use]
    pub fn enter(&self, owner: K) -> Option<Place<K>> {
        let mut taken = lock(&self.taken);
        let own = taken.get(&owner).copied().unwrap_or_default();
        if own >= self.of_one_max || taken.values().sum::<usize>() >= self.max {
            return None;
        }
        taken.insert(owner.clone(), own + 1);
        Some(Place { taken: Arc::clone(&self.taken), owner })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(own) = taken.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.owner);
            }
        }
    }
}

fn lock<K>(taken: &Mutex<HashMap<K, usize>>) -> MutexGuard<'_, HashMap<K, usize>> {
    // Whole after every step: a panic elsewhere has not left it in between.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_one_and_in_all_and_given_back() {
        let places = Places::new(4, 32);
        let mut taken = Vec::new();
        for owner in 0..8 {
            taken.extend((0..4).map(|_| places.enter(owner).unwrap()));
            assert!(places.enter(owner).is_none(), "its share is taken");
        }
        assert!(places.enter(8).is_none(), "all are");
        taken.pop();
        taken.push(places.enter(8).unwrap());
        assert!(places.enter(9).is_none());
        taken.clear();
        assert!(lock(&places.taken).is_empty());
    }
}
