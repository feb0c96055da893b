//! Codes that stand in for the second factor. Of those that are left a hash is kept; one that is used is gone.

use crate::Store;
use crate::error::{StoreError, StoreResult};
use crate::tx::Tx;
use crate::{seal, user};
use domain::id::UserId;
use domain::recovery_code::RecoveryCode;

const COUNT: &str = "SELECT count(*) FROM recovery_codes WHERE user_id = ?1";
const INSERT: &str = "INSERT INTO recovery_codes (user_id, code_hash) VALUES (?1, ?2)";
const TAKE: &str = "DELETE FROM recovery_codes WHERE user_id = ?1 AND code_hash = ?2";
const DELETE_OF_USER: &str = "DELETE FROM recovery_codes WHERE user_id = ?1";

impl Store {
    /// How many recovery codes a person has left.
    pub async fn count_recovery_codes(&self, user_id: UserId) -> StoreResult<u64> {
        self.read_engine(move |tx| tx.sql().count(COUNT, &[user_id.into()])).await
    }

    /// Gives a person other recovery codes in place of those that are left. A conflict where there is no second factor to stand in for.
    pub async fn set_recovery_codes(&self, user_id: UserId, codes: Vec<RecoveryCode>) -> StoreResult<()> {
        self.write(move |tx| {
            if !user::find(tx, user_id)?.has_totp {
                return Err(StoreError::Conflict(
                    "there is no second factor: set one up, which makes recovery codes as well".to_owned(),
                ));
            }
            replace(tx, user_id, &codes)
        })
        .await
    }
}

/// Puts these in place of those that are left.
pub(crate) fn replace(tx: &mut Tx<'_>, user_id: UserId, codes: &[RecoveryCode]) -> StoreResult<()> {
    tx.sql().execute(DELETE_OF_USER, &[user_id.into()])?;
    for code in codes {
        tx.sql().execute(INSERT, &[user_id.into(), (&hash(code)).into()])?;
    }
    Ok(())
}

/// Takes a code, which can be taken once.
pub(crate) fn take(tx: &mut Tx<'_>, user_id: UserId, code: &RecoveryCode) -> StoreResult<()> {
    if tx.sql().execute(TAKE, &[user_id.into(), (&hash(code)).into()])? == 0 {
        return Err(StoreError::Conflict(
            "this recovery code is not one of yours, or was used already: take another".to_owned(),
        ));
    }
    Ok(())
}

fn hash(code: &RecoveryCode) -> [u8; 32] {
    seal::hash(code.secret().reveal())
}
