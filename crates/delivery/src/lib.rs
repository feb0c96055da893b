//! x
pub mod sender;
