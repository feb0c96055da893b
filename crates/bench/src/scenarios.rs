//! What is measured, a file a subject.

mod filled;
mod healthy;
mod ingest;
mod memory;
mod pages;
mod pipeline;
mod spent;
mod timing;

use crate::postgres::Postgres;
use crate::program::Program;
use crate::report::Report;
use crate::{Outcome, Run, StoreKind};
use std::ops::Range;
use std::time::Duration;
use tempfile::TempDir;

/// Connections of a closed loop.
const CONNECTIONS: usize = 64;
/// Calls of one batch: as many as the API takes.
const BATCH_CALLS: usize = 500;
/// In a database one call of so many is reported and the others are its copies, made by the server: it takes minutes, not hours.
const COPIED_OF: u64 = 100;

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
    /// The server that holds the stores, where a folder does not.
    postgres: Option<Postgres>,
    scratch: TempDir,
    report: Report,
}

/// Runs what was asked for and prints the table.
pub async fn run(mut run: Run) -> Outcome<()> {
    if run.smoke {
        (run.rounds, run.seconds, run.rows) = (1, 1, 5_000);
    }
    let names = if run.scenarios.is_empty() { Name::ALL.to_vec() } else { run.scenarios.clone() };
    let disk = run.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = TempDir::with_prefix_in("callhook-bench-", &disk)?;
    let postgres = match run.store {
        StoreKind::Sqlite => None,
        // Beside the other folders, which its user could not reach: on the same disk.
        StoreKind::Postgres => Some(Postgres::start(&disk).await?),
    };
    let mut bench = Bench { run, postgres, scratch, report: Report::default() };
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

    /// callhook on a new store of this name.
    async fn callhook(&self, name: &str, flags: &[&str]) -> Outcome<Program> {
        let folder = self.scratch.path().join(name);
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        if let Some(postgres) = &self.postgres {
            postgres.renew(name).await?;
        }
        self.callhook_again(name, flags).await
    }

    /// callhook on the store of this name.
    async fn callhook_again(&self, name: &str, flags: &[&str]) -> Outcome<Program> {
        let database = self.postgres.as_ref().map(|postgres| postgres.flag(name));
        let flags: Vec<_> = flags.iter().copied().chain(database.as_deref()).collect();
        Program::callhook(&self.run.callhook, &self.scratch.path().join(name), &flags).await
    }

    /// How many calls have to be reported for so many rows; [`Bench::copy`] makes the rest.
    fn reported_of(&self, rows: u64) -> u64 {
        if self.postgres.is_some() { (rows / COPIED_OF).max(1) } else { rows }
    }

    /// Copies what was reported in this time (milliseconds UTC); answers since when there are calls now. To be called while no callhook
    /// works on the store.
    async fn copy(&self, name: &str, reported: Range<u64>, copies: u64) -> Outcome<u64> {
        match &self.postgres {
            Some(postgres) => postgres.copy(name, reported, copies).await,
            None => Ok(reported.start),
        }
    }
}
