//! People, as the operator sees them: listed, invited, given another password, and the first one set up.

use super::message::{Answer, UserLine};
use super::{AdminError, business_named};
use crate::app::user;
use domain::api_key::Role;
use domain::secret::Secret;
use domain::user::EmailAddress;
use domain::{Invalid, World};
use store::sign_in_link::SecondFactor;
use store::user::LastAdmin;
use store::{Store, StoreError};

/// Everybody who can sign in.
pub(super) async fn list(store: &Store) -> Result<Answer, AdminError> {
    let users = store.list_users().await?;
    Ok(Answer::Users(users.into_iter().map(UserLine::from).collect()))
}

/// Invites a person, whoever that is, into a business.
pub(super) async fn add(
    store: &Store,
    world: &dyn World,
    public_url: &str,
    email: &str,
    business: String,
    role: &str,
) -> Result<Answer, AdminError> {
    let email = email.parse().map_err(|refused: Invalid| refused.within("--email"))?;
    let role: Role = role.parse().map_err(|refused: Invalid| refused.within("--role"))?;
    let business = business_named(store, business).await?;
    let invited = user::invite_as_operator(store, world, public_url, business.id, email, role).await?;
    Ok(Answer::Link { url: invited.link.reveal().to_owned() })
}

/// Gives a person a way to another password.
pub(super) async fn reset(
    store: &Store,
    world: &dyn World,
    public_url: &str,
    email: &str,
    second_factor: SecondFactor,
) -> Result<Answer, AdminError> {
    let email = read_email(email)?;
    let shown = email.to_string();
    match user::new_reset_link(store, world, public_url, email, second_factor).await {
        Err(StoreError::NotFound(_)) => Err(nobody(&shown)),
        link => Ok(Answer::Link { url: link?.reveal().to_owned() }),
    }
}

/// Deletes a person with all that is the person's.
pub(super) async fn delete(store: &Store, email: &str, last_admin: LastAdmin) -> Result<Answer, AdminError> {
    let email = read_email(email)?;
    let shown = email.to_string();
    let found = store.user_by_email(email).await?.ok_or_else(|| nobody(&shown))?;
    match user::delete(store, found.id, last_admin).await {
        Err(StoreError::Conflict(reason)) => {
            Err(AdminError(format!("{reason}, or delete the user all the same with --last-admin")))
        }
        deleted => Ok(Answer::UserDeleted { is_last: !deleted? }),
    }
}

fn read_email(text: &str) -> Result<EmailAddress, AdminError> {
    Ok(text.parse().map_err(|refused: Invalid| refused.within("the e-mail address"))?)
}

fn nobody(email: &str) -> AdminError {
    AdminError(format!("nobody has the e-mail address {email}: see `callhook users list`"))
}

/// Makes the first user's link anew: the one before was lost, or the last user is gone.
pub(super) async fn set_up(store: &Store, world: &dyn World, public_url: &str) -> Result<Answer, AdminError> {
    let link = setup_link(store, world, public_url).await?.ok_or_else(|| {
        let reason =
            "there is a user already: see `callhook users list`, and invite others with `callhook users add`";
        AdminError(reason.to_owned())
    })?;
    Ok(Answer::Link { url: link.reveal().to_owned() })
}

/// Makes a link for the first user where there is none yet; it is to be shown once.
pub async fn setup_link(
    store: &Store,
    world: &dyn World,
    public_url: &str,
) -> Result<Option<Secret>, AdminError> {
    if store.has_users().await? {
        return Ok(None);
    }
    Ok(Some(user::new_setup_link(store, world, public_url).await?))
}
