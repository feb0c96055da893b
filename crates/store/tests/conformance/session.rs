//! Sessions, and links to another password.

use crate::harness::Harness;
use crate::user::{ann, email, member, recovery_code, secret, totp};
use domain::api_key::Role;
use domain::id::{SessionId, UserId};
use domain::limits::{RESET_LINK_LIFE, SESSION_IDLE_MAX, SESSION_LIFE_MAX, SESSIONS_MAX};
use domain::user::Session;
use std::time::Duration;
use store::member::MadeKeys;
use store::session::NewSession;
use store::sign_in_link::SecondFactor;
use store::user::{PasswordChange, SecondProof};
use store::{StoreError, StoreResult};

fn new(user_id: UserId, token: &str) -> NewSession {
    NewSession {
        user_id,
        password_hash: secret("hash 1"),
        second_proof: None,
        token: secret(token),
        address: "192.0.2.1".into(),
        user_agent: "Mozilla/5.0".into(),
    }
}

async fn start(h: &Harness, user_id: UserId, token: &str) -> Session {
    h.store.start_session(new(user_id, token)).await.unwrap()
}

async fn is_open(h: &Harness, token: &str) -> bool {
    h.store.session(secret(token)).await.unwrap().is_some()
}

#[track_caller]
fn conflicts<T>(result: StoreResult<T>) {
    let refused = result.err();
    assert!(matches!(refused, Some(StoreError::Conflict(_))), "{refused:?}");
}

#[tokio::test]
async fn a_session_shows_who_it_is_and_what_that_person_belongs_to_now() {
    let h = Harness::start().await;
    ann(&h).await;
    let bob = member(&h, h.business, "bob", Role::Member).await;
    let session = start(&h, bob.id, "token").await;
    let shown = h.store.session(secret("token")).await.unwrap().unwrap();
    assert_eq!((&shown.user, &shown.session), (&bob, &session));
    assert_eq!((session.address.as_str(), session.user_agent.as_str()), ("192.0.2.1", "Mozilla/5.0"));
    assert_eq!(
        shown.memberships.iter().map(|of| (of.business_id, of.role)).collect::<Vec<_>>(),
        [(h.business, Role::Member)]
    );
    assert!(!is_open(&h, "another token").await);
    let carol = member(&h, h.business, "carol", Role::Admin).await;
    h.store.set_member_role(h.business, carol.id, bob.id, Role::Viewer).await.unwrap();
    assert_eq!(h.store.session(secret("token")).await.unwrap().unwrap().memberships[0].role, Role::Viewer);
    h.store.remove_member(h.business, carol.id, bob.id, MadeKeys::GoOn).await.unwrap();
    assert_eq!(h.store.session(secret("token")).await.unwrap().unwrap().memberships, [], "at once");
}

#[tokio::test]
async fn a_session_ends_after_two_idle_weeks_and_after_ninety_days_in_any_case() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let session = start(&h, ann.id, "token").await;
    let moment = Duration::from_millis(1);
    h.world.advance(Duration::from_mins(5).saturating_sub(moment));
    assert!(!h.store.touch_session(ann.id, session.id).await.unwrap());
    h.world.advance(moment);
    assert!(h.store.touch_session(ann.id, session.id).await.unwrap());
    assert!(!h.store.touch_session(ann.id, session.id).await.unwrap(), "not again within minutes");
    h.world.advance(SESSION_IDLE_MAX.saturating_sub(moment));
    assert!(is_open(&h, "token").await);
    h.world.advance(moment);
    assert!(!is_open(&h, "token").await);
    assert!(!h.store.touch_session(ann.id, session.id).await.unwrap(), "what has ended does not come back");
    assert_eq!(h.store.list_sessions(ann.id).await.unwrap(), []);

    let session = start(&h, ann.id, "used daily").await;
    let day = Duration::from_hours(24);
    for _ in 1..SESSION_LIFE_MAX.as_secs() / day.as_secs() {
        h.world.advance(day);
        assert!(h.store.touch_session(ann.id, session.id).await.unwrap());
    }
    assert!(is_open(&h, "used daily").await);
    h.world.advance(day);
    assert!(!is_open(&h, "used daily").await);
    h.world.advance(moment);
    h.store.run_upkeep_step().await.unwrap();
    h.world.set_back(SESSION_LIFE_MAX);
    assert_eq!(h.store.list_sessions(ann.id).await.unwrap(), [], "upkeep has removed them");
}

