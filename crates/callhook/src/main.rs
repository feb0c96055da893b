//! The program: reads the command line and runs one of its commands.

use clap::Parser as _;
use std::process::ExitCode;

/// A call is made of hundreds of small pieces, made on one thread and freed on another: what the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    failpoint::arm();
    // Whatever is written is its owner's alone, also in a folder that is open to others.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    callhook::cli::Cli::parse().run()
}
