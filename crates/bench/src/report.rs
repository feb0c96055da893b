//! The table of a run.

use crate::figures::Rounds;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// What was measured, a row a figure.
#[derive(Default)]
pub struct Report(Vec<Row>);

struct Row {
    figure: String,
    bare: Option<Rounds>,
    callhook: Rounds,
    aim: String,
    met: Option<bool>,
}

/// What a figure is to be.
#[derive(Clone, Copy)]
pub enum Aim {
    /// No aim: it explains another one.
    None,
    /// At most so much.
    AtMost(f64),
    /// At least so much.
    AtLeast(f64),
    /// At least so many times the bare figure.
    RatioAtLeast(f64),
    /// At most so many times the figure that it is compared with.
    RatioAtMost(f64),
}

impl Report {
    /// A figure that stands alone. It is printed at once as well: a long run shows where it is.
    pub fn add(&mut self, figure: &str, measured: impl Into<Rounds>, aim: Aim) {
        self.push(figure, None, measured.into(), aim);
    }

    /// A figure beside the one that it is compared with.
    pub fn compare(&mut self, figure: &str, other: impl Into<Rounds>, measured: impl Into<Rounds>, aim: Aim) {
        self.push(figure, Some(other.into()), measured.into(), aim);
    }

    fn push(&mut self, figure: &str, bare: Option<Rounds>, callhook: Rounds, aim: Aim) {
        let value = callhook.median();
        let ratio = bare.as_ref().map(|bare| callhook.ratio(bare).median());
        let (text, met) = match aim {
            Aim::None => (String::new(), None),
            Aim::AtMost(most) => (format!("≤ {most}"), Some(value <= most)),
            Aim::AtLeast(least) => (format!("≥ {least}"), Some(value >= least)),
            Aim::RatioAtLeast(least) => (format!("ratio ≥ {least}"), ratio.map(|ratio| ratio >= least)),
            Aim::RatioAtMost(most) => (format!("ratio ≤ {most}"), ratio.map(|ratio| ratio <= most)),
        };
        eprintln!(
            "    {figure}: {callhook}{}",
            bare.as_ref().map(|b| format!(" against {b}")).unwrap_or_default()
        );
        self.0.push(Row { figure: figure.to_owned(), bare, callhook, aim: text, met });
    }

    /// The whole table.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(["figure", "compared with", "callhook", "ratio", "aim", "met"]);
        for row in &self.0 {
            let ratio = row.bare.as_ref().map(|bare| row.callhook.ratio(bare).to_string());
            table.add_row([
                row.figure.clone(),
                row.bare.as_ref().map(ToString::to_string).unwrap_or_default(),
                row.callhook.to_string(),
                ratio.unwrap_or_default(),
                row.aim.clone(),
                row.met.map(|met| if met { "yes" } else { "no" }.to_owned()).unwrap_or_default(),
            ]);
        }
        for column in 1..4 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }
}
