//! People who sign in: their names, passwords and second factors.

use crate::Store;
use crate::engine::{Row, Value};
use crate::error::{StoreError, StoreResult};
use crate::tx::Tx;
use crate::{invitation, member, recovery_code, session, sign_in_link};
use domain::id::{SessionId, UserId};
use domain::recovery_code::RecoveryCode;
use domain::secret::Secret;
use domain::user::{EmailAddress, Membership, User};
use std::collections::HashMap;

/// A person to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// See [`User`].
    pub email: EmailAddress,
    /// See [`User`].
    pub name: String,
    /// What a password is compared with.
    pub password_hash: Secret,
}

/// What signing in is decided by.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who it is.
    pub user: User,
    /// What a password is compared with.
    pub password_hash: Secret,
    /// What the authenticator app makes its codes of.
    pub totp: Option<Secret>,
}

/// Another password.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// The hash that the current password was compared with.
    pub from_hash: Secret,
    /// The new one's.
    pub to_hash: Secret,
    /// The session that goes on; all others end.
    pub keep: Option<SessionId>,
}

/// A second factor that was tried once.
#[derive(Clone, Debug)]
pub struct Totp {
    /// What the authenticator app makes its codes of.
    pub secret: Secret,
    /// The step of the code that showed it works.
    pub used_step: u64,
    /// What stands in for its codes where the app is not at hand.
    pub recovery_codes: Vec<RecoveryCode>,
}

/// Whether a person may be deleted after whom a business has no administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAdmin {
    /// The person stays.
    Stays,
    /// The operator says that it is meant.
    Goes,
}

/// What somebody gives for the second factor.
#[derive(Clone, Debug)]
pub enum SecondProof {
    /// A code of the authenticator app, by its step.
    Step(u64),
    /// A code that stands in for it.
    RecoveryCode(RecoveryCode),
}

/// What [`read`] reads, of `users u`.
pub(crate) const COLUMNS: &str = "u.id, u.email, u.name, u.totp_sealed IS NOT NULL, u.created_at";
const HAS_ANY: &str = "SELECT 1 FROM users LIMIT 1";
const INSERT: &str =
    "INSERT INTO users (id, email, name, password_hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
const DELETE: &str = "DELETE FROM users WHERE id = ?1";
const SET_NAME: &str = "UPDATE users SET name = ?2 WHERE id = ?1";
const SET_PASSWORD: &str = "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
const SET_TOTP: &str = "UPDATE users SET totp_sealed = ?2, totp_used_step = ?3 WHERE id = ?1";
// The steps that an app counts only grow: one that is not above the last was used, or could have been.
const USE_TOTP_STEP: &str = "UPDATE users SET totp_used_step = ?2
    WHERE id = ?1 AND totp_sealed IS NOT NULL AND (totp_used_step IS NULL OR totp_used_step < ?2)";

impl Store {
    /// Whether anybody can sign in.
    pub async fn has_users(&self) -> StoreResult<bool> {
        self.read_engine(has_any).await
    }

    /// Everybody, by e-mail address, with what they belong to. For whoever runs the server.
    pub async fn list_users(&self) -> StoreResult<Vec<(User, Vec<Membership>)>> {
        self.read(|tx| {
            let mut memberships: HashMap<UserId, Vec<Membership>> = HashMap::new();
            for (user_id, membership) in member::of_all(tx)? {
                memberships.entry(user_id).or_default().push(membership);
            }
            let sql = format!("SELECT {COLUMNS} FROM users u ORDER BY u.email");
            let users = tx.sql().rows(&sql, &[], |row| read(row, 0))?;
            let with_theirs = |user: User| {
                let theirs = memberships.remove(&user.id).unwrap_or_default();
                (user, theirs)
            };
            Ok(users.into_iter().map(with_theirs).collect())
        })
        .await
    }

    /// A person.
    pub async fn user(&self, id: UserId) -> StoreResult<User> {
        self.read_engine(move |tx| find(tx, id)).await
    }

    /// What it takes to sign in with this address; `None` where nobody has it.
    pub async fn user_to_sign_in(&self, email: EmailAddress) -> StoreResult<Option<Credentials>> {
        self.read_engine(move |tx| credentials(tx, "u.email = ?1", &[email.as_str().into()])).await
    }

    /// Who has this address; `None` where nobody has.
    pub async fn user_by_email(&self, email: EmailAddress) -> StoreResult<Option<User>> {
        self.read_engine(move |tx| by_email(tx, &email)).await
    }

    /// What it takes this person to prove who it is once more.
    pub async fn credentials(&self, id: UserId) -> StoreResult<Credentials> {
        self.read_engine(move |tx| {
            credentials(tx, "u.id = ?1", &[id.into()])?.ok_or(StoreError::NotFound("user"))
        })
        .await
    }

    /// Deletes a person with all that is the person's: from the answer on, nobody is signed in by it.
    ///
    /// As many rows as the person has sessions, businesses and open invitations: some.
    pub async fn delete_user(&self, id: UserId, last_admin: LastAdmin) -> StoreResult<()> {
        self.write(move |tx| delete(tx, id, last_admin)).await
    }

    /// Changes a person's name.
    pub async fn set_name(&self, id: UserId, name: String) -> StoreResult<()> {
        self.write(move |tx| changed(tx.sql().execute(SET_NAME, &[id.into(), (&name).into()])?)).await
    }

