//! What a world is made of: its lanes and receivers, its traffic, its faults, by profile and seed.

use crate::random::Random;
use delivery::schedule::Config;
use std::time::Duration;

/// Which kind of trouble a world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Receivers fail and hang, people cancel and change; the store and the process are well.
    Calm,
    /// Calm, with a backlog and so little memory that most of it lies in the store.
    Backlog,
    /// Hand-overs are dropped, and commits of others stay unknown.
    Lossy,
    /// The store is away for a while.
    Away,
    /// The process crashes, and freezes.
    Crashing,
    /// The wall clock jumps by hours.
    Jumping,
    /// Busy businesses with slow receivers beside quiet ones.
    Flood,
    /// Three businesses that all want more than there is: each lane must get its turns.
    Crowd,
    /// All faults at once.
    Everything,
}

impl Profile {
    pub const ALL: [Self; 9] = [
        Self::Calm,
        Self::Backlog,
        Self::Lossy,
        Self::Away,
        Self::Crashing,
        Self::Jumping,
        Self::Flood,
        Self::Crowd,
        Self::Everything,
    ];

    pub fn of(seed: u64) -> Self {
        match Self::ALL[usize::try_from(seed % 9).unwrap()] {
            // Ten times the work of another world.
            Self::Crowd if !(seed / 9).is_multiple_of(5) => Self::Everything,
            profile => profile,
        }
    }

    pub fn loses(self) -> bool {
        matches!(self, Self::Lossy | Self::Everything)
    }

    pub fn store_goes_away(self) -> bool {
        matches!(self, Self::Away | Self::Everything)
    }

    pub fn crashes(self) -> bool {
        matches!(self, Self::Crashing | Self::Everything)
    }

    pub fn jumps(self) -> bool {
        matches!(self, Self::Jumping | Self::Everything)
    }

    /// No fault of the store or the process: a sweep must find nothing.
    pub fn is_faultless(self) -> bool {
        matches!(self, Self::Calm | Self::Backlog | Self::Flood | Self::Crowd)
    }

