//! The program: settings come in, a server starts, and three faces (command line, HTTP API, background tasks) call its
//! operations.
//!
//! In reading order: [`cli`] takes a command, [`config`] its settings, [`server`] starts everything; [`app`] holds the operations,
//! [`api`] and `dashboard` their faces over HTTP, [`routes`] both together, [`front`] the connections, [`admin`] what the operator does; [`network`] is the door to other machines, [`background`] what goes on
//! by itself, [`system`] the clocks, [`logging`] the log, [`telemetry`] what an operator sees.

pub mod admin;
pub mod api;
pub mod app;
pub mod background;
pub mod cli;
pub mod config;
mod dashboard;
pub mod front;
pub mod logging;
pub mod network;
pub mod routes;
pub mod server;
pub mod system;
pub mod telemetry;
