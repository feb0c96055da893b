//! The store as a model: rows with versions, conditional commits, and what the committer hands over.

use delivery::schedule::{Now, Start};
use domain::Timestamp;
use domain::delivery::DeliveryKind;
use domain::destination::{Destination, DestinationSettings, DestinationUrl, SigningSecret, SigningSecrets};
use domain::id::{BusinessId, CallFlowId, DeliveryId, DestinationId};
use domain::payload::FrozenBody;
use domain::retry::Verdict;
use domain::secret::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::queue::{
    Committed, Job, LanePage, Lease, Outcome, OutcomeApplied, Pending, PendingKind, Prepared, QueueId,
};

pub const QUEUE: QueueId = QueueId(0);

/// What the model leaves undone, to see that the world notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// An outcome is applied whatever has become of the delivery.
    UnconditionalOutcome,
    /// The fallback fires whatever AI has done.
    UnconditionalFallback,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Waiting,
    Scheduled,
    Delivered,
    Failed,
    Cancelled,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub lane: usize,
    pub status: Status,
    pub due_at: Timestamp,
    /// When it is due by the world's true time; what a jump of the wall clock does not change.
    pub due_true: u64,
    pub planned_true: u64,
    pub version: u64,
    /// Whether each attempt on record was a success.
    pub attempts: Vec<bool>,
    /// The same for those that count in the series.
    pub series: Vec<bool>,
    pub waits_for_ai: bool,
    pub fired: u32,
    pub cancelled_true: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Lane {
    pub id: DestinationId,
    pub business: BusinessId,
    pub host: usize,
    pub enabled: bool,
    pub sealed: bool,
    pub revision: u64,
    pub disabled_true: Option<u64>,
}

#[derive(Debug, Default)]
pub struct Model {
    pub rows: BTreeMap<DeliveryId, Row>,
    pub lanes: Vec<Lane>,
    pub epoch: u64,
    pub unclean_until: Option<Timestamp>,
    pub flaw: Option<Flaw>,
    /// Whether outcomes and fallbacks are handed over as well, beside their answers.
    pub hands_over_own: bool,
    pub body_bytes: usize,
    /// Rows that cannot be read, so that nothing of them can be sent.
    pub unreadable: BTreeSet<DeliveryId>,
    /// Rows whose outcomes do not fit what is stored.
    pub unrecordable: BTreeSet<DeliveryId>,
    /// Deliveries are tests of a webhook.
    pub sends_tests: bool,
    pub next: u64,
}

pub fn delivery_id(number: u64) -> DeliveryId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    DeliveryId::from_bytes(bytes)
}

pub fn lane_id(number: usize) -> DestinationId {
    DestinationId::from_bytes([u8::try_from(number + 1).unwrap(); 16])
}

pub fn business_id(number: usize) -> BusinessId {
    BusinessId::from_bytes([u8::try_from(number + 1).unwrap(); 16])
}

impl Row {
    pub fn is_pending(&self) -> bool {
        matches!(self.status, Status::Waiting | Status::Scheduled)
    }
}

impl Model {
    pub fn lease(&self) -> Lease {
        Lease { queue: QUEUE, epoch: self.epoch, unclean_until: self.unclean_until }
    }

    pub fn pending(&self, id: DeliveryId) -> Option<Pending> {
        let row = self.rows.get(&id).filter(|row| row.is_pending())?;
        let lane = &self.lanes[row.lane];
        let kind = if row.status == Status::Waiting { PendingKind::Fallback } else { PendingKind::Attempt };
        Some(Pending {
            id,
            lane: lane.id,
            call_id: None,
            call_flow_id: CallFlowId::from_bytes([1; 16]),
            business_id: lane.business,
            queue: QUEUE,
            kind,
            due_at: row.due_at,
            version: row.version,
        })
    }

    pub fn job(&self, id: DeliveryId) -> Option<Arc<Job>> {
        let pending = self.pending(id)?;
        let row = &self.rows[&id];
        let lane = &self.lanes[row.lane];
        let url = format!("http://host-{}.example/{}", lane.host, lane.revision);
        let settings = DestinationSettings {
            enabled: true,
            url: Some(DestinationUrl::parse(&url).unwrap()),
            ..DestinationSettings::default()
        };
        let current = SigningSecret::from_secret(Secret::new("whsec_"));
        let destination = Destination {
            id: lane.id,
            business_id: lane.business,
            call_flow_id: CallFlowId::from_bytes([1; 16]),
            settings,
            signing: SigningSecrets { current, previous: None },
        };
        Some(Arc::new(Job {
            pending,
            kind: if self.sends_tests { DeliveryKind::Test } else { DeliveryKind::Call },
            attempt: u32::try_from(row.attempts.len() + 1).unwrap(),
            attempt_in_series: u32::try_from(row.series.len() + 1).unwrap(),
            destination: Arc::new(destination),
            body: Arc::new(FrozenBody::from_bytes(vec![0; self.body_bytes])),
        }))
    }

