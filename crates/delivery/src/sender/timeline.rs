//! What an attempt is doing, since when, and where: kept outside of the work, so that it is known when time is up.

use domain::failure::{Failure, Phase};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// How long the steps of an attempt took, over all its hops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Asking for addresses.
    pub dns: Duration,
    /// Connecting.
    pub connect: Duration,
    /// Agreeing on encryption.
    pub tls: Duration,
    /// Sending, and waiting for the status.
    pub wait: Duration,
    /// Whether no connection had to be made.
    pub reused: bool,
}

pub(super) struct Timeline {
    step: Option<(Phase, Instant)>,
    spent: [Duration; 4],
    /// Where the attempt is.
    pub url: Url,
    /// The address that is connected there.
    pub remote: Option<SocketAddr>,
    connected_in: Option<Duration>,
    connections_made: u32,
}

impl Timeline {
    pub fn new(url: Url) -> Self {
        Self {
            step: None,
            spent: [Duration::ZERO; 4],
            url,
            remote: None,
            connected_in: None,
            connections_made: 0,
        }
    }

    /// A further hop begins.
    pub fn go_to(&mut self, url: Url) {
        self.pause();
        self.url = url;
        self.remote = None;
        self.connected_in = None;
    }

    pub fn enter(&mut self, phase: Phase) {
        self.pause();
        self.step = Some((phase, Instant::now()));
    }

    /// No step is under way.
    pub fn pause(&mut self) {
        if let Some((phase, since)) = self.step.take() {
            self.spent[phase as usize] += since.elapsed();
        }
    }

    /// A connection was made; `took` is what the network needed for it.
    pub fn connected(&mut self, remote: SocketAddr, took: Duration) {
        self.remote = Some(remote);
        self.connected_in = Some(took);
        self.connections_made += 1;
    }

    /// The failure of an attempt whose time is up now.
    pub fn timeout(&self, limit: Duration) -> Failure {
        Failure::Timeout {
            host: self.url.host_str().unwrap_or_default().to_owned(),
            limit,
            phase: self.step.map_or(Phase::Wait, |(phase, _)| phase),
            connected_in: self.connected_in,
        }
    }

    pub fn phases(&self) -> Phases {
        let [dns, connect, tls, wait] = self.spent;
        Phases { dns, connect, tls, wait, reused: self.connections_made == 0 && self.remote.is_some() }
    }
}

pub(super) fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