    /// How late a healthy lane's delivery may start, counted from the last fault, in milliseconds.
    pub fn lateness_max(self) -> u64 {
        match self {
            Self::Calm | Self::Jumping => 400,
            Self::Flood => 600,
            Self::Crowd => 2_000,
            Self::Backlog => 3_000,
            Self::Lossy => 2_500,
            Self::Away | Self::Crashing => 5_000,
            Self::Everything => 12_000,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    Good(u64),
    Failing,
    Hanging,
    Flaky,
}

#[derive(Clone, Copy, Debug)]
pub struct LanePlan {
    pub business: usize,
    pub host: usize,
    pub receiver: Receiver,
    /// Light traffic to a good receiver whose host has no bad lanes: never late.
    pub healthy: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Action {
    Report {
        lane: usize,
        wait_for_ai: Option<u64>,
    },
    AiEnds {
        recent: u64,
    },
    Cancel {
        recent: u64,
    },
    /// One that has been due for a while and got no slot yet.
    CancelOverdue,
    Erase {
        recent: u64,
    },
    Redeliver {
        recent: u64,
    },
    CancelAndRedeliver {
        recent: u64,
    },
    ChangeLane {
        lane: usize,
        enabled: bool,
    },
    Seal {
        lane: usize,
        sealed: bool,
    },
    Receiver {
        lane: usize,
        receiver: Receiver,
    },
    StoreAway(bool),
    Crash,
    Freeze(u64),
    Jump(i64),
    /// An operator has sending pause, or go on.
    Pause(bool),
}

pub struct Scenario {
    pub config: Config,
    pub lanes: Vec<LanePlan>,
    pub actions: Vec<(u64, Action)>,
    pub body_bytes: usize,
    /// From here on no fault and no new work.
    pub ends_at: u64,
}

pub const ENDS_AT: u64 = 30_000;

impl Scenario {
    pub fn of(profile: Profile, random: &mut Random) -> Self {
        let mut scenario = Self {
            config: config(profile, random),
            lanes: Vec::new(),
            actions: Vec::new(),
            body_bytes: if random.percent(50) { 100 } else { 1_000 },
            ends_at: ENDS_AT,
        };
        match profile {
            Profile::Flood => scenario.flood(random),
            Profile::Crowd => scenario.crowd(random),
            _ => {
                scenario.town(profile, random);
                scenario.people(profile, random);
            }
        }
        scenario.faults(profile, random);
        for lane in 0..scenario.lanes.len() {
            scenario.at(ENDS_AT, Action::Receiver { lane, receiver: Receiver::Good(20) });
            scenario.at(ENDS_AT, Action::Seal { lane, sealed: false });
        }
        scenario.actions.sort_by_key(|(at, _)| *at);
        scenario
    }

    /// An operator has sending pause for a while, in one world of four that is not calm. Drawn by chance of its own, so that every other
    /// world stays as it is.
    pub fn pauses(&mut self, profile: Profile, seed: u64) {
        if profile.is_faultless() || (seed / 9) % 4 != 1 {
            return;
        }
        let mut random = Random::new(!seed);
        let at = random.between(0, ENDS_AT - 15_000);
        self.at(at, Action::Pause(true));
        self.at(at + random.between(500, 12_000), Action::Pause(false));
    }

    fn at(&mut self, at: u64, action: Action) {
        self.actions.push((at, action));
    }

    /// Healthy lanes with light traffic, one with a backlog, others that fail or hang.
    fn town(&mut self, profile: Profile, random: &mut Random) {
        for lane in 0..random.between(3, 6) {
            let lane = usize::try_from(lane).unwrap();
            let healthy = lane < 2;
            let receiver = match random.between(0, 3) {
                _ if healthy => Receiver::Good(random.between(5, 50)),
                0 => Receiver::Failing,
                1 => Receiver::Hanging,
                2 => Receiver::Flaky,
                _ => Receiver::Good(random.between(5, 3_000)),
            };
            let business = usize::try_from(random.between(0, 2)).unwrap();
            let shared_host = usize::try_from(random.between(2, 4)).unwrap();
            let host = if healthy { lane } else { shared_host };
            self.lanes.push(LanePlan { business, host, receiver, healthy });
            let reports = random.between(4, 14);
            for _ in 0..reports {
                let at = random.between(0, ENDS_AT - 5_000);
                let wait_for_ai = random.percent(30).then(|| random.between(1_000, 8_000));
                if let Some(wait) = wait_for_ai {
                    // AI's end around the fallback, often in the same instant.
                    let ends = (at + wait + random.between(0, 20)).saturating_sub(10);
                    let recent = random.between(0, 3);
                    self.at(if random.percent(50) { ends } else { at + wait / 2 }, Action::AiEnds { recent });
                }
                self.at(at, Action::Report { lane, wait_for_ai });
            }
            if lane == 2 {
                self.backlog(lane, if profile == Profile::Backlog { 60 } else { 15 }, random);
            }
        }
    }

    fn backlog(&mut self, lane: usize, rows: u64, random: &mut Random) {
        let begins = random.between(0, 5_000);
        let every = random.between(1, 60);
        for number in 0..rows {
            self.at(begins + number * every, Action::Report { lane, wait_for_ai: None });
        }
    }

    fn people(&mut self, profile: Profile, random: &mut Random) {
        let lanes = self.lanes.len() as u64;
        for _ in 0..random.between(2, 12) {
            let at = random.between(500, ENDS_AT - 3_000);
            let recent = random.between(0, 12);
            let lane = usize::try_from(random.between(0, lanes - 1)).unwrap();
            let healthy = self.lanes[lane].healthy;
            if profile.loses() {
                self.at(at, Action::CancelOverdue);
            }
            match random.between(0, 6) {
                0 => self.at(at, Action::Cancel { recent }),
                1 => self.at(at, Action::Erase { recent }),
                2 => self.at(at, Action::Redeliver { recent }),
                3 => self.at(at, Action::CancelAndRedeliver { recent }),
                4 if !healthy => {
                    self.at(at, Action::ChangeLane { lane, enabled: false });
                    self.at(at + random.between(1, 3_000), Action::ChangeLane { lane, enabled: true });
                }
                5 if !healthy && profile != Profile::Backlog => {
                    self.at(at, Action::Seal { lane, sealed: true });
                    self.at(at + random.between(1, 9_000), Action::Seal { lane, sealed: false });
                }
                6 if !healthy => self.at(at, Action::Receiver { lane, receiver: Receiver::Good(30) }),
                _ => self.at(at, Action::ChangeLane { lane, enabled: true }),
            }
        }
    }

    /// Three busy businesses with slow receivers on many hosts take all they can get; two quiet ones must not notice.
    fn flood(&mut self, random: &mut Random) {
        let busy = usize::try_from(random.between(1, 3)).unwrap();
        for lane in 0..2 {
            let receiver = Receiver::Good(10);
            self.lanes.push(LanePlan { business: 10 + lane, host: lane, receiver, healthy: true });
            for number in 0..40 {
                self.at(
                    100 + number * 600 + random.between(0, 300),
                    Action::Report { lane, wait_for_ai: None },
                );
            }
        }
        for lane in 2..12 {
            let slow = random.between(2_000, 6_000);
            self.lanes.push(LanePlan {
                business: lane % busy,
                host: lane,
                receiver: Receiver::Good(20),
                healthy: false,
            });
            self.at(50, Action::Report { lane, wait_for_ai: None });
            self.at(1_000, Action::Receiver { lane, receiver: Receiver::Good(slow) });
            for number in 0..8 {
                self.at(
                    2_000 + number * random.between(1, 1_500),
                    Action::Report { lane, wait_for_ai: None },
                );
            }
        }
    }

    /// One business could fill every slot with its backlog; two others want somewhat less than their shares.
    /// Or there are more of them than slots.
    fn crowd(&mut self, random: &mut Random) {
        if random.percent(50) {
            for lane in 0..24 {
                let receiver = Receiver::Good(500);
                self.lanes.push(LanePlan { business: lane, host: lane, receiver, healthy: false });
                for number in 0..12 {
                    let at = 1_000 + number * 20 + random.between(0, 100);
                    self.at(at, Action::Report { lane, wait_for_ai: None });
                }
            }
            return;
        }
        for lane in 0..14 {
            let (business, healthy) = if lane < 8 { (0, false) } else { (lane / 11 + 1, true) };
            self.lanes.push(LanePlan { business, host: lane, receiver: Receiver::Good(20), healthy });
            self.at(20, Action::Report { lane, wait_for_ai: None });
            self.at(1_500, Action::Receiver { lane, receiver: Receiver::Good(500) });
            let (rows, every) = if healthy { (28, 350) } else { (40, 20) };
            for number in 0..rows {
                let at = 2_000 + number * every + random.between(0, 100);
                self.at(at, Action::Report { lane, wait_for_ai: None });
            }
        }
    }

    fn faults(&mut self, profile: Profile, random: &mut Random) {
        if profile.store_goes_away() {
            let at = random.between(2_000, ENDS_AT - 10_000);
            self.at(at, Action::StoreAway(true));
            self.at(at + random.between(200, 8_000), Action::StoreAway(false));
        }
        if profile.crashes() {
            for _ in 0..random.between(1, 3) {
                self.at(random.between(100, ENDS_AT - 2_000), Action::Crash);
            }
            self.at(random.between(100, ENDS_AT - 9_000), Action::Freeze(random.between(100, 8_000)));
        }
        if profile.jumps() {
            for _ in 0..random.between(1, 2) {
                let hours = i64::try_from(random.between(1, 2)).unwrap() * 3_600_000;
                let jump = if random.percent(60) { hours } else { -hours };
                self.at(random.between(1_000, ENDS_AT - 1_000), Action::Jump(jump));
            }
        }
    }
}

fn config(profile: Profile, random: &mut Random) -> Config {
    let small = profile == Profile::Backlog || profile == Profile::Everything;
    Config {
        slots: if matches!(profile, Profile::Flood | Profile::Crowd) { 16 } else { *random.pick(&[32, 64]) },
        rows_max: if small { usize::try_from(random.between(24, 60)).unwrap() } else { 1_000 },
        lane_rows_max: if small { usize::try_from(random.between(4, 10)).unwrap() } else { 500 },
        lane_refill_min: if small { 2 } else { 16 },
        lanes_max: if small { 24 } else { 1_000 },
        body_bytes_max: *random.pick(&[2_000, 5_000]),
        outcomes_max: 100,
        outcome_wait: Duration::from_millis(*random.pick(&[0, 20])),
        probes_per_second: 100,
        sweep_page_rows: *random.pick(&[2, 100]),
        without: None,
    }
}
