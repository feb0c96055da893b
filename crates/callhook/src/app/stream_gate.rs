//! The gate that streams without an end pass: each holds a connection, and those are few.

use domain::id::UserId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Streams of one person at a time: a browser keeps six connections, and a person may have two browsers.
const STREAMS_OF_USER_MAX: usize = 12;
/// Streams of all people at a time: a quarter of the connections that a server takes.
const STREAMS_MAX: usize = 512;

/// Counts the streams that are open.
#[derive(Clone, Default)]
pub struct StreamGate(Arc<Mutex<HashMap<UserId, usize>>>);

/// A stream's place, given back when it is dropped.
pub struct Place {
    gate: StreamGate,
    user_id: UserId,
}

impl StreamGate {
    /// Lets a stream in; `None` where no place is left.
    #[must_use]
    pub fn enter(&self, user_id: UserId) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&user_id).copied().unwrap_or_default();
        if own >= STREAMS_OF_USER_MAX || open.values().sum::<usize>() >= STREAMS_MAX {
            return None;
        }
        open.insert(user_id, own + 1);
        Some(Place { gate: self.clone(), user_id })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.user_id) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.user_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_takes_no_more_than_a_share_and_gives_it_back() {
        let gate = StreamGate::default();
        let [one, other] = [1, 2].map(|byte| UserId::from_bytes([byte; 16]));
        let mut places: Vec<_> = (0..STREAMS_OF_USER_MAX).map(|_| gate.enter(one).unwrap()).collect();
        assert!(gate.enter(one).is_none());
        assert!(gate.enter(other).is_some());
        places.pop();
        assert!(gate.enter(one).is_some());
        let others: Vec<_> =
            (0..=255).filter_map(|byte| gate.enter(UserId::from_bytes([byte; 16]))).collect();
        drop((places, others));
        assert!(gate.0.lock().unwrap().is_empty());
    }
}
