//! Invitations: made by an administrator or by whoever runs the server, accepted once by the person whom they are for.

use crate::Store;
use crate::engine::Row;
use crate::error::{StoreError, StoreResult};
use crate::tx::Tx;
use crate::user::{self, NewUser};
use crate::{business, member, seal};
use domain::api_key::Role;
use domain::id::{BusinessId, InvitationId, UserId};
use domain::limits::{INVITATION_LIFE, INVITATIONS_MAX};
use domain::secret::Secret;
use domain::user::{EmailAddress, Invitation, User};

/// An invitation to be made.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// Into which business.
    pub business_id: BusinessId,
    /// See [`Invitation`].
    pub email: EmailAddress,
    /// See [`Invitation`].
    pub role: Role,
    /// What its link holds.
    pub token: Secret,
    /// See [`Invitation`].
    pub invited_by: Option<UserId>,
}

/// What an invitation's link shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInvitation {
    /// The invitation.
    pub invitation: Invitation,
    /// Into which business.
    pub business_id: BusinessId,
    /// Its name.
    pub business_name: String,
    /// Who has the address already, and is to sign in to accept.
    pub user_id: Option<UserId>,
}

impl OpenInvitation {
    /// Refuses where somebody has the address already.
    pub fn check_is_for_new(&self) -> StoreResult<()> {
        match self.user_id {
            None => Ok(()),
            Some(_) => Err(StoreError::Conflict(format!(
                "there is a user with the address {}: sign in to accept the invitation",
                self.invitation.email
            ))),
        }
    }
}

/// Who accepts an invitation.
#[derive(Clone, Debug)]
pub enum Accept {
    /// Somebody who chooses name and password now; the address must be nobody's yet.
    New {
        /// What others call the person.
        name: String,
        /// What the password is compared with.
        password_hash: Secret,
    },
    /// Who is signed in, and has the address.
    Existing(UserId),
}

/// Said of an invitation that leads nowhere.
pub const GONE: &str =
    "invitation: it was accepted or withdrawn, or is past its time, or who made it is no admin any more";

const COLUMNS: &str = "i.id, i.email, i.role, i.created_at, i.expires_at, i.invited_by";
const INSERT: &str =
    "INSERT INTO invitations (business_id, id, email, role, token_hash, invited_by, created_at, expires_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
/// Open is what is within its time (`?2`) and was made by an administrator who still is one, or by whoever runs the server. Who stops to
/// be one takes the invitations along, which this makes sure of: some were made before that was so.
const IS_OPEN: &str = "i.expires_at > ?2 AND (i.invited_by IS NULL OR EXISTS (SELECT 1 FROM memberships m
    WHERE m.user_id = i.invited_by AND m.business_id = i.business_id AND m.role = 'admin'))";
const DELETE: &str = "DELETE FROM invitations WHERE business_id = ?1 AND id = ?2";
const DELETE_BY_OR_FOR: &str = "DELETE FROM invitations WHERE invited_by = ?1 OR email = ?2";
const DELETE_BY: &str = "DELETE FROM invitations WHERE business_id = ?1 AND invited_by = ?2";
const DELETE_OF_EMAIL: &str = "DELETE FROM invitations WHERE business_id = ?1 AND email = ?2";

impl Store {
    /// Invites a person into a business, in place of an invitation of the same address there.
    ///
    /// A conflict where the person belongs to it, where too many are open, and where who invites is no administrator any more.
    pub async fn invite(&self, new: NewInvitation) -> StoreResult<Invitation> {
        self.write(move |tx| invite(tx, &new)).await
    }

    /// A business's open invitations, by e-mail address.
    pub async fn list_invitations(&self, business_id: BusinessId) -> StoreResult<Vec<Invitation>> {
        self.read(move |tx| {
            let now = tx.now();
            let sql = format!(
                "SELECT {COLUMNS} FROM invitations i WHERE i.business_id = ?1 AND {IS_OPEN} ORDER BY i.email"
            );
            tx.sql().rows(&sql, &[business_id.into(), now.into()], read)
        })
        .await
    }

    /// Withdraws an invitation: its link leads nowhere from the answer on.
    pub async fn withdraw_invitation(&self, business_id: BusinessId, id: InvitationId) -> StoreResult<()> {
        self.write(move |tx| {
            if tx.sql().execute(DELETE, &[business_id.into(), id.into()])? == 0 {
                return Err(StoreError::NotFound("invitation"));
            }
            Ok(())
        })
        .await
    }

    /// What an invitation's link shows; `None` where it leads nowhere, or nowhere any more.
    pub async fn invitation(&self, token: Secret) -> StoreResult<Option<OpenInvitation>> {
        self.read_engine(move |tx| by_token(tx, &token)).await
    }

    /// Accepts an invitation, which is used up. Answers who belongs to which business now.
    ///
    /// A conflict where the address is another's than the accepting user's, or somebody's already where a new one comes.
    pub async fn accept_invitation(&self, token: Secret, accept: Accept) -> StoreResult<(User, BusinessId)> {
        self.write(move |tx| self::accept(tx, &token, &accept)).await
    }
}

