//! What the schedule shows of itself, for metrics and health.

use super::Schedule;
use super::lane::Standing;
use super::row::Key;
use domain::Timestamp;
use domain::id::{BusinessId, DestinationId};
use std::time::Duration;

/// The schedule at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// How long the oldest due delivery that memory knows has waited for a slot.
    pub oldest_due_age: Duration,
    /// Slots taken.
    pub in_flight: usize,
    /// Rows in memory.
    pub rows: usize,
    /// Rows that wait for their time or for a slot.
    pub waiting: usize,
    /// Lanes in memory.
    pub lanes: usize,
    /// Lanes with more in the store than in memory.
    pub lanes_beyond_memory: usize,
    /// Lanes whose last attempt failed.
    pub lanes_failing: usize,
    /// Lanes so long failing that they are only probed.
    pub lanes_probed: usize,
    /// Lanes paused because their secrets cannot be opened.
    pub lanes_sealed: usize,
    /// Bytes of bodies that wait for a slot.
    pub held_body_bytes: usize,
    /// Outcomes that are not durable yet.
    pub outcomes_waiting: usize,
    /// Rows that a sweep found and memory should have held: 0 while all is well.
    pub found_by_sweep_total: u64,
    /// Rows whose secrets could not be opened.
    pub sealed_total: u64,
    /// Sending pauses because the store fails.
    pub store_away: bool,
    /// Sending pauses because an operator wants it so.
    pub paused: bool,
    /// The first sweep has ended: all that was due at the start is known.
    pub ready: bool,
}

impl Schedule {
    /// Destinations of the business whose last attempt failed. Looks at each lane: for people, not for each event.
    #[must_use]
    pub fn failing(&self, business_id: BusinessId) -> Vec<DestinationId> {
        let Some(business) = self.turns.known_business(business_id) else { return Vec::new() };
        let lanes = self.lanes.iter().map(|(_, lane)| lane);
        lanes.filter(|lane| lane.business == business && lane.failures > 0).map(|lane| lane.id).collect()
    }

    /// The schedule as it stands. Looks at each lane: for metrics, not for each event.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            in_flight: self.turns.in_flight(),
            rows: self.rows.len(),
            lanes: self.lanes.len(),
            held_body_bytes: self.held_bytes,
            outcomes_waiting: self.outcomes.len(),
            found_by_sweep_total: self.found_by_sweep,
            sealed_total: self.sealed,
            store_away: self.reads.is_failing() || self.writes.is_failing(),
            paused: self.paused,
            ready: self.sweep.has_completed(),
            ..Snapshot::default()
        };
        let mut oldest: Option<Timestamp> = None;
        for (_, lane) in self.lanes.iter() {
            snapshot.waiting += lane.idle_rows();
            snapshot.lanes_beyond_memory += usize::from(!lane.is_complete());
            snapshot.lanes_failing += usize::from(lane.failures > 0);
            snapshot.lanes_probed += usize::from(lane.standing() == Standing::Probed);
            snapshot.lanes_sealed += usize::from(lane.paused_until.is_some());
            let first = lane.ready.first_key_value().map(|(key, _)| key.due_at);
            let beyond =
                (lane.ready.is_empty() && lane.horizon > Key::FIRST && lane.horizon.due_at < self.now.wall)
                    .then_some(lane.horizon.due_at);
            oldest = [oldest, first, beyond].into_iter().flatten().min();
        }
        snapshot.oldest_due_age = oldest.map_or(Duration::ZERO, |due_at| self.now.wall.since(due_at));
        snapshot
    }
}
