//! The benchmark: load against callhook and against the bare pipeline, in turn, in one run, and one table of what came of it.
//!
//! In reading order: [`scenarios`] say what is measured, [`program`] runs what is measured as a process of its own, [`postgres`] is the
//! server that may hold its store, [`load`] reports calls to it, [`receiver`] takes what it sends, [`bare`] is what it is compared with,
//! [`figures`] and [`report`] say what came of it. A benchmark prints figures; it never fails for being slow.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "it measures time, and it is run by who reads its panics"
)]

mod bare;
mod client;
mod figures;
mod load;
mod postgres;
mod program;
mod receiver;
mod report;
mod scenarios;
mod variety;

use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// The same as callhook's, so that the bare pipeline does not lose by it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a benchmark cannot go on from, in one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    /// This went wrong.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// A result whose failure ends the run.
pub type Outcome<T> = Result<T, Failure>;

/// Measures callhook against the bare pipeline and prints one table.
#[derive(Parser)]
#[command(name = "bench", version)]
enum Cli {
    /// Runs scenarios; all of them where none is named
    Run(Run),
    /// The bare pipeline: the same parsing, HTTP server and payload, an HTTP client, and nothing stored
    #[command(hide = true)]
    Bare {
        /// Where to listen
        #[arg(long)]
        listen: SocketAddr,
        /// Where to send; where it is left out, calls are only acknowledged
        #[arg(long)]
        forward: Option<http::Uri>,
    },
}

/// What is run.
#[derive(clap::Args)]
pub struct Run {
    /// Scenarios, in this order
    #[arg(value_enum)]
    scenarios: Vec<scenarios::Name>,
    /// The program that is measured
    #[arg(long, default_value = "target/release/callhook")]
    callhook: PathBuf,
    /// What callhook keeps its store in; PostgreSQL is a server that is made for the run
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
    store: StoreKind,
    /// Rounds, in each of which bare and callhook are measured in turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of load in each measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections of the pipeline's full load
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Deliveries that wait, or rows that lists are read from
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Folder for the stores that are made [default: the system's temporary folder]
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// Only shows that everything runs: short, small, its figures mean nothing
    #[arg(long)]
    smoke: bool,
}

/// What holds a store.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StoreKind {
    Sqlite,
    Postgres,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let result = match Cli::parse() {
        Cli::Run(run) => runtime.block_on(unless_ended(scenarios::run(run))),
        Cli::Bare { listen, forward } => runtime.block_on(bare::serve(listen, forward)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Lets go of it where the benchmark is told to end: what it has started ends with it, and its folders go.
async fn unless_ended(run: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        outcome = run => return outcome,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Err(Failure::new("it was told to end"))
}
