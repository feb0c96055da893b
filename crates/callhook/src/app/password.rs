//! Passwords: hashed with Argon2id, a few at a time, so that who signs in cannot fill the memory or take all cores.

use argon2::password_hash::Error as HashError;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use domain::World;
use domain::secret::Secret;
use domain::user::Password;
use std::sync::Arc;
use store::{StoreError, StoreResult};
use tokio::sync::Semaphore;

/// Kibibytes that one hash takes: with the passes and lanes, what OWASP names as the least.
const MEMORY_KIB: u32 = 19 * 1_024;
/// How often it goes through them.
const PASSES: u32 = 2;
/// How many threads it could use.
const LANES: u32 = 1;
/// Bytes of the salt.
const SALT_BYTES: usize = 16;
/// Hashes under way at a time: 38 MiB.
const HASHES_MAX: usize = 2;
/// Who is being hashed for and who waits; some two seconds' worth. Beyond it people are told to come again.
const WAITING_MAX: usize = 64;

/// Hashes passwords and compares them.
pub struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { places: semaphore(WAITING_MAX), turns: semaphore(HASHES_MAX) }
    }
}

impl Passwords {
    /// What is kept of a password.
    pub async fn hash(&self, world: &dyn World, password: &Password) -> StoreResult<Secret> {
        let (salt, password) = (world.random::<SALT_BYTES>(), password.secret().clone());
        self.in_turn(move || {
            let hash: PasswordHash = argon2()?
                .hash_password_with_salt(password.reveal().as_bytes(), &salt)
                .map_err(|error| failed(&error))?;
            Ok(Secret::new(hash.to_string()))
        })
        .await
    }

    /// Whether this is the password that was hashed. `None` is nobody's hash: to find that out takes as long.
    pub async fn is(&self, given: &Secret, hash: Option<&Secret>) -> StoreResult<bool> {
        let (given, hash) = (given.clone(), hash.cloned());
        self.in_turn(move || match hash {
            Some(hash) => is_hashed(&given, &hash),
            None => argon2()?
                .hash_password_into(given.reveal().as_bytes(), &[0; SALT_BYTES], &mut [0; 32])
                .map(|()| false)
                .map_err(|error| failed(&error)),
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let busy = || StoreError::Busy("too many people sign in at this moment; come again shortly");
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| busy())?;
        // The thread holds both: who hangs up does not stop it.
        let worked = tokio::task::spawn_blocking(move || {
            let worked = work();
            drop((place, turn));
            worked
        });
        worked.await.map_err(|error| failed(&error))?
    }
}

fn is_hashed(given: &Secret, hash: &Secret) -> StoreResult<bool> {
    let hash = PasswordHash::new(hash.reveal())
        .map_err(|error| StoreError::Corrupt(format!("a password's hash ({error})")))?;
    match argon2()?.verify_password(given.reveal().as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(HashError::PasswordInvalid) => Ok(false),
        Err(error) => Err(failed(&error)),
    }
}

fn argon2() -> StoreResult<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| failed(&error))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn failed(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("a password could not be hashed ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::System;

    fn password(text: &str) -> Password {
        Password::choose(text, &"ann@example.com".parse().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_no_other_is() {
        let passwords = Passwords::default();
        let chosen = password("correct horse");
        let hash = passwords.hash(&System, &chosen).await.unwrap();
        assert!(hash.reveal().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.reveal());
        assert!(!hash.reveal().contains("horse"));
        assert_ne!(passwords.hash(&System, &chosen).await.unwrap(), hash, "each has a salt of its own");
        for (given, is) in
            [("correct horse", true), ("Correct horse", false), ("correct horse ", false), ("", false)]
        {
            assert_eq!(passwords.is(&Secret::new(given), Some(&hash)).await.unwrap(), is, "{given:?}");
        }
        assert!(!passwords.is(chosen.secret(), None).await.unwrap());
        let refused = passwords.is(chosen.secret(), Some(&Secret::new("$argon2id$"))).await;
        assert!(matches!(refused, Err(StoreError::Corrupt(_))), "not a wrong password: {refused:?}");
    }

    #[tokio::test]
    async fn a_hash_is_what_others_make_of_the_password() {
        // Made with the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32`, its own test.
        let hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let is = |given| async move {
            Passwords::default().is(&Secret::new(given), Some(&Secret::new(hash))).await.unwrap()
        };
        assert!(is("password").await);
        assert!(!is("Password").await);
    }

    #[tokio::test]
    async fn who_comes_when_too_many_wait_is_told_to_come_again() {
        let passwords = Passwords::default();
        let places = Arc::clone(&passwords.places).try_acquire_many_owned(64).unwrap();
        let refused = passwords.is(&Secret::new("x"), None).await;
        assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
        drop(places);
        assert!(!passwords.is(&Secret::new("x"), None).await.unwrap());
        assert_eq!((passwords.places.available_permits(), passwords.turns.available_permits()), (64, 2));
    }
}
