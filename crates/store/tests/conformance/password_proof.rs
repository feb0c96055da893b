//! The proof of a password that goes along with a code: what it counts for, and for how long.

use crate::harness::Harness;
use crate::user::{email, secret};
use domain::limits::PASSWORD_PROOF_LIFE;
use std::net::IpAddr;
use std::time::Duration;

const NETWORK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

#[tokio::test]
async fn a_proof_counts_for_its_password_in_its_network_and_within_its_time() {
    let h = Harness::start().await;
    let sealed = h.store.seal_password_proof(email("ann"), secret("hash 1"), NETWORK).await.unwrap();
    let open =
        async |sealed: &[u8], network| h.store.open_password_proof(sealed.to_vec(), network).await.unwrap();
    let proof = open(&sealed, NETWORK).await.unwrap();
    assert_eq!(proof.email, email("ann"));
    assert!(proof.is_of(&secret("hash 1")) && !proof.is_of(&secret("hash 2")));
    assert_eq!(open(&sealed, IpAddr::from([192, 0, 2, 2])).await, None);
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(open(&changed, NETWORK).await, None, "byte {at}");
    }
    assert_eq!(open(b"", NETWORK).await, None);
    assert!(!String::from_utf8_lossy(&sealed).contains("ann"));
    h.world.advance(PASSWORD_PROOF_LIFE.saturating_sub(Duration::from_millis(1)));
    assert_eq!(open(&sealed, NETWORK).await, Some(proof));
    h.world.advance(Duration::from_millis(1));
    assert_eq!(open(&sealed, NETWORK).await, None);
}
