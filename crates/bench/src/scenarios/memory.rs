//! What an attempt in flight holds in memory.

use super::Bench;
use super::healthy::{hanging_hosts, report_batches};
use crate::program::Program;
use crate::receiver::Receiver;
use crate::report::Aim;
use crate::{Failure, Outcome};
use std::time::Duration;

/// Hosts that hang: each is new, and has one attempt in flight.
const HOSTS: u64 = 128;
/// Those that hang first. What they bring along for the first time is not what one more costs.
const FIRST_HOSTS: usize = 32;
/// Calls to each.
const CALLS: u64 = 2;
/// Time in which the slots fill.
const FILLED_AFTER: Duration = Duration::from_secs(2);

pub async fn run(bench: &mut Bench) -> Outcome<()> {
    let program = bench.callhook("memory", &[]).await?;
    let hosts = hanging_hosts(HOSTS, usize::try_from(CALLS).unwrap()).await?;
    let (first, more) = hosts.split_at(FIRST_HOSTS);
    let before = fill(&program, first).await?;
    let after = fill(&program, more).await?;
    program.kill().await?;
    let in_flight: u64 = more.iter().map(Receiver::count).sum();
    let in_flight = u32::try_from(in_flight).ok().filter(|count| *count > 0);
    let in_flight = in_flight.ok_or_else(|| Failure::new("nothing was in flight"))?;
    let figure = format!("memory for each of {in_flight} more attempts in flight, KB");
    bench.report.add(&figure, (after - before) * 1_024.0 / f64::from(in_flight), Aim::AtMost(64.0));
    Ok(())
}

/// Has attempts to these hosts in flight, and says how much memory is in use then.
async fn fill(program: &Program, hosts: &[Receiver]) -> Outcome<f64> {
    for host in hosts {
        report_batches(program, &program.flow_to(&host.url()).await?, CALLS).await?;
    }
    tokio::time::sleep(FILLED_AFTER).await;
    Ok(program.rss_mb())
}
