//! Sends what the store says is due: a pure schedule and its driver.

pub mod dispatcher;
pub mod limits;
pub mod schedule;
