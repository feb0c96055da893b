//! What every engine must do: one suite, run against each engine with a real database; here against the embedded one, with what is its
//! own beside it. `postgres.rs` is the other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backup;
mod business_and_key;
mod cache;
mod call;
mod erasure;
mod figures;
mod files;
mod firing;
mod flow_page;
mod gathered;
mod harness;
mod idempotency;
mod job;
mod key_maker;
mod lane;
mod month;
mod outcome;
mod pace;
mod password_proof;
mod pulse;
mod redelivery;
mod redelivery_record;
mod retention;
mod secret;
#[allow(dead_code, reason = "the plans are asked for by the other suite")]
mod server;
mod session;
mod source;
mod unreadable;
mod user;

/// What this suite runs on.
const IS_POSTGRES: bool = false;
