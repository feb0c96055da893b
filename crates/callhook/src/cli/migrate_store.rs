//! `callhook migrate-store`: a whole store moves to another place.

use super::{Common, Failure, Secrets, block_on, print};
use crate::admin::store_config;
use crate::config::{Config, Hidden, SECRET_KEY_FILE, Settings};
use domain::secret::Secret;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use store::engine::postgres::Database;
use store::transfer::{Compared, Progress, TABLES, Transfer};
use store::{Place, StoreError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Between two words of how far it is.
const PROGRESS_PAUSE: Duration = Duration::from_millis(500);
/// Hexadecimal digits of a checksum that are shown.
const DIGITS_SHOWN: usize = 12;
const DEFAULT_SCHEMA: &str = "callhook";

/// What `callhook migrate-store` takes.
#[derive(Debug, clap::Args)]
pub struct MigrateStore {
    /// Folder or postgres:// URL of the store to move; its server must be stopped
    #[arg(long, env = "CALLHOOK_FROM", value_name = "FOLDER|URL", hide_env_values = true)]
    from: Hidden,
    /// Folder or postgres:// URL to move it to; nothing may be there yet
    #[arg(long, env = "CALLHOOK_TO", value_name = "FOLDER|URL", hide_env_values = true)]
    to: Hidden,
    /// Schema that the tables are in, where --from is a database [default: callhook]
    #[arg(long, value_name = "NAME")]
    from_schema: Option<String>,
    /// Schema that the tables come into, where --to is a database [default: callhook]
    #[arg(long, value_name = "NAME")]
    to_schema: Option<String>,
    /// TOML file with the server's settings, where the secret key may stand
    #[arg(long, env = "CALLHOOK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    secrets: Secrets,
}

impl MigrateStore {
    /// Moves it, compares what has arrived, and says how to start.
    pub fn run(self) -> Result<(), Failure> {
        let Self { from, to, from_schema, to_schema, config, secrets } = self;
        let from = place(from, from_schema, "--from")?;
        let to = place(to, to_schema, "--to")?;
        let folder = [&from, &to].into_iter().find_map(|place| match place {
            Place::Folder(folder) => Some(folder.clone()),
            Place::Database(_) => None,
        });
        let Secrets { secret_key, secret_key_file, previous_secret_key } = secrets;
        let settings = Settings {
            data_dir: folder,
            secret_key,
            secret_key_file,
            previous_secret_key,
            ..Settings::default()
        };
        let config = Common { config, settings }.config()?;
        let key = known_key(&config)?;
        block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            tokio::select! {
                moved = carry(&config, &key, &from, &to) => moved,
                _ = terminate.recv() => Err(broken_off()),
                _ = interrupt.recv() => Err(broken_off()),
            }
        })?;
        print(&how_to_start(&config, &to))
    }
}

async fn carry(config: &Config, key: &Secret, from: &Place, to: &Place) -> Result<(), Failure> {
    let with = |place: &Place| (place.clone(), store_config(config, key));
    let opened = Transfer::open(with(from), with(to)).await;
    let mut transfer = opened.map_err(|error| in_these_flags(&error, from, to))?;
    let mut shown = Shown::new(transfer.progress());
    loop {
        let more = transfer.step().await.map_err(|error| goes_on(&error))?;
        shown.show(transfer.progress(), more);
        if !more {
            break;
        }
    }
    drop(shown);
    print(&format!("{:<22} {:>12}  checksum", "table", "rows"))?;
    let mut compared = Vec::new();
    for table in TABLES {
        let table = transfer.compare(table).await.map_err(|error| goes_on(&error))?;
        print(&line(&table))?;
        compared.push(table);
    }
    Ok(transfer.finish(&compared).await?)
}

/// What is compared of a table, and what of it differs.
fn line(Compared { table, source, target }: &Compared) -> String {
    let digits = |sha256: &[u8]| {
        let all = sha256.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        all[..DIGITS_SHOWN].to_owned()
    };
    let mut line = format!("{:<22} {:>12}  {}", table.name, source.rows, digits(&source.sha256));
    if source != target {
        // Writing to a text cannot fail.
        let _ = write!(line, "  differs: {} rows, {}", target.rows, digits(&target.sha256));
    }
    line
}

