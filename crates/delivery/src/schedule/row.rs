//! The rows in memory: one slab, found by id, by place and by ticket.

use super::lane::Standing;
use super::message::Ticket;
use domain::Timestamp;
use domain::id::DeliveryId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::queue::{Job, Pending};

/// The order of a lane: as the store orders it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub due_at: Timestamp,
    pub id: DeliveryId,
}

impl Key {
    /// Before every row.
    pub const FIRST: Self =
        Self { due_at: Timestamp::from_millis(i64::MIN), id: DeliveryId::from_bytes([0; 16]) };
    /// Behind every row.
    pub const END: Self =
        Self { due_at: Timestamp::from_millis(i64::MAX), id: DeliveryId::from_bytes([0xff; 16]) };

    pub fn of(pending: &Pending) -> Self {
        Self { due_at: pending.due_at, id: pending.id }
    }

    /// The place right behind this row.
    pub fn next(self) -> Self {
        let next = u128::from_be_bytes(*self.id.as_bytes()).saturating_add(1);
        Self { due_at: self.due_at, id: DeliveryId::from_bytes(next.to_be_bytes()) }
    }
}

/// Where a row stands. Only `Waiting` and `Ready` rows may leave memory for the store alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not due yet.
    Waiting,
    /// Due, without a slot.
    Ready,
    /// In a slot, being read again.
    Preparing,
    /// The fallback has come: being made due.
    MakingDue,
    /// Switched off: being cancelled.
    Cancelling,
    /// In a slot, being sent.
    InFlight,
    /// Sent; the outcome is not durable yet.
    Recording,
}

/// What a row in a slot takes of the bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub host: Option<u32>,
    pub standing: Standing,
}

#[derive(Debug)]
pub(super) struct Row {
    pub pending: Pending,
    pub lane: u32,
    pub state: State,
    /// When it is due by the monotonic clock.
    pub due: Duration,
    /// Changes with every piece of work; an answer to an older one is not heard.
    pub token: u64,
    pub job: Option<Arc<Job>>,
    /// As of when the job is true.
    pub read_at: Duration,
    /// The lane's count of changes when the read of the job began.
    pub lane_changes: u32,
    /// Bytes that the job takes of the budget of bodies.
    pub held_bytes: usize,
    pub slot: Option<Slot>,
    /// What the row became in the store while its attempt was in flight, and when that is due.
    pub successor: Option<(Pending, Duration)>,
    /// The retry that the outcome asks for, by both clocks.
    pub retry: Option<(Timestamp, Duration)>,
    /// Whether this process has made an attempt of it.
    pub attempted: bool,
    /// Whether its attempt broke off in this process without a report.
    pub broke: bool,
}

impl Row {
    pub fn key(&self) -> Key {
        Key::of(&self.pending)
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Waiting | State::Ready)
    }
}

#[derive(Debug, Default)]
pub(super) struct Rows {
    slab: Vec<Option<Row>>,
    free: Vec<u32>,
    by_id: HashMap<DeliveryId, u32>,
    token: u64,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    pub fn insert(&mut self, pending: Pending, lane: u32, due: Duration) -> u32 {
        let token = self.token();
        let row = Row {
            pending,
            lane,
            state: State::Waiting,
            due,
            token,
            job: None,
            read_at: Duration::ZERO,
            lane_changes: 0,
            held_bytes: 0,
            slot: None,
            successor: None,
            retry: None,
            attempted: false,
            broke: false,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slab.push(None);
            // Cannot fail: the budget of rows is far below.
            u32::try_from(self.slab.len() - 1).unwrap_or(u32::MAX)
        });
        self.by_id.insert(pending.id, index);
        self.slab[index as usize] = Some(row);
        index
    }

    pub fn remove(&mut self, index: u32) -> Row {
        let row = self.slab[index as usize].take();
        self.free.push(index);
        let row = row.unwrap_or_else(|| unreachable!("a row is removed once"));
        if self.by_id.get(&row.pending.id) == Some(&index) {
            self.by_id.remove(&row.pending.id);
        }
        row
    }

    pub fn index_of(&self, id: DeliveryId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    pub fn get(&self, index: u32) -> &Row {
        self.slab[index as usize].as_ref().unwrap_or_else(|| unreachable!("places hold rows that are there"))
    }

    pub fn get_mut(&mut self, index: u32) -> &mut Row {
        self.slab[index as usize].as_mut().unwrap_or_else(|| unreachable!("places hold rows that are there"))
    }

    /// The row of a ticket, as long as the ticket fits.
    pub fn find(&self, ticket: Ticket) -> Option<u32> {
        let row = self.slab.get(ticket.row as usize)?.as_ref()?;
        (row.token == ticket.token).then_some(ticket.row)
    }

    /// Begins a piece of work on a row.
    pub fn ticket(&mut self, index: u32, state: State) -> Ticket {
        let token = self.token();
        let row = self.get_mut(index);
        row.state = state;
        row.token = token;
        Ticket { row: index, token }
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Row)> {
        (0u32..).zip(&self.slab).filter_map(|(index, row)| Some((index, row.as_ref()?)))
    }

    fn token(&mut self) -> u64 {
        self.token += 1;
        self.token
    }
}
