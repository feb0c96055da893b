//! A store of a million deliveries: what its lists take, and what a delivery costs beside one in a small store.

use super::pages;
use super::pipeline::CALLS_PER_SECOND_MAX;
use super::spent::{Each, Spent};
use super::{BATCH_CALLS, Bench, CONNECTIONS};
use crate::client::Connection;
use crate::figures::Times;
use crate::load::{self, Load, send_batch};
use crate::program::Program;
use crate::receiver::{Behaviour, Receiver};
use crate::report::Aim;
use crate::variety::{self, FIRST_RARE, RARE_CALLER, RARE_SOURCE};
use crate::{Failure, Outcome};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Deliveries of the small store.
const FEW: u64 = 10_000;
/// Call flows over which the deliveries are spread.
const FLOWS: usize = 20;
/// One delivery of so many goes to a flow whose endpoint refuses it.
const FAILING_OF: u64 = 50;
/// Calls that an AI has analysed: few, so that they are hard to find.
const ANALYSED: usize = 60;
/// Requests of each list.
const REQUESTS: usize = 40;
/// Longer than an attempt may take.
const STILL: Duration = Duration::from_secs(30);

pub async fn run(bench: &mut Bench) -> Outcome<()> {
    let program = bench.callhook("filled", &[]).await?;
    let clock = Instant::now();
    let rows = usize::try_from(bench.run.rows).unwrap();
    let measured = usize::try_from(bench.run.seconds).unwrap() * CALLS_PER_SECOND_MAX;
    let receiver = Receiver::start(Behaviour::Accept, rows * 2 + measured * 2, clock).await?;
    let failing = Receiver::start(Behaviour::FailFirst, rows, clock).await?;
    let mut store = Filled::prepare(&program, &receiver, &failing).await?;
    let few = FEW.min(bench.reported_of(bench.run.rows));
    // Where the others are copies, what is rare is among what is copied.
    let rare = bench.postgres.is_some().then_some(FIRST_RARE);
    store.fill(&program, (0..few).chain(rare)).await?;
    let filled = load::now_ms();
    let small = cost(bench, &program, &store.flows[0], &receiver, clock).await?;
    let program = if bench.postgres.is_some() {
        program.stop().await?;
        let copies = (bench.run.rows / few).saturating_sub(1);
        store.began = bench.copy("filled", store.began..filled, copies).await?;
        let program = bench.callhook_again("filled", &[]).await?;
        // Once more before it is measured: it has just been started.
        cost(bench, &program, &store.flows[0], &receiver, clock).await?;
        program
    } else {
        store.fill(&program, few..bench.run.rows).await?;
        program
    };
    let large = cost(bench, &program, &store.flows[0], &receiver, clock).await?;
    note(bench, small, large);
    bench.report.add("memory with all rows, MB", program.rss_mb(), Aim::None);

    let call = analyse(&program).await?;
    lists(bench, &program, "", "webhook-deliveries", &store.delivery_filters(&call)).await?;
    lists(bench, &program, "", "webhook-deliveries", &store.filters_together()).await?;
    lists(bench, &program, "", "calls", &store.call_filters()).await?;
    lists(bench, &program, "", "webhook-deliveries/stats", &[("since", store.since())]).await?;
    pages::measure(bench, &program, &store.flows[1]).await?;
    program.stop().await?;
    let program = bench.callhook_again("filled", &[]).await?;
    let ready = program.ready_after.as_secs_f64();
    bench.report.add("a filled store: ready after a restart, s", ready, Aim::AtMost(2.0));
    program.stop().await
}

/// Notes what a delivery takes in the small store and in the large one.
fn note(bench: &mut Bench, small: Each, large: Each) {
    let figure = "CPU µs per delivery, 10 thousand rows and all";
    bench.report.compare(figure, small.cpu_us, large.cpu_us, Aim::RatioAtMost(1.3));
    if bench.postgres.is_some() {
        let figure = "CPU µs per delivery of PostgreSQL, 10 thousand rows and all";
        bench.report.compare(figure, small.server_cpu_us, large.server_cpu_us, Aim::RatioAtMost(1.3));
    }
}

/// What lies in the store.
struct Filled {
    flows: Vec<String>,
    failing: String,
    number: String,
    began: u64,
}

