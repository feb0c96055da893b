//! The second factor: codes of six digits that an authenticator app makes anew every 30 seconds (RFC 6238).

use domain::secret::Secret;
use domain::user::EmailAddress;
use domain::{Timestamp, World};
use totp_rs::{Algorithm, Builder, Totp};

/// What apps show beside the codes.
const ISSUER: &str = "callhook";
/// Bytes of a secret: as many as the hash has (RFC 4226, section 4).
const SECRET_BYTES: usize = 20;
/// Digits of a code. Apps know no other number for sure.
const DIGITS: u8 = 6;
/// Seconds for which a code is shown.
const STEP_SECONDS: u64 = 30;
/// Steps by which a phone's clock may be off.
const SKEW_STEPS: u16 = 1;

/// A second factor that is offered, and not set before a code shows that the app has it.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// For who types it in: base32.
    pub secret: Secret,
    /// The same as a URI, for a QR code.
    pub uri: Secret,
}

/// Offers a second factor.
#[must_use]
pub fn enrol(world: &dyn World, email: &EmailAddress) -> Enrolment {
    let secret = totp_rs::Secret::from(world.random::<SECRET_BYTES>());
    offered(email, Secret::new(secret.to_base32()))
}

/// The second factor of a secret that was offered before.
#[must_use]
pub fn offered(email: &EmailAddress, secret: Secret) -> Enrolment {
    let totp = totp_rs::Secret::try_from_base32(secret.reveal()).ok();
    let totp = totp.and_then(|secret| built(secret, email.as_str()));
    let uri = totp.and_then(|totp| totp.to_url().ok()).unwrap_or_default();
    Enrolment { secret, uri: Secret::new(uri) }
}

/// The step of the code that the app shows now, or showed or will show beside it; `None` where the code is another.
///
/// A step may be taken once: who saw a code over somebody's shoulder comes too late with it.
#[must_use]
pub fn step(secret: &Secret, code: &str, now: Timestamp) -> Option<u64> {
    let secret = totp_rs::Secret::try_from_base32(secret.reveal()).ok()?;
    // Apps show it in two halves, and people type it so.
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    built(secret, "")?.check(&code, u64::try_from(now.as_seconds()).ok()?)
}

fn built(secret: totp_rs::Secret, account: &str) -> Option<Totp> {
    let builder = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(DIGITS)
        .with_step_duration(STEP_SECONDS)
        .with_skew(SKEW_STEPS)
        .with_secret(secret)
        .with_account_name(account)
        .with_issuer(Some(ISSUER));
    builder.build().ok()
}

/// The code that an app shows, for tests.
#[cfg(test)]
#[must_use]
pub fn code(secret: &Secret, now: Timestamp) -> Option<String> {
    let secret = totp_rs::Secret::try_from_base32(secret.reveal()).ok()?;
    Some(built(secret, "")?.generate(u64::try_from(now.as_seconds()).ok()?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::System;

    /// `12345678901234567890`, the secret of RFC 6238, appendix B.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn codes_are_those_of_the_rfc_and_live_a_step_longer_on_both_sides() {
        #[track_caller]
        fn check(code: &str, at_seconds: i64, expected: Option<u64>) {
            let now = Timestamp::from_millis(at_seconds * 1_000);
            assert_eq!(step(&Secret::new(SECRET), code, now), expected, "{code} at {at_seconds}");
        }
        // The last six of the eight digits there.
        for (code, at_seconds) in [
            ("287082", 59),
            ("081804", 1_111_111_109),
            ("050471", 1_111_111_111),
            ("005924", 1_234_567_890),
            ("279037", 2_000_000_000),
            ("353130", 20_000_000_000),
        ] {
            check(code, at_seconds, Some(u64::try_from(at_seconds / 30).unwrap()));
        }
        check(" 287 082\n", 59, Some(1));
        for (at_seconds, expected) in [(0, Some(1)), (89, Some(1)), (90, None), (59 + 3_600, None)] {
            check("287082", at_seconds, expected);
        }
        for wrong in ["", "287083", "28708", "0287082", "+87082", "94287082", "二八七〇八二"] {
            check(wrong, 59, None);
        }
    }

    #[test]
    fn what_is_offered_can_be_scanned_and_typed_in() {
        let email = "ann+x@example.com".parse().unwrap();
        let Enrolment { secret, uri } = enrol(&System, &email);
        assert_eq!(secret.reveal().len(), 32);
        assert_eq!(
            uri.reveal(),
            format!(
                "otpauth://totp/callhook:ann%2Bx%40example.com?secret={}&issuer=callhook",
                secret.reveal()
            )
        );
        let now = System.now();
        assert!(step(&secret, &code(&secret, now).unwrap(), now).is_some());
        assert_ne!(enrol(&System, &email).secret, secret);
    }

    #[test]
    fn what_is_no_secret_takes_no_code() {
        for wrong in ["", "1", "GEZDGNBV", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ!"] {
            assert_eq!(step(&Secret::new(wrong), "287082", Timestamp::from_millis(59_000)), None, "{wrong}");
        }
    }
}
