//! The dashboard: pages for people, drawn on the server; a handler reads what is asked, calls one operation, draws.
//!
//! In reading order: [`guard`] stands around every page, [`frame`] says who looks at which business and what stands around a page,
//! [`form`] and [`list`] read what is asked, [`error`] says what cannot be done, [`moment`], [`short`], [`words`], [`body`] and [`assets`] are what pages are made with.
//! Then a file for each noun.

#![allow(
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_self,
    reason = "templates hand over references, and ask their page for everything"
)]

pub mod account;
pub mod assets;
pub mod body;
pub mod call;
pub mod call_flow;
pub mod chart;
pub mod client;
pub mod cookie;
pub mod delivery;
pub mod error;
pub mod events;
pub mod flow_choice;
pub mod form;
pub mod frame;
pub mod guard;
pub mod list;
pub mod moment;
pub mod number;
pub mod overview;
pub mod redelivery;
pub mod settings;
pub mod short;
pub mod sign_in;
pub mod source;
pub mod words;

use crate::app::App;
use axum::Router;
use axum::response::{IntoResponse as _, Response};
use frame::Said;
use std::sync::Arc;

/// All pages.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .merge(overview::router())
        .merge(call_flow::router())
        .merge(call::router())
        .merge(delivery::router())
        .merge(redelivery::router())
        .merge(number::router())
        .merge(source::router())
        .merge(settings::router())
        .merge(account::router())
        .merge(sign_in::router())
        .merge(assets::router())
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), guard::around))
}

/// The page of an address that leads nowhere.
pub fn not_found() -> Response {
    guard::protected(error::PageError::NotFound.into_response())
}

/// What was just done, in words: an address says it in one.
fn said(done: &str) -> Option<Said> {
    Some(Said::done(match done {
        "flow-deleted" => "The call flow is deleted. What waited is cancelled.",
        "redelivered-one" => "It is sent again.",
        "none-chosen" => {
            return Some(Said::nothing("Nothing was chosen: tick the deliveries that are to be sent again."));
        }
        "cancelled" => "It is cancelled. An attempt that is in flight ends as it ends.",
        "corrected" => "The call is changed. What was sent stays what it was.",
        "erased" => "The call and all that was known of it is erased.",
        "saved" => "Saved.",
        "number-made" => "The number is added.",
        "number-deleted" => "The number is deleted. Its calls stay.",
        "source-deleted" => "The source is deleted. Its calls stay.",
        "key-revoked" => "The key is revoked.",
        "withdrawn" => "The invitation is withdrawn.",
        "member-removed" => "The person is in this business no more.",
        "sample-sent" => "A sample call was reported.",
        _ => return None,
    }))
}
