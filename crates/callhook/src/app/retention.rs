//! Retention: what businesses keep no longer is removed, with pauses between its steps in which others write.

use super::App;
use domain::business::Business;
use domain::id::{BusinessId, DeliveryId};
use domain::limits::STATISTICS_RETENTION;
use std::collections::HashMap;
use std::time::Duration;
use store::StoreResult;

/// Between two steps: some milliseconds of the writer's time each.
const PAUSE: Duration = Duration::from_millis(20);

/// Up to which delivery each business's payloads were removed. A pass goes on from there; the first one after a start looks at all.
#[derive(Default)]
pub struct Progress(HashMap<BusinessId, DeliveryId>);

/// One pass over all businesses. What fails for one is left to the next pass, and keeps nothing of another.
pub async fn run(app: &App, progress: &mut Progress) -> StoreResult<()> {
    for business in app.store.list_businesses().await? {
        let calls = purge_calls(app, &business).await;
        let payloads = purge_payloads(app, &business, progress).await;
        let statistics = purge_statistics(app, &business).await;
        for error in [calls, payloads, statistics].into_iter().filter_map(Result::err) {
            tracing::warn!(%error, business_id = %business.id, "What is past its time could not be removed and is tried again");
        }
    }
    while app.store.run_reclaim_step().await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn purge_payloads(app: &App, business: &Business, progress: &mut Progress) -> StoreResult<()> {
    let Some(days) = business.retention.payload else { return Ok(()) };
    let before = days.before(app.now());
    let (mut after, mut all_ended) = (progress.0.get(&business.id).copied(), true);
    loop {
        let purged = app.store.purge_payloads(business.id, before, after).await?;
        // Behind one that is pending, the next pass looks again.
        if let Some(ended_until) = purged.ended_until.filter(|_| all_ended) {
            progress.0.insert(business.id, ended_until);
        }
        all_ended &= purged.all_ended;
        after = purged.next;
        if after.is_none() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn purge_calls(app: &App, business: &Business) -> StoreResult<()> {
    let Some(days) = business.retention.call else { return Ok(()) };
    let (before, mut after) = (days.before(app.now()), None);
    loop {
        after = app.store.purge_calls(business.id, before, after).await?;
        if after.is_none() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    while app.store.purge_samples(business.id, before).await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Counts go with the calls, and where those are kept for ever, once nobody can ask for them any more.
async fn purge_statistics(app: &App, business: &Business) -> StoreResult<()> {
    let asked_for = app.now().before(STATISTICS_RETENTION);
    let before = business.retention.call.map_or(asked_for, |days| days.before(app.now()).max(asked_for));
    while app.store.purge_statistics(business.id, before).await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
