//! Signing in: by e-mail address, password and, where it is set, the code of an authenticator app.

use super::sign_in_gate::{Try, network};
use super::{App, totp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use domain::id::UserId;
use domain::recovery_code::RecoveryCode;
use domain::secret::Secret;
use domain::user::{self, EmailAddress, Session};
use std::net::IpAddr;
use std::time::Duration;
use store::password_proof::PasswordProof;
use store::session::{NewSession, SignedIn};
use store::user::{Credentials, SecondProof};
use store::{StoreError, StoreResult};

/// Who asks, as far as a request shows it.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where the request came from.
    pub address: IpAddr,
    /// What the browser calls itself.
    pub user_agent: String,
}

/// A session that has begun.
#[derive(Clone, Debug)]
pub struct Started {
    /// What the browser shows from now on; not kept in clear.
    pub token: Secret,
    /// Whose it is.
    pub user_id: UserId,
    /// The session.
    pub session: Session,
}

/// What a right password leads to.
#[derive(Clone, Debug)]
pub enum Entered {
    /// The person is signed in.
    Started(Started),
    /// The code of the second factor is asked for: this goes along with it in the password's place.
    NeedsCode(Secret),
}

/// What a person gives who is signed in and is to prove who it is.
#[derive(Clone, Debug)]
pub struct Given {
    /// The password.
    pub password: Secret,
    /// The code of the authenticator app, or a recovery code, where there is a second factor.
    pub code: String,
}

/// Why nobody was signed in, or did not prove who it is.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// It does not say which: who guesses is not told whether somebody has the address.
    #[error("the e-mail address or the password is wrong")]
    Wrong,
    /// The code is missing.
    #[error("the code of the authenticator app, or a recovery code, is needed")]
    NeedsCode,
    /// The password that went before the code does not count, or not any more.
    #[error("the password was given too long ago, or elsewhere: sign in again")]
    Expired,
    /// There were too many failures.
    #[error("there were too many failed tries: come again in {} seconds", seconds(*retry_after))]
    SlowDown {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The store failed, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Signs a person in by the password, or lets the person go on to the code.
pub async fn sign_in(
    app: &App,
    email: &str,
    password: &Secret,
    client: &Client,
) -> Result<Entered, SignInError> {
    let email = email.parse::<EmailAddress>().ok();
    let tried = enter(app, email.as_ref(), client)?;
    let entered = by_password(app, email, password, client).await;
    if matches!(entered, Ok(Entered::NeedsCode(_))) {
        // The password alone ends no row of failures: else who has it could guess at the code for ever.
        tried.take_back();
        return entered;
    }
    settled(tried, entered)
}

async fn by_password(
    app: &App,
    email: Option<EmailAddress>,
    password: &Secret,
    client: &Client,
) -> Result<Entered, SignInError> {
    let found = find(app, email).await?;
    let is_right = is_right(app, found.as_ref(), password).await?;
    let Credentials { user, password_hash, totp } = found.filter(|_| is_right).ok_or(SignInError::Wrong)?;
    if totp.is_none() {
        return Ok(Entered::Started(begin(app, user.id, password_hash, None, client).await?));
    }
    let sealed = app.store.seal_password_proof(user.email, password_hash, network(client.address)).await?;
    Ok(Entered::NeedsCode(Secret::new(URL_SAFE_NO_PAD.encode(sealed))))
}

/// Whose password it was that goes along with a code, where it counts still.
pub async fn gave_password(
    app: &App,
    sealed: &Secret,
    client: &Client,
) -> Result<PasswordProof, SignInError> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed.reveal()).map_err(|_| SignInError::Expired)?;
    let proof = app.store.open_password_proof(sealed, network(client.address)).await?;
    proof.ok_or(SignInError::Expired)
}

/// Signs a person in by the code, after the password.
pub async fn sign_in_with_code(
    app: &App,
    proof: &PasswordProof,
    code: &str,
    client: &Client,
) -> Result<Started, SignInError> {
    let tried = enter(app, Some(&proof.email), client)?;
    settled(tried, by_code(app, proof, code, client).await)
}

async fn by_code(
    app: &App,
    proof: &PasswordProof,
    code: &str,
    client: &Client,
) -> Result<Started, SignInError> {
    let found = app.store.user_to_sign_in(proof.email.clone()).await?;
    let found = found.filter(|found| proof.is_of(&found.password_hash)).ok_or(SignInError::Expired)?;
    let second_proof = second_proof(found.totp.as_ref(), code, app.now())?;
    Ok(begin(app, found.user.id, found.password_hash, second_proof, client).await?)
}

