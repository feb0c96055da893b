//! Retention: what businesses keep no longer is removed, with pauses between its steps in which others write.

use super::App;
use domain::business::Business;
use std::time::Duration;
use store::StoreResult;

/// Between two steps: some milliseconds of the writer's time each.
const PAUSE: Duration = Duration::from_millis(20);

/// One pass over all businesses. What fails for one is left to the next pass, and keeps nothing of another.
pub async fn run(app: &App) -> StoreResult<()> {
    for business in app.store.list_businesses().await? {
        for purged in [purge_calls(app, &business).await, purge_payloads(app, &business).await] {
            if let Err(error) = purged {
                tracing::warn!(%error, business_id = %business.id, "What is past its time could not be removed and is tried again");
            }
        }
    }
    while app.store.run_reclaim_step().await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn purge_payloads(app: &App, business: &Business) -> StoreResult<()> {
    let Some(days) = business.retention.payload else { return Ok(()) };
    let (before, mut after) = (days.before(app.now()), None);
    loop {
        after = app.store.purge_payloads(business.id, before, after).await?;
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
    while app.store.purge_beside_calls(business.id, before).await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
