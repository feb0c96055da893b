//! Sends what the store says is due.
//!
//! In reading order: [`schedule`] decides, without I/O, which delivery is attempted when; [`dispatcher`] drives it;
//! [`destinations`] turn a payload into a request; [`sender`] sends it; [`figures`] counts what happens.

pub mod destinations;
pub mod dispatcher;
pub mod figures;
pub mod limits;
pub mod schedule;
pub mod sender;
