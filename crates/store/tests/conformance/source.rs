//! Calls that a phone system reports leg by leg: one transaction a step, one call in the end.

use crate::harness::{Harness, new};
use domain::World as _;
use domain::call::Recording;
use domain::secret::Secret;
use std::time::Duration;
use store::StoreError;
use store::call::CallFilter;
use store::source::{LegEffect, LegStep, Source, SourceSettings};

async fn twilio(h: &Harness) -> Source {
    let settings = SourceSettings { name: "Twilio".into(), auth_token: Secret::new("token"), dial: true };
    new(h.store.create_source(h.business, None, settings, Secret::new("path token")).await)
}

async fn step(h: &Harness, source: &Source, expected: Option<&'static str>, step: LegStep) {
    let change = Box::new(move |state: Option<&str>, _| {
        assert_eq!(state, expected);
        Ok(step.clone())
    });
    h.store.step_source_call(h.business, source.id, "CA1".into(), change).await.unwrap();
}

#[tokio::test]
async fn state_is_kept_between_steps_and_the_end_makes_the_call_and_its_delivery() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let source = twilio(&h).await;
    let due_at = h.world.now().after(Duration::from_secs(10));
    let waiting = LegStep { state: "one".into(), due_at: Some(due_at), effect: LegEffect::Nothing };
    step(&h, &source, None, waiting).await;
    let arrived = h
        .store
        .last_arrivals(h.business, vec![domain::id::SourceId::from_bytes([7; 16]), source.id])
        .await
        .unwrap();
    assert_eq!(arrived, [None, Some(h.world.now())]);
    assert!(h.store.due_source_calls(h.world.now(), 10).await.unwrap().is_empty());
    assert_eq!(
        h.store.due_source_calls(due_at, 10).await.unwrap(),
        [(h.business, source.id, "CA1".to_owned())]
    );
    let ended = domain::call::EndedCall { source_call_id: Some("CA1".into()), ..h.call(flow.id) };
    let end = LegStep { state: "two".into(), due_at: None, effect: LegEffect::Ended(Box::new(ended)) };
    step(&h, &source, Some("one"), end.clone()).await;
    step(&h, &source, Some("two"), end).await;
    assert_eq!(h.take_planned().len(), 1);
    let recording = Recording { url: Secret::new("https://api.twilio.com/r"), duration_seconds: Some(9) };
    let late =
        LegStep { state: "three".into(), due_at: None, effect: LegEffect::Recorded(recording.clone()) };
    step(&h, &source, Some("two"), late).await;
    let calls = h.store.list_calls(h.business, CallFilter::default(), None, 10).await.unwrap().rows;
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].recording, Some(recording));
    let found = h.store.call_by_recording_token(calls[0].recording_token.clone().unwrap()).await.unwrap();
    assert_eq!(found.id, calls[0].id);
}

#[tokio::test]
async fn a_call_that_is_put_off_is_due_later_and_an_ended_one_never() {
    let h = Harness::start().await;
    let source = twilio(&h).await;
    let (now, later) = (h.world.now(), h.world.now().after(Duration::from_mins(10)));
    let waiting = LegStep { state: "one".into(), due_at: Some(now), effect: LegEffect::Nothing };
    step(&h, &source, None, waiting.clone()).await;
    let put_off = || h.store.put_off_source_call(h.business, source.id, "CA1".into(), later);
    assert!(put_off().await.unwrap());
    assert!(h.store.due_source_calls(now, 10).await.unwrap().is_empty());
    assert_eq!(h.store.due_source_calls(later, 10).await.unwrap().len(), 1);
    step(&h, &source, Some("one"), LegStep { due_at: None, ..waiting }).await;
    assert!(!put_off().await.unwrap());
    assert!(h.store.due_source_calls(later, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_broken_constraint_is_a_fault_of_ours_and_no_conflict_of_the_clients() {
    let h = Harness::start().await;
    twilio(&h).await;
    let settings = SourceSettings { name: "Twin".into(), auth_token: Secret::new("token"), dial: true };
    let twin = h.store.create_source(h.business, None, settings, Secret::new("path token")).await;
    assert!(matches!(twin.err(), Some(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn a_source_is_found_by_its_token_until_it_is_removed() {
    let h = Harness::start().await;
    let source = twilio(&h).await;
    assert_eq!(h.store.source_by_token(Secret::new("path token")).await.unwrap().id, source.id);
    let change = |source: &Source| Ok(SourceSettings { dial: false, ..SourceSettings::from(source) });
    assert!(!h.store.update_source(h.business, source.id, change).await.unwrap().dial);
    h.store.delete_source(h.business, source.id).await.unwrap();
    assert!(matches!(h.store.source_by_token(Secret::new("path token")).await, Err(StoreError::NotFound(_))));
}
