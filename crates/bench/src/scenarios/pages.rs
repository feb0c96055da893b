//! The pages of the dashboard beside many rows: how long each takes, as a person asks for it who is signed in.

use super::Bench;
use crate::client::Connection;
use crate::figures::Times;
use crate::program::Program;
use crate::report::Aim;
use crate::{Failure, Outcome};
use std::time::Instant;

/// Requests of each page.
const REQUESTS: usize = 40;

/// Asks for each page many times, and notes the slowest of them.
pub async fn measure(bench: &mut Bench, program: &Program, flow: &str) -> Outcome<()> {
    let mut connection = Connection::open(program.address).await?;
    let home = connection.set_up(&program.setup_link()?).await?;
    let mut worst = (f64::NEG_INFINITY, "");
    for (name, page) in [
        ("overview", String::new()),
        ("call flows", "/call-flows".to_owned()),
        ("call flow", format!("/call-flows/{flow}")),
        ("calls", "/calls".to_owned()),
        ("calls of a flow", format!("/calls?call_flow_id={flow}")),
        ("deliveries", "/deliveries".to_owned()),
        ("failed deliveries of a flow", format!("/deliveries?call_flow_id={flow}&status=failed")),
        ("numbers", "/numbers".to_owned()),
        ("settings", "/settings".to_owned()),
    ] {
        let mut took = Vec::new();
        for _ in 0..REQUESTS {
            let started = Instant::now();
            let (status, answer) = connection.get(&format!("{home}{page}")).await?;
            if !status.is_success() {
                return Err(Failure::new(format!("{name}: {status} {}", String::from_utf8_lossy(&answer))));
            }
            took.push(started.elapsed());
        }
        let p95 = Times::of(took).percentile_ms(0.95);
        eprintln!("    page {name}: p95 {p95:.1} ms");
        if p95 > worst.0 {
            worst = (p95, name);
        }
    }
    let figure = format!("dashboard, slowest page ({}): p95 ms", worst.1);
    bench.report.add(&figure, worst.0, Aim::AtMost(50.0));
    Ok(())
}
