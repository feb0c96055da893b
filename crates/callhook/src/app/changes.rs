//! Changes of a business's deliveries and redeliveries, as they are committed: hints for whoever shows them. Who needs all reads the list.

use super::App;
use domain::id::BusinessId;
use std::time::Duration;
use store::queue::Change;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;

/// Between two signs of life on a stream of changes: proxies close what is silent for a minute.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Hears the changes of one business from now on.
pub struct Changes {
    business_id: BusinessId,
    receiver: Receiver<Change>,
    shutdown: watch::Receiver<bool>,
}

/// What was heard.
pub enum Heard {
    /// Something has changed.
    Change(Change),
    /// Some changes were dropped for a slow reader.
    Lagged,
}

impl Changes {
    /// Begins to listen.
    #[must_use]
    pub fn of(app: &App, business_id: BusinessId) -> Self {
        Self { business_id, receiver: app.changes.subscribe(), shutdown: app.shutdown.clone() }
    }

    /// The next one; `None` when the program ends.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let received = tokio::select! {
                biased;
                // An error means that the sender is gone, so the program ends as well.
                _ = self.shutdown.wait_for(|is_ending| *is_ending) => return None,
                received = self.receiver.recv() => received,
            };
            match received {
                Ok(change) if change.business_id() == self.business_id => return Some(Heard::Change(change)),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return Some(Heard::Lagged),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Forgets what has come meanwhile.
    pub fn skip(&mut self) {
        while !matches!(self.receiver.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
    }
}
