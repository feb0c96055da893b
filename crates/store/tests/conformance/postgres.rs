//! The same suite against PostgreSQL, with a real server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod business_and_key;
mod cache;
mod call;
mod conflict;
mod erasure;
mod figures;
mod firing;
mod flow_page;
mod gathered;
mod harness;
mod holder;
mod idempotency;
mod job;
mod key_maker;
mod lane;
mod month;
mod outcome;
mod password_proof;
mod plans;
mod pulse;
mod redelivery;
mod redelivery_record;
mod retention;
mod secret;
mod server;
mod session;
mod source;
mod transfer;
mod unreadable;
mod user;

/// What this suite runs on.
const IS_POSTGRES: bool = true;
