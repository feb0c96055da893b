//! Lateness: how long after its time a retry or an AI fallback arrives, and whether one comes early.

use super::Bench;
use crate::Outcome;
use crate::figures::Times;
use crate::load::{Acknowledged, Load};
use crate::receiver::{Behaviour, Receiver};
use crate::report::Aim;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Calls per second: each is a timer as well as one or two attempts.
const PACE: u32 = 1_000;
const CONNECTIONS: usize = 16;
/// How long a retry waits, and a call for AI that does not come.
const WAIT: Duration = Duration::from_secs(2);
/// [`WAIT`], as callhook is told.
const FLAGS: [&str; 2] = ["--retry-delays=2s,2s", "--ai-fallback=2s"];

pub async fn run(bench: &mut Bench) -> Outcome<()> {
    // The delay counts from an attempt's end, which is later than its arrival: nothing here flatters.
    let (receiver, calls) = load(bench, Behaviour::FailFirst, json!({"enabled": true})).await?;
    let late = |call: &Acknowledged| Some((receiver.first(call.number)?, receiver.second(call.number)?));
    note(bench, "retries", calls.iter().filter_map(late));

    let (receiver, calls) =
        load(bench, Behaviour::Accept, json!({"enabled": true, "wait_for_ai": true})).await?;
    let late = |call: &Acknowledged| Some((call.sent, receiver.first(call.number)?));
    note(bench, "AI fallback", calls.iter().filter_map(late));
    Ok(())
}

async fn load(bench: &Bench, behaviour: Behaviour, webhook: Value) -> Outcome<(Receiver, Vec<Acknowledged>)> {
    let clock = Instant::now();
    let calls_max = usize::try_from(u64::from(PACE) * (bench.run.seconds + 1)).unwrap();
    let receiver = Receiver::start(behaviour, calls_max, clock).await?;
    let program = bench.callhook("timing", &FLAGS).await?;
    let mut webhook = webhook;
    webhook["url"] = receiver.url().into();
    let load = Load {
        address: program.address,
        call_flow_id: Some(program.flow(Some(webhook)).await?),
        connections: CONNECTIONS,
        length: bench.length(),
        rate: Some(PACE),
        first: 1,
        clock,
    };
    let calls = load.run().await?;
    tokio::time::sleep(WAIT + Duration::from_secs(1)).await;
    receiver.wait_for(calls.len() as u64).await?;
    program.stop().await?;
    Ok((receiver, calls))
}

/// Notes how long after its wait each came.
fn note(bench: &mut Bench, what: &str, from_to: impl Iterator<Item = (Duration, Duration)>) {
    let late = |(from, to): (Duration, Duration)| (to.as_secs_f64() - (from + WAIT).as_secs_f64()) * 1_000.0;
    let late = Times::of_ms(from_to.map(late));
    bench.report.add(&format!("{what}: lateness, p99 ms"), late.percentile_ms(0.99), Aim::AtMost(250.0));
    bench.report.add(&format!("{what}: the earliest, ms after its time"), late.least_ms(), Aim::AtLeast(0.0));
}
