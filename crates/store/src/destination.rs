//! Destinations as they lie in the store: their secrets sealed, their settings opened once and kept.

use crate::engine::Row;
use crate::error::{StoreError, StoreResult};
use crate::limits::DESTINATIONS_CACHED_MAX;
use crate::seal::Keyring;
use crate::tx::Tx;
use domain::Timestamp;
use domain::destination::{
    Destination, DestinationSettings, DestinationUrl, FiringMode, HeaderList, SigningSecret, SigningSecrets,
};
use domain::id::{BusinessId, CallFlowId, DestinationId};
use domain::retry::RetrySchedule;
use domain::secret::Secret;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Opened destinations by id, each with the version of the flow at which it was read. What an undone transaction left here is never taken
/// for a later one of the same version: every change of a flow reads it as it stood before, which takes that place.
#[derive(Default)]
pub struct Cache(Mutex<HashMap<DestinationId, (u64, Arc<Destination>)>>);

const INSERT: &str = "INSERT INTO destinations (business_id, call_flow_id, id, is_post_call_webhook, enabled, url, wait_for_ai,
        headers_sealed, retry_delays_seconds, signing_sealed, previous_signing_sealed, previous_signing_until)
    VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const UPDATE: &str = "UPDATE destinations SET enabled = ?4, url = ?5, wait_for_ai = ?6, headers_sealed = ?7, retry_delays_seconds = ?8,
        signing_sealed = ?9, previous_signing_sealed = ?10, previous_signing_until = ?11
    WHERE business_id = ?1 AND call_flow_id = ?2 AND id = ?3";
/// The columns that [`read`] takes, of a table named `d`.
pub(crate) const COLUMNS: &str =
    "d.business_id, d.call_flow_id, d.id, d.enabled, d.url, d.wait_for_ai, d.headers_sealed,
    d.retry_delays_seconds, d.signing_sealed, d.previous_signing_sealed, d.previous_signing_until";
/// How many they are.
pub(crate) const COLUMNS_COUNT: usize = 11;

/// A destination whose secrets are not opened yet.
pub(crate) struct Stored {
    business_id: BusinessId,
    call_flow_id: CallFlowId,
    pub id: DestinationId,
    pub enabled: bool,
    url: Option<String>,
    wait_for_ai: bool,
    headers_sealed: Vec<u8>,
    retry_delays_seconds: Option<String>,
    signing_sealed: Vec<u8>,
    previous_signing: Option<(Vec<u8>, Timestamp)>,
}

impl Cache {
    /// The opened destination; opens `stored` where the flow has changed since.
    pub(crate) fn open(
        &self,
        keyring: &Keyring,
        version: u64,
        stored: &Stored,
    ) -> StoreResult<Arc<Destination>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, destination)) = known.get(&stored.id)
            && *at == version
        {
            return Ok(Arc::clone(destination));
        }
        let destination = Arc::new(stored.open(keyring)?);
        if known.len() >= DESTINATIONS_CACHED_MAX {
            known.clear();
        }
        known.insert(stored.id, (version, Arc::clone(&destination)));
        Ok(destination)
    }
}

/// Reads the columns of [`COLUMNS`] from `first` on.
pub(crate) fn read(row: &dyn Row, first: usize) -> StoreResult<Stored> {
    let previous = row.opt_blob(first + 9)?.zip(row.opt_time(first + 10)?);
    Ok(Stored {
        business_id: row.id(first)?,
        call_flow_id: row.id(first + 1)?,
        id: row.id(first + 2)?,
        enabled: row.bool(first + 3)?,
        url: row.opt_text(first + 4)?,
        wait_for_ai: row.bool(first + 5)?,
        headers_sealed: row.blob(first + 6)?,
        retry_delays_seconds: row.opt_text(first + 7)?,
        signing_sealed: row.blob(first + 8)?,
        previous_signing: previous,
    })
}

impl Stored {
    fn open(&self, keyring: &Keyring) -> StoreResult<Destination> {
        let headers: Vec<(String, String)> = from_json(&keyring.open_text(&self.headers_sealed)?)?;
        let delays = self.retry_delays_seconds.as_deref().map(from_json::<Vec<u32>>).transpose()?;
        let secret = |sealed: &[u8]| {
            keyring.open_text(sealed).map(|text| SigningSecret::from_secret(Secret::new(text)))
        };
        let previous = match &self.previous_signing {
            Some((sealed, until)) => Some((secret(sealed)?, *until)),
            None => None,
        };
        Ok(Destination {
            id: self.id,
            business_id: self.business_id,
            call_flow_id: self.call_flow_id,
            settings: DestinationSettings {
                enabled: self.enabled,
                url: self
                    .url
                    .as_deref()
                    .map(DestinationUrl::parse)
                    .transpose()
                    .map_err(|refused| corrupt(&refused))?,
                firing_mode: if self.wait_for_ai { FiringMode::WaitForAi } else { FiringMode::Immediate },
                headers: HeaderList::new(headers).map_err(|refused| corrupt(&refused))?,
                retry_schedule: delays
                    .map(RetrySchedule::new)
                    .transpose()
                    .map_err(|refused| corrupt(&refused))?,
            },
            signing: SigningSecrets { current: secret(&self.signing_sealed)?, previous },
        })
    }
}

pub(crate) fn insert(tx: &mut Tx<'_>, destination: &Destination) -> StoreResult<()> {
    save(tx, INSERT, destination)
}

pub(crate) fn update(tx: &mut Tx<'_>, destination: &Destination) -> StoreResult<()> {
    save(tx, UPDATE, destination)
}

fn save(tx: &mut Tx<'_>, sql: &str, destination: &Destination) -> StoreResult<()> {
    let settings = &destination.settings;
    let headers: Vec<_> = settings.headers.iter().map(|(name, value)| (name, value.reveal())).collect();
    let headers = tx.seal(&to_json(&headers));
    let delays = settings.retry_schedule.as_ref().map(|schedule| to_json(&schedule.delays_seconds()));
    let signing = tx.seal(destination.signing.current.reveal());
    let previous = destination.signing.previous.as_ref();
    let previous_sealed = previous.map(|(secret, _)| tx.seal(secret.reveal()));
    tx.sql()
        .execute(
            sql,
            &[
                destination.business_id.into(),
                destination.call_flow_id.into(),
                destination.id.into(),
                settings.enabled.into(),
                settings.url.as_ref().map(DestinationUrl::as_str).into(),
                (settings.firing_mode == FiringMode::WaitForAi).into(),
                headers.into(),
                delays.into(),
                signing.into(),
                previous_sealed.into(),
                previous.map(|(_, until)| *until).into(),
            ],
        )
        .map(drop)
}

/// JSON of what the store keeps as a list inside a column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> String {
    // Cannot fail: lists of texts and numbers.
    serde_json::to_string(value).unwrap_or_default()
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> StoreResult<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn corrupt(refused: &domain::Invalid) -> StoreError {
    StoreError::Corrupt(refused.to_string())
}
