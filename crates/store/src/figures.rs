//! What the store counts of itself while it works: plain counts that whoever shows them reads as they stand.

use crate::limits::{DURATION_MICROS_BOUNDS, GROUP_OPERATIONS_BOUNDS};
use domain::delivery::DeliveryStatus;
use domain::measure::{Counter, Histogram};

/// Counts since the store was opened.
#[derive(Debug)]
pub struct Figures {
    /// Calls that are on disk by their first report.
    pub calls_created: Counter,
    /// Reports of a call that was on disk already.
    pub calls_known: Counter,
    /// Reports of a batch that were refused alone.
    pub calls_refused: Counter,
    /// Operations of each group commit.
    pub group_operations: Histogram,
    /// Microseconds of each group, its operations included.
    pub group_duration: Histogram,
    /// Microseconds in which what a group wrote was put on disk.
    pub sync_duration: Histogram,
    /// Groups of which nothing was written.
    pub groups_failed: Counter,
    /// Writes that were told to come again, because too many wait.
    pub writes_refused: Counter,
    /// Statements that were sent to a database server, for writes and reads.
    pub statements: Counter,
    /// Microseconds of each copy of the WAL into the database file.
    pub checkpoint_duration: Histogram,
    /// Copies that failed.
    pub checkpoints_failed: Counter,
    ended: [Counter; DeliveryStatus::ALL.len()],
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            calls_created: Counter::default(),
            calls_known: Counter::default(),
            calls_refused: Counter::default(),
            group_operations: Histogram::new(&GROUP_OPERATIONS_BOUNDS),
            group_duration: Histogram::new(&DURATION_MICROS_BOUNDS),
            sync_duration: Histogram::new(&DURATION_MICROS_BOUNDS),
            groups_failed: Counter::default(),
            writes_refused: Counter::default(),
            statements: Counter::default(),
            checkpoint_duration: Histogram::new(&DURATION_MICROS_BOUNDS),
            checkpoints_failed: Counter::default(),
            ended: Default::default(),
        }
    }
}

impl Figures {
    /// Deliveries that ended, by the state in which they did. One that is sent again ends again.
    pub fn deliveries_ended(&self) -> impl Iterator<Item = (DeliveryStatus, u64)> {
        let counts = DeliveryStatus::ALL.into_iter().zip(&self.ended);
        counts.filter(|(status, _)| !status.is_pending()).map(|(status, count)| (status, count.total()))
    }

    /// Notes that a delivery is in a new state.
    pub(crate) fn note(&self, status: DeliveryStatus) {
        if !status.is_pending() {
            self.ended[status as usize].add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_delivery_is_counted_under_its_state() {
        let figures = Figures::default();
        for status in DeliveryStatus::ALL {
            figures.note(status);
        }
        figures.note(DeliveryStatus::Failed);
        let counted: Vec<_> = figures.deliveries_ended().map(|(status, n)| (status.as_str(), n)).collect();
        assert_eq!(counted, [("delivered", 1), ("failed", 2), ("cancelled", 1), ("skipped", 1)]);
    }
}
