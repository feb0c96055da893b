//! Sources: phone systems that report calls, and the calls that they report leg by leg.

use crate::Store;
use crate::call::{self, Reporter};
use crate::engine::Row;
use crate::error::{StoreError, StoreResult};
use crate::idempotency::{Answer, Once, Render};
use crate::list::Page;
use crate::seal;
use crate::tx::Tx;
use domain::Timestamp;
use domain::call::{EndedCall, Recording};
use domain::id::{BusinessId, CallId, SourceId};
use domain::phone_number::Country;
use domain::secret::Secret;

/// A source with its secrets in clear.
#[derive(Clone, Debug)]
pub struct Source {
    /// Names the source in the API.
    pub id: SourceId,
    /// Its owner.
    pub business_id: BusinessId,
    /// What people call it.
    pub name: String,
    /// The secret part of its addresses.
    pub token: Secret,
    /// What the phone system signs with.
    pub auth_token: Secret,
    /// Whether its numbers forward calls by `<Dial>`.
    pub dial: bool,
    /// How the business's numbers without `+` are read.
    pub default_country: Country,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a user can set of a source.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// See [`Source`].
    pub name: String,
    /// See [`Source`].
    pub auth_token: Secret,
    /// See [`Source`].
    pub dial: bool,
}

impl From<&Source> for SourceSettings {
    fn from(source: &Source) -> Self {
        Self { name: source.name.clone(), auth_token: source.auth_token.clone(), dial: source.dial }
    }
}

/// What a callback, or the time, made of a call that is reported leg by leg.
#[derive(Clone, Debug)]
pub struct LegStep {
    /// The state to keep.
    pub state: String,
    /// When to look at it again without a callback.
    pub due_at: Option<Timestamp>,
    /// What follows.
    pub effect: LegEffect,
}

/// What follows from a step.
#[derive(Clone, Debug)]
pub enum LegEffect {
    /// Nothing yet.
    Nothing,
    /// The call has ended: it is recorded.
    Ended(Box<EndedCall>),
    /// A recording of a call that has ended already.
    Recorded(Recording),
}

/// How a state and the time become the next step.
pub type LegChange = Box<dyn Fn(Option<&str>, Timestamp) -> StoreResult<LegStep> + Send>;

const COLUMNS: &str = "s.id, s.business_id, s.name, s.token_sealed, s.auth_token_sealed, s.dial, b.default_country, s.created_at, s.updated_at";
const FROM: &str = "FROM sources s JOIN businesses b ON b.id = s.business_id";
const INSERT: &str = "INSERT INTO sources (business_id, id, kind, name, token_hash, token_sealed, auth_token_sealed, dial, created_at, updated_at)
    VALUES (?1, ?2, 'twilio', ?3, ?4, ?5, ?6, ?7, ?8, ?8)";
const UPDATE: &str = "UPDATE sources SET name = ?3, auth_token_sealed = ?4, dial = ?5, updated_at = ?6 WHERE business_id = ?1 AND id = ?2";
const DELETE: &str = "DELETE FROM sources WHERE business_id = ?1 AND id = ?2";
const SELECT_STATE: &str =
    "SELECT state_sealed FROM source_calls WHERE business_id = ?1 AND source_id = ?2 AND source_call_id = ?3";
const SAVE_STATE: &str = "INSERT INTO source_calls (business_id, source_id, source_call_id, state_sealed, due_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (business_id, source_id, source_call_id)
    DO UPDATE SET state_sealed = excluded.state_sealed, due_at = excluded.due_at, updated_at = excluded.updated_at";
const SELECT_ARRIVED: &str = "SELECT updated_at FROM source_calls WHERE business_id = ?1 AND source_id = ?2
    ORDER BY updated_at DESC LIMIT 1";
const SELECT_DUE: &str = "SELECT business_id, source_id, source_call_id FROM source_calls WHERE due_at IS NOT NULL AND due_at <= ?1 ORDER BY due_at LIMIT ?2";
const PUT_OFF: &str = "UPDATE source_calls SET due_at = ?4
    WHERE business_id = ?1 AND source_id = ?2 AND source_call_id = ?3 AND due_at IS NOT NULL";
const FORGET_CALL: &str =
    "DELETE FROM source_calls WHERE business_id = ?1 AND source_id = ?2 AND source_call_id = ?3";

