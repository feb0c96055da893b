//! The log: to standard error, as lines for people or for machines. What never goes in is said in `docs/logging.md`.

use crate::config::{ConfigError, LogFormat};
use std::io::{self, IsTerminal as _};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Libraries below this log host names and frames in detail: they are heard from `warn` on, whatever else is asked for by a level.
const LIBRARIES: &str =
    "hickory_resolver=warn,hickory_net=warn,hickory_proto=warn,hyper=warn,hyper_util=warn,rustls=warn";
/// What would show what calls say, each statement with its values, is not heard below `warn` whatever is asked for.
const SILENT: &str = "tokio_postgres";

/// What a part of `--log-level` can be that names no module.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What is said of a failure in the log; travels with the response to the place where it is logged.
#[derive(Clone, Debug)]
pub struct Cause(pub String);

/// Starts the log. A second start in one process keeps the first.
pub fn start(format: LogFormat, level: &str) -> Result<(), ConfigError> {
    let is_no_level = |part: &str| !part.contains('=') && !LEVELS.contains(&part);
    if level.split(',').map(str::trim).any(is_no_level) {
        return Err(ConfigError(format!(
            "--log-level is wrong: one of {} is expected, or a filter such as info,callhook::network=debug",
            LEVELS.join(", ")
        )));
    }
    let filter = EnvFilter::try_new(format!("{LIBRARIES},{level}"))
        .map_err(|error| ConfigError(format!("--log-level is wrong: {error}")))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        // Its complaint would go to standard error too, and a failure there panics: a full disk with the log on it ended the writer.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    let is_heard =
        |event: &Metadata<'_>| *event.level() <= Level::WARN || !event.target().starts_with(SILENT);
    let heard = filter_fn(is_heard);
    // The only failure is a log that was started before.
    let _ = match format {
        LogFormat::Text => log.finish().with(heard).try_init(),
        LogFormat::Json => log.json().flatten_event(true).finish().with(heard).try_init(),
    };
    Ok(())
}
