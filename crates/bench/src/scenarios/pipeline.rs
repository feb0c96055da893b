//! The whole way of a call: at full load against the bare pipeline, and paced for its latency.

use super::Bench;
use super::spent::{Each, Spent};
use crate::Outcome;
use crate::figures::{Rounds, Times};
use crate::load::{Acknowledged, Load};
use crate::program::Program;
use crate::receiver::{Behaviour, Receiver};
use crate::report::{Aim, Report};
use std::time::{Duration, Instant};

/// Calls per second of the paced load.
const PACE: u32 = 2_000;
/// Connections that carry it.
const PACED_CONNECTIONS: usize = 32;
/// Load before a measurement, so that connections are open and caches warm.
const WARM_UP: Duration = Duration::from_secs(1);
/// Outcomes are gathered this long at the most, before they are written.
const OUTCOMES_WITHIN: Duration = Duration::from_millis(300);
/// More calls than any machine reports in the time: 100,000 a second.
pub const CALLS_PER_SECOND_MAX: usize = 100_000;

/// Whose pipeline is measured.
#[derive(Clone, Copy)]
enum Which {
    Bare,
    Callhook,
    /// callhook with a trace of every call.
    Traced,
}

/// The figures of one side, a round a value.
#[derive(Default)]
struct Side {
    throughput: Rounds,
    acknowledged_p50: Rounds,
    acknowledged_p99: Rounds,
    arrival_p50: Rounds,
    arrival_p99: Rounds,
    cpu_us: Rounds,
    server_cpu_us: Rounds,
    statements: Rounds,
}

pub async fn run(bench: &mut Bench) -> Outcome<()> {
    let (mut bare, mut callhook) = (Side::default(), Side::default());
    let (mut bare_paced, mut paced, mut traced) = (Side::default(), Side::default(), Side::default());
    for _ in 0..bench.run.rounds {
        measure(bench, None, Which::Bare, &mut bare).await?;
        measure(bench, None, Which::Callhook, &mut callhook).await?;
        measure(bench, Some(PACE), Which::Bare, &mut bare_paced).await?;
        measure(bench, Some(PACE), Which::Callhook, &mut paced).await?;
        measure(bench, Some(PACE), Which::Traced, &mut traced).await?;
    }
    // A database takes its own processor time, beside callhook's.
    let (throughput, cpu) = match bench.postgres {
        None => (Aim::RatioAtLeast(0.6), Aim::RatioAtMost(1.6)),
        Some(_) => (Aim::RatioAtLeast(0.4), Aim::None),
    };
    let delivered = format!("pipeline, {} connections: delivered/s", bench.run.connections);
    let report = &mut bench.report;
    report.compare(&delivered, bare.throughput, callhook.throughput, throughput);
    report.compare("pipeline: CPU µs per delivery", bare.cpu_us.clone(), callhook.cpu_us, cpu);
    if bench.postgres.is_some() {
        let statements = (callhook.statements, Aim::AtMost(0.2));
        server(report, "pipeline", bare.cpu_us, callhook.server_cpu_us, statements);
    }
    report.compare(
        "pipeline: acknowledged, p50 ms",
        bare.acknowledged_p50,
        callhook.acknowledged_p50,
        Aim::None,
    );
    report.compare(
        "pipeline: acknowledged, p99 ms",
        bare.acknowledged_p99,
        callhook.acknowledged_p99,
        Aim::None,
    );
    report.compare(
        "2,000/s: acknowledged, p50 ms",
        bare_paced.acknowledged_p50,
        paced.acknowledged_p50,
        Aim::AtMost(1.0),
    );
    report.compare(
        "2,000/s: acknowledged, p99 ms",
        bare_paced.acknowledged_p99,
        paced.acknowledged_p99,
        Aim::AtMost(5.0),
    );
    report.compare(
        "2,000/s: acknowledged → first byte, p50 ms",
        bare_paced.arrival_p50,
        paced.arrival_p50,
        Aim::AtMost(0.5),
    );
    report.compare(
        "2,000/s: acknowledged → first byte, p99 ms",
        bare_paced.arrival_p99,
        paced.arrival_p99,
        Aim::AtMost(5.0),
    );
    report.compare(
        "2,000/s: CPU µs per delivery",
        bare_paced.cpu_us.clone(),
        paced.cpu_us.clone(),
        Aim::None,
    );
    if bench.postgres.is_some() {
        // So few calls come at a time that a group holds one or two.
        let statements = (paced.statements, Aim::None);
        server(report, "2,000/s", bare_paced.cpu_us, paced.server_cpu_us, statements);
    }
    report.compare("2,000/s, each call traced: CPU µs per delivery", paced.cpu_us, traced.cpu_us, Aim::None);
    Ok(())
}

