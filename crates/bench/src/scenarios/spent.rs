//! What a load takes: processor time of callhook and of the database's processes, and statements.

use super::Bench;
use crate::Outcome;
use crate::postgres::Postgres;
use crate::program::Program;
use std::time::Duration;

/// Statements that callhook has sent to its database.
const STATEMENTS: &str = "callhook_store_statements_total";

/// What was spent up to a moment.
#[derive(Clone, Copy)]
pub struct Spent {
    program: Duration,
    server: Duration,
    statements: f64,
}

/// What each delivery took; what is not counted is not a number.
#[derive(Clone, Copy)]
pub struct Each {
    /// Of the program's processor time.
    pub cpu_us: f64,
    /// Of the database server's.
    pub server_cpu_us: f64,
    pub statements: f64,
}

impl Spent {
    /// Up to now. The bare pipeline counts nothing.
    pub async fn now(bench: &Bench, program: &Program) -> Outcome<Self> {
        let statements = program.counted(STATEMENTS).await?.unwrap_or(f64::NAN);
        let server = bench.postgres.as_ref().map_or(Duration::ZERO, Postgres::cpu);
        Ok(Self { program: program.cpu(), server, statements })
    }

    /// From then until this, for each of so many deliveries.
    pub fn each(self, then: Self, deliveries: usize) -> Each {
        let deliveries = f64::from(u32::try_from(deliveries).unwrap());
        let us = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() * 1e6 / deliveries;
        Each {
            cpu_us: us(self.program, then.program),
            server_cpu_us: us(self.server, then.server),
            statements: (self.statements - then.statements) / deliveries,
        }
    }
}
