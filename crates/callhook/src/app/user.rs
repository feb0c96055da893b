//! People: the first one set up, others invited, each with a password and a second factor of the person's own.

use super::sign_in::{self, Client, Given, SignInError, Started};
use super::totp::{self, Enrolment};
use super::{App, given, random_text};
use domain::api_key::Role;
use domain::id::{BusinessId, UserId};
use domain::limits::{NAME_CHARS_MAX, RECOVERY_CODES};
use domain::phone_number::Country;
use domain::recovery_code::RecoveryCode;
use domain::secret::Secret;
use domain::user::{self, EmailAddress, Invitation, Password, User};
use domain::{Invalid, World, text};
use store::invitation::{self, Accept, NewInvitation};
use store::session::SignedIn;
use store::sign_in_link::{self, SecondFactor};
use store::user::{LastAdmin, NewUser, PasswordChange, Totp};
use store::{Store, StoreError, StoreResult};

/// What the first user says.
#[derive(Clone, Debug)]
pub struct SetUp {
    /// The e-mail address.
    pub email: String,
    /// What others call the person.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// What a business is called that is made where there is none.
    pub business: Option<String>,
}

/// What an invited person says who has no account yet.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// What others call the person.
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// An invitation, and the link that is shown this once.
#[derive(Clone, Debug)]
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// Where it is accepted.
    pub link: Secret,
}

/// What a link is for; the word stands in its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkKind {
    Setup,
    Invitation,
    Reset,
}

/// Makes the link by which the first user is made, in place of the one before.
pub async fn new_setup_link(store: &Store, world: &dyn World, public_url: &str) -> StoreResult<Secret> {
    let token = Secret::new(random_text(world));
    store.new_setup_link(token.clone()).await?;
    Ok(link(public_url, LinkKind::Setup, &token))
}

/// Makes the first user and signs the person in.
pub async fn set_up(app: &App, token: &str, document: SetUp, client: &Client) -> StoreResult<Started> {
    let token = Secret::new(token);
    // Nobody has this machine hash, or learns what is here, for nothing.
    if !app.store.is_setup_link(token.clone()).await? {
        return Err(StoreError::NotFound(sign_in_link::GONE));
    }
    let email = read_email(&document.email)?;
    let name = read_name(&document.name)?;
    let password = read_password(&document.password, &email)?;
    let business = given(document.business).map(|name| read_business(&name)).transpose()?;
    let password_hash = app.passwords.hash(&*app.world, &password).await?;
    let new = NewUser { email, name, password_hash: password_hash.clone() };
    let user = app.store.set_up(token, new, business).await?;
    sign_in::begin(app, user.id, password_hash, None, client).await
}

/// Invites a person into a business.
pub async fn invite(
    app: &App,
    business_id: BusinessId,
    invited_by: UserId,
    email: &str,
    role: Role,
) -> StoreResult<Invited> {
    let invitation = NewInvitation {
        business_id,
        email: read_email(email)?,
        role,
        token: Secret::new(app.random_text()),
        invited_by: Some(invited_by),
    };
    send_invitation(&app.store, &app.public_url, invitation).await
}

/// The same for whoever runs the server.
pub async fn invite_as_operator(
    store: &Store,
    world: &dyn World,
    public_url: &str,
    business_id: BusinessId,
    email: EmailAddress,
    role: Role,
) -> StoreResult<Invited> {
    let token = Secret::new(random_text(world));
    let invitation = NewInvitation { business_id, email, role, token, invited_by: None };
    send_invitation(store, public_url, invitation).await
}

async fn send_invitation(store: &Store, public_url: &str, new: NewInvitation) -> StoreResult<Invited> {
    let link = link(public_url, LinkKind::Invitation, &new.token);
    Ok(Invited { invitation: store.invite(new).await?, link })
}

/// Accepts an invitation as somebody who has no account yet, and signs the person in.
///
/// Who has one accepts with [`Store::accept_invitation`].
pub async fn accept_as_new(
    app: &App,
    token: &str,
    document: NewAccount,
    client: &Client,
) -> StoreResult<Started> {
    let token = Secret::new(token);
    let open = app.store.invitation(token.clone()).await?.ok_or(StoreError::NotFound(invitation::GONE))?;
    // Nor here does this machine hash for nothing: such an invitation stays open.
    open.check_is_for_new()?;
    let name = read_name(&document.name)?;
    let password = read_password(&document.password, &open.invitation.email)?;
    let password_hash = app.passwords.hash(&*app.world, &password).await?;
    let accept = Accept::New { name, password_hash: password_hash.clone() };
    let (user, _) = app.store.accept_invitation(token, accept).await?;
    sign_in::begin(app, user.id, password_hash, None, client).await
}

/// Changes the person's name.
pub async fn set_name(app: &App, user_id: UserId, name: &str) -> StoreResult<()> {
    app.store.set_name(user_id, read_name(name)?).await
}

/// Changes the person's password. All of the person's other sessions end.
pub async fn change_password(
    app: &App,
    signed_in: &SignedIn,
    current: &Secret,
    new: &Secret,
    client: &Client,
) -> Result<(), SignInError> {
    let new = read_password(new, &signed_in.user.email).map_err(StoreError::from)?;
    let credentials = sign_in::prove_by_password(app, signed_in, current, client).await?;
    let to_hash = app.passwords.hash(&*app.world, &new).await?;
    let from_hash = credentials.password_hash;
    let change = PasswordChange { from_hash, to_hash, keep: Some(signed_in.session.id) };
    Ok(app.store.set_password(signed_in.user.id, change).await?)
}

