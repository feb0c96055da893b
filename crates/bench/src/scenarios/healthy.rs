//! A healthy endpoint beside sick ones: with a million deliveries waiting for dead endpoints, and with one that hangs.

use super::filled::lists;
use super::{BATCH_CALLS, Bench};
use crate::Outcome;
use crate::client::Connection;
use crate::figures::{Rounds, Times};
use crate::load::{self, Body, Load};
use crate::program::Program;
use crate::receiver::{Behaviour, Receiver};
use crate::report::Aim;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Calls per second to the healthy endpoint.
const PACE: u32 = 500;
/// Connections that carry them.
const PACED_CONNECTIONS: usize = 8;
/// Load before a measurement, so that the endpoint has proven itself.
const WARM_UP: Duration = Duration::from_secs(2);
/// Dead endpoints, half of which refuse connections and half hang.
const DEAD: u64 = 100;
/// Deliveries that are stuck at the endpoint that hangs.
const STUCK: u64 = 50_000;

/// Deliveries to dead endpoints that outlive a restart.
pub async fn backlog(bench: &mut Bench) -> Outcome<()> {
    let program = bench.callhook("backlog", &[]).await?;
    let empty_mb = program.rss_mb();
    let before = healthy(bench, &program).await?;
    let hanging = hanging_hosts(DEAD / 2, 0).await?;
    let urls = refusing_hosts(DEAD / 2)?.into_iter().chain(hanging.iter().map(Receiver::url));
    let each = (bench.reported_of(bench.run.rows) / DEAD).max(1);
    let copies = (bench.run.rows / (each * DEAD)).saturating_sub(1);
    let mut flow = String::new();
    let began = load::now_ms();
    for url in urls {
        flow = program.flow_to(&url).await?;
        report_batches(&program, &flow, each).await?;
    }
    let reported = began..load::now_ms();
    program.stop().await?;
    bench.copy("backlog", reported, copies).await?;

    let program = bench.callhook_again("backlog", &[]).await?;
    let ready = program.ready_after.as_secs_f64();
    let with = healthy(bench, &program).await?;
    let (peak_mb, rows) = (program.rss_peak_mb(), each * DEAD * (copies + 1));
    let filters = [("none", String::new()), ("call_flow_id", format!("call_flow_id={flow}"))];
    lists(bench, &program, "backlog: ", "webhook-deliveries/stats", &filters).await?;
    program.stop().await?;
    let report = &mut bench.report;
    report.add(&format!("backlog of {rows}: ready after a restart, s"), ready, Aim::AtMost(2.0));
    report.add("backlog: memory at its most, MB", peak_mb, Aim::AtMost(256.0));
    report.compare("backlog: a healthy endpoint, p50 ms", before.p50, with.p50, Aim::None);
    report.compare("backlog: a healthy endpoint, p99 ms", before.p99, with.p99, Aim::RatioAtMost(1.5));
    report.add("memory of an empty store, MB", empty_mb, Aim::AtMost(30.0));
    Ok(())
}

/// One endpoint that reads and never answers.
pub async fn hanging(bench: &mut Bench) -> Outcome<()> {
    let program = bench.callhook("hanging", &[]).await?;
    let before = healthy(bench, &program).await?;
    let receiver = Receiver::start(Behaviour::Hang, 0, Instant::now()).await?;
    let flow = program.flow_to(&receiver.url()).await?;
    let stuck = STUCK.min(bench.run.rows);
    report_batches(&program, &flow, stuck).await?;
    let with = healthy(bench, &program).await?;
    program.stop().await?;
    let report = &mut bench.report;
    let figure = format!("{stuck} stuck at one endpoint: another, p99 ms");
    report.compare(&figure, before.p99, with.p99, Aim::RatioAtMost(1.5));
    Ok(())
}

/// From a call's report to its arrival at an endpoint that answers, a round a value.
#[derive(Default)]
struct Healthy {
    p50: Rounds,
    p99: Rounds,
}

async fn healthy(bench: &Bench, program: &Program) -> Outcome<Healthy> {
    let mut healthy = Healthy::default();
    for _ in 0..bench.run.rounds {
        let times = arrivals(bench, program).await?;
        healthy.p50.push(times.percentile_ms(0.5));
        healthy.p99.push(times.percentile_ms(0.99));
    }
    Ok(healthy)
}

async fn arrivals(bench: &Bench, program: &Program) -> Outcome<Times> {
    let clock = Instant::now();
    let seconds = usize::try_from((bench.length() + WARM_UP).as_secs() + 1).unwrap();
    let receiver = Receiver::start(Behaviour::Accept, seconds * PACE as usize, clock).await?;
    let load = Load {
        address: program.address,
        call_flow_id: Some(program.flow_to(&receiver.url()).await?),
        connections: PACED_CONNECTIONS,
        length: WARM_UP,
        rate: Some(PACE),
        first: 1,
        clock,
    };
    let warm = load.clone().run().await?.len();
    let first = load.first + warm + PACED_CONNECTIONS;
    let calls = Load { first, length: bench.length(), ..load }.run().await?;
    receiver.wait_for((warm + calls.len()) as u64).await?;
    let took =
        calls.iter().filter_map(|call| Some(receiver.first(call.number)?.saturating_sub(call.planned)));
    Ok(Times::of(took))
}

/// Reports so many calls of a flow.
pub async fn report_batches(program: &Program, flow: &str, calls: u64) -> Outcome<()> {
    let mut connection = Connection::open(program.address).await?;
    let body = Body::new(Some(flow));
    let calls = usize::try_from(calls).unwrap();
    for first in (0..calls).step_by(BATCH_CALLS) {
        load::send_batch(&mut connection, body.batch(first..calls.min(first + BATCH_CALLS))).await?;
    }
    Ok(())
}

/// Endpoints on hosts of their own that read and never answer.
pub async fn hanging_hosts(count: u64, calls: usize) -> Outcome<Vec<Receiver>> {
    let mut receivers = Vec::new();
    for host in 1..=count {
        let host = format!("127.0.1.{host}");
        receivers.push(Receiver::start_at(&host, Behaviour::Hang, calls, Instant::now()).await?);
    }
    Ok(receivers)
}

/// Endpoints on hosts of their own where nothing listens.
fn refusing_hosts(count: u64) -> Outcome<Vec<String>> {
    (1..=count)
        .map(|host| {
            let closed = TcpListener::bind((format!("127.0.2.{host}"), 0))?.local_addr()?;
            Ok(format!("http://{closed}/hook"))
        })
        .collect()
}