impl Filled {
    async fn prepare(program: &Program, receiver: &Receiver, failing: &Receiver) -> Outcome<Self> {
        let mut flows = Vec::new();
        for _ in 0..FLOWS {
            flows.push(program.flow_to(&receiver.url()).await?);
        }
        let once = json!({"enabled": true, "url": failing.url(), "retry_delays_seconds": []});
        let failing = program.flow(Some(once)).await?;
        let number = json!({"phone_number": variety::RARE_NUMBER, "call_flow_id": flows[0]});
        let mut connection = Connection::open(program.address).await?;
        let number = connection.data(Method::POST, "/numbers", &number).await?;
        let number = number["number"]["id"].as_str().unwrap_or_default().to_owned();
        let began = load::now_ms();
        Ok(Self { flows, failing, number, began })
    }

    async fn fill(&self, program: &Program, numbers: impl Iterator<Item = u64>) -> Outcome<()> {
        let mut connection = Connection::open(program.address).await?;
        let numbers: Vec<_> = numbers.collect();
        for batch in numbers.chunks(BATCH_CALLS) {
            let calls: Vec<_> =
                batch.iter().map(|number| variety::call(*number, self.flow(*number))).collect();
            send_batch(&mut connection, Bytes::from(json!({"calls": calls}).to_string())).await?;
        }
        settle(&mut connection).await
    }

    fn flow(&self, number: u64) -> &str {
        if number % FAILING_OF == 1 {
            return &self.failing;
        }
        &self.flows[usize::try_from(number).unwrap() % FLOWS]
    }

    /// Every filter alone, common and rare values of each.
    fn delivery_filters(&self, call: &str) -> Vec<(&'static str, String)> {
        let middle = rfc3339(u64::midpoint(self.began, load::now_ms()));
        let flow = &self.flows[1];
        vec![
            ("none", String::new()),
            ("status", "status=delivered".to_owned()),
            ("status, rare", "status=failed".to_owned()),
            ("status, none such", "status=cancelled".to_owned()),
            ("call_flow_id", format!("call_flow_id={flow}")),
            ("call_id", format!("call_id={call}")),
            ("event", "event=call.completed".to_owned()),
            ("event, rare", "event=call.failed".to_owned()),
            ("test", "test=true".to_owned()),
            ("since", format!("since={middle}")),
            ("until", format!("until={middle}")),
            ("error", "error=http_503".to_owned()),
            ("error, none such", "error=timeout".to_owned()),
        ]
    }

    /// Status, flow and time together.
    fn filters_together(&self) -> Vec<(&'static str, String)> {
        let middle = rfc3339(u64::midpoint(self.began, load::now_ms()));
        let flow = &self.flows[1];
        vec![
            ("status, flow, time", format!("status=delivered&call_flow_id={flow}&until={middle}")),
            (
                "status, flow, time, rare",
                format!("status=failed&call_flow_id={}&until={middle}", self.failing),
            ),
        ]
    }

    fn call_filters(&self) -> Vec<(&'static str, String)> {
        let middle = rfc3339(u64::midpoint(self.began, load::now_ms()));
        vec![
            ("none", String::new()),
            ("start_date", format!("start_date={middle}")),
            ("end_date", format!("end_date={middle}")),
            ("updated_since", format!("updated_since={middle}")),
            ("status", "status=completed".to_owned()),
            ("status, rare", "status=failed".to_owned()),
            ("direction, rare", "direction=outbound".to_owned()),
            ("source", "source=google".to_owned()),
            ("source, rare", format!("source={RARE_SOURCE}")),
            ("call_flow_id", format!("call_flow_id={}", self.flows[1])),
            ("number_id, rare", format!("number_id={}", self.number)),
            ("min_duration, rare", "min_duration=86000".to_owned()),
            ("max_duration, rare", "max_duration=0".to_owned()),
            ("min_ai_score, rare", "min_ai_score=90".to_owned()),
            ("max_ai_score, rare", "max_ai_score=10".to_owned()),
            ("ai_category, rare", "ai_category=spam".to_owned()),
            ("qualified, rare", "qualified=true".to_owned()),
            ("search, rare", format!("search={}", RARE_CALLER.trim_start_matches('+'))),
        ]
    }

    fn since(&self) -> String {
        format!("since={}", rfc3339(self.began))
    }
}