#[tokio::test]
async fn a_person_ends_the_own_sessions_and_nobody_elses() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let bob = member(&h, h.business, "bob", Role::Admin).await;
    let (first, second) = (start(&h, ann.id, "first").await, start(&h, ann.id, "second").await);
    start(&h, ann.id, "third").await;
    let bobs = start(&h, bob.id, "bob's").await;
    h.store.end_session(bob.id, first.id).await.unwrap();
    h.store.end_session(ann.id, bobs.id).await.unwrap();
    assert!(is_open(&h, "first").await && is_open(&h, "bob's").await);
    h.store.end_session(ann.id, first.id).await.unwrap();
    h.store.end_session(ann.id, first.id).await.unwrap();
    assert!(!is_open(&h, "first").await);
    h.store.end_other_sessions(ann.id, second.id).await.unwrap();
    assert!(is_open(&h, "second").await && !is_open(&h, "third").await && is_open(&h, "bob's").await);
    assert_eq!(h.store.list_sessions(ann.id).await.unwrap(), [second]);
}

#[tokio::test]
async fn of_too_many_sessions_the_one_that_was_seen_longest_ago_ends() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let mut sessions = Vec::new();
    for number in 0..SESSIONS_MAX {
        sessions.push(start(&h, ann.id, &format!("token {number}")).await);
        h.world.advance(Duration::from_mins(5));
    }
    h.store.touch_session(ann.id, sessions[0].id).await.unwrap();
    start(&h, ann.id, "one more").await;
    let open: Vec<SessionId> =
        h.store.list_sessions(ann.id).await.unwrap().into_iter().map(|session| session.id).collect();
    assert_eq!(open.len(), SESSIONS_MAX);
    assert!(open.contains(&sessions[0].id) && !open.contains(&sessions[1].id));
}

#[tokio::test]
async fn a_step_of_the_second_factor_is_taken_once() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let with = |step: Option<u64>, token: &str| NewSession {
        second_proof: step.map(SecondProof::Step),
        ..new(ann.id, token)
    };
    h.store.set_totp(ann.id, Some(totp(""))).await.unwrap();
    conflicts(h.store.start_session(with(None, "none")).await);
    conflicts(h.store.start_session(with(Some(7), "that showed it works")).await);
    let (one, other) = tokio::join!(
        h.store.start_session(with(Some(8), "one")),
        h.store.start_session(with(Some(8), "other")),
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    conflicts(h.store.start_session(with(Some(7), "an earlier one")).await);
    h.store.start_session(with(Some(9), "nine")).await.unwrap();
    assert_eq!(h.store.list_sessions(ann.id).await.unwrap().len(), 2);
    h.store.set_totp(ann.id, None).await.unwrap();
    h.store.start_session(with(None, "no second factor")).await.unwrap();
}

