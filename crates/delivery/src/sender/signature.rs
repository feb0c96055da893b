//! Standard Webhooks signatures: `v1,` and the base64 of HMAC-SHA256 over id, timestamp and body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::destination::SigningSecret;
use domain::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a new key: as long as the hash.
pub const KEY_BYTES: usize = 32;

/// Makes a secret of random bytes, which must come from a cryptographic source.
#[must_use]
pub fn generate(random: [u8; KEY_BYTES]) -> SigningSecret {
    SigningSecret::from_secret(Secret::new(format!("{}{}", SigningSecret::PREFIX, STANDARD.encode(random))))
}

/// The value of `webhook-signature`: one signature for each secret, the first secret's first.
#[must_use]
pub fn sign(secrets: &[SigningSecret], id: &str, timestamp_seconds: i64, body: &[u8]) -> String {
    let signed = |secret| format!("v1,{}", STANDARD.encode(mac(secret, id, timestamp_seconds, body)));
    secrets.iter().map(signed).collect::<Vec<_>>().join(" ")
}

fn mac(secret: &SigningSecret, id: &str, timestamp_seconds: i64, body: &[u8]) -> [u8; 32] {
    // Cannot fail: HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)).expect("HMAC takes any key");
    mac.update(format!("{id}.{timestamp_seconds}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().into()
}

/// The key's bytes. Every secret that callhook makes is base64; another text is taken as the key itself, so that a delivery is
/// never lost for it.
fn key(secret: &SigningSecret) -> Vec<u8> {
    let text = secret.reveal();
    let text = text.strip_prefix(SigningSecret::PREFIX).unwrap_or(text);
    STANDARD.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PUBLISHED_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn published(secrets: &[SigningSecret]) -> String {
        sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#)
    }

    fn secret(text: &str) -> SigningSecret {
        SigningSecret::from_secret(Secret::new(text))
    }

    #[test]
    fn the_published_example_is_signed_as_published() {
        assert_eq!(published(&[secret(PUBLISHED_SECRET)]), PUBLISHED_SIGNATURE);
    }

    #[test]
    fn during_a_rotation_both_secrets_sign_the_new_one_first() {
        let new = generate([7; KEY_BYTES]);
        let both = published(&[new.clone(), secret(PUBLISHED_SECRET)]);
        assert_eq!(both, format!("{} {PUBLISHED_SIGNATURE}", published(&[new])));
    }

    #[test]
    fn a_new_secret_is_the_prefix_and_the_base64_of_the_random_bytes() {
        let made = generate([0xff; KEY_BYTES]);
        assert_eq!(made.reveal(), "whsec_//////////////////////////////////////////8=");
        assert_eq!(key(&made), [0xff; KEY_BYTES]);
    }
}