/// What was wrong counts as a guess; what was none is taken back.
fn settled<T>(tried: Try, outcome: Result<T, SignInError>) -> Result<T, SignInError> {
    match &outcome {
        Ok(_) => tried.succeeded(),
        // A code that was used before is one more that is wrong: who saw it typed in has the password as well.
        Err(SignInError::Wrong | SignInError::Store(StoreError::Conflict(_))) => {}
        Err(_) => tried.take_back(),
    }
    outcome
}

/// Whom a session's token shows. Writes down now and then that it is used.
pub async fn signed_in(app: &App, token: &str) -> StoreResult<Option<SignedIn>> {
    let Some(signed_in) = app.store.session(Secret::new(token)).await? else { return Ok(None) };
    let SignedIn { user, session, .. } = &signed_in;
    if Session::is_stale(session.last_seen_at, app.now())
        && let Err(error) = app.store.touch_session(user.id, session.id).await
    {
        // Whoever reads goes on reading where a full store takes no writes.
        tracing::debug!(%error, session_id = %session.id, "A session's use was not written down");
    }
    Ok(Some(signed_in))
}

/// Has a person who is signed in prove by the password who it is, before something that a borrowed browser must not do.
pub(super) async fn prove_by_password(
    app: &App,
    signed_in: &SignedIn,
    password: &Secret,
    client: &Client,
) -> Result<Credentials, SignInError> {
    let tried = enter(app, Some(&signed_in.user.email), client)?;
    match has_password(app, signed_in, password).await {
        // As for who signs in: it ends no row of failures at the code.
        Ok(credentials) if credentials.totp.is_some() => {
            tried.take_back();
            Ok(credentials)
        }
        proven => settled(tried, proven),
    }
}

/// The same by the second factor as well, where there is one: before something that takes it away, or all there is.
pub(super) async fn prove(
    app: &App,
    signed_in: &SignedIn,
    given: &Given,
    client: &Client,
) -> Result<(), SignInError> {
    // Before the password is looked at, which nobody tries out for nothing.
    if signed_in.user.has_totp && given.code.trim().is_empty() {
        return Err(SignInError::NeedsCode);
    }
    let tried = enter(app, Some(&signed_in.user.email), client)?;
    settled(tried, has_both(app, signed_in, given).await)
}

async fn has_both(app: &App, signed_in: &SignedIn, given: &Given) -> Result<(), SignInError> {
    let credentials = has_password(app, signed_in, &given.password).await?;
    match second_proof(credentials.totp.as_ref(), &given.code, app.now())? {
        Some(proof) => Ok(app.store.take_second_proof(credentials.user.id, proof).await?),
        None => Ok(()),
    }
}

async fn has_password(
    app: &App,
    signed_in: &SignedIn,
    password: &Secret,
) -> Result<Credentials, SignInError> {
    let credentials = app.store.credentials(signed_in.user.id).await?;
    let is_right = is_right(app, Some(&credentials), password).await?;
    if is_right { Ok(credentials) } else { Err(SignInError::Wrong) }
}

/// Begins a session of somebody whose password was looked at, or set, just now.
pub(super) async fn begin(
    app: &App,
    user_id: UserId,
    password_hash: Secret,
    second_proof: Option<SecondProof>,
    client: &Client,
) -> StoreResult<Started> {
    let token = Secret::new(app.random_text());
    let session = NewSession {
        user_id,
        password_hash,
        second_proof,
        token: token.clone(),
        address: client.address.to_canonical().to_string(),
        user_agent: user::user_agent(&client.user_agent),
    };
    let session = app.store.start_session(session).await?;
    Ok(Started { token, user_id, session })
}

fn enter(app: &App, email: Option<&EmailAddress>, client: &Client) -> Result<Try, SignInError> {
    let now = app.now();
    app.sign_ins
        .enter(email, client.address, now)
        .map_err(|retry_after| SignInError::SlowDown { retry_after })
}

async fn find(app: &App, email: Option<EmailAddress>) -> StoreResult<Option<Credentials>> {
    match email {
        Some(email) => app.store.user_to_sign_in(email).await,
        None => Ok(None),
    }
}

async fn is_right(app: &App, found: Option<&Credentials>, password: &Secret) -> StoreResult<bool> {
    app.passwords.is(password, found.map(|found| &found.password_hash)).await
}

/// What was given for the second factor, where there is one.
fn second_proof(
    totp: Option<&Secret>,
    code: &str,
    now: Timestamp,
) -> Result<Option<SecondProof>, SignInError> {
    let Some(secret) = totp else { return Ok(None) };
    if code.trim().is_empty() {
        return Err(SignInError::NeedsCode);
    }
    // Whether a recovery code is one is known where it is taken.
    let proof = RecoveryCode::read(code)
        .map(SecondProof::RecoveryCode)
        .or_else(|| totp::step(secret, code, now).map(SecondProof::Step));
    proof.map(Some).ok_or(SignInError::Wrong)
}

/// Whole seconds, so that who waits for them does not come too early.
fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
