//! Copies beside a store that is in use.

use crate::harness::{Harness, SECRET, open};
use crate::user::{ann, secret};
use domain::World as _;
use std::fs;
use store::backup::{self, BreakOff, KeyFits};
use store::queue::QueueStore as _;
use store::session::NewSession;
use store::sign_in_link::SecondFactor;

#[tokio::test]
async fn a_copy_beside_an_open_store_holds_what_was_committed() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    for _ in 0..3 {
        h.report(h.call(flow.id)).await.unwrap();
    }
    let file = h.place.folder().join("copy");
    let held = backup::write(h.place.folder(), &file, None, h.world.now(), &BreakOff::default()).unwrap();
    assert_eq!((held.calls, held.deliveries, held.due, held.waiting), (3, 3, 3, 0));
    assert_eq!((held.key, held.sending_paused), (KeyFits::NotAsked, false));
    assert_eq!(held.newest_call_at, Some(h.world.now()));
    h.report(h.call(flow.id)).await.unwrap();
    let other = h.place.folder().join("other");
    let restored = backup::restore(&file, &other, None, h.world.now(), &BreakOff::default()).unwrap();
    assert_eq!((restored.calls, restored.sending_paused), (3, true));
    let endpoint = backup::endpoint(&other.join("callhook.db"), flow.id).unwrap().unwrap();
    assert_eq!((endpoint.call_flow, endpoint.url), (flow.name, flow.post_call_webhook.settings.url));
}

#[tokio::test]
async fn a_restored_store_waits_for_a_word_and_takes_what_is_due_for_a_possible_repetition() {
    let h = Harness::start().await;
    h.store.release_queues().await.unwrap();
    let (file, folder) = (h.place.folder().join("copy"), h.place.folder().join("other"));
    backup::write(h.place.folder(), &file, None, h.world.now(), &BreakOff::default()).unwrap();
    backup::restore(&file, &folder, None, h.world.now(), &BreakOff::default()).unwrap();
    assert!(!h.store.is_sending_paused().await.unwrap());
    let restored = open(&folder.as_path().into(), &h.world, &h.heard, SECRET).await.unwrap();
    assert!(restored.is_sending_paused().await.unwrap());
    let leases = restored.adopt_queues().await.unwrap();
    assert!(
        leases.iter().all(|lease| lease.unclean_until == Some(h.world.now())),
        "although the copy was clean"
    );
    assert!(restored.resume_sending().await.unwrap());
    assert!(!restored.resume_sending().await.unwrap());
    assert!(!restored.is_sending_paused().await.unwrap());
}

#[tokio::test]
async fn a_restored_store_has_nobody_signed_in() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let session = NewSession {
        user_id: ann.id,
        password_hash: secret("hash 1"),
        second_proof: None,
        token: secret("token"),
        address: "192.0.2.1".into(),
        user_agent: "Mozilla/5.0".into(),
    };
    h.store.start_session(session).await.unwrap();
    h.store.new_reset_link(ann.email.clone(), secret("reset"), SecondFactor::Kept).await.unwrap();
    let (file, folder) = (h.place.folder().join("copy"), h.place.folder().join("other"));
    backup::write(h.place.folder(), &file, None, h.world.now(), &BreakOff::default()).unwrap();
    backup::restore(&file, &folder, None, h.world.now(), &BreakOff::default()).unwrap();
    let restored = open(&folder.as_path().into(), &h.world, &h.heard, SECRET).await.unwrap();
    assert!(restored.session(secret("token")).await.unwrap().is_none());
    assert!(restored.reset_link(secret("reset")).await.unwrap().is_none(), "it may have been used since");
    assert!(restored.user_to_sign_in(ann.email).await.unwrap().is_some());
    assert!(h.store.session(secret("token")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_copy_that_is_broken_off_leaves_nothing_behind() {
    let h = Harness::start().await;
    let target = tempfile::tempdir().unwrap();
    let break_off = BreakOff::default();
    break_off.now();
    let file = target.path().join("copy");
    let refused = backup::write(h.place.folder(), &file, None, h.world.now(), &break_off).unwrap_err();
    assert!(refused.to_string().contains("broken off"), "{refused}");
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_killed_copy_left_goes_with_the_next_and_one_under_way_stays() {
    let h = Harness::start().await;
    let target = tempfile::tempdir().unwrap();
    let [left, under_way] = ["left", "under-way"].map(|name| {
        let folder = target.path().join(format!(".callhook-copy-{name}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("draft"), "half of a store").unwrap();
        folder
    });
    let held = fs::File::open(&under_way).unwrap();
    held.try_lock().unwrap();
    let file = target.path().join("copy");
    backup::write(h.place.folder(), &file, None, h.world.now(), &BreakOff::default()).unwrap();
    assert_eq!((left.exists(), under_way.join("draft").exists(), file.exists()), (false, true, true));
}
