//! Sessions: begun when somebody signs in, read at every request of a browser, ended by the person or by time.
//!
//! What the person may see is read with the session each time, so that a removed member sees nothing from then on.

use crate::Store;
use crate::engine::{Row, Sql};
use crate::error::{StoreError, StoreResult};
use crate::limits::ROWS_CHANGED_MAX;
use crate::tx::Tx;
use crate::user::SecondProof;
use crate::{member, seal, user};
use domain::Timestamp;
use domain::id::{SessionId, UserId};
use domain::limits::SESSIONS_MAX;
use domain::secret::Secret;
use domain::user::{Membership, Session, User};

/// A session to be begun.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Who signs in.
    pub user_id: UserId,
    /// The hash that the password was compared with, or that was just set.
    pub password_hash: Secret,
    /// What was given for the second factor, where it was asked for.
    pub second_proof: Option<SecondProof>,
    /// What the browser will show at each request.
    pub token: Secret,
    /// See [`Session`].
    pub address: String,
    /// See [`Session`].
    pub user_agent: String,
}

/// Whom a session's token shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Who it is.
    pub user: User,
    /// By which session.
    pub session: Session,
    /// What the person belongs to, by the businesses' names.
    pub memberships: Vec<Membership>,
}

const COLUMNS: &str = "s.id, s.created_at, s.last_seen_at, s.address, s.user_agent";
const SELECT_USER: &str = "SELECT password_hash, totp_sealed IS NOT NULL FROM users WHERE id = ?1";
const INSERT: &str =
    "INSERT INTO sessions (user_id, id, token_hash, created_at, last_seen_at, expires_at, address, user_agent)
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)";
const END_OLDEST: &str = "DELETE FROM sessions WHERE user_id = ?1 AND id IN
    (SELECT id FROM sessions WHERE user_id = ?1 ORDER BY last_seen_at DESC, id DESC LIMIT ?2 OFFSET ?3)";
const SELECT_TIMES: &str =
    "SELECT created_at, last_seen_at FROM sessions WHERE user_id = ?1 AND id = ?2 AND expires_at > ?3";
const TOUCH: &str = "UPDATE sessions SET last_seen_at = ?3, expires_at = ?4
    WHERE user_id = ?1 AND id = ?2 AND last_seen_at < ?3";
const END: &str = "DELETE FROM sessions WHERE user_id = ?1 AND id = ?2";
const END_OTHERS: &str = "DELETE FROM sessions WHERE user_id = ?1 AND id <> ?2";
const END_ALL: &str = "DELETE FROM sessions WHERE user_id = ?1";
/// A copy may be of a version that had no sessions.
const COPY_HAS_SESSIONS: &str = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'sessions'";
const END_ALL_OF_COPY: &str = "DELETE FROM sessions";
const END_LINKS_OF_COPY: &str = "DELETE FROM sign_in_links";

impl Store {
    /// Begins a session. The one that was seen longest ago ends where there would be too many.
    ///
    /// A conflict where the password or the second factor has changed since they were asked for, and where the code was used before.
    pub async fn start_session(&self, new: NewSession) -> StoreResult<Session> {
        self.write(move |tx| start(tx, &new)).await
    }

    /// Whom a session's token shows; `None` where it shows nobody, or nobody any more.
    pub async fn session(&self, token: Secret) -> StoreResult<Option<SignedIn>> {
        self.read_engine(move |tx| {
            let sql = format!(
                "SELECT {COLUMNS}, {} FROM sessions s JOIN users u ON u.id = s.user_id
                WHERE s.token_hash = ?1 AND s.expires_at > ?2",
                user::COLUMNS
            );
            let (hash, now) = (seal::hash(token.reveal()), tx.now());
            let found = tx
                .sql()
                .row(&sql, &[(&hash).into(), now.into()], |row| Ok((read(row)?, user::read(row, 5)?)))?;
            let Some((session, user)) = found else { return Ok(None) };
            let memberships = member::of_user(tx, user.id)?;
            Ok(Some(SignedIn { user, session, memberships }))
        })
        .await
    }

    /// Writes down that a session is used, where that was not done for some minutes. Answers whether it was done now.
    pub async fn touch_session(&self, user_id: UserId, id: SessionId) -> StoreResult<bool> {
        self.write(move |tx| touch(tx, user_id, id)).await
    }

