//! Whose turn it is: free slots go round the businesses, then round the lanes of each, within the bounds.

use super::Schedule;
use super::config::{Config, Safeguard};
use super::lane::{Place, Standing, place_in};
use super::pace::Pace;
use super::row::Slot;
use crate::limits;
use domain::id::BusinessId;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// What the turns know of a business.
#[derive(Debug)]
struct BusinessTurns {
    id: BusinessId,
    lanes: usize,
    in_flight: usize,
    round: VecDeque<u32>,
    place: BusinessPlace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BusinessPlace {
    Off,
    Round,
    /// Above its share while only the reserve is free.
    Parked,
}

#[derive(Debug)]
struct Host {
    name: String,
    lanes: usize,
    in_flight: usize,
    parked: VecDeque<u32>,
}

/// Businesses, hosts and slots.
#[derive(Debug, Default)]
pub(super) struct Turns {
    businesses: Vec<Option<BusinessTurns>>,
    free_businesses: Vec<u32>,
    business_by_id: HashMap<BusinessId, u32>,
    hosts: Vec<Option<Host>>,
    free_hosts: Vec<u32>,
    host_by_name: HashMap<String, u32>,
    round: VecDeque<u32>,
    parked: VecDeque<u32>,
    new_parked: VecDeque<u32>,
    failing_parked: VecDeque<u32>,
    probed_parked: VecDeque<u32>,
    /// Hosts at which lanes are parked: the full ones, of which there are no more than the host share allows.
    parking_hosts: BTreeSet<u32>,
    new_in_flight: usize,
    failing_in_flight: usize,
    probes: Pace,
    in_flight: usize,
    /// Who comes last is first: only to see that the simulation misses the turns.
    last_come_first: bool,
}

impl Turns {
    pub fn new(config: &Config) -> Self {
        Self { last_come_first: !config.keeps(Safeguard::BusinessTurn), ..Self::default() }
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub fn business(&mut self, id: BusinessId) -> u32 {
        let index = if let Some(&index) = self.business_by_id.get(&id) {
            index
        } else {
            let place = BusinessPlace::Off;
            let turns = BusinessTurns { id, lanes: 0, in_flight: 0, round: VecDeque::new(), place };
            let index = place_in(&mut self.businesses, &mut self.free_businesses, turns);
            self.business_by_id.insert(id, index);
            index
        };
        self.business_mut(index).lanes += 1;
        index
    }

    /// The business by which its lanes name it, where it has any.
    pub fn known_business(&self, id: BusinessId) -> Option<u32> {
        self.business_by_id.get(&id).copied()
    }

    /// A lane of the business was forgotten.
    pub fn leave_business(&mut self, index: u32) {
        let business = self.business_mut(index);
        business.lanes -= 1;
        if business.lanes == 0 {
            debug_assert!(business.in_flight == 0 && business.round.is_empty());
            let (id, place) = (business.id, business.place);
            match place {
                BusinessPlace::Off => {}
                BusinessPlace::Round => self.round.retain(|&other| other != index),
                BusinessPlace::Parked => self.parked.retain(|&other| other != index),
            }
            self.business_by_id.remove(&id);
            self.businesses[index as usize] = None;
            self.free_businesses.push(index);
        }
    }

    pub fn host(&mut self, name: &str) -> u32 {
        let index = if let Some(&index) = self.host_by_name.get(name) {
            index
        } else {
            let host = Host { name: name.to_owned(), lanes: 0, in_flight: 0, parked: VecDeque::new() };
            let index = place_in(&mut self.hosts, &mut self.free_hosts, host);
            self.host_by_name.insert(name.to_owned(), index);
            index
        };
        self.host_mut(index).lanes += 1;
        index
    }

    /// A lane leaves the host, or is forgotten.
    pub fn leave_host(&mut self, index: u32) {
        self.host_mut(index).lanes -= 1;
        self.forget_host(index);
    }

    pub fn host_name(&self, index: u32) -> &str {
        &self.hosts[index as usize].as_ref().unwrap_or_else(|| unreachable!("lanes name hosts")).name
    }

    pub fn host_in_flight(&self, index: u32) -> usize {
        self.hosts[index as usize].as_ref().unwrap_or_else(|| unreachable!("lanes name hosts")).in_flight
    }

    fn take(&mut self, business: u32, slot: Slot, now: Duration, config: &Config) {
        if slot.standing == Standing::Probed {
            self.probes.begin(now, config.probes_per_second);
        }
        self.in_flight += 1;
        self.new_in_flight += usize::from(slot.standing == Standing::New);
        self.failing_in_flight += usize::from(matches!(slot.standing, Standing::Failing | Standing::Probed));
        if let Some(host) = slot.host {
            self.host_mut(host).in_flight += 1;
        }
        self.business_mut(business).in_flight += 1;
    }

    fn give_back(&mut self, business: u32, slot: Slot) {
        self.in_flight -= 1;
        self.new_in_flight -= usize::from(slot.standing == Standing::New);
        self.failing_in_flight -= usize::from(matches!(slot.standing, Standing::Failing | Standing::Probed));
        if let Some(host) = slot.host {
            self.host_mut(host).in_flight -= 1;
        }
        self.business_mut(business).in_flight -= 1;
    }

    fn has_room_for(&self, standing: Standing, now: Duration, config: &Config) -> bool {
        let has_room = self.new_in_flight + self.failing_in_flight < config.unproven_slots();
        match standing {
            Standing::Proven => true,
            Standing::New => has_room,
            Standing::Failing => has_room && self.failing_in_flight < config.failing_slots(),
            Standing::Probed => {
                self.has_room_for(Standing::Failing, now, config) && self.probes_open_at(config) <= now
            }
        }
    }

    /// When the next probe may begin, as far as it hangs on their pace.
    fn probes_open_at(&self, config: &Config) -> Duration {
        let burst = u32::try_from(config.failing_slots()).unwrap_or(u32::MAX);
        self.probes.opens_at(config.probes_per_second, burst)
    }

    /// When a lane that waits for the pace of probes alone may have its turn; `None`: none does.
    pub fn wakes_probed_at(&self, config: &Config) -> Option<Duration> {
        let waits =
            !self.probed_parked.is_empty() && self.has_room_for(Standing::Failing, Duration::ZERO, config);
        waits.then(|| self.probes_open_at(config))
    }

    fn parked(&mut self, standing: Standing) -> (Place, &mut VecDeque<u32>) {
        match standing {
            Standing::Probed => (Place::Probed, &mut self.probed_parked),
            Standing::Failing => (Place::Failing, &mut self.failing_parked),
            _ => (Place::New, &mut self.new_parked),
        }
    }

    /// Who waited longest for room: of the new, else of the failing, else of the probed.
    fn next_unproven(&mut self, now: Duration, config: &Config) -> Option<u32> {
        [Standing::New, Standing::Failing, Standing::Probed].into_iter().find_map(|standing| {
            self.has_room_for(standing, now, config).then(|| self.parked(standing).1.pop_front()).flatten()
        })
    }

    fn enter_round(&mut self, business: u32) {
        self.business_mut(business).place = BusinessPlace::Round;
        if self.last_come_first {
            self.round.push_front(business);
        } else {
            self.round.push_back(business);
        }
    }

    /// Who was seen within the retention of idle lanes counts, busy or not: a business that wakes up finds a free slot.
    fn is_above_share(&self, business: u32, slots: usize) -> bool {
        let in_flight = self.businesses[business as usize].as_ref().map_or(0, |turns| turns.in_flight);
        let known = self.business_by_id.len();
        known > 1 && in_flight >= (slots / known).max(1)
    }

    fn business_mut(&mut self, index: u32) -> &mut BusinessTurns {
        self.businesses[index as usize].as_mut().unwrap_or_else(|| unreachable!("lanes name businesses"))
    }

    fn host_mut(&mut self, index: u32) -> &mut Host {
        self.hosts[index as usize].as_mut().unwrap_or_else(|| unreachable!("lanes name hosts"))
    }

    fn park_at_host(&mut self, host: u32, lane: u32) {
        self.host_mut(host).parked.push_back(lane);
        self.parking_hosts.insert(host);
    }

    fn leave_park(&mut self, host: u32) -> Option<u32> {
        let parked = &mut self.host_mut(host).parked;
        let next = parked.pop_front();
        if parked.is_empty() {
            self.parking_hosts.remove(&host);
        }
        next
    }

    fn unpark_from_host(&mut self, host: u32, lane: u32) {
        let parked = &mut self.host_mut(host).parked;
        parked.retain(|&other| other != lane);
        if parked.is_empty() {
            self.parking_hosts.remove(&host);
        }
    }

    fn forget_host(&mut self, index: u32) {
        let host = self.host_mut(index);
        if host.lanes == 0 && host.in_flight == 0 && host.parked.is_empty() {
            let name = std::mem::take(&mut host.name);
            self.host_by_name.remove(&name);
            self.hosts[index as usize] = None;
            self.free_hosts.push(index);
        }
    }
}

impl Schedule {
    /// Gives free slots to who is next. Each pass takes a business from the round, so it ends.
    pub(super) fn fill_slots(&mut self) {
        if self.turns.in_flight + self.config.reserved_slots() < self.config.slots {
            while let Some(business) = self.turns.parked.pop_front() {
                self.turns.enter_round(business);
            }
        }
        while self.may_start() {
            let Some(business) = self.turns.round.pop_front() else {
                if self.recall_parked_lane() {
                    continue;
                }
                break;
            };
            let free = self.config.slots - self.turns.in_flight;
            if free <= self.config.reserved_slots()
                && self.config.keeps(Safeguard::Reserve)
                && self.turns.is_above_share(business, self.config.slots)
            {
                self.turns.business_mut(business).place = BusinessPlace::Parked;
                self.turns.parked.push_back(business);
                continue;
            }
            self.take_turn(business);
        }
    }

