//! Calls alone: reported one by one and in batches, to a flow without a destination.

use super::{BATCH_CALLS, Bench, CONNECTIONS};
use crate::Outcome;
use crate::client::Connection;
use crate::figures::{Rounds, Times};
use crate::load::{Acknowledged, Body, Load};
use crate::program::Program;
use crate::report::Aim;
use crate::{Failure, load};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Load before a measurement.
const WARM_UP: Duration = Duration::from_secs(1);
/// Connections that report batches.
const BATCH_CONNECTIONS: usize = 4;

pub async fn run(bench: &mut Bench) -> Outcome<()> {
    let (mut bare, mut callhook, mut bare_p99, mut p99) =
        (Rounds::default(), Rounds::default(), Rounds::default(), Rounds::default());
    let mut batches = Rounds::default();
    for _ in 0..bench.run.rounds {
        let program = Program::bare(None).await?;
        measure(bench, &program, None, &mut bare, &mut bare_p99).await?;
        program.stop().await?;
        let program = bench.callhook("ingest", &[]).await?;
        let flow = program.flow(None).await?;
        measure(bench, &program, Some(flow.clone()), &mut callhook, &mut p99).await?;
        batches.push(batch(bench, &program, &flow).await?);
        program.stop().await?;
    }
    let report = &mut bench.report;
    report.compare("ingest, 64 connections: acknowledged/s", bare, callhook, Aim::RatioAtLeast(0.6));
    report.compare("ingest: acknowledged, p99 ms", bare_p99, p99, Aim::AtMost(15.0));
    report.add("batches of 500, no destination: calls/s", batches, Aim::AtLeast(40_000.0));
    Ok(())
}

async fn measure(
    bench: &Bench,
    program: &Program,
    call_flow_id: Option<String>,
    rate: &mut Rounds,
    p99: &mut Rounds,
) -> Outcome<()> {
    let load = Load {
        address: program.address,
        call_flow_id,
        connections: CONNECTIONS,
        length: WARM_UP,
        rate: None,
        first: 1,
        clock: Instant::now(),
    };
    load.clone().run().await?;
    let started = Instant::now();
    let acknowledged = Load { length: bench.length(), ..load }.run().await?;
    let count = u32::try_from(acknowledged.len()).unwrap();
    rate.push(f64::from(count) / started.elapsed().as_secs_f64());
    p99.push(Times::of(acknowledged.iter().map(Acknowledged::waited)).percentile_ms(0.99));
    Ok(())
}

/// Calls per second in batches.
async fn batch(bench: &Bench, program: &Program, flow: &str) -> Outcome<f64> {
    let started = Instant::now();
    let until = started + bench.length();
    let total = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..BATCH_CONNECTIONS {
        let (total, flow, address) = (Arc::clone(&total), flow.to_owned(), program.address);
        workers.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let body = Body::new(Some(&flow));
            while Instant::now() < until {
                let first = total.fetch_add(BATCH_CALLS, Ordering::Relaxed);
                load::send_batch(&mut connection, body.batch(first..first + BATCH_CALLS)).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = workers.join_next().await {
        done.map_err(|error| Failure::new(error.to_string()))??;
    }
    let total = u32::try_from(total.load(Ordering::Relaxed)).unwrap();
    Ok(f64::from(total) / started.elapsed().as_secs_f64())
}