    /// Changes a password. All other sessions end with the answer, and links to a new password lead nowhere.
    ///
    /// A conflict where the password has been changed since it was compared.
    pub async fn set_password(&self, id: UserId, change: PasswordChange) -> StoreResult<()> {
        self.write(move |tx| {
            let (from, to) = (change.from_hash.reveal(), change.to_hash.reveal());
            if tx.sql().execute(SET_PASSWORD, &[id.into(), from.into(), to.into()])? == 0 {
                find(tx, id)?;
                return Err(StoreError::Conflict(
                    "the password was changed meanwhile: sign in with the new one".to_owned(),
                ));
            }
            session::end_all_but(tx, id, change.keep)?;
            sign_in_link::remove_of(tx, id)
        })
        .await
    }

    /// Takes what a person gives for the second factor once more. A conflict where it was used before.
    pub async fn take_second_proof(&self, id: UserId, proof: SecondProof) -> StoreResult<()> {
        self.write(move |tx| use_proof(tx, id, &proof)).await
    }

    /// Sets or removes the second factor, with the recovery codes. A conflict where one is set already: who finds a browser that is signed
    /// in must neither replace it nor lock its owner out, and of a form that is sent twice one answer alone has codes.
    pub async fn set_totp(&self, id: UserId, totp: Option<Totp>) -> StoreResult<()> {
        self.write(move |tx| {
            if find(tx, id)?.has_totp && totp.is_some() {
                return Err(StoreError::Conflict(
                    "a second factor is set already: remove it first, or make other recovery codes where you have none".to_owned(),
                ));
            }
            let sealed = totp.as_ref().map(|totp| tx.seal(totp.secret.reveal()));
            let used_step = totp.as_ref().map(|totp| totp.used_step);
            tx.sql().execute(SET_TOTP, &[id.into(), sealed.into(), used_step.into()])?;
            let codes = totp.as_ref().map_or(&[][..], |totp| &totp.recovery_codes);
            recovery_code::replace(tx, id, codes)
        })
        .await
    }
}

pub(crate) fn has_any(tx: &mut Tx<'_>) -> StoreResult<bool> {
    tx.sql().exists(HAS_ANY, &[])
}

/// The person as it stands in this transaction.
pub(crate) fn find(tx: &mut Tx<'_>, id: UserId) -> StoreResult<User> {
    let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.id = ?1");
    tx.sql().row(&sql, &[id.into()], |row| read(row, 0))?.ok_or(StoreError::NotFound("user"))
}

/// Who has this address.
pub(crate) fn by_email(tx: &mut Tx<'_>, email: &EmailAddress) -> StoreResult<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.email = ?1");
    tx.sql().row(&sql, &[email.as_str().into()], |row| read(row, 0))
}

/// Makes a person whose address nobody has.
pub(crate) fn insert(tx: &mut Tx<'_>, new: &NewUser) -> StoreResult<User> {
    let now = tx.now();
    let user = User {
        id: UserId::new(now, tx.random()),
        email: new.email.clone(),
        name: new.name.clone(),
        has_totp: false,
        created_at: now,
    };
    tx.sql().execute(
        INSERT,
        &[
            user.id.into(),
            user.email.as_str().into(),
            (&user.name).into(),
            new.password_hash.reveal().into(),
            now.into(),
        ],
    )?;
    Ok(user)
}

fn delete(tx: &mut Tx<'_>, id: UserId, last_admin: LastAdmin) -> StoreResult<()> {
    let user = find(tx, id)?;
    let left_alone = member::without_other_admin(tx, id)?;
    if last_admin == LastAdmin::Stays && !left_alone.is_empty() {
        return Err(StoreError::Conflict(format!(
            "{} is the last administrator of {}: make somebody else one first",
            user.email,
            left_alone.join(", ")
        )));
    }
    session::end_all_but(tx, id, None)?;
    sign_in_link::remove_of(tx, id)?;
    recovery_code::replace(tx, id, &[])?;
    member::remove_of(tx, id)?;
    invitation::withdraw_by_or_for(tx, &user)?;
    tx.sql().execute(DELETE, &[id.into()])?;
    tx.tell_erased()
}

/// Takes what was given for the second factor, which can be taken once.
pub(crate) fn use_proof(tx: &mut Tx<'_>, id: UserId, proof: &SecondProof) -> StoreResult<()> {
    match proof {
        SecondProof::Step(step) => use_totp_step(tx, id, *step),
        SecondProof::RecoveryCode(code) => recovery_code::take(tx, id, code),
    }
}

fn use_totp_step(tx: &mut Tx<'_>, id: UserId, step: u64) -> StoreResult<()> {
    if tx.sql().execute(USE_TOTP_STEP, &[id.into(), step.into()])? == 0 {
        return Err(StoreError::Conflict(
            "this code was used already: wait for the next one of the app".to_owned(),
        ));
    }
    Ok(())
}

/// Reads a person from these columns on.
pub(crate) fn read(row: &dyn Row, at: usize) -> StoreResult<User> {
    Ok(User {
        id: row.id(at)?,
        email: row.word(at + 1, |email| email.parse().ok())?,
        name: row.text(at + 2)?,
        has_totp: row.bool(at + 3)?,
        created_at: row.time(at + 4)?,
    })
}

fn credentials(tx: &mut Tx<'_>, condition: &str, params: &[Value<'_>]) -> StoreResult<Option<Credentials>> {
    let sql = format!("SELECT {COLUMNS}, u.password_hash, u.totp_sealed FROM users u WHERE {condition}");
    let found = tx.sql().row(&sql, params, |row| Ok((read(row, 0)?, row.text(5)?, row.opt_blob(6)?)))?;
    let Some((user, password_hash, totp)) = found else { return Ok(None) };
    let totp = totp.map(|sealed| tx.open(&sealed).map(Secret::new)).transpose()?;
    Ok(Some(Credentials { user, password_hash: Secret::new(password_hash), totp }))
}

fn changed(rows: u64) -> StoreResult<()> {
    if rows == 0 { Err(StoreError::NotFound("user")) } else { Ok(()) }
}