/// The store is in the one place or the other; a URL is known by its beginning.
fn place(Hidden(text): Hidden, schema: Option<String>, flag: &str) -> Result<Place, Failure> {
    if ["postgres://", "postgresql://"].iter().any(|scheme| text.reveal().starts_with(scheme)) {
        let schema = schema.unwrap_or_else(|| DEFAULT_SCHEMA.to_owned());
        return Ok(Place::Database(Database { url: text, schema }));
    }
    // What was meant as a URL may hold a password, and is no folder.
    if text.reveal().contains("://") {
        return Err(Failure::new(format!(
            "{flag} is wrong: a folder or postgres://USER@HOST/NAME is expected"
        )));
    }
    match schema {
        None => Ok(Place::Folder(text.reveal().into())),
        Some(_) => Err(Failure::new(format!("{flag}-schema is for a database, and {flag} names a folder"))),
    }
}

/// Secrets stay sealed with it: one that was made for the new store would open none.
fn known_key(config: &Config) -> Result<Secret, Failure> {
    config.known_secret_key()?.ok_or_else(|| {
        Failure::new(format!(
            "the store's secret key is not there: name it with --secret-key-file; a server without that setting keeps it as {SECRET_KEY_FILE} in its data folder"
        ))
    })
}

fn how_to_start(config: &Config, to: &Place) -> String {
    let place = match to {
        Place::Database(Database { schema, .. }) if schema == DEFAULT_SCHEMA => {
            "--database-url URL".to_owned()
        }
        Place::Database(Database { schema, .. }) => format!("--database-url URL --database-schema {schema}"),
        Place::Folder(folder) => format!("--data-dir {}", folder.display()),
    };
    let file = config.data_dir.join(SECRET_KEY_FILE);
    let key = if config.secret_key.is_some() {
        "and the secret key as before".to_owned()
    } else {
        format!("--secret-key-file {}", file.display())
    };
    format!(
        "All has arrived and is the same. Start it there: callhook serve {place} {key}. The old store starts no more."
    )
}

fn broken_off() -> Failure {
    Failure::new("broken off: run the same command again, it goes on where it was")
}

/// The store names a server's settings, which are called otherwise here.
fn in_these_flags(error: &StoreError, from: &Place, to: &Place) -> Failure {
    let ends = [(from, "--from"), (to, "--to")];
    let databases = ends.into_iter().filter(|(place, _)| matches!(place, Place::Database(_)));
    let flags: Vec<_> = databases.map(|(_, flag)| flag).collect();
    if flags.is_empty() {
        return Failure::new(error.to_string());
    }
    let schemas: Vec<_> = flags.iter().map(|flag| format!("{flag}-schema")).collect();
    let words = error.to_string().replace("--database-url", &flags.join(" or "));
    Failure::new(words.replace("--database-schema", &schemas.join(" or ")))
}

fn goes_on(error: &StoreError) -> Failure {
    Failure::new(format!("{error}; once that is mended, run the same command again: it goes on where it was"))
}

/// How far it is, on one line of a terminal.
struct Shown {
    is_terminal: bool,
    began: Instant,
    rows_before: u64,
    last: Option<Instant>,
}

impl Shown {
    fn new(at_the_start: Progress) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { is_terminal, began: Instant::now(), rows_before: at_the_start.rows, last: None }
    }

    fn show(&mut self, Progress { rows, rows_total }: Progress, more: bool) {
        let is_early = self.last.is_some_and(|last| last.elapsed() < PROGRESS_PAUSE);
        if !self.is_terminal || (is_early && more) {
            return;
        }
        self.last = Some(Instant::now());
        let percent = (rows * 100).checked_div(rows_total).unwrap_or(100);
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = (rows - self.rows_before) * 1_000 / millis;
        // Where that cannot be said, so be it.
        let _ = write!(std::io::stderr(), "\r{rows} of {rows_total} rows, {percent} %, {rate} rows/s  ");
    }
}

impl Drop for Shown {
    /// What is said next has a line of its own.
    fn drop(&mut self) {
        if self.last.is_some() {
            let _ = writeln!(std::io::stderr());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_flag_of_the_end_that_it_may_be_about() {
        let end =
            |text: &str| place(Hidden(Secret::new(text)), None, "--to").unwrap_or_else(|_| panic!("{text}"));
        let (folder, database) = (end("./callhook-data"), end("postgres://db/calls"));
        let error = StoreError::Unusable("see --database-url, or name another --database-schema".to_owned());
        for (from, to, expected) in [
            (&folder, &database, "see --to, or name another --to-schema"),
            (&database, &folder, "see --from, or name another --from-schema"),
            (&database, &database, "see --from or --to, or name another --from-schema or --to-schema"),
        ] {
            let words = in_these_flags(&error, from, to).0;
            assert!(words.contains(expected), "{words}");
        }
    }
}
