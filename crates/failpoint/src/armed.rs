//! What the tests' build does at its fail points.

use crate::Point;
use rustix::process::{Signal, getpid, kill_process};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Names a point and how often it is reached before the program ends there.
const VARIABLE: &str = "CALLHOOK_FAIL_POINT";

static PLAN: OnceLock<Plan> = OnceLock::new();

struct Plan {
    point: Point,
    visits_left: AtomicU32,
}

pub fn arm() {
    let Ok(text) = std::env::var(VARIABLE) else { return };
    if text == "list" {
        for (point, part) in Point::ALL {
            println!("{point:?} {part:?}");
        }
        std::process::exit(0);
    }
    let Some(plan) = read(&text) else {
        eprintln!("callhook: {VARIABLE} is wrong: a name from its `list`, `@` and a number is expected");
        std::process::exit(2);
    };
    // Cannot be set already: this is the program's first step.
    let _ = PLAN.set(plan);
}

fn read(text: &str) -> Option<Plan> {
    let (name, visits) = text.split_once('@')?;
    let (point, _) = Point::ALL.iter().find(|(point, _)| format!("{point:?}") == name)?;
    Some(Plan { point: *point, visits_left: AtomicU32::new(visits.parse().ok()?) })
}

pub fn reach(point: Point) {
    let Some(plan) = PLAN.get().filter(|plan| plan.point == point) else { return };
    if plan.visits_left.fetch_sub(1, Ordering::Relaxed) == 1 {
        // Cannot fail: a process may always kill itself.
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            // Not a step further, should the signal take a moment.
            std::thread::park();
        }
    }
}
