//! A redelivery of all that match is on record from its first step until long after its last, and counts what was really done.

use crate::harness::{Harness, bytes, key, new};
use crate::job::{CALLS, count, plan_many, switch};
use crate::user::{ann, member};
use domain::World as _;
use domain::api_key::Role;
use domain::call_flow::CallFlow;
use domain::delivery::DeliveryStatus;
use domain::id::RedeliveryId;
use domain::limits::REDELIVERY_RETENTION;
use domain::phone_number::Country;
use domain::retry::Verdict;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use store::delivery::{Beginner, BegunBy, DeliveryFilter, NotRedelivered, Redelivered, Redelivery, Stage};
use store::idempotency::{Answer, Once, StoredResponse};
use store::queue::{Change, QueueStore};
use store::user::LastAdmin;

const NONE: NotRedelivered =
    NotRedelivered { tests: 0, pending: 0, switched_off: 0, without_payload: 0, unreadable: 0, gone: 0 };

pub fn failed() -> DeliveryFilter {
    DeliveryFilter { status: Some(DeliveryStatus::Failed), ..DeliveryFilter::default() }
}

/// A flow of which so many have failed that a redelivery takes three steps.
pub async fn many_failed(h: &Harness) -> CallFlow {
    let flow = h.flow(|_| {}).await;
    for rows in plan_many(h, &flow).await.chunks(500) {
        let outcomes = rows.iter().map(|pending| h.outcome(*pending, 1, Verdict::Failed)).collect();
        h.store.record_outcomes(Arc::new(outcomes)).await.unwrap();
    }
    h.take_planned();
    flow
}

async fn now(h: &Harness, id: RedeliveryId) -> Redelivery {
    h.store.redelivery(h.business, id).await.unwrap()
}

/// Which are under way.
async fn under_way(h: &Harness) -> Vec<RedeliveryId> {
    h.store.redeliveries_under_way(h.business).await.unwrap().iter().map(|under_way| under_way.id).collect()
}

async fn run_to_the_end(h: &Harness) {
    while h.store.run_job_step().await.unwrap() {}
}

#[tokio::test]
async fn many_are_counted_step_by_step_across_a_restart() {
    let h = Harness::start().await;
    many_failed(&h).await;
    let begun = h.redeliver(failed()).await;
    assert_eq!((begun.estimated, begun.matched), (CALLS as u64, CALLS as u64));
    assert_eq!((begun.so_far.redelivered, begun.stage), (500, Stage::UnderWay));
    assert_eq!((begun.filter.clone(), begun.begun_by.clone()), (failed(), None));
    let h = h.restart().await;
    assert_eq!(now(&h, begun.id).await, begun);
    assert_eq!(under_way(&h).await, [begun.id]);
    assert!(h.store.run_job_step().await.unwrap());
    assert_eq!(now(&h, begun.id).await.so_far.redelivered, 1_000);
    h.world.advance(Duration::from_secs(7));
    run_to_the_end(&h).await;
    let ended = now(&h, begun.id).await;
    assert_eq!(ended.so_far, Redelivered { redelivered: CALLS as u64, left_out: NONE });
    assert_eq!(ended.stage, Stage::Ended(h.world.now()));
    assert_eq!(ended.begun_at(), h.world.now_before(Duration::from_secs(7)));
    assert_eq!(under_way(&h).await, []);
    assert_eq!(count(&h, DeliveryStatus::Scheduled).await, CALLS);
    assert_eq!(h.take_planned().len(), CALLS - 500);
}

#[tokio::test]
async fn one_that_ends_in_its_first_step_is_on_record_as_well() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (_, pending, _) = h.planned(&flow).await;
    h.store.record_outcomes(Arc::new(vec![h.outcome(pending, 1, Verdict::Failed)])).await.unwrap();
    let none = h.redeliver(DeliveryFilter { status: Some(DeliveryStatus::Skipped), ..failed() }).await;
    assert_eq!((none.matched, none.stage), (0, Stage::Ended(h.world.now())));
    let one = h.redeliver(failed()).await;
    assert_eq!((one.so_far.redelivered, one.stage), (1, Stage::Ended(h.world.now())));
    assert_eq!(now(&h, one.id).await, one);
    let listed = h.store.list_redeliveries(h.business, None, 1).await.unwrap();
    assert_eq!((listed.rows, listed.more), (vec![one.clone()], true));
    let older = h.store.list_redeliveries(h.business, Some(one.id), 1).await.unwrap();
    assert_eq!((older.rows, older.more), (vec![none], false));
}

