//! API keys: made, listed, revoked, and looked up at every request.

use crate::Store;
use crate::engine::Row;
use crate::error::{StoreError, StoreResult};
use crate::idempotency::{Answer, Once, Render};
use crate::limits::KEYS_CACHED_MAX;
use crate::list::Page;
use crate::member;
use crate::seal;
use crate::tx::Tx;
use domain::api_key::{ApiKey, KeyText, Role};
use domain::id::{ApiKeyId, BusinessId, UserId};
use domain::limits::ACTIVE_KEYS_MAX;
use domain::phone_number::Country;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What a valid key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The only business that the holder sees.
    pub business_id: BusinessId,
    /// What the holder may do there.
    pub role: Role,
    /// The key.
    pub key_id: ApiKeyId,
    /// How the business's numbers without `+` are read.
    pub default_country: Country,
}

/// Scopes of keys that were looked up, valid for one generation of the keys.
#[derive(Default)]
pub struct ScopeCache(Mutex<(u64, HashMap<[u8; 32], Scope>)>);

/// Who makes a key.
#[derive(Clone, Copy, Debug)]
pub enum KeyMaker {
    /// A person.
    User(UserId),
    /// Whoever holds the key: it counts as made by the person who made that one.
    ApiKey(ApiKeyId),
    /// Whoever runs the server.
    Operator,
}

const INSERT: &str = "INSERT INTO api_keys (business_id, id, hash, name, role, hint, created_at, made_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const SELECT_MAKER: &str = "SELECT made_by FROM api_keys WHERE business_id = ?1 AND id = ?2";
const COUNT_BY_MAKER: &str = "SELECT made_by, count(*) FROM api_keys
    WHERE business_id = ?1 AND revoked_at IS NULL AND made_by IS NOT NULL GROUP BY made_by";
const COUNT_ACTIVE: &str = "SELECT count(*) FROM api_keys WHERE business_id = ?1 AND revoked_at IS NULL";
const SELECT_BY_HASH: &str = "SELECT k.business_id, k.role, k.id, b.default_country, k.revoked_at
    FROM api_keys k JOIN businesses b ON b.id = k.business_id WHERE k.hash = ?1";
const IS_ACTIVE: &str = "SELECT 1 FROM api_keys WHERE business_id = ?1 AND id = ?2 AND revoked_at IS NULL";
const LIST: &str = "SELECT business_id, id, name, role, hint, created_at, revoked_at, made_by FROM api_keys
    WHERE business_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
const SELECT: &str = "SELECT business_id, id, name, role, hint, created_at, revoked_at, made_by FROM api_keys WHERE business_id = ?1 AND id = ?2";
const REVOKE_MADE_BY: &str =
    "UPDATE api_keys SET revoked_at = ?3 WHERE business_id = ?1 AND made_by = ?2 AND revoked_at IS NULL";
const REVOKE: &str =
    "UPDATE api_keys SET revoked_at = ?3 WHERE business_id = ?1 AND id = ?2 AND revoked_at IS NULL";

impl Store {
    /// What a key opens; `None` where it is unknown or revoked.
    pub async fn authenticate(&self, key: &KeyText) -> StoreResult<Option<Scope>> {
        let hash = seal::hash(key.reveal());
        let generation = match self.scopes.get(&hash) {
            Ok(scope) => return Ok(Some(scope)),
            Err(generation) => generation,
        };
        let scope = self.read_engine(move |tx| by_hash(tx, &hash)).await?;
        if let Some(scope) = scope {
            self.scopes.put(generation, hash, scope);
        }
        Ok(scope)
    }

    /// Makes a key.
    pub async fn create_api_key(
        &self,
        business_id: BusinessId,
        once: Option<(Once, Render<ApiKey>)>,
        name: String,
        role: Role,
        text: KeyText,
        maker: KeyMaker,
    ) -> StoreResult<Answer<ApiKey>> {
        self.write_once(business_id, once, move |tx| {
            create(tx, business_id, name.clone(), role, &text, maker)
        })
        .await
    }

    /// Makes this very key where the business has none like it.
    pub async fn ensure_api_key(
        &self,
        business_id: BusinessId,
        name: String,
        text: KeyText,
    ) -> StoreResult<()> {
        self.write(move |tx| {
            let hash = seal::hash(text.reveal());
            let known = tx.sql().row(SELECT_BY_HASH, &[(&hash).into()], |row| {
                Ok((row.id::<BusinessId>(0)?, row.opt_int(4)?))
            })?;
            match known {
                Some((owner, None)) if owner == business_id => Ok(()),
                Some(_) => Err(StoreError::Conflict(
                    "this API key was revoked or belongs to another business".to_owned(),
                )),
                None => {
                    create(tx, business_id, name.clone(), Role::Admin, &text, KeyMaker::Operator).map(drop)
                }
            }
        })
        .await
    }

    /// The business's keys, newest first, revoked ones included.
    pub async fn list_api_keys(
        &self,
        business_id: BusinessId,
        before: Option<ApiKeyId>,
        limit: usize,
    ) -> StoreResult<Page<ApiKey>> {
        self.read(move |tx| {
            let before = before.unwrap_or(ApiKeyId::from_bytes([0xff; 16]));
            let rows =
                tx.sql().rows(LIST, &[business_id.into(), before.into(), (limit as u64 + 1).into()], read)?;
            Ok(Page::cut(rows, limit))
        })
        .await
    }

