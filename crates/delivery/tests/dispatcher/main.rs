//! The dispatcher on paused time, against the model of the store and scripted receivers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its stand-ins too")]

#[path = "../simulation/model.rs"]
#[allow(dead_code)]
mod model;
mod stand_ins;

use delivery::dispatcher::{Clock, Stopped};
use delivery::limits;
use domain::Timestamp;
use domain::id::CallFlowId;
use model::{Status, business_id, delivery_id, lane_id};
use stand_ins::{Reply, Setup};
use std::time::Duration;
use store::queue::{Change, CommitListener, DeliveryChange};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_fresh_delivery_is_sent_from_memory_and_recorded() {
    let setup = Setup::new();
    let dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    let reads = setup.store.reads();
    let id = setup.report(0, None);
    setup.settle(100 * MS).await;
    assert_eq!(setup.status(id), (Status::Delivered, 1));
    assert_eq!(setup.store.reads(), reads, "nothing is read for it");
    assert_eq!(dispatcher.stop(SECOND).await, Stopped::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_failing_delivery_is_retried_after_30_seconds_and_2_minutes_and_then_failed() {
    let setup = Setup::new();
    setup.receiver.reply(Reply::Fail);
    let _dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    let id = setup.report(0, None);
    setup.settle(Duration::from_mins(4)).await;
    assert_eq!(setup.status(id), (Status::Failed, 3));
    let starts = setup.receiver.starts();
    let waits: Vec<u128> =
        starts.windows(2).map(|pair| pair[1].at.abs_diff(pair[0].at).as_millis()).collect();
    assert!((30_000..30_250).contains(&waits[0]) && (120_000..120_250).contains(&waits[1]), "{waits:?}");
    assert_eq!(starts.iter().map(|start| start.attempt).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_by_how_they_ended_and_how_late_they_began() {
    let setup = Setup::new();
    setup.receiver.reply(Reply::FailOnce);
    let dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    setup.report(0, None);
    setup.settle(Duration::from_mins(1)).await;
    let figures = dispatcher.observer().figures();
    let failed: Vec<_> = figures.attempts_failed().filter(|(_, count)| *count > 0).collect();
    assert_eq!((figures.attempts_succeeded.total(), failed), (1, vec![("http_5xx", 1)]));
    let (lateness, durations) = (figures.lateness.read(), figures.attempt_duration.read());
    assert_eq!((lateness.count(), durations.count(), figures.attempts_repeated.total()), (2, 2, 0));
    assert!(lateness.sum < 250_000, "{lateness:?}");
}

#[tokio::test(start_paused = true)]
async fn who_fails_is_known_before_all_that_waits_was_tried() {
    let setup = Setup::new();
    setup.receiver.reply(Reply::Fail);
    let dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    assert_eq!(dispatcher.observer().failing(business_id(0)).await, Some(Vec::new()));
    setup.report(1, None);
    setup.settle(100 * MS).await;
    assert_eq!(dispatcher.observer().failing(business_id(0)).await, Some(vec![lane_id(1)]));
    assert_eq!(dispatcher.observer().failing(business_id(1)).await, Some(Vec::new()));
    setup.receiver.reply(Reply::SucceedAfter(MS));
    setup.settle(31 * SECOND).await;
    assert_eq!(dispatcher.observer().failing(business_id(0)).await, Some(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_test_is_not_retried() {
    let setup = Setup::new();
    setup.store.model().sends_tests = true;
    setup.receiver.reply(Reply::Fail);
    let _dispatcher = setup.start().await;
    let id = setup.report(0, None);
    setup.settle(Duration::from_mins(4)).await;
    assert_eq!(setup.status(id), (Status::Failed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_jump_between_a_plan_and_its_hand_over_makes_nothing_late_or_early() {
    for hours in [-5, 5] {
        let setup = Setup::new();
        let _dispatcher = setup.start().await;
        setup.settle(100 * MS).await;
        let at_once = setup.report_over_a_jump(0, None, hours * 3_600_000);
        let waiting = setup.report_over_a_jump(1, Some(60_000), hours * 3_600_000);
        setup.settle(SECOND).await;
        assert_eq!(setup.status(at_once), (Status::Delivered, 1), "not late, jump of {hours} h");
        setup.settle(58 * SECOND).await;
        assert_eq!(setup.status(waiting), (Status::Waiting, 0), "not early, jump of {hours} h");
        setup.settle(2 * SECOND).await;
        assert_eq!(setup.status(waiting), (Status::Delivered, 1), "not late, jump of {hours} h");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_and_fallbacks_run_on_monotonic_time() {
    for hours in [-5, 5] {
        let setup = Setup::new();
        setup.receiver.reply(Reply::FailOnce);
        let _dispatcher = setup.start().await;
        setup.settle(100 * MS).await;
        let (retried, waiting) = (setup.report(0, None), setup.report(1, Some(60_000)));
        setup.settle(SECOND).await;
        setup.clock.jump(hours * 3_600_000);
        setup.settle(28 * SECOND).await;
        assert_eq!(setup.status(retried), (Status::Scheduled, 1), "not early, jump of {hours} h");
        assert_eq!(setup.status(waiting), (Status::Waiting, 0), "not early, jump of {hours} h");
        setup.settle(2 * SECOND).await;
        assert_eq!(setup.status(retried), (Status::Delivered, 2), "not late, jump of {hours} h");
        setup.settle(30 * SECOND).await;
        assert_eq!(setup.status(waiting), (Status::Delivered, 1), "not late, jump of {hours} h");
    }
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_gathered_while_a_commit_runs() {
    let setup = Setup::new();
    let _dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    let ids: Vec<_> = (0..200).map(|_| setup.report(0, None)).collect();
    setup.settle(SECOND).await;
    assert!(ids.iter().all(|&id| setup.status(id) == (Status::Delivered, 1)));
    let batches = setup.store.recorded();
    assert_eq!(batches.iter().sum::<usize>(), 200);
    assert!(batches.len() < 60, "{batches:?}");
}

#[tokio::test(start_paused = true)]
async fn outcomes_wait_for_others_where_that_is_cheaper_and_for_nobody_at_the_end() {
    let mut setup = Setup::new();
    setup.outcome_wait = 10 * MS;
    let dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(setup.report(0, None));
        setup.settle(MS).await;
    }
    setup.settle(3 * MS).await;
    assert_eq!(setup.receiver.starts().len(), 5);
    assert!(setup.store.recorded().is_empty());
    setup.settle(10 * MS).await;
    assert_eq!(setup.store.recorded(), [5]);
    ids.push(setup.report(0, None));
    setup.settle(2 * MS).await;
    let stopping = tokio::time::Instant::now();
    assert_eq!(dispatcher.stop(SECOND).await, Stopped::Clean);
    assert!(stopping.elapsed() < 5 * MS, "{:?}", stopping.elapsed());
    assert!(ids.into_iter().all(|id| setup.status(id) == (Status::Delivered, 1)));
}

#[tokio::test(start_paused = true)]
async fn sending_pauses_while_the_store_is_away_and_nothing_is_sent_twice() {
    let setup = Setup::new();
    let dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    let first = setup.report(0, None);
    setup.store.go_away(true);
    setup.settle(100 * MS).await;
    let second = setup.report(0, None);
    setup.settle(60 * SECOND).await;
    assert_eq!(setup.receiver.starts().len(), 1, "its outcome cannot be recorded, so nothing else starts");
    assert!(dispatcher.observer().snapshot().await.unwrap().store_away);
    setup.store.go_away(false);
    setup.settle(5 * SECOND).await;
    assert_eq!(setup.status(first), (Status::Delivered, 1));
    assert_eq!(setup.status(second), (Status::Delivered, 1));
    assert_eq!(setup.receiver.starts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_sending_pauses_nothing_is_sent_and_all_of_it_when_it_goes_on() {
    let setup = Setup::new();
    setup.sending_paused.send_replace(true);
    let from_before = setup.report_without_hand_over(0);
    let dispatcher = setup.start().await;
    let (fresh, waiting) = (setup.report(0, None), setup.report(1, Some(5_000)));
    setup.settle(60 * SECOND).await;
    assert_eq!(setup.receiver.starts().len(), 0);
    assert_eq!(setup.status(fresh), (Status::Scheduled, 0));
    let snapshot = dispatcher.observer().snapshot().await.unwrap();
    assert!(snapshot.paused && snapshot.ready && snapshot.oldest_due_age >= 49 * SECOND, "{snapshot:?}");
    setup.sending_paused.send_replace(false);
    setup.settle(SECOND).await;
    for id in [from_before, fresh, waiting] {
        assert_eq!(setup.status(id), (Status::Delivered, 1));
    }
    setup.sending_paused.send_replace(true);
    setup.settle(100 * MS).await;
    let held = setup.report(0, None);
    setup.settle(SECOND).await;
    assert_eq!(setup.status(held), (Status::Scheduled, 0));
    assert_eq!(dispatcher.stop(SECOND).await, Stopped::Clean);
    assert!(
        !setup.store.is_released(),
        "the next start, too, must take what is due for a possible repetition"
    );
}

#[tokio::test(start_paused = true)]
async fn an_overflowing_hand_over_is_swept_up() {
    let setup = Setup::new();
    let _dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    // Nothing is taken in until this task waits.
    let reports = limits::HAND_OVER_MAX + 50;
    let ids: Vec<_> = (0..reports).map(|_| setup.report(0, None)).collect();
    setup.settle(15 * SECOND).await;
    assert!(ids.iter().all(|&id| setup.status(id) == (Status::Delivered, 1)));
    assert_eq!(setup.receiver.starts().len(), reports);
}

#[tokio::test(start_paused = true)]
async fn what_an_unknown_commit_planned_is_found_at_once() {
    let setup = Setup::new();
    let dispatcher = setup.start().await;
    setup.settle(SECOND).await;
    let id = setup.report_without_hand_over(0);
    setup.listener.unknown();
    setup.settle(SECOND).await;
    assert_eq!(setup.status(id), (Status::Delivered, 1));
    assert_eq!(dispatcher.observer().snapshot().await.unwrap().found_by_sweep_total, 1);
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_records_what_is_in_flight_and_starts_nothing_more() {
    let setup = Setup::new();
    setup.receiver.reply(Reply::SucceedAfter(3 * SECOND));
    let dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    let in_flight = setup.report(0, None);
    setup.settle(100 * MS).await;
    let stopping = tokio::spawn(dispatcher.stop(10 * SECOND));
    setup.settle(100 * MS).await;
    let late = setup.report(0, None);
    assert_eq!(stopping.await.unwrap(), Stopped::Clean);
    assert_eq!(setup.status(in_flight), (Status::Delivered, 1));
    assert_eq!(setup.status(late), (Status::Scheduled, 0));
    assert!(setup.store.is_released());
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_runs_out_of_time_releases_nothing() {
    let setup = Setup::new();
    setup.receiver.reply(Reply::SucceedAfter(60 * SECOND));
    let dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    setup.report(0, None);
    setup.settle(100 * MS).await;
    assert_eq!(dispatcher.stop(SECOND).await, Stopped::Unclean);
    assert!(!setup.store.is_released());
}

#[tokio::test(start_paused = true)]
async fn a_start_adopts_what_waits_and_marks_what_may_be_a_repetition() {
    let setup = Setup::new();
    let before = setup.report_without_hand_over(0);
    setup.store.model().unclean_until = Some(setup.clock.now().wall);
    let _dispatcher = setup.start().await;
    setup.settle(SECOND).await;
    let after = setup.report(0, None);
    setup.settle(SECOND).await;
    assert_eq!(setup.status(before), (Status::Delivered, 1));
    assert_eq!(setup.status(after), (Status::Delivered, 1));
    assert_eq!(setup.store.repeated(), [(before, true), (after, false)]);
}

#[tokio::test(start_paused = true)]
async fn beside_many_that_hang_a_healthy_endpoint_waits_neither_at_the_start_nor_later() {
    let setup = Setup::with_lanes(101);
    setup.receiver.reply(Reply::HangBut(100));
    for report in 0..2_000 {
        setup.report_without_hand_over(report % 100);
    }
    let waiting = setup.report_without_hand_over(100);
    let _dispatcher = setup.start().await;
    setup.settle(SECOND).await;
    assert_eq!(setup.status(waiting), (Status::Delivered, 1), "all are new");
    setup.settle(30 * SECOND).await;
    let later = setup.report(100, None);
    setup.settle(SECOND).await;
    assert_eq!(setup.status(later), (Status::Delivered, 1), "the others are known to fail");
}

#[tokio::test(start_paused = true)]
async fn a_backlog_that_is_refused_at_once_is_sent_at_a_pace_that_leaves_room_for_others() {
    let setup = Setup::with_lanes(50);
    setup.receiver.reply(Reply::Fail);
    let ids: Vec<_> = (0..10_000).map(|report| setup.report_without_hand_over(report % 50)).collect();
    let _dispatcher = setup.start().await;
    setup.settle(2 * SECOND).await;
    let begun = setup.receiver.starts().len();
    // Some before a lane is known for dead, then the pace.
    assert!((3_500..6_500).contains(&begun), "{begun}");
    setup.settle(Duration::from_mins(5)).await;
    assert!(ids.iter().all(|&id| setup.status(id) == (Status::Failed, 3)), "none is left out");
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_waits_for_no_failing_one() {
    let setup = Setup::with_lanes(101);
    setup.receiver.reply(Reply::HangBut(100));
    for report in 0..2_000 {
        setup.report_without_hand_over(report % 100);
    }
    let _dispatcher = setup.start().await;
    setup.settle(15 * SECOND).await;
    let first = setup.report(100, None);
    setup.settle(SECOND).await;
    assert_eq!(setup.status(first), (Status::Delivered, 1));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_breaks_off_is_made_again_with_its_number() {
    let setup = Setup::new();
    setup.receiver.reply(Reply::BreakOffOnce);
    let _dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    let id = setup.report(0, None);
    setup.settle(Duration::from_mins(1)).await;
    assert_eq!(setup.status(id), (Status::Delivered, 1));
    assert_eq!(setup.store.repeated(), [(id, true)]);
    assert_eq!(setup.receiver.starts().iter().map(|start| start.attempt).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_pauses_its_lane_and_no_other() {
    let setup = Setup::new();
    let dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    let now_and_waiting = [(false, None), (true, Some(2_000))];
    for (adopted, wait) in now_and_waiting {
        let id = delivery_id(setup.store.model().next + 1);
        setup.store.model().unreadable.insert(id);
        if adopted {
            setup.report(0, wait)
        } else {
            setup.report_without_hand_over(0)
        };
        let healthy: Vec<_> = (0..20).map(|_| setup.report(1, wait)).collect();
        setup.listener.unknown();
        setup.settle(5 * SECOND).await;
        assert!(healthy.iter().all(|&id| setup.status(id) == (Status::Delivered, 1)), "wait of {wait:?}");
        assert_eq!(setup.status(id).1, 0, "it is no attempt");
        let snapshot = dispatcher.observer().snapshot().await.unwrap();
        assert_eq!((snapshot.lanes_sealed, snapshot.store_away), (1, false));
        setup.store.model().unreadable.clear();
        setup.settle(30 * SECOND).await;
        assert_eq!(setup.status(id), (Status::Delivered, 1), "it goes on once it can be read");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_recorded_waits_for_long_and_stops_nothing_else() {
    let setup = Setup::new();
    let dispatcher = setup.start().await;
    setup.settle(100 * MS).await;
    let id = delivery_id(setup.store.model().next + 1);
    setup.store.model().unrecordable.insert(id);
    setup.report(0, None);
    let healthy: Vec<_> = (0..20).map(|number| setup.report(number % 2, None)).collect();
    setup.settle(limits::UNRECORDED_PAUSE.saturating_sub(SECOND)).await;
    assert!(healthy.iter().all(|&id| setup.status(id) == (Status::Delivered, 1)));
    assert_eq!(setup.receiver.starts().len(), 1 + healthy.len(), "its receiver is not called over and over");
    assert!(!dispatcher.observer().snapshot().await.unwrap().store_away);
    setup.store.model().unrecordable.clear();
    setup.settle(5 * SECOND).await;
    assert_eq!(setup.status(id), (Status::Delivered, 1));
    assert_eq!(setup.store.repeated().last(), Some(&(id, true)));
}

#[tokio::test(start_paused = true)]
async fn hints_reach_whoever_listens() {
    let mut setup = Setup::new();
    let change = DeliveryChange {
        business_id: business_id(1),
        delivery_id: delivery_id(7),
        call_id: None,
        call_flow_id: CallFlowId::floor(Timestamp::default()),
        status: domain::delivery::DeliveryStatus::Delivered,
        attempt_count: 1,
    };
    setup.listener.changed(vec![Change::Delivery(change), Change::Redelivery(business_id(2))]);
    let Change::Delivery(heard) = setup.changes.recv().await.unwrap() else { panic!("it is a delivery's") };
    assert_eq!(heard.delivery_id, delivery_id(7));
    assert_eq!(setup.changes.recv().await.unwrap().business_id(), business_id(2));
}
