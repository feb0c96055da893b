//! What left hand while reads were under way, so that an old snapshot does not bring it back.

use domain::id::DeliveryId;
use std::collections::{HashMap, VecDeque};

/// Departures, each with its place in the order of things. Kept only as long as a read began before them.
#[derive(Debug)]
pub(super) struct LeftHand {
    sequence: u64,
    /// Reads that began before this place can no longer be checked.
    floor: u64,
    log: VecDeque<(u64, DeliveryId)>,
    departed: HashMap<DeliveryId, Departure>,
    reads: Vec<u64>,
    capacity: usize,
}

#[derive(Clone, Copy, Debug)]
struct Departure {
    sequence: u64,
    version: u64,
}

impl LeftHand {
    pub fn new(capacity: usize) -> Self {
        let (log, departed, reads) = (VecDeque::new(), HashMap::new(), Vec::new());
        Self { sequence: 0, floor: 0, log, departed, reads, capacity }
    }

    /// A read begins; the place in the order is given back when it has ended.
    pub fn read_begins(&mut self) -> u64 {
        self.reads.push(self.sequence);
        self.sequence
    }

    /// A read has ended and its answer was taken up.
    pub fn read_ended(&mut self, began: u64) {
        if let Some(place) = self.reads.iter().position(|&read| read == began) {
            self.reads.swap_remove(place);
        }
        let oldest = self.reads.iter().copied().min().unwrap_or(u64::MAX);
        while self.log.front().is_some_and(|&(sequence, _)| sequence <= oldest) {
            self.forget_oldest();
        }
    }

    /// The row with all versions up to `version` is out of hand.
    pub fn note(&mut self, id: DeliveryId, version: u64) {
        if self.reads.is_empty() {
            return;
        }
        self.sequence += 1;
        let departure = Departure { sequence: self.sequence, version };
        self.departed.insert(id, departure);
        self.log.push_back((self.sequence, id));
        if self.log.len() > self.capacity {
            self.floor = self.log.front().map_or(self.floor, |&(sequence, _)| sequence);
            self.forget_oldest();
        }
    }

    /// The store holds the row again, with that version.
    pub fn supersede(&mut self, id: DeliveryId, version: u64) {
        if let Some(departure) = self.departed.get_mut(&id) {
            departure.version = departure.version.min(version.saturating_sub(1));
        }
    }

    /// Whether a read that began there may have seen the row before it left.
    pub fn is_gone(&self, began: u64, id: DeliveryId, version: u64) -> bool {
        self.departed.get(&id).is_some_and(|left| left.sequence > began && version <= left.version)
    }

    /// Whether everything that left since is still known.
    pub fn can_check(&self, began: u64) -> bool {
        began >= self.floor
    }

    fn forget_oldest(&mut self) {
        if let Some((sequence, id)) = self.log.pop_front()
            && self.departed.get(&id).is_some_and(|left| left.sequence == sequence)
        {
            self.departed.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> DeliveryId {
        DeliveryId::from_bytes([number; 16])
    }

    #[test]
    fn what_left_after_a_read_began_is_gone_for_it_and_not_for_later_reads() {
        let mut left = LeftHand::new(10);
        let early = left.read_begins();
        left.note(id(1), 3);
        let late = left.read_begins();
        assert!(left.is_gone(early, id(1), 3) && !left.is_gone(early, id(1), 4));
        assert!(!left.is_gone(late, id(1), 3));
        left.supersede(id(1), 3);
        assert!(!left.is_gone(early, id(1), 3) && left.is_gone(early, id(1), 2));
        left.read_ended(early);
        left.read_ended(late);
        assert!(left.log.is_empty() && left.departed.is_empty());
    }

    #[test]
    fn nothing_is_kept_without_a_read_and_never_more_than_the_bound() {
        let mut left = LeftHand::new(2);
        left.note(id(1), 1);
        assert!(left.log.is_empty());
        let began = left.read_begins();
        for number in 1..=3 {
            left.note(id(number), 1);
        }
        assert!(left.log.len() == 2 && !left.can_check(began));
    }
}