/// Makes the link by which a user sets another password, in place of the one before. For whoever runs the server.
pub async fn new_reset_link(
    store: &Store,
    world: &dyn World,
    public_url: &str,
    email: EmailAddress,
    second_factor: SecondFactor,
) -> StoreResult<Secret> {
    let token = Secret::new(random_text(world));
    store.new_reset_link(email, token.clone(), second_factor).await?;
    Ok(link(public_url, LinkKind::Reset, &token))
}

/// Sets another password by a link. All of the person's sessions end; the person signs in with the new one.
pub async fn reset_password(app: &App, token: &str, password: &Secret) -> StoreResult<User> {
    let token = Secret::new(token);
    let user = app.store.reset_link(token.clone()).await?;
    let user = user.ok_or(StoreError::NotFound(sign_in_link::GONE))?;
    let password = read_password(password, &user.email)?;
    let password_hash = app.passwords.hash(&*app.world, &password).await?;
    app.store.reset_by_link(token, password_hash).await
}

/// Offers a second factor. It is set by [`confirm_totp`], which is given the secret back.
#[must_use]
pub fn enrol_totp(app: &App, user: &User) -> Enrolment {
    totp::enrol(&*app.world, &user.email)
}

/// The second factor of a secret that was offered before, for who mistyped its code.
#[must_use]
pub fn offered_totp(user: &User, secret: Secret) -> Enrolment {
    totp::offered(&user.email, secret)
}

/// Sets the second factor that was offered, once a code shows that the person's app has it. One that is set already is removed first.
///
/// Answers the recovery codes that stand in for it; they are shown this once.
pub async fn confirm_totp(
    app: &App,
    signed_in: &SignedIn,
    password: &Secret,
    secret: &Secret,
    code: &str,
    client: &Client,
) -> Result<Vec<RecoveryCode>, SignInError> {
    sign_in::prove_by_password(app, signed_in, password, client).await?;
    let Some(used_step) = totp::step(secret, code, app.now()) else {
        let reason = "is not the code that the app shows now: try the next one, and look whether the phone's clock is right";
        return Err(StoreError::from(Invalid::field("code", reason)).into());
    };
    let recovery_codes = draw_recovery_codes(app);
    let totp = Totp { secret: secret.clone(), used_step, recovery_codes: recovery_codes.clone() };
    app.store.set_totp(signed_in.user.id, Some(totp)).await?;
    Ok(recovery_codes)
}

/// Makes other recovery codes in place of those that are left; they are shown this once.
pub async fn new_recovery_codes(
    app: &App,
    signed_in: &SignedIn,
    given: &Given,
    client: &Client,
) -> Result<Vec<RecoveryCode>, SignInError> {
    sign_in::prove(app, signed_in, given, client).await?;
    let codes = draw_recovery_codes(app);
    app.store.set_recovery_codes(signed_in.user.id, codes.clone()).await?;
    Ok(codes)
}

fn draw_recovery_codes(app: &App) -> Vec<RecoveryCode> {
    std::iter::repeat_with(|| RecoveryCode::draw(&*app.world)).take(RECOVERY_CODES).collect()
}

/// Removes the second factor, and the recovery codes with it.
pub async fn remove_totp(
    app: &App,
    signed_in: &SignedIn,
    given: &Given,
    client: &Client,
) -> Result<(), SignInError> {
    sign_in::prove(app, signed_in, given, client).await?;
    Ok(app.store.set_totp(signed_in.user.id, None).await?)
}

/// Deletes the person's own account. A conflict where a business has no other administrator.
pub async fn delete_own(
    app: &App,
    signed_in: &SignedIn,
    given: &Given,
    client: &Client,
) -> Result<(), SignInError> {
    sign_in::prove(app, signed_in, given, client).await?;
    delete(&app.store, signed_in.user.id, LastAdmin::Stays).await?;
    Ok(())
}

/// Deletes a person. Answers whether anybody is left who can sign in.
pub async fn delete(store: &Store, user_id: UserId, last_admin: LastAdmin) -> StoreResult<bool> {
    store.delete_user(user_id, last_admin).await?;
    // The person is gone, whatever becomes of this look: it only saves the operator one.
    let is_anybody_left = store.has_users().await.unwrap_or(true);
    if !is_anybody_left {
        tracing::warn!("Nobody can sign in any more: `callhook users setup` makes a link for the first user");
    }
    Ok(is_anybody_left)
}

/// Where a link leads; it is a secret until it is used.
fn link(public_url: &str, kind: LinkKind, token: &Secret) -> Secret {
    let word = match kind {
        LinkKind::Setup => "setup",
        LinkKind::Invitation => "invitation",
        LinkKind::Reset => "reset",
    };
    Secret::new(format!("{public_url}/{word}/{}", token.reveal()))
}

fn read_email(text: &str) -> Result<EmailAddress, Invalid> {
    text.parse().map_err(|refused: Invalid| refused.within("email"))
}

fn read_name(text: &str) -> Result<String, Invalid> {
    user::name(text).map_err(|refused| refused.within("name"))
}

fn read_password(text: &Secret, email: &EmailAddress) -> Result<Password, Invalid> {
    Password::choose(text.reveal(), email).map_err(|refused| refused.within("password"))
}

/// Numbers without `+` are read as those of the first business that a server makes are.
fn read_business(name: &str) -> Result<(String, Country), Invalid> {
    let name = text::line(name, NAME_CHARS_MAX).map_err(|refused| refused.within("business"))?;
    Ok((name, Country::US))
}
