//! Who belongs to a business, and as what. A business that has an administrator keeps one.

use crate::Store;
use crate::engine::Row;
use crate::error::{StoreError, StoreResult};
use crate::tx::Tx;
use crate::{api_key, invitation, user};
use domain::api_key::Role;
use domain::id::{BusinessId, UserId};
use domain::limits::MEMBERS_MAX;
use domain::user::{Membership, User};

/// A person of a business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: User,
    /// What the person may do.
    pub role: Role,
}

/// What becomes of the API keys that somebody made who is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeKeys {
    /// They go on: whatever uses them is not the person.
    GoOn,
    /// The person may have kept them: they open nothing any more.
    Revoked,
}

const MEMBERSHIPS: &str = "SELECT m.user_id, m.business_id, b.name, b.default_country, m.role
    FROM memberships m JOIN businesses b ON b.id = m.business_id";
const ROLE: &str = "SELECT role FROM memberships WHERE user_id = ?1 AND business_id = ?2";
const COUNT: &str = "SELECT count(*) FROM memberships WHERE business_id = ?1";
const HAS_OTHER_ADMIN: &str =
    "SELECT 1 FROM memberships WHERE business_id = ?1 AND user_id <> ?2 AND role = 'admin'";
const INSERT: &str = "INSERT INTO memberships (user_id, business_id, role) VALUES (?1, ?2, ?3)";
const SET_ROLE: &str = "UPDATE memberships SET role = ?3 WHERE user_id = ?1 AND business_id = ?2";
const DELETE: &str = "DELETE FROM memberships WHERE user_id = ?1 AND business_id = ?2";
const DELETE_OF_USER: &str = "DELETE FROM memberships WHERE user_id = ?1";
const WITHOUT_OTHER_ADMIN: &str = "SELECT b.name FROM memberships m JOIN businesses b ON b.id = m.business_id
    WHERE m.user_id = ?1 AND m.role = 'admin' AND NOT EXISTS
    (SELECT 1 FROM memberships o WHERE o.business_id = m.business_id AND o.user_id <> ?1 AND o.role = 'admin')
    ORDER BY b.name";

impl Store {
    /// A business's people, by e-mail address.
    pub async fn list_members(&self, business_id: BusinessId) -> StoreResult<Vec<Member>> {
        self.read(move |tx| {
            let sql = format!(
                "SELECT {}, m.role FROM memberships m JOIN users u ON u.id = m.user_id
                WHERE m.business_id = ?1 ORDER BY u.email",
                user::COLUMNS
            );
            tx.sql().rows(&sql, &[business_id.into()], |row| {
                Ok(Member { user: user::read(row, 0)?, role: row.word(5, |word| word.parse().ok())? })
            })
        })
        .await
    }

    /// Changes what a person may do. The last administrator stays one; open invitations by who is none any more end.
    pub async fn set_member_role(
        &self,
        business_id: BusinessId,
        by: UserId,
        user_id: UserId,
        role: Role,
    ) -> StoreResult<()> {
        self.write(move |tx| {
            check_admin(tx, business_id, by)?;
            if role != Role::Admin {
                check_not_last_admin(tx, business_id, user_id)?;
                invitation::withdraw_by(tx, business_id, user_id)?;
            }
            changed(tx.sql().execute(SET_ROLE, &[user_id.into(), business_id.into(), role.as_str().into()])?)
        })
        .await
    }

    /// Has a person leave a business, and ends the open invitations by that person. The last administrator stays.
    pub async fn leave_business(&self, business_id: BusinessId, user_id: UserId) -> StoreResult<()> {
        self.write(move |tx| remove(tx, business_id, user_id)).await
    }

    /// Removes a person: from the answer on, the person sees nothing of the business, and open invitations by that person end. The
    /// last administrator stays.
    pub async fn remove_member(
        &self,
        business_id: BusinessId,
        by: UserId,
        user_id: UserId,
        keys: MadeKeys,
    ) -> StoreResult<()> {
        self.write(move |tx| {
            check_admin(tx, business_id, by)?;
            if keys == MadeKeys::Revoked {
                api_key::revoke_made_by(tx, business_id, user_id)?;
            }
            remove(tx, business_id, user_id)
        })
        .await
    }
}