    /// Whether attempts may start at all, as far as it does not hang on room.
    pub(super) fn may_send(&self) -> bool {
        let away = self.reads.is_failing() || self.writes.is_failing();
        !self.stopping
            && (!self.paused || !self.config.keeps(Safeguard::OperatorPause))
            && (!away || !self.config.keeps(Safeguard::AwayPause))
    }

    fn may_start(&self) -> bool {
        self.may_send()
            && self.turns.in_flight < self.config.slots
            && self.outcomes.len() + self.turns.in_flight < self.config.outcomes_max
    }

    /// One lane of the business gets a slot, if one may; then it is the others' turn.
    fn take_turn(&mut self, business: u32) {
        while let Some(lane) = self.turns.business_mut(business).round.pop_front() {
            if self.start_from(lane) {
                break;
            }
        }
        let turns = self.turns.business_mut(business);
        if turns.round.is_empty() {
            turns.place = BusinessPlace::Off;
        } else {
            self.turns.enter_round(business);
        }
    }

    /// Starts the lane's earliest ready row, or puts the lane where it waits for room.
    fn start_from(&mut self, index: u32) -> bool {
        let lane = self.lanes.get_mut(index);
        lane.place = Place::Off;
        let Some((_, &row)) = lane.ready.first_key_value() else { return false };
        if lane.paused_until.is_some() || self.lane_is_full(index) {
            return false;
        }
        let lane = self.lanes.get_mut(index);
        let slot = Slot { host: lane.host, standing: lane.standing() };
        if !self.turns.has_room_for(slot.standing, self.now.elapsed, &self.config)
            && self.config.keeps(Safeguard::UnprovenShare)
        {
            let (place, parked) = self.turns.parked(slot.standing);
            lane.place = place;
            parked.push_back(index);
            return false;
        }
        if let Some(host) = slot.host
            && self.host_is_full(host)
        {
            self.lanes.get_mut(index).place = Place::Host;
            self.turns.park_at_host(host, index);
            return false;
        }
        self.take_slot(row, slot);
        self.begin(row);
        self.enlist(index);
        true
    }

