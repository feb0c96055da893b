//! What the schedule costs per delivery, in release: `cargo test --release -p delivery --test pace -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its stand-ins too")]

#[path = "simulation/model.rs"]
#[allow(dead_code)]
mod model;

use delivery::schedule::{Command, Config, Event, Now, Schedule};
use domain::Timestamp;
use domain::retry::Verdict;
use model::{Lane, Model, business_id, lane_id};
use std::time::Duration;
use store::queue::{Committed, Outcome, OutcomeApplied};

const DELIVERIES: u64 = 200_000;
const LANES: usize = 20;

#[test]
#[ignore = "prints a figure, proves nothing"]
fn the_cost_of_a_delivery_is_printed() {
    let mut model = Model { epoch: 1, ..Model::default() };
    for number in 0..LANES {
        model.lanes.push(Lane {
            id: lane_id(number),
            business: business_id(number % 5),
            host: number,
            enabled: true,
            sealed: false,
            revision: 0,
            disabled_true: None,
        });
    }
    let mut now = Now { wall: Timestamp::from_millis(1_774_880_000_000), elapsed: Duration::ZERO };
    let mut schedule = Schedule::new(Config::default(), vec![model.lease()], now);
    let mut commands = Vec::new();
    schedule.handle(now, Event::Tick, &mut commands);
    if let Some(Command::ReadHeads(request, ..)) = commands.pop() {
        schedule.handle(now, Event::HeadsRead(request, Ok(Vec::new())), &mut commands);
    }
    let reports: Vec<Vec<Committed>> = (0..DELIVERIES)
        .map(|number| {
            let committed = model.report(now, usize::try_from(number).unwrap() % LANES, None);
            model.rows.clear();
            committed
        })
        .collect();
    let clock = tokio::time::Instant::now();
    let mut done = 0;
    for batch in reports {
        now.elapsed += Duration::from_micros(50);
        schedule.handle(now, Event::Committed(batch, now), &mut commands);
        while let Some(command) = commands.pop() {
            match command {
                Command::Start(start) => {
                    let outcome = outcome(&start, now);
                    schedule.handle(now, Event::AttemptEnded(start.ticket, Box::new(outcome)), &mut commands);
                }
                Command::Record(request, outcomes) => {
                    done += outcomes.len();
                    let applied = vec![OutcomeApplied::Ended; outcomes.len()];
                    schedule.handle(now, Event::Recorded(request, Ok(applied)), &mut commands);
                }
                _ => {}
            }
        }
    }
    let each = clock.elapsed() / u32::try_from(done).unwrap();
    println!("{done} deliveries, {each:?} each, outcomes and their boxes included");
}

fn outcome(start: &delivery::schedule::Start, now: Now) -> Outcome {
    let attempt = domain::delivery::Attempt {
        attempt: start.job.attempt,
        started_at: now.wall,
        duration_ms: 1,
        status_code: Some(200),
        error: None,
        error_detail: None,
        url: String::new(),
        remote_address: None,
        response_headers: Vec::new(),
        response_excerpt: None,
        repeated: false,
        header_names: None,
        phases: None,
    };
    let pending = start.job.pending;
    Outcome { pending, epoch: start.epoch, attempt, ended_at: now.wall, verdict: Verdict::Delivered }
}
