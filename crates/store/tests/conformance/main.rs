//! What every engine must do: one suite, run against each engine with a real database.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backup;
mod business_and_key;
mod call;
mod erasure;
mod figures;
mod firing;
mod harness;
mod idempotency;
mod job;
mod lane;
mod outcome;
mod pace;
mod redelivery;
mod retention;
mod secret;
mod source;
mod unreadable;