#[tokio::test]
async fn a_recovery_code_is_taken_once_in_place_of_the_second_factors() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let bob = member(&h, h.business, "bob", Role::Viewer).await;
    let with = |digit, token: &str| NewSession {
        second_proof: Some(SecondProof::RecoveryCode(recovery_code(digit))),
        ..new(ann.id, token)
    };
    let left = async || h.store.count_recovery_codes(ann.id).await.unwrap();
    conflicts(h.store.set_recovery_codes(ann.id, vec![recovery_code('1')]).await);
    h.store.set_totp(bob.id, Some(totp("45"))).await.unwrap();
    h.store.set_totp(ann.id, Some(totp("123"))).await.unwrap();
    assert_eq!(left().await, 3);
    conflicts(h.store.start_session(with('4', "of another person")).await);
    let (one, other) =
        tokio::join!(h.store.start_session(with('1', "one")), h.store.start_session(with('1', "other")));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(left().await, 2);
    let stale = NewSession { password_hash: secret("hash 0"), ..with('2', "another password") };
    conflicts(h.store.start_session(stale).await);
    assert_eq!(left().await, 2, "a code that let nobody in stays");
    h.store.set_recovery_codes(ann.id, vec![recovery_code('6')]).await.unwrap();
    conflicts(h.store.start_session(with('2', "one from before")).await);
    h.store.start_session(with('6', "a new one")).await.unwrap();
    h.store.set_totp(ann.id, None).await.unwrap();
    assert_eq!(left().await, 0);
    assert_eq!(h.store.count_recovery_codes(bob.id).await.unwrap(), 2);
}

#[tokio::test]
async fn another_password_ends_all_other_sessions_and_those_that_were_about_to_begin() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let kept = start(&h, ann.id, "kept").await;
    start(&h, ann.id, "stolen").await;
    h.store.new_reset_link(email("ann"), secret("reset"), SecondFactor::Kept).await.unwrap();
    let change = |from: &str, to: &str| PasswordChange {
        from_hash: secret(from),
        to_hash: secret(to),
        keep: Some(kept.id),
    };
    let (one, other) = tokio::join!(
        h.store.set_password(ann.id, change("hash 1", "hash 2")),
        h.store.set_password(ann.id, change("hash 1", "hash 3")),
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(is_open(&h, "kept").await && !is_open(&h, "stolen").await);
    conflicts(h.store.start_session(new(ann.id, "the old password was looked at")).await);
    assert_eq!(h.store.reset_link(secret("reset")).await.unwrap(), None);
}

#[tokio::test]
async fn a_reset_link_works_once_within_a_day_and_ends_all_sessions() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    h.store.set_totp(ann.id, Some(totp("12"))).await.unwrap();
    let link = async |token: &str, second_factor| {
        h.store.new_reset_link(email("ann"), secret(token), second_factor).await.unwrap();
    };
    let refused = h.store.new_reset_link(email("nobody"), secret("x"), SecondFactor::Kept).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    link("late", SecondFactor::Kept).await;
    h.world.advance(RESET_LINK_LIFE);
    assert_eq!(h.store.reset_link(secret("late")).await.unwrap(), None);
    let refused = h.store.reset_by_link(secret("late"), secret("hash 2")).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    link("older", SecondFactor::Kept).await;
    link("newer", SecondFactor::Kept).await;
    assert_eq!(h.store.reset_link(secret("older")).await.unwrap(), None, "a newer one takes its place");
    let step = NewSession { second_proof: Some(SecondProof::Step(8)), ..new(ann.id, "token") };
    h.store.start_session(step).await.unwrap();
    let by = |hash: &str| h.store.reset_by_link(secret("newer"), secret(hash));
    let (one, other) = tokio::join!(by("hash 2"), by("hash 3"));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(!is_open(&h, "token").await);
    let set = h.store.credentials(ann.id).await.unwrap();
    assert!(["hash 2", "hash 3"].contains(&set.password_hash.reveal()) && set.totp.is_some());
    assert_eq!(h.store.count_recovery_codes(ann.id).await.unwrap(), 2);
    link("lost phone", SecondFactor::Removed).await;
    assert!(!h.store.is_setup_link(secret("lost phone")).await.unwrap());
    let user = h.store.reset_by_link(secret("lost phone"), secret("hash 4")).await.unwrap();
    assert!(!user.has_totp);
    assert_eq!(h.store.count_recovery_codes(ann.id).await.unwrap(), 0);
    assert_eq!(h.store.credentials(ann.id).await.unwrap().password_hash, secret("hash 4"));
}

#[tokio::test]
async fn nobody_has_no_session() {
    let h = Harness::start().await;
    let refused = h.store.start_session(new(UserId::from_bytes([7; 16]), "token")).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
}
