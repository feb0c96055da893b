//! Writes on their way: operations wait in a bounded queue, are run as a group in one transaction, and are answered once it is known
//! what became of its commit. What is the same for every engine; the transaction is the engine's.
//!
//! An operation that fails fails alone: where it had written already, the group is taken back and run once more, with a savepoint
//! for each operation. A group grows by what arrives while the group before it is being committed.

use crate::engine::{Sql, State};
use crate::error::{StoreError, StoreResult};
use crate::figures::Figures;
use crate::limits::{ANSWER_PATIENCE, GROUP_OPERATIONS_MAX, GROUP_ROWS_MAX, WRITER_QUEUE_MAX};
use crate::tx::{Savepoints, Told, Tx, TxShared};
use failpoint::{Point, reach};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// An operation on its way: run inside the group, then told how the commit went.
pub trait Operation: Send {
    /// How many rows it may change, as a measure of its time.
    fn rows(&self) -> usize;
    /// How it is to be run.
    fn way(&self) -> Way;
    /// Runs it; `false` where it failed, and its changes are to be undone.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Answers its caller.
    fn finish(self: Box<Self>, committed: &Result<(), NotCommitted>);
}

/// Operations that are committed together.
pub type Group = Vec<Box<dyn Operation>>;

/// What an operation asks of the writer.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// How many rows it may change.
    pub rows: usize,
    /// Whether it waits for room where the queue is full: what callhook itself has to write, and cannot tell to come again.
    pub waits: bool,
    /// How it is run where a server is asked.
    pub way: Way,
    /// Whether it may be committed beside all others: it changes rows only as they were read, by conditions that the engine checks when
    /// it has locked them.
    pub is_apart: bool,
}

/// Beside what an operation may be run, where each statement costs a way to a server and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Statement by statement beside others of this kind: none of them looks at what another writes, unless it says so by a claim.
    Gathered,
    /// Alone; its own parts beside each other.
    InParts,
    /// Alone, from its beginning to its end.
    Straight,
}

impl Demand {
    /// What a client asks for: it is told to come again where the queue is full.
    pub const fn of(rows: usize) -> Self {
        Self { rows, waits: false, way: Way::Straight, is_apart: false }
    }

    /// See [`Self::waits`].
    #[must_use]
    pub const fn waiting(self) -> Self {
        Self { waits: true, ..self }
    }

    /// See [`Way::Gathered`].
    #[must_use]
    pub const fn gathered(self) -> Self {
        Self { way: Way::Gathered, ..self }
    }

    /// See [`Self::is_apart`].
    #[must_use]
    pub const fn apart(self) -> Self {
        Self { is_apart: true, ..self }
    }

    /// See [`Way::InParts`].
    #[must_use]
    pub const fn in_parts(self) -> Self {
        Self { way: Way::InParts, ..self }
    }
}

/// Why a group was not committed, as far as anybody knows.
pub enum NotCommitted {
    /// Nothing of it was written.
    Nothing(String),
    /// It may be on disk, or not.
    Unknown(String),
}

/// A thread that runs groups, and the queue in front of it.
pub struct Writer {
    queue: Option<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on `run`, which goes on until the queue ends, and answers its groups over the runtime.
    pub fn start(
        name: &str,
        figures: Arc<Figures>,
        run: impl FnOnce(Waiting, &Handle) + Send + 'static,
    ) -> StoreResult<Self> {
        let runtime = Handle::try_current().map_err(|error| {
            StoreError::Unavailable(format!("cannot answer the writer's callers: {error}"))
        })?;
        let (queue, waiting) = Queue::new(figures);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(waiting, &runtime))
            .map_err(|error| StoreError::Unavailable(format!("cannot start the writer: {error}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Operations that wait.
    pub fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, Queue::len)
    }

    /// Waits until the operation was committed with its group.
    pub async fn write<T: Send + 'static>(
        &self,
        demand: Demand,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.queue.as_ref().ok_or_else(ended)?.write(demand, operation).await
    }
}

