//! Who asks: a Bearer key becomes the scope of its business; a handler's signature says which role it takes.

use super::error::ApiError;
use crate::app::App;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::api_key::{KeyText, Role};
use std::sync::Arc;
use store::api_key::Scope;

/// Whoever may read.
#[derive(Clone, Copy, Debug)]
pub struct Viewer(pub Scope);

/// Whoever may also write.
#[derive(Clone, Copy, Debug)]
pub struct Member(pub Scope);

/// Whoever may also handle keys and secrets.
#[derive(Clone, Copy, Debug)]
pub struct Admin(pub Scope);

macro_rules! extract {
    ($($name:ident: $role:expr),+) => {$(
        impl FromRequestParts<Arc<App>> for $name {
            type Rejection = ApiError;
            async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
                authorize(parts, app, $role).await.map(Self)
            }
        }
    )+};
}

extract!(Viewer: Role::Viewer, Member: Role::Member, Admin: Role::Admin);

/// The key that a request shows.
pub fn key(parts: &Parts) -> Result<KeyText, ApiError> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, text) = header.and_then(|value| value.split_once(' ')).ok_or_else(ApiError::unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::unauthorized());
    }
    KeyText::parse(text.trim()).map_err(|_| ApiError::unauthorized())
}

async fn authorize(parts: &Parts, app: &App, least: Role) -> Result<Scope, ApiError> {
    let scope = app.store.authenticate(&key(parts)?).await?.ok_or_else(ApiError::unauthorized)?;
    if scope.role < least {
        return Err(ApiError::forbidden(format!(
            "the key's role is {}: this needs {}",
            scope.role.as_str(),
            least.as_str()
        )));
    }
    Ok(scope)
}