impl Store {
    /// Makes a source whose addresses hold `token`.
    pub async fn create_source(
        &self,
        business_id: BusinessId,
        once: Option<(Once, Render<Source>)>,
        settings: SourceSettings,
        token: Secret,
    ) -> StoreResult<Answer<Source>> {
        self.write_once(business_id, once, move |tx| {
            let now = tx.now();
            let id = SourceId::new(now, tx.random());
            let (token_sealed, auth_token_sealed) =
                (tx.seal(token.reveal()), tx.seal(settings.auth_token.reveal()));
            let hash = seal::hash(token.reveal());
            let params = [
                business_id.into(),
                id.into(),
                (&settings.name).into(),
                (&hash).into(),
                token_sealed.into(),
                auth_token_sealed.into(),
                settings.dial.into(),
                now.into(),
            ];
            tx.sql().execute(INSERT, &params)?;
            find(tx, business_id, id)
        })
        .await
    }

    /// A source.
    pub async fn source(&self, business_id: BusinessId, id: SourceId) -> StoreResult<Source> {
        self.read(move |tx| find(tx, business_id, id)).await
    }

    /// When the last callback of each source came, in the order of `sources`, as far as calls of it are kept leg by leg.
    pub async fn last_arrivals(
        &self,
        business_id: BusinessId,
        sources: Vec<SourceId>,
    ) -> StoreResult<Vec<Option<Timestamp>>> {
        self.read(move |tx| {
            let last = |id: &SourceId| {
                tx.sql().row(SELECT_ARRIVED, &[business_id.into(), (*id).into()], |row| row.time(0))
            };
            sources.iter().map(last).collect()
        })
        .await
    }

    /// The source whose addresses hold this token.
    pub async fn source_by_token(&self, token: Secret) -> StoreResult<Source> {
        self.read_engine(move |tx| {
            let hash = seal::hash(token.reveal());
            let row = tx.sql().row(
                &format!("SELECT {COLUMNS} {FROM} WHERE s.token_hash = ?1"),
                &[(&hash).into()],
                read,
            )?;
            row.ok_or(StoreError::NotFound("source"))?.open(tx)
        })
        .await
    }

    /// The business's sources, newest first.
    pub async fn list_sources(
        &self,
        business_id: BusinessId,
        before: Option<SourceId>,
        limit: usize,
    ) -> StoreResult<Page<Source>> {
        self.read(move |tx| {
            let before = before.unwrap_or(SourceId::from_bytes([0xff; 16]));
            let sql = format!(
                "SELECT {COLUMNS} {FROM} WHERE s.business_id = ?1 AND s.id < ?2 ORDER BY s.id DESC LIMIT ?3"
            );
            let rows =
                tx.sql().rows(&sql, &[business_id.into(), before.into(), (limit as u64 + 1).into()], read)?;
            let sources = rows.into_iter().map(|row| row.open(tx)).collect::<StoreResult<Vec<_>>>()?;
            Ok(Page::cut(sources, limit))
        })
        .await
    }

    /// Changes a source: `change` sees it as it stands and gives what it is to be, in one transaction.
    pub async fn update_source(
        &self,
        business_id: BusinessId,
        id: SourceId,
        change: impl Fn(&Source) -> Result<SourceSettings, domain::Invalid> + Send + 'static,
    ) -> StoreResult<Source> {
        self.write(move |tx| {
            let settings = change(&find(tx, business_id, id)?)?;
            let sealed = tx.seal(settings.auth_token.reveal());
            let now = tx.now();
            let params = [
                business_id.into(),
                id.into(),
                (&settings.name).into(),
                sealed.into(),
                settings.dial.into(),
                now.into(),
            ];
            tx.sql().execute(UPDATE, &params)?;
            find(tx, business_id, id)
        })
        .await
    }

    /// Removes a source: its addresses answer no longer, its calls stay.
    pub async fn delete_source(&self, business_id: BusinessId, id: SourceId) -> StoreResult<()> {
        self.write(move |tx| match tx.sql().execute(DELETE, &[business_id.into(), id.into()])? {
            0 => Err(StoreError::NotFound("source")),
            _ => Ok(()),
        })
        .await
    }

