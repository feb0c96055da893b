//! What an operation works with: the open transaction, the time, chance, the keys, and what to tell after the commit.

use crate::engine::{Sql, State};
use crate::error::StoreResult;
use crate::figures::Figures;
use crate::queue::{Change, CommitListener, Committed, DeliveryChange, QueueId};
use crate::seal::Keyring;
use domain::id::{BusinessId, CallId, DestinationId};
use domain::{Timestamp, World};
use std::sync::Arc;
use std::time::Duration;

/// What all operations of a store share.
pub struct TxShared {
    /// Clock and chance.
    pub world: Arc<dyn World>,
    /// Opens and seals secrets.
    pub keyring: Keyring,
    /// Rules that the operator sets.
    pub rules: Rules,
    /// Hears what was committed.
    pub listener: Arc<dyn CommitListener>,
    /// Destinations with their secrets opened.
    pub destinations: crate::destination::Cache,
    /// What keys open.
    pub scopes: Arc<crate::api_key::ScopeCache>,
    /// What is counted.
    pub figures: Arc<Figures>,
}

/// Rules of the domain that the operator sets.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Base of recording links, without a slash at the end.
    pub public_url: String,
    /// How long a delivery waits for AI, from the call's end.
    pub ai_fallback: Duration,
}

/// An open transaction.
pub struct Tx<'a> {
    sql: &'a mut dyn Sql,
    shared: &'a TxShared,
    told: Told,
    shown: Vec<CallId>,
    savepoints: Savepoints,
}

/// Whether what fails can be undone alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Savepoints {
    /// It cannot: where something fails after it wrote, the whole transaction is run again with savepoints. They cost more than all else
    /// that a write does, for each of them keeps a copy of every page that changes after it; and hardly anything ever fails.
    Left,
    /// It was found out that it cannot.
    Needed,
    /// It can.
    Set,
}

/// What is to be told once the transaction is on disk.
#[derive(Default)]
pub struct Told {
    commits: Vec<Committed>,
    changes: Vec<Change>,
    keys_changed: bool,
    /// See [`Tx::tell_erased`].
    pub erased: bool,
    reports: Reports,
}

/// What became of the calls that were reported.
#[derive(Clone, Copy, Default)]
struct Reports {
    created: u64,
    known: u64,
    refused: u64,
}

/// What became of one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It made the call.
    Created,
    /// The call was there.
    Known,
    /// It was refused alone.
    Refused,
}

impl<'a> Tx<'a> {
    /// A transaction that an engine has opened.
    pub fn new(sql: &'a mut dyn Sql, shared: &'a TxShared, savepoints: Savepoints) -> Self {
        Self { sql, shared, told: Told::default(), shown: Vec::new(), savepoints }
    }

    /// The statements' door.
    pub fn sql(&mut self) -> &mut dyn Sql {
        self.sql
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let world = &*self.shared.world;
        self.sql.drawn().map_or_else(|| world.now(), |drawn| drawn.now(world))
    }