    /// How many valid keys each person made, who may be gone by now.
    pub async fn count_api_keys_by_maker(
        &self,
        business_id: BusinessId,
    ) -> StoreResult<HashMap<UserId, u64>> {
        self.read(move |tx| {
            let counted = tx
                .sql()
                .rows(COUNT_BY_MAKER, &[business_id.into()], |row| Ok((row.id(0)?, row.number(1)?)))?;
            Ok(counted.into_iter().collect())
        })
        .await
    }

    /// Revokes a key: it opens nothing from the answer on.
    pub async fn revoke_api_key(&self, business_id: BusinessId, id: ApiKeyId) -> StoreResult<()> {
        self.write(move |tx| {
            let now = tx.now();
            if tx.sql().execute(REVOKE, &[business_id.into(), id.into(), now.into()])? == 0
                && tx.sql().row(SELECT, &[business_id.into(), id.into()], read)?.is_none()
            {
                return Err(StoreError::NotFound("API key"));
            }
            tx.tell_keys_changed();
            Ok(())
        })
        .await
    }
}

impl ScopeCache {
    fn get(&self, hash: &[u8; 32]) -> Result<Scope, u64> {
        let (generation, scopes) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.get(hash).copied().ok_or(*generation)
    }

    /// Keeps what was read, unless a key was revoked since the read began.
    fn put(&self, read_in: u64, hash: [u8; 32], scope: Scope) {
        let (generation, scopes) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *generation == read_in && scopes.len() < KEYS_CACHED_MAX {
            scopes.insert(hash, scope);
        }
    }

    pub(crate) fn forget(&self) {
        let (generation, scopes) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *generation += 1;
        scopes.clear();
    }
}

/// Revokes the keys that a person made.
pub(crate) fn revoke_made_by(tx: &mut Tx<'_>, business_id: BusinessId, user_id: UserId) -> StoreResult<()> {
    let now = tx.now();
    tx.sql().execute(REVOKE_MADE_BY, &[business_id.into(), user_id.into(), now.into()])?;
    tx.tell_keys_changed();
    Ok(())
}

/// Refuses where the key was revoked after its request was let in.
pub(crate) fn check_active(tx: &mut Tx<'_>, business_id: BusinessId, key_id: ApiKeyId) -> StoreResult<()> {
    let params = [business_id.into(), key_id.into()];
    if tx.sql().row_of_configuration(IS_ACTIVE, &params, |_| Ok(()))?.is_some() {
        Ok(())
    } else {
        Err(StoreError::KeyRevoked)
    }
}

fn by_hash(tx: &mut Tx<'_>, hash: &[u8; 32]) -> StoreResult<Option<Scope>> {
    let found = tx.sql().row(SELECT_BY_HASH, &[hash.into()], |row| {
        let scope = Scope {
            business_id: row.id(0)?,
            role: row.word(1, |word| word.parse().ok())?,
            key_id: row.id(2)?,
            default_country: row.word(3, |code| code.parse().ok())?,
        };
        Ok((scope, row.opt_time(4)?))
    })?;
    Ok(found.and_then(|(scope, revoked_at)| revoked_at.is_none().then_some(scope)))
}

fn create(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    name: String,
    role: Role,
    text: &KeyText,
    maker: KeyMaker,
) -> StoreResult<ApiKey> {
    let active = tx.sql().count(COUNT_ACTIVE, &[business_id.into()])?;
    if active >= ACTIVE_KEYS_MAX as u64 {
        return Err(StoreError::Conflict(format!(
            "the business has {ACTIVE_KEYS_MAX} active API keys, the most it may: revoke one first"
        )));
    }
    let made_by = match maker {
        KeyMaker::User(id) => {
            member::check_admin(tx, business_id, id)?;
            Some(id)
        }
        KeyMaker::ApiKey(id) => {
            // It was valid when the request was let in, and its body may have been long on its way.
            check_active(tx, business_id, id)?;
            let params = [business_id.into(), id.into()];
            tx.sql().row(SELECT_MAKER, &params, |row| row.opt_id(0))?.flatten()
        }
        KeyMaker::Operator => None,
    };
    let now = tx.now();
    let key = ApiKey {
        id: ApiKeyId::new(now, tx.random()),
        business_id,
        name,
        role,
        hint: text.hint().to_owned(),
        created_at: now,
        revoked_at: None,
        made_by,
    };
    let hash = seal::hash(text.reveal());
    tx.sql().execute(
        INSERT,
        &[
            business_id.into(),
            key.id.into(),
            (&hash).into(),
            (&key.name).into(),
            role.as_str().into(),
            (&key.hint).into(),
            now.into(),
            made_by.into(),
        ],
    )?;
    Ok(key)
}

fn read(row: &dyn Row) -> StoreResult<ApiKey> {
    Ok(ApiKey {
        business_id: row.id(0)?,
        id: row.id(1)?,
        name: row.text(2)?,
        role: row.word(3, |word| word.parse().ok())?,
        hint: row.text(4)?,
        created_at: row.time(5)?,
        revoked_at: row.opt_time(6)?,
        made_by: row.opt_id(7)?,
    })
}