/// Withdraws what a person has made and what waits for that person: neither brings anybody in who is to stay away.
pub(crate) fn withdraw_by_or_for(tx: &mut Tx<'_>, user: &User) -> StoreResult<()> {
    tx.sql().execute(DELETE_BY_OR_FOR, &[user.id.into(), user.email.as_str().into()]).map(drop)
}

/// Withdraws what a person has made in a business whose administrator the person is no more: nobody comes back through it.
pub(crate) fn withdraw_by(tx: &mut Tx<'_>, business_id: BusinessId, user_id: UserId) -> StoreResult<()> {
    tx.sql().execute(DELETE_BY, &[business_id.into(), user_id.into()]).map(drop)
}

fn invite(tx: &mut Tx<'_>, new: &NewInvitation) -> StoreResult<Invitation> {
    business::find(tx, new.business_id)?;
    if let Some(by) = new.invited_by {
        member::check_admin(tx, new.business_id, by)?;
    }
    if let Some(user) = user::by_email(tx, &new.email)?
        && member::role(tx, new.business_id, user.id)?.is_some()
    {
        return Err(StoreError::Conflict(format!("{} belongs to the business already", new.email)));
    }
    tx.sql().execute(DELETE_OF_EMAIL, &[new.business_id.into(), new.email.as_str().into()])?;
    let now = tx.now();
    let count_open = format!("SELECT count(*) FROM invitations i WHERE i.business_id = ?1 AND {IS_OPEN}");
    if tx.sql().count(&count_open, &[new.business_id.into(), now.into()])? >= INVITATIONS_MAX as u64 {
        return Err(StoreError::Conflict(format!(
            "the business has {INVITATIONS_MAX} open invitations, the most it may: withdraw one first"
        )));
    }
    let invitation = Invitation {
        id: InvitationId::new(now, tx.random()),
        email: new.email.clone(),
        role: new.role,
        created_at: now,
        expires_at: now.after(INVITATION_LIFE),
        invited_by: new.invited_by,
    };
    let hash = seal::hash(new.token.reveal());
    tx.sql().execute(
        INSERT,
        &[
            new.business_id.into(),
            invitation.id.into(),
            invitation.email.as_str().into(),
            invitation.role.as_str().into(),
            (&hash).into(),
            invitation.invited_by.into(),
            now.into(),
            invitation.expires_at.into(),
        ],
    )?;
    Ok(invitation)
}

fn accept(tx: &mut Tx<'_>, token: &Secret, accept: &Accept) -> StoreResult<(User, BusinessId)> {
    let open = by_token(tx, token)?.ok_or(StoreError::NotFound(GONE))?;
    let user = match (accept, open.user_id) {
        (Accept::New { name, password_hash }, _) => {
            open.check_is_for_new()?;
            let (name, password_hash) = (name.clone(), password_hash.clone());
            user::insert(tx, &NewUser { email: open.invitation.email.clone(), name, password_hash })?
        }
        (Accept::Existing(user_id), Some(owner)) if *user_id == owner => user::find(tx, owner)?,
        (Accept::Existing(_), _) => {
            return Err(StoreError::Conflict(format!(
                "this invitation is for {}: sign out to accept it",
                open.invitation.email
            )));
        }
    };
    let OpenInvitation { invitation, business_id, .. } = open;
    tx.sql().execute(DELETE, &[business_id.into(), invitation.id.into()])?;
    // Who came to belong to the business in another way meanwhile stays what that made of the person.
    if member::role(tx, business_id, user.id)?.is_none() {
        member::insert(tx, business_id, user.id, invitation.role)?;
    }
    Ok((user, business_id))
}

fn by_token(tx: &mut Tx<'_>, token: &Secret) -> StoreResult<Option<OpenInvitation>> {
    let (hash, now) = (seal::hash(token.reveal()), tx.now());
    let sql = format!(
        "SELECT {COLUMNS}, i.business_id, b.name, u.id FROM invitations i JOIN businesses b ON b.id = i.business_id
        LEFT JOIN users u ON u.email = i.email WHERE i.token_hash = ?1 AND {IS_OPEN}"
    );
    tx.sql().row(&sql, &[(&hash).into(), now.into()], |row| {
        Ok(OpenInvitation {
            invitation: read(row)?,
            business_id: row.id(6)?,
            business_name: row.text(7)?,
            user_id: row.opt_id(8)?,
        })
    })
}

fn read(row: &dyn Row) -> StoreResult<Invitation> {
    Ok(Invitation {
        id: row.id(0)?,
        email: row.word(1, |email| email.parse().ok())?,
        role: row.word(2, |word| word.parse().ok())?,
        created_at: row.time(3)?,
        expires_at: row.time(4)?,
        invited_by: row.opt_id(5)?,
    })
}
