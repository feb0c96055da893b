//! A store is opened with the keys that sealed what it holds.

use crate::harness::{Harness, Heard, SECRET, open, open_with};
use std::sync::Arc;
use store::StoreError;

#[tokio::test]
async fn after_a_change_of_keys_the_old_key_alone_is_refused() {
    let Harness { store, world, place, .. } = Harness::start().await;
    drop(store);
    let heard = Arc::new(Heard::default());
    let new_key = "a new secret of at least thirty-two characters";
    let both = open_with(&place, &world, &heard, new_key, &[SECRET]).await.unwrap();
    drop(both);
    let refused = open(&place, &world, &heard, SECRET).await;
    assert!(matches!(refused.err(), Some(StoreError::WrongKey)), "the new key has sealed things since");
    let refused = open(&place, &world, &heard, new_key).await;
    assert!(matches!(refused.err(), Some(StoreError::WrongKey)), "the old key has sealed things before");
    assert!(open_with(&place, &world, &heard, new_key, &[SECRET]).await.is_ok());
}

#[tokio::test]
async fn another_secret_key_is_refused() {
    let Harness { store, world, place, .. } = Harness::start().await;
    drop(store);
    let heard = Arc::new(Heard::default());
    let refused = open(&place, &world, &heard, "another secret of at least thirty-two").await;
    assert!(matches!(refused.err(), Some(StoreError::WrongKey)));
    assert!(open(&place, &world, &heard, SECRET).await.is_ok());
}