    pub(super) fn lane_is_full(&self, index: u32) -> bool {
        let lane = self.lanes.get(index);
        let probed = lane.standing() == Standing::Probed && self.config.keeps(Safeguard::Probing);
        let on_trial = lane.standing() == Standing::New && self.config.keeps(Safeguard::Trial);
        let bound = if lane.host.is_none() || on_trial {
            1
        } else if probed {
            limits::PROBES_IN_FLIGHT_MAX.min(self.config.lane_slots())
        } else if self.config.keeps(Safeguard::LaneBound) {
            self.config.lane_slots()
        } else {
            usize::MAX
        };
        lane.in_flight >= bound
    }

    pub(super) fn host_is_full(&self, host: u32) -> bool {
        self.turns.host_in_flight(host) >= self.config.host_slots() && self.config.keeps(Safeguard::HostBound)
    }

    fn take_slot(&mut self, row: u32, slot: Slot) {
        let lane_index = self.rows.get(row).lane;
        self.unsettle(row);
        self.rows.get_mut(row).slot = Some(slot);
        let lane = self.lanes.get_mut(lane_index);
        lane.in_flight += 1;
        let business = lane.business;
        self.turns.take(business, slot, self.now.elapsed, &self.config);
    }

    /// Gives back the row's slot and lets who waited for just that take a turn.
    pub(super) fn release_slot(&mut self, row: u32) {
        let (lane_index, slot) = (self.rows.get(row).lane, self.rows.get_mut(row).slot.take());
        let Some(slot) = slot else { return };
        let lane = self.lanes.get_mut(lane_index);
        lane.in_flight -= 1;
        let business = lane.business;
        self.turns.give_back(business, slot);
        if self.turns.business_mut(business).place == BusinessPlace::Parked {
            self.turns.parked.retain(|&other| other != business);
            self.turns.enter_round(business);
        }
        if let Some(host) = slot.host {
            self.call_from_host(host);
        }
        if slot.standing != Standing::Proven
            && let Some(next) = self.turns.next_unproven(self.now.elapsed, &self.config)
        {
            self.return_to_round(next);
        }
        self.enlist(lane_index);
    }

