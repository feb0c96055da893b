//! The program: reads the command line and runs one of its commands.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    failpoint::arm();
    callhook::cli::Cli::parse().run()
}
