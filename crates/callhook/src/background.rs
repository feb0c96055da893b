//! What goes on beside requests and deliveries: jobs in steps, calls whose legs are waited for, upkeep, commands.

use crate::admin;
use crate::app::{self, App, source};
use delivery::dispatcher::Dispatcher;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

/// How often jobs are looked for. A job's first step runs in the commit that asks for it.
const JOBS_EVERY: Duration = Duration::from_millis(500);
/// How often calls are looked for whose legs were waited for long enough: a fraction of the shortest wait.
const LEGS_EVERY: Duration = Duration::from_millis(250);
/// How often the dispatcher is looked at: as often as it sweeps.
const WATCH_EVERY: Duration = Duration::from_secs(10);
/// How often forms that were typed and not saved are looked through.
const TYPED_FORMS_EVERY: Duration = Duration::from_secs(10);
/// How often what is past its time is removed.
const UPKEEP_EVERY: Duration = Duration::from_mins(10);
/// How often what businesses keep no longer is looked for; retention counts in days.
const RETENTION_EVERY: Duration = Duration::from_hours(1);

/// How often what was erased is looked for in the store's pages.
const REMAINS_EVERY: Duration = Duration::from_secs(1);

/// The running tasks.
pub struct Background(JoinSet<()>);

/// Starts them.
pub fn start(app: &Arc<App>, dispatcher: &Arc<Dispatcher>, commands: Option<UnixListener>) -> Background {
    let mut tasks = JoinSet::new();
    tasks.spawn(watch(Arc::clone(dispatcher)));
    tasks.spawn(jobs(Arc::clone(app)));
    tasks.spawn(legs(Arc::clone(app)));
    tasks.spawn(upkeep(Arc::clone(app)));
    tasks.spawn(typed_forms(Arc::clone(app)));
    tasks.spawn(retention(Arc::clone(app)));
    tasks.spawn(remains(Arc::clone(app)));
    if let Some(listener) = commands {
        tasks.spawn(admin::answer_commands(listener, Arc::clone(app)));
    }
    Background(tasks)
}

impl Background {
    /// Answers when one of them has ended, which none does by itself: a part of the program is gone.
    pub async fn failed(&mut self) {
        self.0.join_next().await;
    }

    /// Ends them. Each works in steps that are whole in the store, so that it can end anywhere.
    pub async fn stop(mut self) {
        self.0.shutdown().await;
    }
}

/// Says when the nets under the deliveries catch something, and ends when the dispatcher has ended.
async fn watch(dispatcher: Arc<Dispatcher>) {
    let mut interval = tokio::time::interval(WATCH_EVERY);
    let (mut found_by_sweep, mut store_was_away) = (0, false);
    loop {
        interval.tick().await;
        let Some(snapshot) = dispatcher.observer().snapshot().await else { return };
        if snapshot.found_by_sweep_total > found_by_sweep {
            let found = snapshot.found_by_sweep_total - found_by_sweep;
            tracing::warn!(found, "Deliveries were due and in nobody's memory; they were taken up");
        }
        if snapshot.store_away && !store_was_away {
            tracing::warn!("The store does not take outcomes: sending pauses until it does");
        }
        (found_by_sweep, store_was_away) = (snapshot.found_by_sweep_total, snapshot.store_away);
    }
}

async fn jobs(app: Arc<App>) {
    let mut interval = tokio::time::interval(JOBS_EVERY);
    loop {
        interval.tick().await;
        while heard(app.store.run_job_step().await, "A job's step failed and is tried again") {
            // Between two steps others have their turn.
            tokio::task::yield_now().await;
        }
    }
}

async fn legs(app: Arc<App>) {
    let mut interval = tokio::time::interval(LEGS_EVERY);
    loop {
        interval.tick().await;
        let done = source::run_due(&app).await.map(|()| false);
        heard(done, "Calls whose legs were waited for could not be ended and are tried again");
    }
}

async fn upkeep(app: Arc<App>) {
    let mut interval = tokio::time::interval(UPKEEP_EVERY);
    loop {
        interval.tick().await;
        while heard(app.store.run_upkeep_step().await, "A step of upkeep failed and is tried again") {
            tokio::task::yield_now().await;
        }
    }
}

/// What was typed and not saved may hold secrets, which stay in memory no longer than is said, whether or not anybody asks.
async fn typed_forms(app: Arc<App>) {
    let mut interval = tokio::time::interval(TYPED_FORMS_EVERY);
    loop {
        interval.tick().await;
        app.typed.forget_old();
    }
}

async fn retention(app: Arc<App>) {
    let mut interval = tokio::time::interval(RETENTION_EVERY);
    let mut progress = app::retention::Progress::default();
    loop {
        interval.tick().await;
        let done = app::retention::run(&app, &mut progress).await.map(|()| false);
        heard(done, "A pass of retention broke off and is made again");
    }
}

async fn remains(app: Arc<App>) {
    let mut interval = tokio::time::interval(REMAINS_EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let done = app::erasure::run(&app).await.map(|()| false);
        heard(done, "What was erased is not overwritten everywhere yet; that is tried again");
    }
}

/// Whether there is more to do; a failure is logged and waits for the next round.
fn heard(done: Result<bool, StoreError>, failed: &str) -> bool {
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "{failed}");
        false
    })
}
