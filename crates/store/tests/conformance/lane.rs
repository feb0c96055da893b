//! What the schedule reads: lanes, their earliest rows, rows again before they are sent.

use crate::harness::{Harness, new};
use domain::World as _;
use std::time::Duration;
use store::call_flow::CallFlowSettings;
use store::queue::{Prepared, QueueStore};

#[tokio::test]
async fn lanes_answer_their_earliest_rows_first() {
    let h = Harness::start().await;
    let (first, second) = (h.flow(|_| {}).await, h.waiting_flow().await);
    let mut rows = Vec::new();
    for _ in 0..3 {
        h.world.advance(Duration::from_secs(1));
        rows.push(h.planned(&first).await.1);
    }
    let (_, waiting, _) = h.planned(&second).await;
    let page = h.store.load_lane(first.post_call_webhook.id, 2).await.unwrap();
    assert_eq!((page.rows, page.more), (rows[..2].to_vec(), true));
    assert!(!h.store.load_lane(first.post_call_webhook.id, 3).await.unwrap().more);
    assert_eq!(h.store.lane_heads(h.world.now(), None, 10).await.unwrap(), rows[..1]);
    let all = h.store.lane_heads(waiting.due_at, None, 10).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(h.store.lane_heads(waiting.due_at, Some(all[0].lane), 10).await.unwrap(), all[1..]);
}

#[tokio::test]
async fn a_row_that_is_read_again_says_what_became_of_it() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, sent, _) = h.planned(&flow).await;
    let (_, cancelled, _) = h.planned(&flow).await;
    let (recorded, erased, _) = h.planned(&flow).await;
    new(h.store.cancel_delivery(h.business, None, cancelled.id).await);
    h.store.erase_call(h.business, recorded.call.id).await.unwrap();
    let outdated = store::queue::Pending { version: 9, ..sent };
    let prepared = h.store.prepare(vec![sent, cancelled, erased, outdated]).await.unwrap();
    assert!(
        matches!(&prepared[0], Prepared::Send(job) if job.pending == sent && !job.body.as_bytes().is_empty())
    );
    assert!(matches!(prepared[1], Prepared::Gone(id) if id == cancelled.id));
    assert!(matches!(prepared[2], Prepared::Gone(id) if id == erased.id));
    assert!(matches!(prepared[3], Prepared::Changed(now) if now == sent));
}

#[tokio::test]
async fn a_changed_url_applies_to_the_attempts_not_yet_made() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    let mut settings = CallFlowSettings::from(&flow);
    settings.post_call_webhook.url =
        domain::destination::DestinationUrl::parse("https://new.example.com/").ok();
    h.store.update_call_flow(h.business, flow.id, move |_| Ok(settings.clone())).await.unwrap();
    let Prepared::Send(job) = h.store.prepare(vec![pending]).await.unwrap().remove(0) else { panic!() };
    assert_eq!(job.destination.settings.url.as_ref().unwrap().as_str(), "https://new.example.com/");
}

#[tokio::test]
async fn queues_count_up_their_epoch_and_tell_an_unclean_stop_from_a_clean_one() {
    let h = Harness::start().await;
    assert!(h.leases.iter().all(|lease| lease.epoch == 1 && lease.unclean_until.is_none()));
    let h = h.restart().await;
    assert!(h.leases.iter().all(|lease| lease.epoch == 2 && lease.unclean_until == Some(h.world.now())));
    h.store.release_queues().await.unwrap();
    let h = h.restart().await;
    assert!(h.leases.iter().all(|lease| lease.epoch == 3 && lease.unclean_until.is_none()));
}

#[tokio::test]
async fn a_switched_off_destination_cancels_what_is_read_again() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    h.store.delete_call_flow(h.business, flow.id).await.unwrap();
    let detail = h.store.delivery(h.business, pending.id).await.unwrap();
    assert_eq!(detail.delivery.reason.as_deref(), Some("the call flow was deleted"));
    assert!(matches!(h.store.prepare(vec![pending]).await.unwrap()[0], Prepared::Gone(_)));
}
