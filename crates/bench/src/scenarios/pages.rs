//! The pages of the dashboard beside many rows: how long each takes, as a person asks for it who is signed in.

use super::Bench;
use super::filled::slowest;
use crate::Outcome;
use crate::client::Connection;
use crate::program::Program;
use crate::report::Aim;

/// Asks for each page many times, and notes the slowest of them.
pub async fn measure(bench: &mut Bench, program: &Program, flow: &str) -> Outcome<()> {
    let mut connection = Connection::open(program.address).await?;
    let home = connection.set_up(&program.setup_link()?).await?;
    let pages = [
        ("overview", String::new()),
        ("call flows", "/call-flows".to_owned()),
        ("call flow", format!("/call-flows/{flow}")),
        ("calls", "/calls".to_owned()),
        ("calls of a flow", format!("/calls?call_flow_id={flow}")),
        ("deliveries", "/deliveries".to_owned()),
        ("failed deliveries of a flow", format!("/deliveries?call_flow_id={flow}&status=failed")),
        ("numbers", "/numbers".to_owned()),
        ("settings", "/settings".to_owned()),
    ];
    let pages = pages.map(|(name, page)| (name, format!("{home}{page}")));
    let (p95, name) = slowest(&mut connection, "page", pages).await?;
    let figure = format!("dashboard, slowest page ({name}): p95 ms");
    bench.report.add(&figure, p95, Aim::AtMost(50.0));
    Ok(())
}
