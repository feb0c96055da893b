//! The program: its operations ([`app`]) and the HTTP face of them ([`api`]).

pub mod api;
pub mod app;
