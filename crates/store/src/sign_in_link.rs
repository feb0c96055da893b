//! Links that open something once: the set-up of the first user, and a user's way to another password.

use crate::Store;
use crate::error::{StoreError, StoreResult};
use crate::tx::Tx;
use crate::user::{self, NewUser};
use crate::{business, member, recovery_code, seal, session};
use domain::Invalid;
use domain::api_key::Role;
use domain::id::UserId;
use domain::limits::{RESET_LINK_LIFE, SETUP_LINK_LIFE};
use domain::phone_number::Country;
use domain::secret::Secret;
use domain::user::{EmailAddress, User};

/// What a link to another password does with the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// It is asked for as before.
    Kept,
    /// It is removed: for a phone that was lost.
    Removed,
}

/// Said of a link that leads nowhere.
pub const GONE: &str = "link: it was used, or is past its time";

const INSERT: &str = "INSERT INTO sign_in_links (token_hash, kind, user_id, removes_totp, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)";
const SELECT_SETUP: &str =
    "SELECT 1 FROM sign_in_links WHERE token_hash = ?1 AND kind = 'setup' AND expires_at > ?2";
const SELECT_RESET: &str = "SELECT user_id, removes_totp FROM sign_in_links
    WHERE token_hash = ?1 AND kind = 'reset' AND expires_at > ?2";
const DELETE_SETUP: &str = "DELETE FROM sign_in_links WHERE kind = 'setup'";
const DELETE_OF_USER: &str = "DELETE FROM sign_in_links WHERE user_id = ?1";
const RESET_PASSWORD: &str = "UPDATE users SET password_hash = ?2 WHERE id = ?1";
const RESET_ALL: &str =
    "UPDATE users SET password_hash = ?2, totp_sealed = NULL, totp_used_step = NULL WHERE id = ?1";

impl Store {
    /// Makes the link by which the first user is made, in place of the one before. A conflict once there is a user.
    pub async fn new_setup_link(&self, token: Secret) -> StoreResult<()> {
        self.write(move |tx| {
            check_nobody_is_there(tx)?;
            tx.sql().execute(DELETE_SETUP, &[])?;
            let (hash, end) = (seal::hash(token.reveal()), tx.now().after(SETUP_LINK_LIFE));
            let params = [(&hash).into(), "setup".into(), None::<UserId>.into(), false.into(), end.into()];
            tx.sql().execute(INSERT, &params).map(drop)
        })
        .await
    }

    /// Whether the first user can be made with this link.
    pub async fn is_setup_link(&self, token: Secret) -> StoreResult<bool> {
        self.read_engine(move |tx| Ok(!user::has_any(tx)? && is_setup_link(tx, &token)?)).await
    }

    /// Makes the first user, as an administrator of every business there is; where there is none, of a new one with this name.
    ///
    /// Of two that come with the link at once, one is made; the other, and whoever comes later, meets a conflict.
    pub async fn set_up(
        &self,
        token: Secret,
        new: NewUser,
        business: Option<(String, Country)>,
    ) -> StoreResult<User> {
        self.write(move |tx| {
            check_nobody_is_there(tx)?;
            if !is_setup_link(tx, &token)? {
                return Err(StoreError::NotFound(GONE));
            }
            tx.sql().execute(DELETE_SETUP, &[])?;
            let mut businesses = business::list(tx)?;
            if businesses.is_empty() {
                let Some((name, default_country)) = &business else {
                    return Err(Invalid::field("business", "must be named, since there is none yet").into());
                };
                businesses.push(business::create(tx, name.clone(), *default_country)?);
            }
            let user = user::insert(tx, &new)?;
            // As many rows as an operator has businesses: some. It happens once.
            for business in businesses {
                member::insert(tx, business.id, user.id, Role::Admin)?;
            }
            Ok(user)
        })
        .await
    }

    /// Makes the link by which this user sets another password, in place of the one before.
    pub async fn new_reset_link(
        &self,
        email: EmailAddress,
        token: Secret,
        second_factor: SecondFactor,
    ) -> StoreResult<User> {
        self.write(move |tx| {
            let user = user::by_email(tx, &email)?.ok_or(StoreError::NotFound("user"))?;
            remove_of(tx, user.id)?;
            let (hash, end) = (seal::hash(token.reveal()), tx.now().after(RESET_LINK_LIFE));
            let removes_totp = second_factor == SecondFactor::Removed;
            let params = [(&hash).into(), "reset".into(), user.id.into(), removes_totp.into(), end.into()];
            tx.sql().execute(INSERT, &params)?;
            Ok(user)
        })
        .await
    }

    /// Whose link to another password this is; `None` where it leads nowhere, or nowhere any more.
    pub async fn reset_link(&self, token: Secret) -> StoreResult<Option<User>> {
        self.read_engine(move |tx| match reset_link(tx, &token)? {
            Some((user_id, _)) => user::find(tx, user_id).map(Some),
            None => Ok(None),
        })
        .await
    }

    /// Sets another password by a link, which is used up. All of the user's sessions end.
    pub async fn reset_by_link(&self, token: Secret, password_hash: Secret) -> StoreResult<User> {
        self.write(move |tx| {
            let Some((user_id, second_factor)) = reset_link(tx, &token)? else {
                return Err(StoreError::NotFound(GONE));
            };
            let reset = match second_factor {
                SecondFactor::Kept => RESET_PASSWORD,
                SecondFactor::Removed => RESET_ALL,
            };
            tx.sql().execute(reset, &[user_id.into(), password_hash.reveal().into()])?;
            if second_factor == SecondFactor::Removed {
                recovery_code::replace(tx, user_id, &[])?;
            }
            remove_of(tx, user_id)?;
            session::end_all_but(tx, user_id, None)?;
            user::find(tx, user_id)
        })
        .await
    }
}

/// Removes a user's links: after this they lead nowhere.
pub(crate) fn remove_of(tx: &mut Tx<'_>, user_id: UserId) -> StoreResult<()> {
    tx.sql().execute(DELETE_OF_USER, &[user_id.into()]).map(drop)
}

fn check_nobody_is_there(tx: &mut Tx<'_>) -> StoreResult<()> {
    if user::has_any(tx)? {
        return Err(StoreError::Conflict(
            "the first user was made already: sign in, or have an administrator invite you".to_owned(),
        ));
    }
    Ok(())
}

fn is_setup_link(tx: &mut Tx<'_>, token: &Secret) -> StoreResult<bool> {
    let (hash, now) = (seal::hash(token.reveal()), tx.now());
    tx.sql().exists(SELECT_SETUP, &[(&hash).into(), now.into()])
}

fn reset_link(tx: &mut Tx<'_>, token: &Secret) -> StoreResult<Option<(UserId, SecondFactor)>> {
    let (hash, now) = (seal::hash(token.reveal()), tx.now());
    tx.sql().row(SELECT_RESET, &[(&hash).into(), now.into()], |row| {
        let second_factor = if row.bool(1)? { SecondFactor::Removed } else { SecondFactor::Kept };
        Ok((row.id(0)?, second_factor))
    })
}
