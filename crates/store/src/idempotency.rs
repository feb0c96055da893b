//! `Idempotency-Key`: the same request again gives the first response again.
//!
//! The key's row is inserted in the operation's own transaction, so a key is known exactly when its operation happened. The
//! whole response is kept, sealed: it may hold a secret that is shown once. Of the key a hash is kept.

use crate::Store;
use crate::engine::group::Demand;
use crate::error::{StoreError, StoreResult};
use crate::tx::Tx;
use domain::id::{BusinessId, CallId};
use domain::limits::IDEMPOTENCY_RETENTION;

/// What a client repeats.
#[derive(Clone, Debug)]
pub struct Once {
    /// The client's key.
    pub key: String,
    /// Hash over method, path and body.
    pub request_hash: [u8; 32],
}

/// A response as it was first given.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for StoredResponse {
    // The body may hold a secret that is shown once.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// How an operation's result becomes the response that is kept.
pub type Render<T> = Box<dyn Fn(&T) -> StoredResponse + Send>;

/// An operation's answer: done now, or done before.
#[derive(Debug)]
pub enum Answer<T> {
    /// Done now.
    New(T),
    /// The response of the first time.
    Repeated(StoredResponse),
}

impl<T> Answer<T> {
    /// What was done now.
    pub const fn done_now(&self) -> Option<&T> {
        match self {
            Self::New(result) => Some(result),
            Self::Repeated(_) => None,
        }
    }
}

const SELECT: &str = "SELECT request_hash, status, response_sealed, created_at FROM idempotency_keys WHERE business_id = ?1 AND key = ?2";
// A key that is past its time may be used for something else before upkeep has removed it.
const INSERT: &str = "INSERT INTO idempotency_keys (business_id, key, request_hash, status, response_sealed, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (business_id, key) DO UPDATE SET request_hash = excluded.request_hash, status = excluded.status,
        response_sealed = excluded.response_sealed, created_at = excluded.created_at";

// What a kept response shows is erased with the call; the key stays used, so that a repeat does not make the call again.
const ERASE: &str = "UPDATE idempotency_keys SET response_sealed = ?3 WHERE business_id = ?1
    AND key IN (SELECT key FROM idempotency_subjects WHERE business_id = ?1 AND call_id = ?2)";
const INSERT_SUBJECT: &str =
    "INSERT INTO idempotency_subjects (business_id, call_id, key) VALUES (?1, ?2, ?3)
    ON CONFLICT (business_id, call_id, key) DO NOTHING";

impl Store {
    /// Runs `operation` in a transaction unless the same request was answered before.
    pub async fn write_once<T: Send + 'static>(
        &self,
        business_id: BusinessId,
        once: Option<(Once, Render<T>)>,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<Answer<T>> {
        self.write_once_as(Demand::of(1), business_id, once, operation).await
    }

    /// The same for an operation that says what it asks of the writer.
    pub(crate) async fn write_once_as<T: Send + 'static>(
        &self,
        demand: Demand,
        business_id: BusinessId,
        once: Option<(Once, Render<T>)>,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<Answer<T>> {
        self.write_as(demand, move |tx| {
            let Some((once, render)) = &once else { return operation(tx).map(Answer::New) };
            if let Some(response) = find(tx, business_id, once)? {
                return Ok(Answer::Repeated(response));
            }
            let result = operation(tx)?;
            keep(tx, business_id, once, &render(&result))?;
            Ok(Answer::New(result))
        })
        .await
    }

    /// The response that was given to the same request before.
    pub async fn find_response(
        &self,
        business_id: BusinessId,
        once: Once,
    ) -> StoreResult<Option<StoredResponse>> {
        self.read(move |tx| find(tx, business_id, &once)).await
    }
}

fn find(tx: &mut Tx<'_>, business_id: BusinessId, once: &Once) -> StoreResult<Option<StoredResponse>> {
    let key = tx.keyring().idempotency_hash(&once.key);
    tx.sql().claim("idempotency key", &[business_id.into(), (&key).into()])?;
    let row = tx.sql().row(SELECT, &[business_id.into(), key.into()], |row| {
        Ok((row.blob(0)?, row.number(1)?, row.blob(2)?, row.time(3)?))
    })?;
    let Some((hash, status, sealed, created_at)) = row else { return Ok(None) };
    if tx.now().since(created_at) >= IDEMPOTENCY_RETENTION {
        return Ok(None);
    }
    if hash != once.request_hash {
        return Err(StoreError::Conflict(
            "the Idempotency-Key was used for another request within 24 hours: use a new key".to_owned(),
        ));
    }
    if sealed.is_empty() {
        return Err(StoreError::Conflict(
            "this request was answered before, and its call was erased since".to_owned(),
        ));
    }
    Ok(Some(StoredResponse { status, body: tx.keyring().open(&sealed)? }))
}

fn keep(tx: &mut Tx<'_>, business_id: BusinessId, once: &Once, response: &StoredResponse) -> StoreResult<()> {
    let sealed = tx.keyring().seal(&response.body, tx.random());
    let key = tx.keyring().idempotency_hash(&once.key);
    let now = tx.now();
    tx.sql().put(
        INSERT,
        &[
            business_id.into(),
            (&key).into(),
            (&once.request_hash).into(),
            response.status.into(),
            sealed.into(),
            now.into(),
        ],
    )?;
    for call_id in tx.shown() {
        tx.sql().put(INSERT_SUBJECT, &[business_id.into(), call_id.into(), (&key).into()])?;
    }
    Ok(())
}

/// Takes a call out of every response that is kept.
pub(crate) fn erase_call(tx: &mut Tx<'_>, business_id: BusinessId, call_id: CallId) -> StoreResult<()> {
    tx.sql().execute(ERASE, &[business_id.into(), call_id.into(), (&[0_u8; 0]).into()]).map(drop)
}
