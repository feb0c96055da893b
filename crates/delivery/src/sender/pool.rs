//! Idle connections, to be used again: few for each origin, few in all, none for long.

use super::connect::Connection;
use super::limits;
use super::origin::Origin;
use http::HeaderMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// **Invariant:** `count` is the number of connections in all lists, and no list is empty.
#[derive(Default)]
struct Idle {
    by_origin: HashMap<Origin, Vec<(Connection, Instant)>>,
    count: usize,
    swept: bool,
}

#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Idle>>);

impl Pool {
    /// The connection to the origin that was used last, if one is fit for use.
    pub fn take(&self, origin: &Origin) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = self.lock();
        loop {
            let list = idle.by_origin.get_mut(origin)?;
            let taken = list.pop();
            if list.is_empty() {
                idle.by_origin.remove(origin);
            }
            let (connection, since) = taken?;
            idle.count -= 1;
            if is_usable(&connection, since, now) {
                return Some(connection);
            }
        }
    }

    /// Takes a connection back whose answer was read to its end, as soon as it can take the next request.
    pub fn give_back(&self, mut connection: Connection) {
        if connection.requests.is_ready() {
            self.put(connection);
            return;
        }
        let pool = self.clone();
        // An endpoint may have answered before it took the whole request: that one is not waited for.
        tokio::spawn(async move {
            if let Ok(Ok(())) = timeout(limits::DRAIN_DURATION_MAX, connection.requests.ready()).await {
                pool.put(connection);
            }
        });
    }

    fn put(&self, connection: Connection) {
        let now = Instant::now();
        let mut idle = self.lock();
        if idle.count >= limits::IDLE_CONNECTIONS_MAX || !is_usable(&connection, now, now) {
            return;
        }
        let list = idle.by_origin.entry(connection.origin.clone()).or_default();
        if list.len() >= limits::IDLE_CONNECTIONS_PER_ORIGIN_MAX {
            return;
        }
        list.push((connection, now));
        idle.count += 1;
        if !std::mem::replace(&mut idle.swept, true) {
            self.sweep_while_needed();
        }
    }

    /// Closes what was idle for too long; runs only while something is idle.
    fn sweep_while_needed(&self) {
        let pool = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                sleep(limits::IDLE_DURATION_UNTOLD).await;
                let Some(pool) = pool.upgrade() else { return };
                if Self(pool).sweep() == 0 {
                    return;
                }
            }
        });
    }

    /// How many connections are kept now.
    #[cfg(test)]
    pub fn idle_connections(&self) -> usize {
        self.lock().count
    }

    /// Closes what is unfit; gives the number of what is left.
    pub fn sweep(&self) -> usize {
        let now = Instant::now();
        let mut idle = self.lock();
        for list in idle.by_origin.values_mut() {
            list.retain(|(connection, since)| is_usable(connection, *since, now));
        }
        idle.by_origin.retain(|_, list| !list.is_empty());
        idle.count = idle.by_origin.values().map(Vec::len).sum();
        idle.swept = idle.count > 0;
        idle.count
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // Nothing is left half done by a panic under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_usable(connection: &Connection, since: Instant, now: Instant) -> bool {
    !connection.requests.is_closed()
        && now.duration_since(since) < connection.idle_max
        && now.duration_since(connection.made_at) < limits::CONNECTION_AGE_MAX
}

/// How long the server of this answer lets an idle connection live for us (`Keep-Alive: timeout=5`).
pub(super) fn idle_max(headers: &HeaderMap) -> Duration {
    let told = headers.get("keep-alive").and_then(|value| value.to_str().ok()).and_then(|value| {
        let parameters = value.split(',').filter_map(|parameter| parameter.split_once('='));
        let mut seconds = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"));
        seconds.next()?.1.trim().parse().ok()
    });
    let told = told.map(|seconds| Duration::from_secs(seconds).saturating_sub(limits::IDLE_MARGIN));
    told.unwrap_or(limits::IDLE_DURATION_UNTOLD).min(limits::IDLE_DURATION_MAX)
}