impl Drop for Writer {
    /// Commits what is queued, and whatever else the thread does at its end.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panicking writer has said so already.
            let _ = thread.join();
        }
    }
}

/// Where operations wait for the writer.
struct Queue {
    sender: mpsc::Sender<Box<dyn Operation>>,
    figures: Arc<Figures>,
}

/// The writer's end of the queue.
pub type Waiting = mpsc::Receiver<Box<dyn Operation>>;

impl Queue {
    /// An empty one; it ends for the writer when it is dropped.
    fn new(figures: Arc<Figures>) -> (Self, Waiting) {
        let (sender, waiting) = mpsc::channel(WRITER_QUEUE_MAX);
        (Self { sender, figures }, waiting)
    }

    fn len(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    async fn write<T: Send + 'static>(
        &self,
        demand: Demand,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (answer, answered) = oneshot::channel();
        let pending = Pending { demand, operation, result: None, answer };
        if demand.waits {
            // Who waits is served before a later caller: the queue gives its room in order.
            self.sender.send(Box::new(pending)).await.map_err(|_| ended())?;
            reach(Point::OperationQueued);
            return answered.await.map_err(|_| ended())?;
        }
        self.sender.try_send(Box::new(pending)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                self.figures.writes_refused.add(1);
                StoreError::Busy("too many writes wait")
            }
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        reach(Point::OperationQueued);
        let answered = tokio::time::timeout(ANSWER_PATIENCE, answered).await;
        let answered = answered.map_err(|_| {
            self.figures.writes_refused.add(1);
            not_answered()
        })?;
        answered.map_err(|_| ended())?
    }
}

struct Pending<F, T> {
    demand: Demand,
    operation: F,
    result: Option<StoreResult<T>>,
    answer: oneshot::Sender<StoreResult<T>>,
}

impl<F, T> Operation for Pending<F, T>
where
    F: Fn(&mut Tx<'_>) -> StoreResult<T> + Send,
    T: Send,
{
    fn rows(&self) -> usize {
        self.demand.rows
    }

    fn way(&self) -> Way {
        self.demand.way
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let result = caught(|| (self.operation)(tx));
        let fine = result.is_ok();
        self.result = Some(result);
        fine
    }

    fn finish(self: Box<Self>, committed: &Result<(), NotCommitted>) {
        let result = match committed {
            Ok(()) => self.result.unwrap_or_else(|| Err(ended())),
            // Also where it had failed by itself: perhaps for what another of the group had written, which is not there now.
            Err(NotCommitted::Nothing(reason)) => Err(StoreError::Unavailable(reason.clone())),
            Err(NotCommitted::Unknown(reason)) => Err(StoreError::Unknown(reason.clone())),
        };
        // A caller that hung up loses nothing: what was committed is told to the listener below.
        let _ = self.answer.send(result);
    }
}

/// Answers a group's callers from one task of theirs: one wake-up crosses threads instead of one for each, and the writer goes on.
pub fn answer(runtime: &Handle, group: Group, committed: Result<(), NotCommitted>) {
    runtime.spawn(async move {
        for operation in group {
            operation.finish(&committed);
        }
        reach(Point::GroupAnswered);
    });
}

/// Waits for an operation and takes what else is there, as much as one commit may hold; `false` at the end.
pub fn take(waiting: &mut Waiting, group: &mut Group) -> bool {
    let mut rows = 0;
    let mut next = waiting.blocking_recv();
    while let Some(operation) = next {
        rows += operation.rows();
        group.push(operation);
        let is_full = group.len() >= GROUP_OPERATIONS_MAX || rows >= GROUP_ROWS_MAX;
        next = if is_full { None } else { waiting.try_recv().ok() };
    }
    !group.is_empty()
}

/// Runs a group without a way back for one of it; `None` where one would have needed it.
pub fn together(
    connection: &mut dyn Sql,
    group: &mut [Box<dyn Operation>],
    shared: &TxShared,
) -> StoreResult<Option<Told>> {
    let mut told = Told::default();
    for operation in group {
        let changes = connection.changes();
        let (fine, news) = run_one(connection, operation, shared, Savepoints::Left)?;
        match news {
            Some(news) if fine => told.append(news),
            Some(_) if connection.changes() == changes && connection.state() == State::Open => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(told))
}

/// Runs a group whose operations are undone alone.
pub fn one_by_one(
    connection: &mut dyn Sql,
    group: &mut [Box<dyn Operation>],
    shared: &TxShared,
) -> StoreResult<Told> {
    let mut told = Told::default();
    for operation in group {
        connection.control("SAVEPOINT operation")?;
        let (fine, news) = run_one(connection, operation, shared, Savepoints::Set)?;
        match news {
            Some(news) if fine => told.append(news),
            _ => connection.control("ROLLBACK TO operation")?,
        }
        connection.control("RELEASE operation")?;
    }
    Ok(told)
}

fn run_one(
    connection: &mut dyn Sql,
    operation: &mut Box<dyn Operation>,
    shared: &TxShared,
    savepoints: Savepoints,
) -> StoreResult<(bool, Option<Told>)> {
    let mut tx = Tx::new(connection, shared, savepoints);
    let fine = operation.run(&mut tx);
    let news = tx.into_told();
    if connection.state() == State::Gone {
        return Err(taken_back());
    }
    reach(Point::OperationDone);
    Ok((fine, news))
}

/// A panic is the failure of the operation that panicked, not of the connection or thread that others need.
pub fn caught<T>(operation: impl FnOnce() -> StoreResult<T>) -> StoreResult<T> {
    catch_unwind(AssertUnwindSafe(operation)).unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("it left no message");
        tracing::error!(reason, "An operation of the store panicked; what it changed is undone");
        Err(StoreError::Corrupt(format!("the operation panicked: {reason}")))
    })
}

