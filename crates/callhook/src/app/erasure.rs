//! After erasures: what the store has left of them in its pages is overwritten, with pauses in which others work.

use super::App;
use std::time::Duration;
use store::StoreResult;

/// Between two steps: a tenth of a processor's time at the most, and 100 MB a second.
const PAUSE: Duration = Duration::from_millis(20);

/// One pass over the store, if something was erased.
pub async fn run(app: &App) -> StoreResult<()> {
    let mut pass = app.store.begin_remains_pass().await?;
    while let Some(step) = pass {
        pass = app.store.run_remains_step(step).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
