//! The command line: what it takes, and one file for each command.

mod backup;
mod business;
mod demo;
mod doctor;
mod key;
mod migrate_store;
mod ready;
mod serve;
mod tail;
mod user;

use crate::config::{Config, Hidden, Settings};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long a command's end waits for what it has left behind: time enough to let go of a store.
const LEFT_BEHIND_MAX: Duration = Duration::from_secs(1);

/// Send call data to Zapier, Slack, a CRM or any URL after every phone call.
#[derive(Debug, Parser)]
#[command(name = "callhook", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<Common>),
    /// See it work: a server, a receiver and some forty calls on a throw-away folder
    Demo(demo::Demo),
    /// Make, list and rename businesses (tenants), and set how long they keep what has ended
    #[command(subcommand)]
    Businesses(business::Businesses),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(key::Keys),
    /// List, invite and delete people who sign in, and let them choose another password
    #[command(subcommand)]
    Users(user::Users),
    /// Copy the store to a file, beside a running server as well as without one
    Backup(backup::Backup),
    /// Put a backup in place of a lost store; sending then waits for `callhook resume`
    Restore(backup::Restore),
    /// Let a restored store send; take back one that was moved
    Resume(backup::Resume),
    /// Move a stopped server's store into PostgreSQL, or out of it
    MigrateStore(Box<migrate_store::MigrateStore>),
    /// Say whether the server on the folder takes calls: the exit code is 0 if it does
    Ready(ready::Ready),
    /// Look at settings, folder, store, clock, addresses and endpoints: what is wrong and what to do
    Doctor(Box<doctor::Doctor>),
    /// Show deliveries as they change
    Tail(tail::Tail),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
    /// Print completions for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

/// What opens a store's sealed values.
#[derive(Args, Clone, Debug)]
pub struct Secrets {
    /// The server's secret key; not needed while the server runs
    #[arg(long, env = "CALLHOOK_SECRET_KEY", value_name = "TEXT", hide_env_values = true)]
    secret_key: Option<Hidden>,
    /// File that holds the secret key
    #[arg(long, env = "CALLHOOK_SECRET_KEY_FILE", value_name = "FILE", conflicts_with = "secret_key")]
    secret_key_file: Option<PathBuf>,
    /// Secret key used before (repeatable, newest first)
    #[arg(
        long,
        env = "CALLHOOK_PREVIOUS_SECRET_KEY",
        value_name = "TEXT",
        hide_env_values = true,
        value_delimiter = ','
    )]
    previous_secret_key: Option<Vec<Hidden>>,
}

/// Where a server's data folder is.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// TOML file with the server's settings
    #[arg(long, env = "CALLHOOK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder that holds the embedded store [default: ./callhook-data]
    #[arg(long, env = "CALLHOOK_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// What a command that works on a store takes.
#[derive(Args, Clone, Debug)]
pub struct Folder {
    #[command(flatten)]
    place: Place,
    /// PostgreSQL database that holds the store in place of the folder; not needed while the server runs
    #[arg(long, env = "CALLHOOK_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<Hidden>,
    /// Schema of the database that holds the tables [default: callhook]
    #[arg(long, env = "CALLHOOK_DATABASE_SCHEMA", value_name = "NAME")]
    database_schema: Option<String>,
    #[command(flatten)]
    secrets: Secrets,
}

impl Folder {
    /// The settings, checked and completed.
    fn config(self) -> Result<Config, Failure> {
        self.common().config()
    }

    /// The same among all that there are.
    fn common(self) -> Common {
        let Self { place: Place { config, data_dir }, database_url, database_schema, secrets } = self;
        let Secrets { secret_key, secret_key_file, previous_secret_key } = secrets;
        let settings = Settings {
            data_dir,
            database_url,
            database_schema,
            secret_key,
            secret_key_file,
            previous_secret_key,
            ..Settings::default()
        };
        Common { config, settings }
    }
}

impl Place {
    /// The data folder.
    fn data_dir(self) -> Result<PathBuf, Failure> {
        let Self { config, data_dir } = self;
        let settings = Settings { data_dir, ..Settings::default() };
        Ok(Common { config, settings }.config()?.data_dir)
    }
}

/// What the server takes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// TOML file with these settings, names with underscores (`public_url = "…"`)
    #[arg(long, env = "CALLHOOK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Common {
    /// The settings, checked and completed.
    fn config(self) -> Result<Config, Failure> {
        let settings = match &self.config {
            Some(path) => self.settings.or_file(path)?,
            None => self.settings,
        };
        Ok(settings.check()?)
    }
}

/// What stops a command, in one sentence for standard error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    /// A failure that is said in these words.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

macro_rules! failures {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        }
    )+};
}
failures!(
    crate::config::ConfigError,
    crate::admin::AdminError,
    crate::server::ServerError,
    store::StoreError,
    store::backup::BackupError,
    std::io::Error
);

impl Cli {
    /// Runs the command; what stops it goes to standard error in one sentence.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let ran = match self.command {
            Command::Serve(common) => serve::run(*common),
            Command::Demo(demo) => demo.run(),
            Command::Businesses(businesses) => businesses.run(),
            Command::Keys(keys) => keys.run(),
            Command::Users(users) => users.run(),
            Command::Backup(backup) => backup.run(),
            Command::Restore(restore) => restore.run(),
            Command::Resume(resume) => resume.run(),
            Command::MigrateStore(migrate_store) => migrate_store.run(),
            Command::Ready(ready) => ready.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Tail(tail) => tail.run(),
            Command::Openapi => print(&crate::api::openapi().to_pretty_json().unwrap_or_default()),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "callhook", &mut std::io::stdout());
                Ok(())
            }
        };
        match ran {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                say(&failure.to_string());
                ExitCode::FAILURE
            }
        }
    }
}

/// Says a line to whoever watches. Where that cannot be said, so be it: `eprintln` would panic.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "callhook: {text}");
}

/// Prints a line; a reader that has gone (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The runtime of a command. What it has left behind may wait for a database that does not answer, and is not waited for until then.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(future);
    runtime.shutdown_timeout(LEFT_BEHIND_MAX);
    done
}