pub fn taken_back() -> StoreError {
    StoreError::Unavailable("the database took the whole group back".to_owned())
}

/// It goes on without its caller, and may be written yet.
fn not_answered() -> StoreError {
    StoreError::Unknown("it was not confirmed in time and may be written yet".to_owned())
}

pub fn ended() -> StoreError {
    StoreError::Unavailable("the writer has ended".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows_each: usize, queued: usize, expected: &[usize]) {
        let (sender, mut queue) = mpsc::channel::<Box<dyn Operation>>(WRITER_QUEUE_MAX);
        for _ in 0..queued {
            let operation = |_: &mut Tx<'_>| Ok(());
            let demand = Demand::of(rows_each);
            let pending = Pending { demand, operation, result: None, answer: oneshot::channel().0 };
            sender.try_send(Box::new(pending)).map_err(|_| "full").unwrap();
        }
        drop(sender);
        let (mut group, mut groups) = (Vec::new(), Vec::new());
        while take(&mut queue, &mut group) {
            groups.push(group.drain(..).count());
        }
        assert_eq!(groups, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_answered_in_time_and_callhook_itself_waits() {
        // Nobody takes what waits.
        let (queue, _waiting) = Queue::new(Arc::default());
        let operation = |_: &mut Tx<'_>| Ok(());
        let answer = queue.write(Demand::of(1), operation).await;
        assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
        let waits = queue.write(Demand::of(1).waiting(), operation);
        assert!(
            tokio::time::timeout(ANSWER_PATIENCE * 100, waits).await.is_err(),
            "it waits for as long as it takes"
        );
        assert_eq!(queue.len(), 2, "what was asked for is not taken back");
    }

    #[test]
    fn a_group_ends_by_operations_or_by_their_rows() {
        check(1, 1_000, &[512, 488]);
        check(500, 10, &[4, 4, 2]);
        check(5_000, 2, &[1, 1]);
        check(1, 0, &[]);
    }
}