/// Whoever asks may have been lowered since the page was drawn.
pub(crate) fn check_admin(tx: &mut Tx<'_>, business_id: BusinessId, by: UserId) -> StoreResult<()> {
    if role(tx, business_id, by)? == Some(Role::Admin) {
        return Ok(());
    }
    Err(StoreError::Conflict("only an administrator of the business can do this".to_owned()))
}

/// What a person belongs to, by the businesses' names.
pub(crate) fn of_user(tx: &mut Tx<'_>, user_id: UserId) -> StoreResult<Vec<Membership>> {
    let sql = format!("{MEMBERSHIPS} WHERE m.user_id = ?1 ORDER BY b.name");
    let memberships = tx.sql().rows(&sql, &[user_id.into()], read)?;
    Ok(memberships.into_iter().map(|(_, membership)| membership).collect())
}

/// What everybody belongs to.
pub(crate) fn of_all(tx: &mut Tx<'_>) -> StoreResult<Vec<(UserId, Membership)>> {
    let sql = format!("{MEMBERSHIPS} ORDER BY b.name");
    tx.sql().rows(&sql, &[], read)
}

/// What a person may do in a business; `None` where the person is none of its people.
pub(crate) fn role(tx: &mut Tx<'_>, business_id: BusinessId, user_id: UserId) -> StoreResult<Option<Role>> {
    tx.sql().row(ROLE, &[user_id.into(), business_id.into()], |row| row.word(0, |word| word.parse().ok()))
}

/// Makes a person one of a business's people, which the person is not yet.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    user_id: UserId,
    role: Role,
) -> StoreResult<()> {
    if tx.sql().count(COUNT, &[business_id.into()])? >= MEMBERS_MAX as u64 {
        return Err(StoreError::Conflict(format!(
            "the business has {MEMBERS_MAX} people, the most it may: remove one first"
        )));
    }
    let params = [user_id.into(), business_id.into(), role.as_str().into()];
    tx.sql().execute(INSERT, &params).map(drop)
}

fn remove(tx: &mut Tx<'_>, business_id: BusinessId, user_id: UserId) -> StoreResult<()> {
    check_not_last_admin(tx, business_id, user_id)?;
    invitation::withdraw_by(tx, business_id, user_id)?;
    changed(tx.sql().execute(DELETE, &[user_id.into(), business_id.into()])?)
}

/// The names of the businesses that have no other administrator than this person.
pub(crate) fn without_other_admin(tx: &mut Tx<'_>, user_id: UserId) -> StoreResult<Vec<String>> {
    tx.sql().rows(WITHOUT_OTHER_ADMIN, &[user_id.into()], |row| row.text(0))
}

/// Has a person belong to nothing any more.
pub(crate) fn remove_of(tx: &mut Tx<'_>, user_id: UserId) -> StoreResult<()> {
    tx.sql().execute(DELETE_OF_USER, &[user_id.into()]).map(drop)
}

/// Refuses where nobody else could let people in.
fn check_not_last_admin(tx: &mut Tx<'_>, business_id: BusinessId, user_id: UserId) -> StoreResult<()> {
    if role(tx, business_id, user_id)? == Some(Role::Admin)
        && !tx.sql().exists(HAS_OTHER_ADMIN, &[business_id.into(), user_id.into()])?
    {
        return Err(StoreError::Conflict(
            "this is the business's last administrator: make somebody else one first".to_owned(),
        ));
    }
    Ok(())
}

fn read(row: &dyn Row) -> StoreResult<(UserId, Membership)> {
    let membership = Membership {
        business_id: row.id(1)?,
        business_name: row.text(2)?,
        default_country: row.word(3, |code| code.parse().ok())?,
        role: row.word(4, |word| word.parse().ok())?,
    };
    Ok((row.id(0)?, membership))
}

fn changed(rows: u64) -> StoreResult<()> {
    if rows == 0 { Err(StoreError::NotFound("member of the business")) } else { Ok(()) }
}