    /// Moves the row's slot to the host that its job really names. False: the host is full.
    pub(super) fn move_slot_to(&mut self, row: u32, host: u32) -> bool {
        let Some(slot) = self.rows.get(row).slot else { return false };
        if slot.host == Some(host) {
            return true;
        }
        if self.host_is_full(host) {
            return false;
        }
        if let Some(before) = slot.host {
            self.turns.host_mut(before).in_flight -= 1;
            self.call_from_host(before);
        }
        self.turns.host_mut(host).in_flight += 1;
        self.rows.get_mut(row).slot = Some(Slot { host: Some(host), ..slot });
        true
    }

    /// Lets the lane take part in the turns, if it has something ready and is not there already.
    pub(super) fn enlist(&mut self, index: u32) {
        let lane = self.lanes.get(index);
        if lane.place == Place::Off
            && !lane.ready.is_empty()
            && lane.paused_until.is_none()
            && !self.lane_is_full(index)
        {
            self.return_to_round(index);
        }
    }

    fn return_to_round(&mut self, index: u32) {
        let lane = self.lanes.get_mut(index);
        lane.place = Place::Round;
        let business = lane.business;
        let turns = self.turns.business_mut(business);
        if self.config.keeps(Safeguard::LaneTurn) {
            turns.round.push_back(index);
        } else {
            turns.round.push_front(index);
        }
        if turns.place == BusinessPlace::Off {
            self.turns.enter_round(business);
        }
    }

    /// When the round is empty: one lane that was put aside and has room again. It may have been passed over when
    /// the room came, because whoever was called then could not use it.
    fn recall_parked_lane(&mut self) -> bool {
        if let Some(lane) = self.turns.next_unproven(self.now.elapsed, &self.config) {
            self.return_to_round(lane);
            return true;
        }
        let host_slots = self.config.host_slots();
        let with_room = |host: &&u32| self.turns.host_in_flight(**host) < host_slots;
        let host = self.turns.parking_hosts.iter().find(with_room).copied();
        host.is_some_and(|host| self.call_from_host(host))
    }

    /// Who waited longest for room at the host may take a turn.
    fn call_from_host(&mut self, host: u32) -> bool {
        let next = self.turns.leave_park(host);
        self.turns.forget_host(host);
        next.map(|lane| self.return_to_round(lane)).is_some()
    }

    /// Takes the lane out of every round, before it is forgotten.
    pub(super) fn delist(&mut self, index: u32) {
        let lane = self.lanes.get_mut(index);
        let (business, host) = (lane.business, lane.host);
        let queue = match std::mem::replace(&mut lane.place, Place::Off) {
            Place::Off => return,
            Place::Round => &mut self.turns.business_mut(business).round,
            Place::New => &mut self.turns.new_parked,
            Place::Failing => &mut self.turns.failing_parked,
            Place::Probed => &mut self.turns.probed_parked,
            Place::Host => {
                if let Some(host) = host {
                    self.turns.unpark_from_host(host, index);
                }
                return;
            }
        };
        queue.retain(|&other| other != index);
    }

    /// The host of the lane's destination, where it is new or has changed.
    pub(super) fn set_host(&mut self, index: u32, name: &str) -> u32 {
        let before = self.lanes.get(index).host;
        if let Some(host) = before
            && self.turns.host_name(host) == name
        {
            return host;
        }
        self.delist(index);
        let host = self.turns.host(name);
        self.lanes.get_mut(index).host = Some(host);
        if let Some(before) = before {
            self.turns.leave_host(before);
        }
        self.enlist(index);
        host
    }
}
