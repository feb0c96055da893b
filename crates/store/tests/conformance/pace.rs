//! What the writer costs per delivery, in release:
//! `cargo test --release -p store --test conformance pace -- --ignored --nocapture`.

use crate::harness::Harness;
use domain::attribution::Attribution;
use domain::retry::Verdict;
use futures_util::future::join_all;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use store::queue::QueueStore;

const GROUPS: u32 = 1_500;
const CALLS: u32 = 64;

#[tokio::test]
#[ignore = "prints a figure, proves nothing"]
async fn the_writers_time_per_delivery_is_printed() {
    let harness = Harness::start().await;
    let flow = harness.flow(|_| {}).await;
    let call = {
        let mut call = harness.call(flow.id);
        call.transcription = Some("I would like to know what a new roof costs. ".repeat(8));
        call.attribution = Attribution {
            source: Some("google_ads".into()),
            landing_page_url: Some("https://www.example.com/roofing/storm-damage?campaign=spring".into()),
            utm_source: Some("google".into()),
            utm_campaign: Some("spring-roofing".into()),
            gclid: Some("Cj0KCQjw4ZWkBhC4ARIsAEHwOdWGXmVbMzQ".into()),
            ..Attribution::default()
        };
        call
    };
    let (mut reporting, mut recording) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..GROUPS {
        harness.world.advance(Duration::from_millis(3));
        let before = writer_time();
        for reported in join_all((0..CALLS).map(|_| harness.report(call.clone()))).await {
            reported.unwrap();
        }
        let between = writer_time();
        let outcomes = harness.take_planned().into_iter();
        let outcomes = outcomes.map(|(pending, _)| harness.outcome(pending, 1, Verdict::Delivered)).collect();
        harness.store.record_outcomes(Arc::new(outcomes)).await.unwrap();
        reporting += between.saturating_sub(before);
        recording += writer_time().saturating_sub(between);
    }
    let deliveries = GROUPS * CALLS;
    println!(
        "{deliveries} deliveries: {:?} each to report, {:?} to record",
        reporting / deliveries,
        recording / deliveries
    );
}

/// CPU time of the writer's thread.
fn writer_time() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let mut writers =
        tasks.filter(|task| fs::read_to_string(task.join("comm")).unwrap().trim() == "store-writer");
    let schedule = fs::read_to_string(writers.next().unwrap().join("schedstat")).unwrap();
    Duration::from_nanos(schedule.split(' ').next().unwrap().parse().unwrap())
}
