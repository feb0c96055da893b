//! The invariants of the module's head, as a check that a test can make at each step.

use super::lane::Place;
use super::row::State;
use super::{Schedule, Timer};
use std::collections::HashMap;

impl Schedule {
    /// Looks at everything. Slow: for tests.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        self.check_places()?;
        self.check_slots()?;
        self.check_bounds()?;
        self.check_turns()
    }

    fn check_places(&self) -> Result<(), String> {
        let mut lane_rows: HashMap<u32, usize> = HashMap::new();
        let mut held_bytes = 0;
        for (index, row) in self.rows.iter() {
            *lane_rows.entry(row.lane).or_default() += 1;
            held_bytes += row.held_bytes;
            let lane = self.lanes.get(row.lane);
            let waits = lane.waiting.get(&row.key()) == Some(&index);
            let ready = lane.ready.get(&row.key()) == Some(&index);
            let timed = self.timers.contains(&(row.due, Timer::Row(index)));
            let expected = (row.state == State::Waiting, row.state == State::Ready);
            if (waits, ready) != expected || timed != waits {
                return Err(format!("{row:?} is not in the one place where it belongs"));
            }
        }
        for (index, lane) in self.lanes.iter() {
            let rows = lane_rows.remove(&index).unwrap_or(0);
            if rows != lane.rows || lane.idle_rows() > rows {
                return Err(format!("lane {index} counts {} rows and has {rows}", lane.rows));
            }
        }
        if held_bytes != self.held_bytes {
            return Err(format!("{} bytes are counted as held and {held_bytes} are", self.held_bytes));
        }
        Ok(())
    }

    fn check_slots(&self) -> Result<(), String> {
        let (mut slots, mut lanes, mut hosts) = (0, HashMap::new(), HashMap::new());
        for (_, row) in self.rows.iter() {
            let works = matches!(row.state, State::Preparing | State::InFlight);
            if works != row.slot.is_some() {
                return Err(format!("{row:?} has a slot without work or works without one"));
            }
            if let Some(slot) = row.slot {
                slots += 1;
                *lanes.entry(row.lane).or_insert(0) += 1;
                if let Some(host) = slot.host {
                    *hosts.entry(host).or_insert(0) += 1;
                }
            }
        }
        if slots != self.turns.in_flight() {
            return Err(format!("{} slots are counted and {slots} taken", self.turns.in_flight()));
        }
        for (host, in_flight) in hosts {
            if in_flight != self.turns.host_in_flight(host) {
                return Err(format!("host {host} has {in_flight} in flight and counts another number"));
            }
        }
        for (index, lane) in self.lanes.iter() {
            if lane.in_flight != lanes.get(&index).copied().unwrap_or(0) {
                return Err(format!("lane {index} counts {} in flight", lane.in_flight));
            }
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), String> {
        let bounds = [
            ("rows", self.rows.len(), self.config.rows_max),
            ("lanes", self.lanes.len(), self.config.lanes_max),
            ("held bytes", self.held_bytes, self.config.body_bytes_max),
            ("slots", self.turns.in_flight(), self.config.slots),
            ("outcomes", self.outcomes.len(), self.config.outcomes_max),
        ];
        match bounds.into_iter().find(|(_, count, bound)| count > bound) {
            Some((what, count, bound)) => Err(format!("{count} {what}, and at most {bound} are allowed")),
            None => Ok(()),
        }
    }

    fn check_turns(&self) -> Result<(), String> {
        for (index, lane) in self.lanes.iter() {
            let idles = lane.place == Place::Off && !lane.ready.is_empty() && lane.paused_until.is_none();
            if idles && !self.lane_is_full(index) {
                return Err(format!("lane {index} has something ready and takes no part in the turns"));
            }
        }
        Ok(())
    }
}
