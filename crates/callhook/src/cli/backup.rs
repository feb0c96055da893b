//! `callhook backup`, `callhook restore`, and `callhook resume`, which a restored store waits for.

use super::{Failure, Folder, block_on, print};
use crate::admin::{self, Answer, Request, Resumed};
use crate::config::Config;
use crate::system::System;
use domain::World as _;
use std::path::PathBuf;
use store::backup::{self, BackupError, BreakOff, Holdings, KeyFits};
use store::seal::Keyring;
use tokio::signal::unix::{SignalKind, signal};

/// What `callhook backup` takes.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// File to write; it must not be there yet
    file: PathBuf,
    #[command(flatten)]
    folder: Folder,
}

/// What `callhook restore` takes.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// File that `callhook backup` wrote
    file: PathBuf,
    #[command(flatten)]
    folder: Folder,
}

/// What `callhook resume` takes.
#[derive(Debug, clap::Args)]
pub struct Resume {
    #[command(flatten)]
    folder: Folder,
}

impl Backup {
    /// Writes the copy and says what it holds.
    pub fn run(self) -> Result<(), Failure> {
        let Self { file, folder } = self;
        let config = in_a_folder(folder.config()?)?;
        let keyring = keyring(&config)?;
        let name = file.display().to_string();
        let held = interruptible(move |break_off| {
            backup::write(&config.data_dir, &file, keyring.as_ref(), System.now(), break_off)
        })?;
        print(&format!("{name} holds {}; it was read to its end and is whole.", contents(&held)))?;
        if let Some(moved) = &held.moved {
            print(&format!("It is not the store in use: {moved}."))?;
        }
        print(match held.key {
            KeyFits::Yes => {
                "It opens with the secret key, which is not in it: keep a copy of the key elsewhere."
            }
            _ => {
                "It does not open without the server's secret key, which is not in it: keep a copy of the key elsewhere."
            }
        })
    }
}

impl Restore {
    /// Puts the copy in place and says what has to be done next.
    pub fn run(self) -> Result<(), Failure> {
        let Self { file, folder } = self;
        let config = in_a_folder(folder.config()?)?;
        let keyring = keyring(&config)?;
        let place = config.data_dir.display().to_string();
        let held = interruptible(move |break_off| {
            backup::restore(&file, &config.data_dir, keyring.as_ref(), System.now(), break_off)
        })?;
        print(&format!("{place} holds {} again.", contents(&held)))?;
        print(
            "Nothing is sent from it until you say so: start `callhook serve`, look, then run `callhook resume`.",
        )?;
        if held.key == KeyFits::NotAsked {
            print(
                "It needs its secret key: lay it into the folder as secret.key, or name it with --secret-key-file.",
            )?;
        }
        Ok(())
    }
}

impl Resume {
    /// Lets sending go on, through the server where one runs on the folder.
    pub fn run(self) -> Result<(), Failure> {
        let config = self.folder.config()?;
        match block_on(async { Ok(admin::ask(&config, Request::Resume).await?) })? {
            Answer::Resumed(Resumed { was_paused: true, due, waiting }) => {
                print(&format!("Sending goes on: {due} deliveries are due, {waiting} wait for their time."))
            }
            Answer::Resumed(_) => print("Sending was not paused."),
            _ => Err(Failure::new("the server gave another answer")),
        }
    }
}

/// A database's server has better means of its own.
fn in_a_folder(config: Config) -> Result<Config, Failure> {
    if config.database.is_none() {
        return Ok(config);
    }
    Err(Failure::new(
        "the store lies in a database (--database-url): copy it with pg_dump, and bring it back with pg_restore; docs/postgresql.md says how",
    ))
}

/// The keys that are set, for trying them; none is made.
pub(super) fn keyring(config: &Config) -> Result<Option<Keyring>, Failure> {
    let key = config.known_secret_key()?;
    Ok(key.map(|key| Keyring::new(&key, &config.previous_secret_keys)))
}

fn contents(held: &Holdings) -> String {
    format!(
        "{} calls and {} deliveries ({} due, {} waiting for their time)",
        held.calls, held.deliveries, held.due, held.waiting
    )
}

/// Does what may take long; Ctrl-C breaks it off, and it leaves nothing behind.
pub(super) fn interruptible<T: Send + 'static>(
    work: impl FnOnce(&BreakOff) -> Result<T, BackupError> + Send + 'static,
) -> Result<T, Failure> {
    block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let break_off = BreakOff::default();
        let watched = break_off.clone();
        let mut working = tokio::task::spawn_blocking(move || work(&watched));
        let done = tokio::select! {
            done = &mut working => done,
            _ = terminate.recv() => {
                break_off.now();
                working.await
            }
            _ = interrupt.recv() => {
                break_off.now();
                working.await
            }
        };
        Ok(done.map_err(|error| Failure::new(error.to_string()))??)
    })
}
