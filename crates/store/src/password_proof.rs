//! The proof that somebody has given the right password. The browser carries it, sealed, until the code of the second factor is given
//! as well: nobody reads or makes one, and it is worth nothing with another password, from another network, or after its time.

use crate::error::{StoreError, StoreResult};
use crate::{Store, seal};
use domain::limits::PASSWORD_PROOF_LIFE;
use domain::secret::Secret;
use domain::user::EmailAddress;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// That the right password was given a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordProof {
    /// Whose password it was.
    pub email: EmailAddress,
    compared_with: [u8; 32],
}

/// The same as it is sealed.
#[derive(Serialize, Deserialize)]
struct Carried {
    email: String,
    /// A hash of the password's hash, which itself does not leave the store.
    compared_with: [u8; 32],
    network: IpAddr,
    until_ms: i64,
}

const PURPOSE: &[u8] = b"callhook password proof 1";

impl PasswordProof {
    /// Whether it is of the password of which this is the hash.
    #[must_use]
    pub fn is_of(&self, password_hash: &Secret) -> bool {
        self.compared_with == seal::hash(password_hash.reveal())
    }
}

impl Store {
    /// Seals that the password of which this is the hash was given just now, by somebody in this network.
    pub async fn seal_password_proof(
        &self,
        email: EmailAddress,
        password_hash: Secret,
        network: IpAddr,
    ) -> StoreResult<Vec<u8>> {
        self.read_engine(move |tx| {
            let carried = Carried {
                email: email.to_string(),
                compared_with: seal::hash(password_hash.reveal()),
                network,
                until_ms: tx.now().after(PASSWORD_PROOF_LIFE).as_millis(),
            };
            let text = serde_json::to_vec(&carried).map_err(|_| StoreError::Sealed)?;
            Ok(tx.keyring().seal_for(PURPOSE, &text, tx.random()))
        })
        .await
    }

    /// Opens a proof that comes back from this network; `None` where it is none, or none any more. Nothing is looked up for it: what
    /// somebody made up tells nothing about anybody.
    pub async fn open_password_proof(
        &self,
        sealed: Vec<u8>,
        network: IpAddr,
    ) -> StoreResult<Option<PasswordProof>> {
        self.read_engine(move |tx| {
            let text = tx.keyring().open_for(PURPOSE, &sealed).ok();
            let carried = text.and_then(|text| serde_json::from_slice::<Carried>(&text).ok());
            let now = tx.now().as_millis();
            let carried = carried.filter(|carried| carried.network == network && now < carried.until_ms);
            Ok(carried.and_then(|carried| {
                Some(PasswordProof {
                    email: carried.email.parse().ok()?,
                    compared_with: carried.compared_with,
                })
            }))
        })
        .await
    }
}
