//! Who made an API key is on record, and decides what becomes of it when the person is removed.

use crate::harness::{Harness, key, new};
use crate::user::{ann, member};
use domain::api_key::{ApiKey, Role};
use store::StoreError;
use store::api_key::KeyMaker;
use store::member::MadeKeys;

async fn make(h: &Harness, letter: char, maker: KeyMaker) -> ApiKey {
    new(h.store.create_api_key(h.business, None, "k".into(), Role::Admin, key(letter), maker).await)
}

async fn opens(h: &Harness, letter: char) -> bool {
    h.store.authenticate(&key(letter)).await.unwrap().is_some()
}

#[tokio::test]
async fn a_key_counts_as_made_by_the_person_behind_it_and_goes_with_the_person_where_that_is_asked() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let bob = member(&h, h.business, "bob", Role::Admin).await;
    let own = make(&h, 'a', KeyMaker::User(bob.id)).await;
    let by_key = make(&h, 'b', KeyMaker::ApiKey(own.id)).await;
    let by_operator = make(&h, 'c', KeyMaker::Operator).await;
    let by_ann = make(&h, 'd', KeyMaker::User(ann.id)).await;
    let made_by = [&own, &by_key, &by_operator, &by_ann].map(|key| key.made_by);
    assert_eq!(made_by, [Some(bob.id), Some(bob.id), None, Some(ann.id)]);
    let listed = h.store.list_api_keys(h.business, None, 4).await.unwrap().rows;
    assert_eq!(listed.iter().rev().map(|key| key.made_by).collect::<Vec<_>>(), made_by);
    let counted = h.store.count_api_keys_by_maker(h.business).await.unwrap();
    assert_eq!((counted.len(), counted[&bob.id], counted[&ann.id]), (2, 2, 1));

    h.store.remove_member(h.business, ann.id, bob.id, MadeKeys::Revoked).await.unwrap();
    for (letter, expected) in [('a', false), ('b', false), ('c', true), ('d', true)] {
        assert_eq!(opens(&h, letter).await, expected, "{letter}");
    }
    let counted = h.store.count_api_keys_by_maker(h.business).await.unwrap();
    assert_eq!(counted.keys().collect::<Vec<_>>(), [&ann.id]);
}

#[tokio::test]
async fn who_may_not_any_more_makes_no_key() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let bob = member(&h, h.business, "bob", Role::Admin).await;
    let own = make(&h, 'a', KeyMaker::User(bob.id)).await;
    h.store.remove_member(h.business, ann.id, bob.id, MadeKeys::Revoked).await.unwrap();
    let make =
        |letter, maker| h.store.create_api_key(h.business, None, "k".into(), Role::Admin, key(letter), maker);
    let refused = make('b', KeyMaker::ApiKey(own.id)).await;
    assert!(matches!(refused, Err(StoreError::KeyRevoked)), "let in before: {refused:?}");
    let refused = make('c', KeyMaker::User(bob.id)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    assert!(!opens(&h, 'b').await && !opens(&h, 'c').await);
}
