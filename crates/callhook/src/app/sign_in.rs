//! Signing in: by e-mail address, password and, where it is set, the code of an authenticator app.

use super::{App, given, totp};
use domain::Timestamp;
use domain::id::UserId;
use domain::recovery_code::RecoveryCode;
use domain::secret::Secret;
use domain::user::{self, EmailAddress, Session};
use std::net::IpAddr;
use std::time::Duration;
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

/// What a person types in.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The e-mail address.
    pub email: String,
    /// The password.
    pub password: Secret,
    /// The code of the authenticator app, or a recovery code, once it was asked for.
    pub code: Option<String>,
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

/// Why nobody was signed in, or did not prove who it is.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// It does not say which: who guesses is not told whether somebody has the address.
    #[error("the e-mail address, the password or the code is wrong")]
    Wrong,
    /// The password is right; the code of the authenticator app is asked for now.
    #[error("the code of the authenticator app is needed")]
    NeedsCode,
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

/// Signs a person in.
pub async fn sign_in(app: &App, attempt: Attempt, client: &Client) -> Result<Started, SignInError> {
    let email = attempt.email.parse::<EmailAddress>().ok();
    let tried = enter(app, email.as_ref(), client)?;
    let verified = match find(app, email).await {
        Ok(found) => verify(app, found, &attempt.password, attempt.code).await,
        Err(error) => Err(error.into()),
    };
    let (credentials, second_proof) = match verified {
        Err(SignInError::Wrong) => return Err(SignInError::Wrong),
        Err(other) => {
            tried.take_back();
            return Err(other);
        }
        Ok(verified) => verified,
    };
    match begin(app, credentials.user.id, credentials.password_hash, second_proof, client).await {
        Ok(started) => {
            tried.succeeded();
            Ok(started)
        }
        // A code that was used before counts as a failure: who saw it typed in has the password as well.
        Err(conflict @ StoreError::Conflict(_)) => Err(conflict.into()),
        Err(other) => {
            tried.take_back();
            Err(other.into())
        }
    }
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
pub(super) async fn prove(
    app: &App,
    signed_in: &SignedIn,
    password: &Secret,
    client: &Client,
) -> Result<Credentials, SignInError> {
    let tried = enter(app, Some(&signed_in.user.email), client)?;
    let proven = match app.store.credentials(signed_in.user.id).await {
        Ok(found) => is_right(app, Some(&found), password).await.map(|is_right| (found, is_right)),
        Err(error) => Err(error),
    };
    match proven {
        Ok((credentials, true)) => {
            tried.succeeded();
            Ok(credentials)
        }
        Ok((_, false)) => Err(SignInError::Wrong),
        Err(error) => {
            tried.take_back();
            Err(error.into())
        }
    }
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

fn enter(
    app: &App,
    email: Option<&EmailAddress>,
    client: &Client,
) -> Result<super::sign_in_gate::Try, SignInError> {
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

/// Answers whose password it is, and what was given for the second factor where it is asked for.
async fn verify(
    app: &App,
    found: Option<Credentials>,
    password: &Secret,
    code: Option<String>,
) -> Result<(Credentials, Option<SecondProof>), SignInError> {
    let is_right = is_right(app, found.as_ref(), password).await?;
    let credentials = found.filter(|_| is_right).ok_or(SignInError::Wrong)?;
    let proof = second_proof(credentials.totp.as_ref(), code, app.now())?;
    Ok((credentials, proof))
}

async fn is_right(app: &App, found: Option<&Credentials>, password: &Secret) -> StoreResult<bool> {
    app.passwords.is(password, found.map(|found| &found.password_hash)).await
}

fn second_proof(
    totp: Option<&Secret>,
    code: Option<String>,
    now: Timestamp,
) -> Result<Option<SecondProof>, SignInError> {
    let Some(secret) = totp else { return Ok(None) };
    let code = given(code).ok_or(SignInError::NeedsCode)?;
    // Whether a recovery code is one is known where it is taken.
    let proof = RecoveryCode::read(&code)
        .map(SecondProof::RecoveryCode)
        .or_else(|| totp::step(secret, &code, now).map(SecondProof::Step));
    proof.map(Some).ok_or(SignInError::Wrong)
}

/// Whole seconds, so that who waits for them does not come too early.
fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
