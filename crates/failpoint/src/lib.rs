//! Named moments at which a test ends the program as a crash would. What is shipped has none: there [`reach`] does nothing.
//!
//! Built with the feature `armed`, the program takes `CALLHOOK_FAIL_POINT=GroupCommitted@3` and ends by SIGKILL when it comes
//! there for the third time; `CALLHOOK_FAIL_POINT=list` prints all of them, which is where the tests take their cases from.

#[cfg(feature = "armed")]
mod armed;

/// Declares the points with the part of the program's life in which each is reached.
macro_rules! points {
    ($($(#[$meaning:meta])+ $name:ident: $part:ident,)+) => {
        /// A moment after which everything may be gone but what is on disk.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point {
            $($(#[$meaning])+ $name,)+
        }

        #[cfg(feature = "armed")]
        impl Point {
            const ALL: &[(Self, Part)] = &[$((Self::$name, Part::$part),)+];
        }
    };
}

/// When a point is reached.
#[cfg(feature = "armed")]
#[derive(Clone, Copy, Debug)]
enum Part {
    /// At each start.
    Start,
    /// While work is done.
    Work,
    /// At a stop that was asked for.
    Stop,
}

points! {
    /// The store is this process's: its folder, or its schema.
    StoreLocked: Start,
    /// The store is there: its file with the settings, or its schema with the first tables.
    StoreOpened: Start,
    /// A step of the tables' history is done.
    TablesBroughtUpToDate: Start,
    /// What the last process left in the log is in the database file.
    StoreCheckpointed: Start,
    /// A queue is taken over, not yet committed.
    QueueAdopted: Start,
    /// All queues are this process's, and that is on disk.
    QueuesAdopted: Start,
    /// The first pending rows were read.
    FirstRowsRead: Start,

    /// A request's operation waits for the writer.
    OperationQueued: Work,
    /// The writer has taken what waits.
    GroupTaken: Work,
    /// One operation of a group is done, in the transaction.
    OperationDone: Work,
    /// All of a group is done; next it is committed.
    GroupDone: Work,
    /// A group is on disk, and nobody knows.
    GroupCommitted: Work,
    /// The engine of deliveries was told; no caller was answered.
    GroupTold: Work,
    /// All callers of a group were answered.
    GroupAnswered: Work,
    /// A call is inserted, its delivery not yet.
    CallInserted: Work,
    /// A body is frozen; its delivery does not have it yet.
    BodyFrozen: Work,
    /// Before an attempt: nothing was sent.
    AttemptBegun: Work,
    /// The receiver's status has come.
    AnswerBegun: Work,
    /// An attempt has ended; nobody knows how.
    AttemptEnded: Work,
    /// Outcomes are on their way to the writer.
    OutcomesGiven: Work,
    /// A delivery has its next state; the attempt is not on record yet.
    StateWritten: Work,
    /// A late attempt is on record: its delivery had been changed meanwhile.
    LateAttemptRecorded: Work,
    /// The store has recorded outcomes; the schedule does not know.
    OutcomesRecorded: Work,
    /// A job's step is done; that it was is not written yet.
    JobStepDone: Work,
    /// A job's first step left work behind, which is not written yet.
    JobLeft: Work,
    /// A step of upkeep is done, not yet committed.
    UpkeepStepDone: Work,
    /// A call's deliveries are gone, the call itself is not.
    CallErased: Work,
    /// Bodies and attempts past their time are removed, not yet committed.
    PayloadsPurged: Work,
    /// Calls past their time are removed, not yet committed.
    CallsPurged: Work,
    /// Tests with sample data past their time are removed, not yet committed.
    SamplesPurged: Work,
    /// Counts past their time are removed, not yet committed.
    StatisticsPurged: Work,
    /// Free pages are given back to the file system, not yet committed.
    SpaceGivenBack: Work,
    /// What an erasure left in pages is overwritten, not yet committed.
    RemainsRemoved: Work,
    /// Something was erased: the log that holds it is about to be emptied.
    WipeBegun: Work,
    /// The log was emptied after an erasure.
    LogWiped: Work,
    /// The log is long: it is about to be copied into the database file.
    CheckpointBegun: Work,
    /// The log was copied; the writer copies what came meanwhile.
    CheckpointCopied: Work,
    /// The log begins anew.
    CheckpointEnded: Work,

    /// Nothing is in flight any more, the queues are still held.
    DeliveriesDrained: Stop,
    /// The queues were given back.
    QueuesReleased: Stop,
    /// The writer has ended; the log is still to be copied.
    WriterEnded: Stop,
    /// All is in one file.
    LastCheckpointDone: Stop,
}

/// Whether this is the tests' build, in which some bounds are small enough to be met in seconds.
pub const ARMED: bool = cfg!(feature = "armed");

/// The program comes by. What is shipped does nothing here.
#[cfg(not(feature = "armed"))]
pub const fn reach(_: Point) {}

/// The program comes by, and ends here if the test wants it.
#[cfg(feature = "armed")]
pub fn reach(point: Point) {
    armed::reach(point);
}

/// Reads what the test wants. What is shipped does nothing here.
#[cfg(not(feature = "armed"))]
pub const fn arm() {}

/// Reads what the test wants: to end somewhere, or to see the list. Ends the program where that cannot be read.
#[cfg(feature = "armed")]
pub fn arm() {
    armed::arm();
}