/// Waits until nothing is scheduled any more.
async fn settle(connection: &mut Connection) -> Outcome<()> {
    let (mut before, mut still) = (u64::MAX, Instant::now());
    loop {
        let found = connection.data(Method::GET, "/webhook-deliveries/stats", &Value::Null).await?;
        let left = found["stats"]["by_status"]["scheduled"].as_u64();
        let left =
            left.ok_or_else(|| Failure::new(format!("statistics without what is scheduled: {found}")))?;
        if left == 0 {
            return Ok(());
        }
        if left < before {
            (before, still) = (left, Instant::now());
        } else if still.elapsed() > STILL {
            return Err(Failure::new(format!(
                "{left} deliveries are left and none ended in the last {STILL:?}"
            )));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What each delivery takes at full load.
async fn cost(
    bench: &Bench,
    program: &Program,
    flow: &str,
    receiver: &Receiver,
    clock: Instant,
) -> Outcome<Each> {
    let first = usize::try_from(bench.run.rows).unwrap() + usize::try_from(receiver.count()).unwrap();
    let (spent, arrived) = (Spent::now(bench, program).await?, receiver.count());
    let load = Load {
        address: program.address,
        call_flow_id: Some(flow.to_owned()),
        connections: CONNECTIONS,
        length: bench.length(),
        rate: None,
        first,
        clock,
    };
    let calls = load.run().await?.len();
    receiver.wait_for(arrived + calls as u64).await?;
    Ok(Spent::now(bench, program).await?.each(spent, calls))
}

/// Some of the latest calls get results of AI; answers the id of one.
async fn analyse(program: &Program) -> Outcome<String> {
    let mut connection = Connection::open(program.address).await?;
    let found = connection.data(Method::GET, "/calls?status=completed&limit=500", &Value::Null).await?;
    let calls = found["calls"].as_array().cloned().unwrap_or_default();
    for (index, call) in calls.iter().take(ANALYSED).enumerate() {
        let id = call["id"].as_str().unwrap_or_default();
        let score = [5, 50, 95][index % 3];
        let category = ["spam", "existing_customer", "lead"][index % 3];
        let results = json!({"ai_score": score, "ai_category": category, "qualified_ai": score > 90});
        connection.data(Method::PUT, &format!("/calls/{id}/analysis"), &results).await?;
    }
    calls
        .first()
        .and_then(|call| Some(call["id"].as_str()?.to_owned()))
        .ok_or_else(|| Failure::new("no calls"))
}

/// Asks for each list many times, and notes the slowest of them.
pub async fn lists(
    bench: &mut Bench,
    program: &Program,
    beside: &str,
    path: &str,
    filters: &[(&str, String)],
) -> Outcome<()> {
    let mut connection = Connection::open(program.address).await?;
    let asked = filters.iter().map(|(name, filter)| (*name, format!("/api/v1/{path}?{filter}")));
    let (p95, name) = slowest(&mut connection, &format!("/{path} by"), asked).await?;
    let figure = format!("{beside}/{path}, slowest filter ({name}): p95 ms");
    bench.report.add(&figure, p95, Aim::AtMost(50.0));
    Ok(())
}

/// Asks for each address many times; the p95 of the slowest in milliseconds, and its name.
pub async fn slowest<'a>(
    connection: &mut Connection,
    what: &str,
    addresses: impl IntoIterator<Item = (&'a str, String)>,
) -> Outcome<(f64, &'a str)> {
    let mut worst = (f64::NEG_INFINITY, "");
    for (name, address) in addresses {
        let mut took = Vec::new();
        for _ in 0..REQUESTS {
            let started = Instant::now();
            let (status, answer) = connection.get(&address).await?;
            if !status.is_success() {
                return Err(Failure::new(format!(
                    "{address}: {status} {}",
                    String::from_utf8_lossy(&answer)
                )));
            }
            took.push(started.elapsed());
        }
        let p95 = Times::of(took).percentile_ms(0.95);
        eprintln!("    {what} {name}: p95 {p95:.1} ms");
        if p95 > worst.0 {
            worst = (p95, name);
        }
    }
    Ok(worst)
}

fn rfc3339(millis: u64) -> String {
    domain::Timestamp::from_millis(i64::try_from(millis).unwrap()).to_rfc3339_millis()
}
