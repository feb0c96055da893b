//! Secrets are sealed at rest, and a store is opened by one process with the right key.

use crate::harness::{Harness, Heard, SECRET, key, new, open, open_with};
use domain::api_key::Role;
use domain::call::{EndedCall, Recording};
use domain::secret::Secret;
use std::sync::Arc;
use store::StoreError;
use store::source::SourceSettings;

#[tokio::test]
async fn no_secret_lies_in_clear_in_any_file() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let recording = Recording {
        url: Secret::new("https://media.example.com/r?token=hush-hush-url"),
        duration_seconds: None,
    };
    h.report(EndedCall { recording: Some(recording), ..h.call(flow.id) }).await.unwrap();
    new(h.store.create_api_key(h.business, None, "k".into(), Role::Admin, key('h')).await);
    let settings =
        SourceSettings { name: "Twilio".into(), auth_token: Secret::new("hush-hush-auth"), dial: true };
    new(h.store.create_source(h.business, None, settings, Secret::new("hush-hush-path")).await);
    assert_eq!(
        h.store.source_by_token(Secret::new("hush-hush-path")).await.unwrap().auth_token.reveal(),
        "hush-hush-auth"
    );
    let Harness { store, folder, .. } = h;
    drop(store);
    let key = key('h');
    for secret in ["hush-hush", "whsec_", "c2VjcmV0", key.reveal(), SECRET] {
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} lies in {}", path.display());
        }
    }
}

#[tokio::test]
async fn a_second_opener_is_refused_and_the_first_goes_on() {
    let h = Harness::start().await;
    let refused = open(h.folder.path(), &h.world, &Arc::new(Heard::default()), SECRET).await;
    assert!(
        matches!(refused.err(), Some(StoreError::InUse { process, .. }) if process == std::process::id().to_string())
    );
    h.store.check().await.unwrap();
}

#[tokio::test]
async fn after_a_change_of_keys_the_old_key_alone_is_refused() {
    let Harness { store, world, folder, .. } = Harness::start().await;
    drop(store);
    let heard = Arc::new(Heard::default());
    let new_key = "a new secret of at least thirty-two characters";
    let both = open_with(folder.path(), &world, &heard, new_key, &[SECRET]).await.unwrap();
    drop(both);
    let refused = open(folder.path(), &world, &heard, SECRET).await;
    assert!(matches!(refused.err(), Some(StoreError::WrongKey)), "the new key has sealed things since");
    let refused = open(folder.path(), &world, &heard, new_key).await;
    assert!(matches!(refused.err(), Some(StoreError::WrongKey)), "the old key has sealed things before");
    assert!(open_with(folder.path(), &world, &heard, new_key, &[SECRET]).await.is_ok());
}

#[tokio::test]
async fn nobody_else_may_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let Harness { store, world, folder, .. } = Harness::start().await;
    drop(store);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let heard = Arc::new(Heard::default());
    let _store = open(folder.path(), &world, &heard, SECRET).await.unwrap();
    assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o750);
}

#[tokio::test]
async fn another_secret_key_is_refused() {
    let Harness { store, world, folder, .. } = Harness::start().await;
    drop(store);
    let heard = Arc::new(Heard::default());
    let refused = open(folder.path(), &world, &heard, "another secret of at least thirty-two").await;
    assert!(matches!(refused.err(), Some(StoreError::WrongKey)));
    assert!(open(folder.path(), &world, &heard, SECRET).await.is_ok());
}
