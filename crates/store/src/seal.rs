//! Secrets at rest: XChaCha20-Poly1305 under a key that is derived from the operator's secret.
//!
//! A sealed value is `key id (4 bytes) | nonce (24 bytes) | ciphertext`. It names its key, so that an operator can change keys:
//! the newest seals, older ones still open.

use crate::error::{StoreError, StoreResult};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::secret::Secret;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
/// What the canary says when it is opened with the right key.
const CANARY: &[u8] = b"callhook canary 1";

/// The keys: the first seals and opens, the others only open.
pub struct Keyring {
    keys: Vec<Key>,
    tombstones: [u8; 32],
    idempotency: [u8; 32],
}

struct Key {
    id: [u8; KEY_ID_BYTES],
    cipher: XChaCha20Poly1305,
}

impl Keyring {
    /// Derives the keys from the operator's secrets, the newest first.
    #[must_use]
    pub fn new(current: &Secret, older: &[Secret]) -> Self {
        let keys = std::iter::once(current).chain(older).map(Key::derive).collect();
        // What is looked up by its hash must be found again after a change of keys, so it hangs on the oldest secret.
        let oldest = older.last().unwrap_or(current);
        Self {
            keys,
            tombstones: derive(oldest, b"callhook tombstones 1"),
            idempotency: derive(oldest, b"callhook idempotency 1"),
        }
    }

    /// Names the key that seals now. Says nothing about the key itself.
    #[must_use]
    pub fn current_id(&self) -> String {
        self.keys[0].id.into_iter().fold(String::new(), hex)
    }

    /// Seals bytes with a nonce that was never used before: 24 random bytes.
    #[must_use]
    pub fn seal(&self, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        self.seal_for(b"", plain, nonce)
    }

    /// The same for one purpose: it opens for no other, so that nothing that lies in the store passes for what was handed out.
    #[must_use]
    pub fn seal_for(&self, purpose: &[u8], plain: &[u8], nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let key = &self.keys[0];
        let payload = Payload { msg: plain, aad: purpose };
        // Cannot fail: only texts of more than 256 GiB are refused.
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        [&key.id[..], &nonce, &sealed].concat()
    }

    /// Opens what was sealed with any of the keys.
    pub fn open(&self, sealed: &[u8]) -> StoreResult<Vec<u8>> {
        self.open_for(b"", sealed)
    }

    /// Opens what was sealed for this purpose.
    pub fn open_for(&self, purpose: &[u8], sealed: &[u8]) -> StoreResult<Vec<u8>> {
        let refused = || StoreError::Sealed;
        let (id, rest) = sealed.split_at_checked(KEY_ID_BYTES).ok_or_else(refused)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or_else(refused)?;
        let key = self.keys.iter().find(|key| key.id == id).ok_or_else(refused)?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| refused())?;
        let payload = Payload { msg: sealed, aad: purpose };
        key.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| refused())
    }

    /// Opens a sealed text.
    pub fn open_text(&self, sealed: &[u8]) -> StoreResult<String> {
        String::from_utf8(self.open(sealed)?).map_err(|_| StoreError::Sealed)
    }

    /// The value by which a later start tells whether it has the store's key.
    #[must_use]
    pub fn canary(&self, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        self.seal(CANARY, nonce)
    }

    /// Whether a canary was made with one of these keys.
    #[must_use]
    pub fn knows(&self, canary: &[u8]) -> bool {
        self.open(canary).is_ok_and(|plain| plain == CANARY)
    }

    /// The keyed hash under which an erased call's source and source id are remembered.
    #[must_use]
    pub fn tombstone(&self, reported_by: &str, source_call_id: &str) -> [u8; 32] {
        keyed_hash(&self.tombstones, &[reported_by.as_bytes(), &[0], source_call_id.as_bytes()])
    }

    /// What is kept of an `Idempotency-Key`: clients like to make it of what must not outlive its call.
    #[must_use]
    pub fn idempotency_hash(&self, key: &str) -> String {
        keyed_hash(&self.idempotency, &[key.as_bytes()]).into_iter().fold(String::new(), hex)
    }
}

fn keyed_hash(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // Cannot fail: HMAC takes keys of any length.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn hex(text: String, byte: u8) -> String {
    text + &format!("{byte:02x}")
}

impl Key {
    fn derive(secret: &Secret) -> Self {
        let key: [u8; 32] = derive(secret, b"callhook sealing 1");
        let named: [u8; 32] = derive(secret, b"callhook key id 1");
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&named[..KEY_ID_BYTES]);
        Self { id, cipher: XChaCha20Poly1305::new(&key.into()) }
    }
}

fn derive(secret: &Secret, purpose: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    // Cannot fail: 32 bytes are fewer than the 8,160 that HKDF-SHA256 can give.
    let _ = Hkdf::<Sha256>::new(Some(b"callhook"), secret.reveal().as_bytes()).expand(purpose, &mut key);
    key
}

/// The SHA-256 of a key or token: it is random enough that a plain hash cannot be reversed.
#[must_use]
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(current: &str, older: &[&str]) -> Keyring {
        Keyring::new(&Secret::new(current), &older.iter().copied().map(Secret::new).collect::<Vec<_>>())
    }

    #[test]
    fn an_older_key_still_opens_and_an_unknown_one_does_not() {
        let sealed = ring("first secret", &[]).seal(b"token", [7; 24]);
        assert_eq!(ring("second secret", &["first secret"]).open_text(&sealed).unwrap(), "token");
        assert!(matches!(ring("second secret", &[]).open(&sealed), Err(StoreError::Sealed)));
    }

    #[test]
    fn a_changed_byte_anywhere_is_refused() {
        let keys = ring("first secret", &[]);
        let sealed = keys.seal(b"token", [7; 24]);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys.open(&changed).is_err(), "byte {at}");
            assert!(keys.open(&sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_was_sealed_for_one_purpose_opens_for_no_other() {
        let keys = ring("first secret", &[]);
        let (lying, carried) = (keys.seal(b"text", [7; 24]), keys.seal_for(b"sign-in", b"text", [7; 24]));
        assert_eq!(keys.open_for(b"sign-in", &carried).unwrap(), b"text");
        for refused in [keys.open(&carried), keys.open_for(b"sign-in", &lying), keys.open_for(b"x", &carried)]
        {
            assert!(matches!(refused, Err(StoreError::Sealed)));
        }
    }

    #[test]
    fn the_canary_knows_its_key() {
        let canary = ring("first secret", &[]).canary([1; 24]);
        assert!(ring("second secret", &["first secret"]).knows(&canary));
        assert!(!ring("second secret", &[]).knows(&canary));
    }

    #[test]
    fn tombstones_differ_by_source_id_and_secret_and_survive_a_new_key() {
        let old = ring("first secret", &[]);
        let hash = old.tombstone("api", "CA1");
        assert_eq!(ring("second secret", &["first secret"]).tombstone("api", "CA1"), hash);
        for other in [
            old.tombstone("api", "CA2"),
            old.tombstone("ap", "iCA1"),
            ring("other", &[]).tombstone("api", "CA1"),
        ] {
            assert_ne!(other, hash);
        }
    }
}
