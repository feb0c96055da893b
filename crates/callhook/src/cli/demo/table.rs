//! The live table: redrawn in place on a terminal, one line for each change elsewhere.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};

/// Rows shown at a time on a terminal: a small window holds them.
const ROWS_MAX: usize = 16;

/// Deliveries as they were shown last.
pub struct Table {
    flow_names: BTreeMap<String, &'static str>,
    shown: BTreeMap<String, String>,
    is_settled: bool,
    lines_drawn: usize,
    is_terminal: bool,
}

impl Table {
    /// A table that names flows by their ids.
    pub fn new(flow_names: BTreeMap<String, &'static str>) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { flow_names, shown: BTreeMap::new(), is_settled: false, lines_drawn: 0, is_terminal }
    }

    /// Whether nothing was pending when it was last shown.
    pub const fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Shows the deliveries, newest first.
    pub fn show(&mut self, deliveries: &[Value]) -> io::Result<()> {
        let is_pending =
            |delivery: &Value| matches!(delivery["status"].as_str(), Some("scheduled" | "waiting_for_ai"));
        self.is_settled = !deliveries.iter().any(is_pending);
        if self.is_terminal { self.redraw(deliveries) } else { self.append(deliveries) }
    }

    /// Leaves the last picture standing.
    pub fn finish(&mut self) -> io::Result<()> {
        self.lines_drawn = 0;
        io::stdout().flush()
    }

    fn redraw(&mut self, deliveries: &[Value]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.lines_drawn > 0 {
            // Up to the first line of the last picture, and clear from there.
            write!(out, "\x1b[{}A\x1b[J", self.lines_drawn)?;
        }
        writeln!(out, "{HEADER}")?;
        for delivery in deliveries.iter().take(ROWS_MAX) {
            writeln!(out, "{}", self.line(delivery))?;
        }
        let count = |status: &str| deliveries.iter().filter(|delivery| delivery["status"] == status).count();
        writeln!(
            out,
            "  {} deliveries: {} delivered, {} waiting for AI, {} due or retrying, {} failed, {} cancelled",
            deliveries.len(),
            count("delivered"),
            count("waiting_for_ai"),
            count("scheduled"),
            count("failed"),
            count("cancelled"),
        )?;
        self.lines_drawn = deliveries.len().min(ROWS_MAX) + 2;
        out.flush()
    }

    fn append(&mut self, deliveries: &[Value]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.shown.is_empty() && !deliveries.is_empty() {
            writeln!(out, "{HEADER}")?;
        }
        for delivery in deliveries.iter().rev() {
            let line = self.line(delivery);
            let id = delivery["id"].as_str().unwrap_or_default().to_owned();
            if self.shown.get(&id) != Some(&line) {
                writeln!(out, "{line}")?;
                self.shown.insert(id, line);
            }
        }
        out.flush()
    }

    fn line(&self, delivery: &Value) -> String {
        let text = |name: &str| delivery[name].as_str().unwrap_or_default();
        let sign = match text("status") {
            "delivered" => "✓",
            "failed" => "✕",
            "cancelled" => "–",
            _ => "↻",
        };
        let flow = self.flow_names.get(text("call_flow_id")).copied().unwrap_or_default();
        let answer = match (delivery["last_status_code"].as_u64(), delivery["last_error"].as_str()) {
            (_, Some(error)) => error.to_owned(),
            (Some(status), None) => status.to_string(),
            (None, None) => String::new(),
        };
        let attempts = delivery["attempt_count"].as_u64().unwrap_or(0);
        format!("{sign} {flow:<20} {:<15} {:<15} {attempts:>8}  {answer}", text("event"), text("status"))
    }
}

const HEADER: &str = "  Call flow            Event           Status          Attempts  Last answer";