/// What a delivery takes of the database.
fn server(
    report: &mut Report,
    load: &str,
    bare_cpu_us: Rounds,
    cpu_us: Rounds,
    (statements, aim): (Rounds, Aim),
) {
    report.compare(&format!("{load}: CPU µs per delivery of PostgreSQL"), bare_cpu_us, cpu_us, Aim::None);
    report.add(&format!("{load}: statements per delivery"), statements, aim);
}

async fn measure(bench: &Bench, rate: Option<u32>, which: Which, side: &mut Side) -> Outcome<()> {
    let clock = Instant::now();
    let seconds = usize::try_from((bench.length() + WARM_UP).as_secs()).unwrap();
    let receiver = Receiver::start(Behaviour::Accept, seconds * CALLS_PER_SECOND_MAX, clock).await?;
    let collector = Receiver::start(Behaviour::Accept, 0, clock).await?;
    let (program, call_flow_id) = match which {
        Which::Bare => (Program::bare(Some(&receiver)).await?, None),
        Which::Callhook | Which::Traced => {
            let collector = format!("--otlp-endpoint={}", collector.url());
            let flags = if matches!(which, Which::Traced) { vec![&*collector] } else { Vec::new() };
            let program = bench.callhook("pipeline", &flags).await?;
            let flow = program.flow_to(&receiver.url()).await?;
            (program, Some(flow))
        }
    };
    let connections = if rate.is_some() { PACED_CONNECTIONS } else { bench.run.connections };
    let load =
        Load { address: program.address, call_flow_id, connections, length: WARM_UP, rate, first: 1, clock };
    let warm = load.clone().run().await?.len();
    receiver.wait_for(warm as u64).await?;

    let first = load.first + warm + connections;
    let (spent, started) = (Spent::now(bench, &program).await?, clock.elapsed());
    let acknowledged = Load { first, length: bench.length(), ..load }.run().await?;
    receiver.wait_for((warm + acknowledged.len()) as u64).await?;
    tokio::time::sleep(OUTCOMES_WITHIN).await;
    let each = Spent::now(bench, &program).await?.each(spent, acknowledged.len());
    side.note(&acknowledged, &receiver, started, each);
    program.stop().await
}

impl Side {
    fn note(&mut self, acknowledged: &[Acknowledged], receiver: &Receiver, started: Duration, each: Each) {
        let arrived: Vec<_> = acknowledged.iter().filter_map(|call| receiver.first(call.number)).collect();
        let last = arrived.iter().max().copied().unwrap_or_default();
        let count = u32::try_from(acknowledged.len()).unwrap();
        self.throughput.push(f64::from(count) / last.saturating_sub(started).as_secs_f64());
        self.cpu_us.push(each.cpu_us);
        self.server_cpu_us.push(each.server_cpu_us);
        self.statements.push(each.statements);
        let waited = Times::of(acknowledged.iter().map(Acknowledged::waited));
        self.acknowledged_p50.push(waited.percentile_ms(0.5));
        self.acknowledged_p99.push(waited.percentile_ms(0.99));
        // A call may arrive before its acknowledgement was read: then it did not wait.
        let after = |call: &Acknowledged| Some(receiver.first(call.number)?.saturating_sub(call.answered));
        let arrivals = Times::of(acknowledged.iter().filter_map(after));
        self.arrival_p50.push(arrivals.percentile_ms(0.5));
        self.arrival_p99.push(arrivals.percentile_ms(0.99));
    }
}
