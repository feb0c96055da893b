//! Businesses and the keys that open them.

use crate::harness::{Harness, key, new};
use domain::api_key::Role;
use domain::phone_number::Country;
use store::StoreError;
use store::api_key::KeyMaker;

#[tokio::test]
async fn a_key_opens_exactly_its_business_until_it_is_revoked() {
    let h = Harness::start().await;
    let created = new(h
        .store
        .create_api_key(h.business, None, "CI".into(), Role::Member, key('a'), KeyMaker::Operator)
        .await);
    assert_eq!(created.hint, "aaaaaaaa");
    let scope = h.store.authenticate(&key('a')).await.unwrap().unwrap();
    assert_eq!((scope.business_id, scope.role, scope.key_id), (h.business, Role::Member, created.id));
    assert_eq!(h.store.authenticate(&key('b')).await.unwrap(), None);
    h.store.revoke_api_key(h.business, created.id).await.unwrap();
    assert_eq!(
        h.store.authenticate(&key('a')).await.unwrap(),
        None,
        "at once, although it was looked up before"
    );
    h.store.revoke_api_key(h.business, created.id).await.unwrap();
}

#[tokio::test]
async fn a_revocation_counts_although_its_caller_has_gone() {
    let h = Harness::start().await;
    let created = new(h
        .store
        .create_api_key(h.business, None, "CI".into(), Role::Member, key('a'), KeyMaker::Operator)
        .await);
    assert!(h.store.authenticate(&key('a')).await.unwrap().is_some());
    {
        let mut revocation = Box::pin(h.store.revoke_api_key(h.business, created.id));
        // Polled once, which hands it to the writer, and dropped: what a client that hangs up does.
        let _ = futures_util::poll!(&mut revocation);
    }
    h.store.check().await.unwrap();
    assert_eq!(h.store.authenticate(&key('a')).await.unwrap(), None);
}

#[tokio::test]
async fn another_businesss_key_cannot_be_revoked_or_seen() {
    let h = Harness::start().await;
    let other = h.store.create_business("Other".into(), Country::US).await.unwrap().id;
    let created = new(h
        .store
        .create_api_key(h.business, None, "CI".into(), Role::Admin, key('a'), KeyMaker::Operator)
        .await);
    assert!(matches!(h.store.revoke_api_key(other, created.id).await, Err(StoreError::NotFound(_))));
    assert!(h.store.list_api_keys(other, None, 50).await.unwrap().rows.is_empty());
    assert!(h.store.authenticate(&key('a')).await.unwrap().is_some());
}

#[tokio::test]
async fn a_business_has_at_most_ten_active_keys() {
    let h = Harness::start().await;
    let mut last = None;
    for letter in 'a'..='j' {
        last = Some(new(h
            .store
            .create_api_key(h.business, None, "k".into(), Role::Viewer, key(letter), KeyMaker::Operator)
            .await));
    }
    let refused = h
        .store
        .create_api_key(h.business, None, "k".into(), Role::Viewer, key('k'), KeyMaker::Operator)
        .await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
    h.store.revoke_api_key(h.business, last.unwrap().id).await.unwrap();
    new(h
        .store
        .create_api_key(h.business, None, "k".into(), Role::Viewer, key('k'), KeyMaker::Operator)
        .await);
    let page = h.store.list_api_keys(h.business, None, 4).await.unwrap();
    assert_eq!((page.rows.len(), page.more), (4, true));
    assert!(page.rows.is_sorted_by(|a, b| a.id > b.id));
}

#[tokio::test]
async fn a_call_of_a_key_that_was_revoked_meanwhile_is_refused_in_its_transaction() {
    let h = Harness::start().await;
    let created = new(h
        .store
        .create_api_key(h.business, None, "CI".into(), Role::Member, key('a'), KeyMaker::Operator)
        .await);
    h.store.revoke_api_key(h.business, created.id).await.unwrap();
    let flow = h.flow(|_| {}).await;
    let reporter = store::call::Reporter { key_id: Some(created.id), ..h.reporter() };
    let refused = h.store.record_call(reporter, None, h.call(flow.id)).await;
    assert!(matches!(refused, Err(StoreError::KeyRevoked)));
}

#[tokio::test]
async fn business_names_are_unique_and_can_change() {
    let h = Harness::start().await;
    assert!(matches!(
        h.store.create_business("Acme".into(), Country::US).await,
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(h.store.ensure_business("Acme".into(), Country::US).await.unwrap().id, h.business);
    h.store.create_business("Zed".into(), "DE".parse().unwrap()).await.unwrap();
    assert!(matches!(
        h.store.rename_business("Acme".into(), "Zed".into()).await,
        Err(StoreError::Conflict(_))
    ));
    assert!(matches!(
        h.store.rename_business("Nobody".into(), "X".into()).await,
        Err(StoreError::NotFound(_))
    ));
    h.store.rename_business("Acme".into(), "Acme 2".into()).await.unwrap();
    let names: Vec<_> = h.store.list_businesses().await.unwrap().into_iter().map(|b| b.name).collect();
    assert_eq!(names, ["Acme 2", "Zed"]);
}
