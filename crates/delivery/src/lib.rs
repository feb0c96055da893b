//! x
pub mod destinations;
pub mod sender;