    /// Takes one step with a call that is reported leg by leg: state, and what follows from it, in one transaction. Answers the call
    /// that it made.
    pub async fn step_source_call(
        &self,
        business_id: BusinessId,
        source_id: SourceId,
        source_call_id: String,
        change: LegChange,
    ) -> StoreResult<Option<CallId>> {
        self.write(move |tx| {
            let key = [business_id.into(), source_id.into(), (&source_call_id).into()];
            let sealed = tx.sql().row(SELECT_STATE, &key, |row| row.blob(0))?;
            let state = sealed.map(|sealed| tx.open(&sealed)).transpose()?;
            let now = tx.now();
            let step = change(state.as_deref(), now)?;
            let sealed = tx.seal(&step.state);
            let params = [
                business_id.into(),
                source_id.into(),
                (&source_call_id).into(),
                sealed.into(),
                step.due_at.into(),
                now.into(),
            ];
            tx.sql().execute(SAVE_STATE, &params)?;
            apply(tx, business_id, source_id, &source_call_id, step.effect)
        })
        .await
    }

    /// Looks again at a call no earlier than `until`: one that cannot be stepped must not hold up the others. `false` where
    /// nothing is due of it any more.
    pub async fn put_off_source_call(
        &self,
        business_id: BusinessId,
        source_id: SourceId,
        source_call_id: String,
        until: Timestamp,
    ) -> StoreResult<bool> {
        self.write(move |tx| {
            let params = [business_id.into(), source_id.into(), (&source_call_id).into(), until.into()];
            Ok(tx.sql().execute(PUT_OFF, &params)? > 0)
        })
        .await
    }

    /// Calls that are to be looked at again by now, the longest due first.
    pub async fn due_source_calls(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> StoreResult<Vec<(BusinessId, SourceId, String)>> {
        self.read_engine(move |tx| {
            let read = |row: &dyn Row| Ok((row.id(0)?, row.id(1)?, row.text(2)?));
            tx.sql().rows(SELECT_DUE, &[now.into(), (limit as u64).into()], read)
        })
        .await
    }
}

fn apply(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    source_id: SourceId,
    source_call_id: &str,
    effect: LegEffect,
) -> StoreResult<Option<CallId>> {
    let reported_by = source_id.to_string();
    match effect {
        LegEffect::Nothing => Ok(None),
        LegEffect::Ended(ended) => {
            let reporter = Reporter { business_id, key_id: None, reported_by };
            match call::record(tx, &reporter, *ended) {
                // The call was erased: its late callbacks change nothing, and the phone system need not hear of it.
                Err(StoreError::Conflict(_)) => Ok(None),
                recorded => recorded.map(|recorded| recorded.is_new.then_some(recorded.call.id)),
            }
        }
        LegEffect::Recorded(recording) => {
            match call::id_by_source(tx, business_id, &reported_by, source_call_id)? {
                Some(id) => call::attach_recording(tx, business_id, id, recording).map(|_| None),
                None => Ok(None),
            }
        }
    }
}

/// Forgets what is kept of a call's legs.
pub(crate) fn forget_call(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    reported_by: &str,
    source_call_id: &str,
) -> StoreResult<()> {
    if let Ok(source_id) = reported_by.parse::<SourceId>() {
        tx.sql().execute(FORGET_CALL, &[business_id.into(), source_id.into(), source_call_id.into()])?;
    }
    Ok(())
}

fn find(tx: &mut Tx<'_>, business_id: BusinessId, id: SourceId) -> StoreResult<Source> {
    let sql = format!("SELECT {COLUMNS} {FROM} WHERE s.business_id = ?1 AND s.id = ?2");
    let row = tx.sql().row(&sql, &[business_id.into(), id.into()], read)?;
    row.ok_or(StoreError::NotFound("source"))?.open(tx)
}

struct SourceRow {
    id: SourceId,
    business_id: BusinessId,
    name: String,
    token_sealed: Vec<u8>,
    auth_token_sealed: Vec<u8>,
    dial: bool,
    default_country: Country,
    created_at: Timestamp,
    updated_at: Timestamp,
}

fn read(row: &dyn Row) -> StoreResult<SourceRow> {
    Ok(SourceRow {
        id: row.id(0)?,
        business_id: row.id(1)?,
        name: row.text(2)?,
        token_sealed: row.blob(3)?,
        auth_token_sealed: row.blob(4)?,
        dial: row.bool(5)?,
        default_country: row.word(6, |code| code.parse().ok())?,
        created_at: row.time(7)?,
        updated_at: row.time(8)?,
    })
}

impl SourceRow {
    fn open(self, tx: &Tx<'_>) -> StoreResult<Source> {
        Ok(Source {
            id: self.id,
            business_id: self.business_id,
            name: self.name,
            token: Secret::new(tx.open(&self.token_sealed)?),
            auth_token: Secret::new(tx.open(&self.auth_token_sealed)?),
            dial: self.dial,
            default_country: self.default_country,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
