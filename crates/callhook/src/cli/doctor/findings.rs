//! What the doctor has found: one line a check.

use crate::cli::{Failure, print};
use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but somebody should look at it.
    Warning,
    /// It does not work.
    Fault,
}

/// One check, and what came of it.
#[derive(Debug, Serialize)]
pub struct Finding {
    check: &'static str,
    level: Level,
    text: String,
}

/// All of them, in order.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// As it should be.
    pub fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Level::Ok, text);
    }

    /// It works, but somebody should look at it.
    pub fn warning(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Level::Warning, text);
    }

    /// It does not work.
    pub fn fault(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Level::Fault, text);
    }

    /// What came of a check.
    pub fn add(&mut self, check: &'static str, level: Level, text: impl Into<String>) {
        self.0.push(Finding { check, level, text: text.into() });
    }

    /// Prints them; a fault is a failure.
    pub fn tell(&self, json: bool) -> Result<(), Failure> {
        if json {
            // Cannot fail: plain data with string keys.
            let checks = serde_json::json!({ "checks": self.0 });
            print(&checks.to_string())?;
        } else {
            for finding in &self.0 {
                let level = match finding.level {
                    Level::Ok => "ok",
                    Level::Warning => "warning",
                    Level::Fault => "fault",
                };
                print(&format!("{level:8} {:14}  {}", finding.check, finding.text))?;
            }
        }
        match self.0.iter().filter(|finding| finding.level == Level::Fault).count() {
            0 => Ok(()),
            1 => Err(Failure::new("one check found a fault")),
            faults => Err(Failure::new(format!("{faults} checks found a fault"))),
        }
    }
}
