//! The words of callhook as types and pure rules. No I/O, no clock, no randomness: they are passed in.
//!
//! In reading order: a call ends ([`call`]), runs a [`call_flow`] that was found by its [`number`], with its
//! [`attribution`] and later its [`analysis`]; the flow names a [`destination`]; [`firing`] says when it is due;
//! the [`payload`] is frozen then; a [`delivery`] walks through attempts as [`retry`] allows, and each
//! [`failure`] is said in words. Programs come with an [`api_key`], people as a [`user`].

pub mod analysis;
pub mod api_key;
pub mod attribution;
pub mod business;
pub mod call;
pub mod call_flow;
pub mod delivery;
pub mod destination;
pub mod event;
pub mod failure;
pub mod firing;
pub mod id;
pub mod invalid;
pub mod limits;
pub mod measure;
pub mod number;
pub mod payload;
pub mod phone_number;
pub mod receiver;
pub mod recovery_code;
pub mod retry;
pub mod sample;
pub mod secret;
pub mod statistics;
pub mod text;
pub mod time;
pub mod user;
pub mod world;

pub use invalid::Invalid;
pub use time::Timestamp;
pub use world::World;
