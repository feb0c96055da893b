//! What an attempt in flight holds in memory.

use super::Bench;
use super::healthy::{hanging_hosts, report_batches};
use crate::receiver::{Behaviour, Receiver};
use crate::report::Aim;
use crate::{Failure, Outcome};
use std::time::{Duration, Instant};

/// Hosts that hang: each may have a part of the slots.
const HOSTS: u64 = 8;
/// Calls to each, more than it has slots.
const CALLS: u64 = 100;
/// Calls that are delivered before.
const USUAL_CALLS: usize = 20_000;
/// Time in which the slots fill.
const FILLED_AFTER: Duration = Duration::from_secs(2);

pub async fn run(bench: &mut Bench) -> Outcome<()> {
    let program = bench.callhook(&bench.folder("memory"), &[]).await?;
    let hosts = hanging_hosts(HOSTS, usize::try_from(CALLS).unwrap()).await?;
    // What callhook holds on to after some load is not what an attempt costs.
    let usual = Receiver::start(Behaviour::Accept, USUAL_CALLS, Instant::now()).await?;
    report_batches(&program, &program.flow_to(&usual.url()).await?, USUAL_CALLS as u64).await?;
    usual.wait_for(USUAL_CALLS as u64).await?;
    let before = program.rss_mb();
    for host in &hosts {
        report_batches(&program, &program.flow_to(&host.url()).await?, CALLS).await?;
    }
    tokio::time::sleep(FILLED_AFTER).await;
    let in_flight: u64 = hosts.iter().map(Receiver::count).sum();
    let held = program.rss_mb() - before;
    program.kill().await?;
    let in_flight = u32::try_from(in_flight).ok().filter(|count| *count > 0);
    let in_flight = in_flight.ok_or_else(|| Failure::new("nothing was in flight"))?;
    let figure = format!("memory for each of {in_flight} attempts in flight, KB");
    bench.report.add(&figure, held * 1_024.0 / f64::from(in_flight), Aim::AtMost(64.0));
    Ok(())
}