#[tokio::test]
async fn what_cannot_be_sent_any_more_when_its_turn_comes_is_left_out_by_its_reason() {
    let h = Harness::start().await;
    let flow = many_failed(&h).await;
    let of_flow = DeliveryFilter { call_flow_id: Some(flow.id), ..DeliveryFilter::default() };
    let odd = h.store.list_deliveries(h.business, of_flow.clone(), None, 1).await.unwrap().rows.remove(0).id;
    h.damage(&format!("UPDATE deliveries SET queue = 99999 WHERE id = {}", bytes(odd.as_bytes())));
    let begun = h.redeliver(of_flow).await;
    assert!(h.store.run_job_step().await.unwrap());
    run_to_the_end(&h).await;
    let so_far = now(&h, begun.id).await.so_far;
    let expected = NotRedelivered { unreadable: 1, ..NONE };
    assert_eq!(so_far, Redelivered { redelivered: CALLS as u64 - 1, left_out: expected });
}

#[tokio::test]
async fn of_a_flow_that_is_switched_off_or_deleted_meanwhile_the_rest_is_left_out() {
    for is_deleted in [false, true] {
        let h = Harness::start().await;
        let flow = many_failed(&h).await;
        let begun = h.redeliver(failed()).await;
        if is_deleted {
            h.store.delete_call_flow(h.business, flow.id).await.unwrap();
        } else {
            switch(&h, &flow, |settings| settings.post_call_webhook.enabled = false).await;
        }
        run_to_the_end(&h).await;
        let ended = now(&h, begun.id).await;
        assert!(ended.has_ended());
        let left_out = NotRedelivered { switched_off: CALLS as u64 - 500, ..NONE };
        assert_eq!(ended.so_far, Redelivered { redelivered: 500, left_out }, "deleted: {is_deleted}");
    }
}

#[tokio::test]
async fn of_two_at_once_nothing_is_sent_twice_and_each_counts_its_own() {
    let h = Harness::start().await;
    many_failed(&h).await;
    let (first, second) = (h.redeliver(failed()).await, h.redeliver(failed()).await);
    assert_eq!(under_way(&h).await, [second.id, first.id]);
    run_to_the_end(&h).await;
    let (first, second) = (now(&h, first.id).await, now(&h, second.id).await);
    assert_eq!(h.take_planned().len(), CALLS);
    assert_eq!(first.so_far.redelivered + second.so_far.redelivered, CALLS as u64);
    assert_eq!(
        (second.matched, second.so_far.left_out),
        (CALLS as u64 - 500, NONE),
        "what is gone is no match"
    );
    assert!(first.has_ended() && second.has_ended());
}

#[tokio::test]
async fn one_whose_step_fails_waits_and_goes_on_and_whoever_looks_hears_of_it() {
    let h = Harness::start().await;
    many_failed(&h).await;
    let begun = h.redeliver(failed()).await;
    let job = bytes(begun.id.as_bytes());
    h.damage(&format!("UPDATE jobs SET spec = 'nonsense' || spec WHERE id = {job}"));
    h.heard.changes.lock().unwrap().clear();
    run_to_the_end(&h).await;
    let waiting = now(&h, begun.id).await;
    let until = h.world.now().after(Duration::from_mins(1));
    assert_eq!((waiting.so_far.redelivered, waiting.stage), (500, Stage::Waiting(until)));
    assert_eq!(under_way(&h).await, [begun.id]);
    let hints = std::mem::take(&mut *h.heard.changes.lock().unwrap());
    assert!(matches!(hints[..], [Change::Redelivery(business)] if business == h.business), "{hints:?}");
    h.damage(&format!("UPDATE jobs SET spec = substr(spec, 9) WHERE id = {job}"));
    h.world.advance(Duration::from_mins(1));
    assert_eq!(now(&h, begun.id).await.stage, Stage::UnderWay);
    run_to_the_end(&h).await;
    let ended = now(&h, begun.id).await;
    assert_eq!((ended.so_far.redelivered, ended.has_ended()), (CALLS as u64, true));
}

