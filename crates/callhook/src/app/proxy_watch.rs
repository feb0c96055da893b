//! What the last change at the dashboard showed of the proxy that stands before this server.
//!
//! Who guesses passwords is slowed down by address. Where all requests have the proxy's own address, one guesser slows down everybody, and
//! nothing else would show it before that happens.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Knows whether people's own addresses come through.
#[derive(Default)]
pub struct ProxyWatch(Mutex<Option<IpAddr>>);

impl ProxyWatch {
    /// A person's request came through a proxy: with the person's own address, or with this one of the proxy for everybody's.
    pub fn came_through(&self, taken_for_everybody: Option<IpAddr>) {
        let before = std::mem::replace(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            taken_for_everybody,
        );
        if let Some(proxy) = taken_for_everybody.filter(|_| before.is_none()) {
            tracing::warn!(%proxy, "A proxy's address is taken for everybody's who signs in: see `callhook doctor`");
        }
    }

    /// The address of a proxy that is taken for everybody's.
    #[must_use]
    pub fn taken_for_everybody(&self) -> Option<IpAddr> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