    /// A person's open sessions, the last used first.
    pub async fn list_sessions(&self, user_id: UserId) -> StoreResult<Vec<Session>> {
        self.read(move |tx| {
            let now = tx.now();
            let sql = format!(
                "SELECT {COLUMNS} FROM sessions s WHERE s.user_id = ?1 AND s.expires_at > ?2
                ORDER BY s.last_seen_at DESC, s.id DESC"
            );
            tx.sql().rows(&sql, &[user_id.into(), now.into()], read)
        })
        .await
    }

    /// Ends a person's session; nothing where it has ended already.
    pub async fn end_session(&self, user_id: UserId, id: SessionId) -> StoreResult<()> {
        self.write(move |tx| tx.sql().execute(END, &[user_id.into(), id.into()]).map(drop)).await
    }

    /// Ends all of a person's sessions but one.
    pub async fn end_other_sessions(&self, user_id: UserId, keep: SessionId) -> StoreResult<()> {
        self.write(move |tx| end_all_but(tx, user_id, Some(keep))).await
    }
}

/// Ends a person's sessions, but the one that is named.
pub(crate) fn end_all_but(tx: &mut Tx<'_>, user_id: UserId, keep: Option<SessionId>) -> StoreResult<()> {
    match keep {
        Some(keep) => tx.sql().execute(END_OTHERS, &[user_id.into(), keep.into()]),
        None => tx.sql().execute(END_ALL, &[user_id.into()]),
    }
    .map(drop)
}

/// Ends everybody's sessions and links in a copy that is put in a store's place: those that ended since it was made would be open again.
pub(crate) fn end_all_of_copy(sql: &mut dyn Sql) -> StoreResult<()> {
    if sql.exists(COPY_HAS_SESSIONS, &[])? {
        sql.execute(END_ALL_OF_COPY, &[])?;
        sql.execute(END_LINKS_OF_COPY, &[])?;
    }
    Ok(())
}

fn start(tx: &mut Tx<'_>, new: &NewSession) -> StoreResult<Session> {
    let found = tx.sql().row(SELECT_USER, &[new.user_id.into()], |row| Ok((row.text(0)?, row.bool(1)?)))?;
    let Some((password_hash, has_totp)) = found else { return Err(StoreError::NotFound("user")) };
    if password_hash != new.password_hash.reveal() {
        return Err(changed_meanwhile());
    }
    match &new.second_proof {
        Some(proof) if has_totp => user::use_proof(tx, new.user_id, proof)?,
        None if has_totp => return Err(changed_meanwhile()),
        _ => {}
    }
    let most = [new.user_id.into(), (ROWS_CHANGED_MAX as u64).into(), (SESSIONS_MAX as u64 - 1).into()];
    tx.sql().execute(END_OLDEST, &most)?;
    insert(tx, new)
}

fn insert(tx: &mut Tx<'_>, new: &NewSession) -> StoreResult<Session> {
    let now = tx.now();
    let session = Session {
        id: SessionId::new(now, tx.random()),
        created_at: now,
        last_seen_at: now,
        address: new.address.clone(),
        user_agent: new.user_agent.clone(),
    };
    let hash = seal::hash(new.token.reveal());
    tx.sql().execute(
        INSERT,
        &[
            new.user_id.into(),
            session.id.into(),
            (&hash).into(),
            now.into(),
            Session::end(now, now).into(),
            (&session.address).into(),
            (&session.user_agent).into(),
        ],
    )?;
    Ok(session)
}

fn touch(tx: &mut Tx<'_>, user_id: UserId, id: SessionId) -> StoreResult<bool> {
    let now = tx.now();
    let times = tx.sql().row(SELECT_TIMES, &[user_id.into(), id.into(), now.into()], |row| {
        Ok((row.time(0)?, row.time(1)?))
    })?;
    let Some((created_at, last_seen_at)) = times else { return Ok(false) };
    if !Session::is_stale(last_seen_at, now) {
        return Ok(false);
    }
    let end: Timestamp = Session::end(created_at, now);
    Ok(tx.sql().execute(TOUCH, &[user_id.into(), id.into(), now.into(), end.into()])? > 0)
}

fn read(row: &dyn Row) -> StoreResult<Session> {
    Ok(Session {
        id: row.id(0)?,
        created_at: row.time(1)?,
        last_seen_at: row.time(2)?,
        address: row.text(3)?,
        user_agent: row.text(4)?,
    })
}

fn changed_meanwhile() -> StoreError {
    StoreError::Conflict("the password or the second factor was changed meanwhile: sign in again".to_owned())
}
