//! What an operator sees of the running program: figures for Prometheus, traces for a collector.
//!
//! [`requests`] counts what comes in over HTTP; the store and the dispatcher count their own work and know nothing of this module.
//! [`snapshot`] reads all of it at a moment, [`process`] what the system says of the process, and [`page`] writes it as text.
//! [`trace`] follows single calls.
//! Nothing here names a business, a host or a number: labels are words of this program, and few.

pub mod limits;
pub mod page;
pub mod process;
pub mod requests;
pub mod snapshot;
pub mod trace;

pub use requests::Requests;
pub use snapshot::Snapshot;
