//! Lanes: one for each destination that has work, or had some a while ago.

use super::row::Key;
use crate::limits;
use domain::id::DestinationId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Where a lane is in the round of the turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: nothing is ready, or the lane has all that it may have in flight.
    Off,
    /// In its business's round.
    Round,
    /// Behind others at a host that is full.
    Host,
    /// Behind others at the share of the new.
    New,
    /// Behind others at the share of the failing.
    Failing,
    /// Behind others at the pace of the probed.
    Probed,
}

/// What is known of a lane's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its last attempt succeeded.
    Proven,
    /// No attempt of it has ended in this process.
    New,
    /// Its last attempt failed.
    Failing,
    /// So many have failed in a row that it is only probed.
    Probed,
}

/// Whether a lane's rows are being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    No,
    Queued,
    /// The request, and the place in the order of departures at which it began.
    UnderWay {
        request: u64,
        began: u64,
        checks: u64,
    },
}

#[derive(Debug)]
pub(super) struct Lane {
    pub id: DestinationId,
    pub business: u32,
    pub host: Option<u32>,
    pub waiting: BTreeMap<Key, u32>,
    pub ready: BTreeMap<Key, u32>,
    /// Memory holds every pending row before this; behind it the store may hold more.
    pub horizon: Key,
    /// The first row that went to the store only since the load under way began.
    pub missed: Key,
    pub load: Load,
    /// The count of lost commits up to which the horizon's promise was checked.
    pub checked: u64,
    /// Rows in memory, those in work included.
    pub rows: usize,
    /// Rows in slots.
    pub in_flight: usize,
    pub place: Place,
    /// An attempt succeeded in this process.
    pub proven: bool,
    /// Failures since the last success.
    pub failures: u32,
    /// Counts changes of the destination's settings.
    pub changes: u32,
    pub paused_until: Option<Duration>,
    pub pause: Duration,
    pub idle_since: Option<Duration>,
    bucket: usize,
    bucket_place: usize,
}

impl Lane {
    /// Rows that wait, due or not.
    pub fn idle_rows(&self) -> usize {
        self.waiting.len() + self.ready.len()
    }

    pub fn last_key(&self) -> Option<Key> {
        let last = |rows: &BTreeMap<Key, u32>| rows.last_key_value().map(|(key, _)| *key);
        last(&self.waiting).max(last(&self.ready))
    }

    pub fn standing(&self) -> Standing {
        match (self.failures, self.proven) {
            (0, true) => Standing::Proven,
            (0, false) => Standing::New,
            (limits::PROBE_AFTER_FAILURES.., _) => Standing::Probed,
            _ => Standing::Failing,
        }
    }

    pub fn is_complete(&self) -> bool {
        self.horizon == Key::END
    }

    fn size_class(&self) -> usize {
        (usize::BITS - self.idle_rows().leading_zeros()) as usize
    }
}

/// All lanes in memory. Knows the fullest without looking at each.
#[derive(Debug)]
pub(super) struct Lanes {
    slab: Vec<Option<Lane>>,
    free: Vec<u32>,
    by_id: HashMap<DestinationId, u32>,
    buckets: Vec<Vec<u32>>,
    idle: BTreeSet<(Duration, u32)>,
}

impl Lanes {
    pub fn new() -> Self {
        let buckets = vec![Vec::new(); usize::BITS as usize + 1];
        Self { slab: Vec::new(), free: Vec::new(), by_id: HashMap::new(), buckets, idle: BTreeSet::new() }
    }

    pub fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    pub fn index_of(&self, id: DestinationId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    pub fn insert(&mut self, id: DestinationId, business: u32, horizon: Key, checked: u64) -> u32 {
        let lane = Lane {
            id,
            business,
            host: None,
            waiting: BTreeMap::new(),
            ready: BTreeMap::new(),
            horizon,
            missed: Key::END,
            load: Load::No,
            checked,
            rows: 0,
            in_flight: 0,
            place: Place::Off,
            proven: false,
            failures: 0,
            changes: 0,
            paused_until: None,
            pause: Duration::ZERO,
            idle_since: None,
            bucket: 0,
            bucket_place: self.buckets[0].len(),
        };
        let index = place_in(&mut self.slab, &mut self.free, lane);
        self.buckets[0].push(index);
        self.by_id.insert(id, index);
        index
    }

    pub fn remove(&mut self, index: u32) -> Lane {
        self.leave_bucket(index);
        let lane = self.slab[index as usize].take();
        let lane = lane.unwrap_or_else(|| unreachable!("a lane is removed once"));
        if let Some(since) = lane.idle_since {
            self.idle.remove(&(since, index));
        }
        self.by_id.remove(&lane.id);
        self.free.push(index);
        lane
    }

    pub fn get(&self, index: u32) -> &Lane {
        self.slab[index as usize].as_ref().unwrap_or_else(|| unreachable!("rows and rounds name lanes"))
    }

    pub fn get_mut(&mut self, index: u32) -> &mut Lane {
        self.slab[index as usize].as_mut().unwrap_or_else(|| unreachable!("rows and rounds name lanes"))
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Lane)> {
        (0u32..).zip(&self.slab).filter_map(|(index, lane)| Some((index, lane.as_ref()?)))
    }

    /// After the number of waiting rows has changed.
    pub fn resized(&mut self, index: u32) {
        let class = self.get(index).size_class();
        if class != self.get(index).bucket {
            self.leave_bucket(index);
            let place = self.buckets[class].len();
            self.buckets[class].push(index);
            let lane = self.get_mut(index);
            (lane.bucket, lane.bucket_place) = (class, place);
        }
    }

    /// A lane of which no other has more than twice the rows, if it has at least twice those of `index`.
    pub fn fuller_than(&self, index: u32) -> Option<u32> {
        let own = self.get(index).bucket;
        self.buckets[own + 1..].iter().rev().find_map(|bucket| bucket.last().copied())
    }

    /// Notes since when the lane is without work; `None`: it has some.
    pub fn set_idle(&mut self, index: u32, since: Option<Duration>) {
        let lane = self.get_mut(index);
        if lane.idle_since.is_some() == since.is_some() {
            return;
        }
        let before = std::mem::replace(&mut lane.idle_since, since);
        if let Some(before) = before {
            self.idle.remove(&(before, index));
        }
        if let Some(since) = since {
            self.idle.insert((since, index));
        }
    }

    /// The lane that has been without work for the longest time.
    pub fn longest_idle(&self) -> Option<(Duration, u32)> {
        self.idle.first().copied()
    }

    /// Lanes that have work.
    pub fn busy(&self) -> usize {
        self.len() - self.idle.len()
    }

    fn leave_bucket(&mut self, index: u32) {
        let lane = self.get(index);
        let (bucket, place) = (lane.bucket, lane.bucket_place);
        self.buckets[bucket].swap_remove(place);
        if let Some(&moved) = self.buckets[bucket].get(place) {
            self.get_mut(moved).bucket_place = place;
        }
    }
}

/// Takes a free place of the slab, or a new one.
pub(super) fn place_in<T>(slab: &mut Vec<Option<T>>, free: &mut Vec<u32>, value: T) -> u32 {
    let index = free.pop().unwrap_or_else(|| {
        slab.push(None);
        // Cannot fail: there are no more of them than lanes, whose bound is far below.
        u32::try_from(slab.len() - 1).unwrap_or(u32::MAX)
    });
    slab[index as usize] = Some(value);
    index
}
