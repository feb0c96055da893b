//! `callhook serve`.

use super::{Common, Failure, block_on};
use crate::server::Server;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the server until it is told to stop.
pub fn run(common: Common) -> Result<(), Failure> {
    let config = common.config()?;
    crate::logging::start(config.log_format, &config.log_level)?;
    block_on(async {
        // Before anything else, so that no signal falls into a gap.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let server = tokio::select! {
            started = Server::start(config) => started?,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        server
            .run(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            })
            .await?;
        Ok(())
    })
}