#[tokio::test]
async fn one_that_began_before_there_were_records_goes_on_without() {
    let h = Harness::start().await;
    many_failed(&h).await;
    let begun = h.redeliver(failed()).await;
    h.damage("DELETE FROM redeliveries");
    run_to_the_end(&h).await;
    assert_eq!(h.take_planned().len(), CALLS);
    assert!(matches!(h.store.redelivery(h.business, begun.id).await, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn one_whose_job_ended_without_telling_its_record_is_ended_by_upkeep() {
    let h = Harness::start().await;
    many_failed(&h).await;
    let (lost, goes_on) = (h.redeliver(failed()).await, h.redeliver(failed()).await);
    h.damage(&format!("DELETE FROM jobs WHERE id = {}", bytes(lost.id.as_bytes())));
    while h.store.run_upkeep_step().await.unwrap() {}
    assert_eq!(under_way(&h).await, [goes_on.id]);
    assert_eq!(now(&h, lost.id).await.stage, Stage::Ended(h.world.now()));
}

#[tokio::test]
async fn the_same_request_again_begins_none_and_names_the_first() {
    let h = Harness::start().await;
    many_failed(&h).await;
    let by = BegunBy::User(domain::id::UserId::from_bytes([9; 16]));
    let ask = || {
        let once = Once { key: "once".into(), request_hash: [1; 32] };
        let render = |begun: &Redelivery| StoredResponse { status: 202, body: begun.id.as_bytes().to_vec() };
        h.store.redeliver_matching(h.business, by, Some((once, Box::new(render))), failed())
    };
    let begun = new(ask().await);
    let Answer::Repeated(response) = ask().await.unwrap() else { panic!("it is the same request") };
    assert_eq!(response.body, begun.id.as_bytes());
    assert_eq!(under_way(&h).await, [begun.id]);
}

#[tokio::test]
async fn who_has_begun_one_is_named_as_long_as_there_is_somebody() {
    let h = Harness::start().await;
    let (ann, text) = (ann(&h).await, key('a'));
    h.store.ensure_api_key(h.business, "Zapier".into(), text.clone()).await.unwrap();
    let key_id = h.store.authenticate(&text).await.unwrap().unwrap().key_id;
    let begin = async |by| new(h.store.redeliver_matching(h.business, by, None, failed()).await);
    let by_key = begin(BegunBy::ApiKey(key_id)).await;
    assert_eq!(by_key.begun_by, Some(Beginner::ApiKey("Zapier".into())));
    let by_ann = begin(BegunBy::User(ann.id)).await;
    assert_eq!(by_ann.begun_by, Some(Beginner::User("ann".into())));
    member(&h, h.business, "bob", Role::Admin).await;
    h.store.delete_user(ann.id, LastAdmin::Stays).await.unwrap();
    assert_eq!(now(&h, by_ann.id).await.begun_by, None);
}

#[tokio::test]
async fn another_business_sees_none_of_it() {
    let h = Harness::start().await;
    many_failed(&h).await;
    let begun = h.redeliver(failed()).await;
    let other = h.store.create_business("Other".into(), Country::US).await.unwrap().id;
    assert!(matches!(h.store.redelivery(other, begun.id).await, Err(StoreError::NotFound(_))));
    assert_eq!(h.store.redeliveries_under_way(other).await.unwrap(), []);
    assert_eq!(h.store.list_redeliveries(other, None, 50).await.unwrap().rows, []);
    let by = BegunBy::User(domain::id::UserId::from_bytes([9; 16]));
    let none = new(h.store.redeliver_matching(other, by, None, failed()).await);
    assert_eq!((none.matched, none.so_far.redelivered), (0, 0));
}

#[tokio::test]
async fn a_record_is_kept_for_its_time_after_the_end_and_not_before() {
    let h = Harness::start().await;
    many_failed(&h).await;
    let begun = h.redeliver(failed()).await;
    h.world.advance(REDELIVERY_RETENTION * 2);
    while h.store.run_upkeep_step().await.unwrap() {}
    assert_eq!(under_way(&h).await, [begun.id], "it has not ended");
    run_to_the_end(&h).await;
    h.world.advance(REDELIVERY_RETENTION);
    while h.store.run_upkeep_step().await.unwrap() {}
    assert!(now(&h, begun.id).await.has_ended());
    h.world.advance(Duration::from_millis(1));
    while h.store.run_upkeep_step().await.unwrap() {}
    assert!(matches!(h.store.redelivery(h.business, begun.id).await, Err(StoreError::NotFound(_))));
}
