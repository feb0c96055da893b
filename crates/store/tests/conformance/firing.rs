//! When a delivery fires, that it fires once, and what its frozen body says.

use crate::harness::Harness;
use domain::World as _;
use domain::analysis::{Analysis, Score};
use domain::call::{CallStatus, EndedCall};
use domain::delivery::DeliveryStatus;
use domain::destination::FiringMode;
use domain::payload::{FrozenBody, Payload};
use std::time::Duration;
use store::queue::{Job, PendingKind, Prepared, QueueStore};

fn payload(body: &FrozenBody, job: &Job) -> Payload {
    let bytes = body.stamped(domain::Timestamp::from_millis(0), job.pending.id, job.attempt);
    serde_json::from_slice(&bytes).unwrap()
}

fn analysis() -> Analysis {
    Analysis { summary: Some("wants a quote".into()), ai_score: Score::new(85).ok(), ..Analysis::default() }
}

#[tokio::test]
async fn an_immediate_delivery_is_due_at_once_and_its_job_is_handed_over() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (recorded, pending, job) = h.planned(&flow).await;
    let job = job.unwrap();
    assert_eq!((pending.kind, pending.due_at), (PendingKind::Attempt, h.world.now()));
    assert_eq!((job.attempt, job.attempt_in_series), (1, 1));
    assert_eq!(job.destination.settings.headers.get("x-token").unwrap().reveal(), "hush-hush-header");
    let sent = payload(&job.body, &job);
    assert_eq!(sent.call_id, recorded.call.id.to_string());
    assert!(sent.recording_url.unwrap().starts_with("https://calls.example.com/api/v1/audio/"));
    let delivery = h.store.delivery(h.business, pending.id).await.unwrap().delivery;
    assert_eq!(delivery.status, DeliveryStatus::Scheduled);
}

#[tokio::test]
async fn ai_that_comes_after_an_immediate_call_does_not_show_in_a_retry() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let (recorded, pending, _) = h.planned(&flow).await;
    h.store.finish_analysis(h.business, recorded.call.id, analysis()).await.unwrap();
    assert!(h.take_planned().is_empty());
    let Prepared::Send(job) = h.store.prepare(vec![pending]).await.unwrap().remove(0) else { panic!() };
    let sent = payload(&job.body, &job);
    assert_eq!((sent.summary, sent.ai_processed), (None, false));
}

#[tokio::test]
async fn a_waiting_delivery_fires_when_ai_is_done_with_what_it_found() {
    let h = Harness::start().await;
    let flow = h.waiting_flow().await;
    let (recorded, pending, job) = h.planned(&flow).await;
    assert!(job.is_none());
    assert_eq!(
        (pending.kind, pending.due_at),
        (PendingKind::Fallback, h.world.now().after(Duration::from_mins(5)))
    );
    h.store.finish_analysis(h.business, recorded.call.id, analysis()).await.unwrap();
    let (due, job) = h.take_planned().remove(0);
    let job = job.unwrap();
    assert_eq!(
        (due.kind, due.due_at, due.version),
        (PendingKind::Attempt, h.world.now(), pending.version + 1)
    );
    let sent = payload(&job.body, &job);
    assert_eq!(
        (sent.summary.as_deref(), sent.ai_score, sent.ai_processed),
        (Some("wants a quote"), Some(85), true)
    );
}

#[tokio::test]
async fn ai_and_the_fallback_in_the_same_instant_fire_once_whoever_is_first() {
    for fallback_first in [true, false] {
        let h = Harness::start().await;
        let flow = h.waiting_flow().await;
        let (recorded, pending, _) = h.planned(&flow).await;
        h.world.advance(Duration::from_mins(5));
        let mut fired = 0;
        for step in [fallback_first, !fallback_first] {
            if step {
                let made = h.store.make_due(vec![pending]).await.unwrap().remove(0);
                fired += usize::from(matches!(made, Prepared::Send(_)));
            } else {
                h.store.finish_analysis(h.business, recorded.call.id, analysis()).await.unwrap();
                fired += h.take_planned().len();
            }
        }
        assert_eq!(fired, 1, "fallback first: {fallback_first}");
    }
}

#[tokio::test]
async fn the_fallback_fires_with_whatever_is_there() {
    let h = Harness::start().await;
    let flow = h.waiting_flow().await;
    let report = EndedCall { transcription: Some("Hi".into()), ..h.call(flow.id) };
    h.report(report).await.unwrap();
    let (pending, _) = h.take_planned().remove(0);
    let Prepared::Send(job) = h.store.make_due(vec![pending]).await.unwrap().remove(0) else { panic!() };
    let sent = payload(&job.body, &job);
    assert_eq!((sent.transcription.as_deref(), sent.ai_processed), (Some("Hi"), false));
    let again = h.store.make_due(vec![pending]).await.unwrap().remove(0);
    assert!(matches!(again, Prepared::Changed(_)), "{again:?}");
}

#[tokio::test]
async fn nothing_is_waited_for_that_will_not_come() {
    let h = Harness::start().await;
    let no_ai = h
        .flow(|flow| {
            flow.ai_enabled = false;
            flow.post_call_webhook.firing_mode = FiringMode::WaitForAi;
        })
        .await;
    let waiting = h.waiting_flow().await;
    let cases = [
        (h.call(no_ai.id), PendingKind::Attempt),
        (EndedCall { recording_expected: Some(false), ..h.call(waiting.id) }, PendingKind::Attempt),
        (EndedCall { status: CallStatus::Busy, ..h.call(waiting.id) }, PendingKind::Attempt),
        (
            EndedCall { status: CallStatus::Busy, recording_expected: Some(true), ..h.call(waiting.id) },
            PendingKind::Fallback,
        ),
        (h.call(waiting.id), PendingKind::Fallback),
    ];
    for (index, (report, expected)) in cases.into_iter().enumerate() {
        h.report(report).await.unwrap();
        assert_eq!(h.take_planned()[0].0.kind, expected, "case {index}");
    }
}

#[tokio::test]
async fn switching_ai_off_ends_the_waiting() {
    let h = Harness::start().await;
    let flow = h.waiting_flow().await;
    h.planned(&flow).await;
    let mut settings = store::call_flow::CallFlowSettings::from(&flow);
    settings.ai_enabled = false;
    h.store.update_call_flow(h.business, flow.id, move |_| Ok(settings.clone())).await.unwrap();
    let planned = h.take_planned();
    assert_eq!(planned.len(), 1);
    assert_eq!(planned[0].0.kind, PendingKind::Attempt);
    assert!(planned[0].1.is_some());
}
