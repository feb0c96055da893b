//! What is measured, a file a subject.

mod filled;
mod healthy;
mod ingest;
mod memory;
mod pipeline;
mod timing;

use crate::program::Program;
use crate::report::Report;
use crate::{Outcome, Run};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Connections of a closed loop.
const CONNECTIONS: usize = 64;
/// Calls of one batch: as many as the API takes.
const BATCH_CALLS: usize = 500;

/// A scenario.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Reported, recorded, sent, outcome recorded: throughput and CPU against the bare pipeline
    Pipeline,
    /// Calls without a destination: throughput, acknowledgement, batches
    Ingest,
    /// Retries and AI fallbacks: how late, and none early
    Timing,
    /// A million deliveries to dead endpoints: start, memory, and a healthy endpoint beside them
    Backlog,
    /// An endpoint that hangs with fifty thousand deliveries, and a healthy one beside it
    Hanging,
    /// Memory for each attempt in flight
    Memory,
    /// A million deliveries on record: lists, and the cost of one more delivery
    Filled,
}

impl Name {
    const ALL: [Self; 7] = [
        Self::Pipeline,
        Self::Ingest,
        Self::Timing,
        Self::Backlog,
        Self::Hanging,
        Self::Memory,
        Self::Filled,
    ];
}

/// What a scenario works with.
pub struct Bench {
    run: Run,
    scratch: TempDir,
    report: Report,
}

/// Runs what was asked for and prints the table.
pub async fn run(mut run: Run) -> Outcome<()> {
    if run.smoke {
        (run.rounds, run.seconds, run.rows) = (1, 1, 5_000);
    }
    let names = if run.scenarios.is_empty() { Name::ALL.to_vec() } else { run.scenarios.clone() };
    let scratch = match &run.scratch {
        Some(folder) => TempDir::with_prefix_in("callhook-bench-", folder)?,
        None => TempDir::with_prefix("callhook-bench-")?,
    };
    let mut bench = Bench { run, scratch, report: Report::default() };
    for name in names {
        eprintln!(
            "{}",
            clap::ValueEnum::to_possible_value(&name)
                .map_or_else(String::new, |value| value.get_name().to_owned())
        );
        match name {
            Name::Pipeline => pipeline::run(&mut bench).await?,
            Name::Ingest => ingest::run(&mut bench).await?,
            Name::Timing => timing::run(&mut bench).await?,
            Name::Backlog => healthy::backlog(&mut bench).await?,
            Name::Hanging => healthy::hanging(&mut bench).await?,
            Name::Memory => memory::run(&mut bench).await?,
            Name::Filled => filled::run(&mut bench).await?,
        }
    }
    println!("{}", bench.report.table());
    Ok(())
}

impl Bench {
    /// How long a measurement takes.
    fn length(&self) -> Duration {
        Duration::from_secs(self.run.seconds)
    }

    /// A folder that is not there yet.
    fn folder(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// callhook on a new store.
    async fn callhook(&self, folder: &Path, flags: &[&str]) -> Outcome<Program> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        Program::callhook(&self.run.callhook, folder, flags).await
    }
}