    /// So many random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let world = &*self.shared.world;
        self.sql.drawn().map_or_else(|| world.random(), |drawn| drawn.random(world))
    }

    /// The keys for secrets at rest.
    #[must_use]
    pub fn keyring(&self) -> &'a Keyring {
        &self.shared.keyring
    }

    /// The operator's rules.
    #[must_use]
    pub fn rules(&self) -> &'a Rules {
        &self.shared.rules
    }

    /// Destinations with their secrets opened.
    #[must_use]
    pub fn destinations(&self) -> &'a crate::destination::Cache {
        &self.shared.destinations
    }

    /// Seals a text.
    #[must_use]
    pub fn seal(&self, text: &str) -> Vec<u8> {
        self.keyring().seal(text.as_bytes(), self.random())
    }

    /// Opens a sealed text.
    pub fn open(&self, sealed: &[u8]) -> StoreResult<String> {
        self.keyring().open_text(sealed)
    }

    /// Tells the engine of deliveries about something after the commit.
    pub fn tell(&mut self, committed: Committed) {
        self.told.commits.push(committed);
    }

    /// Tells dashboards of a change of a delivery after the commit.
    pub fn tell_change(&mut self, change: DeliveryChange) {
        self.told.changes.push(Change::Delivery(change));
    }

    /// Tells dashboards after the commit that a redelivery of the business got on.
    pub fn tell_redelivery(&mut self, business_id: BusinessId) {
        self.told.changes.push(Change::Redelivery(business_id));
    }

    /// Counts a report, once it is on disk.
    pub fn tell_reported(&mut self, reported: Reported) {
        let reports = &mut self.told.reports;
        *match reported {
            Reported::Created => &mut reports.created,
            Reported::Known => &mut reports.known,
            Reported::Refused => &mut reports.refused,
        } += 1;
    }

    /// An API key was revoked: what is remembered of keys is forgotten with the commit, whether or not its caller still waits.
    pub fn tell_keys_changed(&mut self) {
        self.told.keys_changed = true;
    }

    /// Something was erased: no trace of it may stay in what the engine has written of it before.
    pub fn tell_erased(&mut self) -> StoreResult<()> {
        let mark: [u8; 16] = self.random();
        self.sql.execute(crate::erasure::MARK, &[(&mark).into()])?;
        self.tell_log_holds_it();
        Ok(())
    }

    /// The engine's log holds what may not stay there.
    pub fn tell_log_holds_it(&mut self) {
        self.told.erased = true;
    }

    /// The operation's response shows this call.
    pub fn show(&mut self, call_id: CallId) {
        self.shown.push(call_id);
    }

    /// The calls that the operation's response shows.
    #[must_use]
    pub fn shown(&self) -> Vec<CallId> {
        self.shown.clone()
    }

    /// Does a part that may fail for its own data and must not take the rest with it: then nothing of it is written or told,
    /// and the inner result says why. A failure of the store itself is the outer one.
    pub(crate) fn alone<T>(
        &mut self,
        part: impl FnOnce(&mut Self) -> StoreResult<T>,
    ) -> StoreResult<StoreResult<T>> {
        let told = (self.told.commits.len(), self.told.changes.len(), self.told.reports);
        let changes = self.sql.changes();
        let is_set = self.savepoints == Savepoints::Set;
        if is_set {
            self.sql.control("SAVEPOINT part")?;
        }
        let result = part(self);
        match &result {
            Ok(_) => {}
            Err(error) if error.is_of_data() => {
                if is_set {
                    self.sql.control("ROLLBACK TO part")?;
                } else if self.sql.changes() > changes || self.sql.state() != State::Open {
                    self.savepoints = Savepoints::Needed;
                    return result.map(Ok);
                }
                self.told.commits.truncate(told.0);
                self.told.changes.truncate(told.1);
                self.told.reports = told.2;
            }
            Err(_) => return result.map(Ok),
        }
        if is_set {
            self.sql.control("RELEASE part")?;
        }
        Ok(result)
    }

    /// Does the same with each of several things that have nothing to do with each other, in order.
    pub(crate) fn each<I, T>(
        &mut self,
        items: impl IntoIterator<Item = I>,
        mut one: impl FnMut(&mut Self, I) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let (mut done, mut waiting) = (Vec::new(), None);
        for (part, item) in items.into_iter().enumerate() {
            self.sql.enter(Some(part));
            match one(self, item) {
                Ok(result) => done.push(result),
                Err(error) if self.sql.is_waiting() => waiting = Some(error),
                Err(error) => return Err(error),
            }
        }
        self.sql.enter(None);
        waiting.map_or(Ok(done), Err)
    }

    /// What was to be told; `None` where a part failed that cannot be undone alone.
    #[must_use]
    pub fn into_told(self) -> Option<Told> {
        (self.savepoints != Savepoints::Needed).then_some(self.told)
    }
}

impl Told {
    /// Takes what another operation of the same group tells.
    pub fn append(&mut self, mut other: Self) {
        self.commits.append(&mut other.commits);
        self.changes.append(&mut other.changes);
        self.keys_changed |= other.keys_changed;
        self.erased |= other.erased;
        self.reports.created += other.reports.created;
        self.reports.known += other.reports.known;
        self.reports.refused += other.reports.refused;
    }

    /// Counts it and tells it.
    pub fn tell(self, shared: &TxShared) {
        let figures = &shared.figures;
        figures.calls_created.add(self.reports.created);
        figures.calls_known.add(self.reports.known);
        figures.calls_refused.add(self.reports.refused);
        for change in &self.changes {
            if let Change::Delivery(change) = change {
                figures.note(change.status);
            }
        }
        if self.keys_changed {
            shared.scopes.forget();
        }
        if !self.commits.is_empty() {
            shared.listener.committed(self.commits);
        }
        if !self.changes.is_empty() {
            shared.listener.changed(self.changes);
        }
    }
}

/// The queue of a lane: all rows of one lane lie in one queue.
#[must_use]
pub fn queue_of(lane: DestinationId) -> QueueId {
    let [.., last] = *lane.as_bytes();
    QueueId(u16::from(last) % crate::limits::QUEUES)
}