    fn planned(&self, now: Now, id: DeliveryId) -> Vec<Committed> {
        let Some(pending) = self.pending(id) else { return Vec::new() };
        let job = (pending.kind == PendingKind::Attempt).then(|| self.job(id)).flatten();
        vec![Committed::Planned { pending, wait: pending.due_at.since(now.wall), job }]
    }

    pub fn report(&mut self, now: Now, lane: usize, wait_for_ai: Option<u64>) -> Vec<Committed> {
        self.next += 1;
        let id = delivery_id(self.next);
        let true_now = true_ms(now);
        let wait = wait_for_ai.unwrap_or(0);
        let row = Row {
            lane,
            status: if wait_for_ai.is_some() { Status::Waiting } else { Status::Scheduled },
            due_at: later(now.wall, wait),
            due_true: true_now + wait,
            planned_true: true_now,
            version: 1,
            attempts: Vec::new(),
            series: Vec::new(),
            waits_for_ai: wait_for_ai.is_some(),
            fired: u32::from(wait_for_ai.is_none()),
            cancelled_true: None,
        };
        if !self.lanes[lane].enabled {
            return Vec::new();
        }
        self.rows.insert(id, row);
        self.planned(now, id)
    }

    fn make_due_row(&mut self, now: Now, id: DeliveryId) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.status = Status::Scheduled;
            row.fired += 1;
            row.version += 1;
            row.due_at = now.wall;
            row.due_true = true_ms(now);
            row.planned_true = row.due_true;
        }
    }

    pub fn ai_ends(&mut self, now: Now, id: DeliveryId) -> Vec<Committed> {
        if self.rows.get(&id).is_none_or(|row| row.status != Status::Waiting || !self.lanes[row.lane].enabled)
        {
            return Vec::new();
        }
        self.make_due_row(now, id);
        self.planned(now, id)
    }

    pub fn cancel(&mut self, now: Now, id: DeliveryId) -> Vec<Committed> {
        let Some(row) = self.rows.get_mut(&id).filter(|row| row.is_pending()) else { return Vec::new() };
        row.status = Status::Cancelled;
        row.version += 1;
        row.cancelled_true = Some(true_ms(now));
        vec![Committed::Left(id, self.lanes[row.lane].id)]
    }

    pub fn erase(&mut self, id: DeliveryId) -> Vec<Committed> {
        let Some(row) = self.rows.remove(&id) else { return Vec::new() };
        vec![Committed::Left(id, self.lanes[row.lane].id)]
    }

    pub fn redeliver(&mut self, now: Now, id: DeliveryId) -> Vec<Committed> {
        let Some(row) =
            self.rows.get_mut(&id).filter(|row| !row.is_pending() && self.lanes[row.lane].enabled)
        else {
            return Vec::new();
        };
        row.status = Status::Scheduled;
        row.version += 1;
        row.series.clear();
        row.due_at = now.wall;
        row.due_true = true_ms(now);
        row.planned_true = row.due_true;
        row.cancelled_true = None;
        row.fired = row.fired.max(1);
        self.planned(now, id)
    }

    pub fn change_lane(&mut self, now: Now, lane: usize, enabled: bool) -> Vec<Committed> {
        let lane = &mut self.lanes[lane];
        lane.revision += 1;
        if lane.enabled != enabled {
            lane.disabled_true = (!enabled).then_some(true_ms(now));
        }
        lane.enabled = enabled;
        vec![Committed::LaneChanged(lane.id)]
    }

    pub fn lane_heads(&self, due_by: Timestamp, after: Option<DestinationId>, limit: usize) -> Vec<Pending> {
        let mut heads: BTreeMap<DestinationId, Pending> = BTreeMap::new();
        for pending in self.rows.keys().filter_map(|&id| self.pending(id)) {
            if pending.due_at <= due_by && after.is_none_or(|after| pending.lane > after) {
                let head = heads.entry(pending.lane).or_insert(pending);
                if (pending.due_at, pending.id) < (head.due_at, head.id) {
                    *head = pending;
                }
            }
        }
        heads.into_values().take(limit).collect()
    }

    pub fn load_lane(&self, lane: DestinationId, limit: usize) -> LanePage {
        let of_lane = |pending: &Pending| pending.lane == lane;
        let mut rows: Vec<Pending> =
            self.rows.keys().filter_map(|&id| self.pending(id)).filter(of_lane).collect();
        rows.sort_by_key(|pending| (pending.due_at, pending.id));
        let more = rows.len() > limit;
        rows.truncate(limit);
        LanePage { rows, more }
    }

    pub fn prepare(&self, rows: &[Pending]) -> Vec<Prepared> {
        rows.iter().map(|row| self.prepare_one(row)).collect()
    }

    fn prepare_one(&self, asked: &Pending) -> Prepared {
        let Some(pending) = self.pending(asked.id) else { return Prepared::Gone(asked.id) };
        let lane = &self.lanes[self.rows[&asked.id].lane];
        if !lane.enabled {
            Prepared::SwitchedOff(pending)
        } else if lane.sealed || self.unreadable.contains(&asked.id) {
            Prepared::Unreadable(pending)
        } else if pending != *asked {
            Prepared::Changed(pending)
        } else {
            self.job(asked.id).map_or(Prepared::Gone(asked.id), Prepared::Send)
        }
    }

    pub fn make_due(&mut self, now: Now, rows: &[Pending]) -> (Vec<Prepared>, Vec<Committed>) {
        let mut committed = Vec::new();
        let mut answers = Vec::new();
        for asked in rows {
            let answer = match self.prepare_one(asked) {
                Prepared::Send(_) => {
                    self.make_due_row(now, asked.id);
                    committed.extend(self.planned(now, asked.id));
                    self.job(asked.id).map_or(Prepared::Gone(asked.id), Prepared::Send)
                }
                Prepared::Changed(_) if self.flaw == Some(Flaw::UnconditionalFallback) => {
                    self.make_due_row(now, asked.id);
                    self.job(asked.id).map_or(Prepared::Gone(asked.id), Prepared::Send)
                }
                other => other,
            };
            answers.push(answer);
        }
        if !self.hands_over_own {
            committed.clear();
        }
        (answers, committed)
    }

    pub fn cancel_switched_off(&mut self, now: Now, rows: &[Pending]) -> Vec<Committed> {
        let mut committed = Vec::new();
        for asked in rows {
            let off = self.rows.get(&asked.id).is_some_and(|row| !self.lanes[row.lane].enabled);
            if off && self.pending(asked.id).is_some_and(|pending| pending.version == asked.version) {
                committed.extend(self.cancel(now, asked.id));
            }
        }
        committed
    }

    /// `ended_true` says when each attempt ended by the world's true time.
    pub fn record(
        &mut self,
        now: Now,
        outcomes: &[Outcome],
        ended_true: impl Fn(&Outcome) -> u64,
    ) -> (Vec<OutcomeApplied>, Vec<Committed>) {
        let mut committed = Vec::new();
        let mut answers = Vec::new();
        for outcome in outcomes {
            let applied = self.record_one(outcome, ended_true(outcome));
            if matches!(applied, OutcomeApplied::Next(_)) && self.hands_over_own {
                committed.extend(self.planned(now, outcome.pending.id));
            }
            answers.push(applied);
        }
        (answers, committed)
    }

    fn record_one(&mut self, outcome: &Outcome, ended_true: u64) -> OutcomeApplied {
        let id = outcome.pending.id;
        if self.unrecordable.contains(&id) {
            return OutcomeApplied::Unrecorded;
        }
        let current = self.pending(id).is_some_and(|pending| pending.version == outcome.pending.version);
        let applies = current && outcome.epoch == self.epoch || self.flaw == Some(Flaw::UnconditionalOutcome);
        let Some(row) = self.rows.get_mut(&id) else { return OutcomeApplied::Gone };
        let success = outcome.verdict == Verdict::Delivered;
        let number = usize::try_from(outcome.attempt.attempt).unwrap();
        if row.attempts.len() >= number {
            // Given again: it was applied before.
            return match self.pending(id) {
                Some(next) if next.version == outcome.pending.version + 1 => OutcomeApplied::Next(next),
                Some(_) => OutcomeApplied::Late,
                None => OutcomeApplied::Ended,
            };
        }
        row.attempts.push(success);
        if !applies {
            if success && row.status == Status::Cancelled {
                row.status = Status::Delivered;
                row.version += 1;
            }
            return OutcomeApplied::Late;
        }
        row.series.push(success);
        row.version += 1;
        match outcome.verdict {
            Verdict::Delivered => row.status = Status::Delivered,
            Verdict::Failed => row.status = Status::Failed,
            Verdict::RetryAt(at) => {
                row.status = Status::Scheduled;
                row.due_at = at;
                row.planned_true = ended_true;
                row.due_true = ended_true + u64::try_from(at.since(outcome.ended_at).as_millis()).unwrap();
            }
        }
        self.pending(id).map_or(OutcomeApplied::Ended, OutcomeApplied::Next)
    }

    pub fn revision_of(start: &Start) -> u64 {
        let url = start.job.destination.settings.url.as_ref().unwrap();
        url.as_url().path().trim_start_matches('/').parse().unwrap()
    }
}

pub fn true_ms(now: Now) -> u64 {
    u64::try_from(now.elapsed.as_millis()).unwrap()
}

fn later(wall: Timestamp, wait_ms: u64) -> Timestamp {
    wall.after(std::time::Duration::from_millis(wait_ms))
}
