//! The store as the dispatcher sees it where traces are taken: it notes when outcomes are on disk.

use super::Tracer;
use async_trait::async_trait;
use domain::Timestamp;
use domain::id::DestinationId;
use std::sync::Arc;
use store::StoreResult;
use store::queue::{LanePage, Lease, Outcome, OutcomeApplied, Pending, Prepared, QueueStore};
use tokio::time::Instant;

/// Passes everything on.
pub struct TracedStore {
    /// Who does the work.
    pub store: Arc<dyn QueueStore>,
    /// Who hears of it.
    pub tracer: Arc<Tracer>,
}

#[async_trait]
impl QueueStore for TracedStore {
    async fn adopt_queues(&self) -> StoreResult<Vec<Lease>> {
        self.store.adopt_queues().await
    }

    async fn release_queues(&self) -> StoreResult<()> {
        self.store.release_queues().await
    }

    async fn lane_heads(
        &self,
        due_by: Timestamp,
        after: Option<DestinationId>,
        limit: usize,
    ) -> StoreResult<Vec<Pending>> {
        self.store.lane_heads(due_by, after, limit).await
    }

    async fn load_lane(&self, lane: DestinationId, limit: usize) -> StoreResult<LanePage> {
        self.store.load_lane(lane, limit).await
    }

    async fn prepare(&self, rows: Vec<Pending>) -> StoreResult<Vec<Prepared>> {
        self.store.prepare(rows).await
    }

    async fn make_due(&self, rows: Vec<Pending>) -> StoreResult<Vec<Prepared>> {
        self.store.make_due(rows).await
    }

    async fn cancel_switched_off(&self, rows: Vec<Pending>) -> StoreResult<()> {
        self.store.cancel_switched_off(rows).await
    }

    async fn record_outcomes(&self, outcomes: Arc<Vec<Outcome>>) -> StoreResult<Vec<OutcomeApplied>> {
        let began = Instant::now();
        let applied = self.store.record_outcomes(Arc::clone(&outcomes)).await?;
        for (outcome, applied) in outcomes.iter().zip(&applied) {
            // Of what could not be recorded, or belongs to an erased call, nothing is on disk.
            if !matches!(applied, OutcomeApplied::Unrecorded | OutcomeApplied::Gone) {
                self.tracer.recorded(outcome, began.elapsed(), *applied == OutcomeApplied::Ended);
            }
        }
        Ok(applied)
    }
}
