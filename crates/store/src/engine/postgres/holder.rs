//! One process works on a schema. It has left its token there and counts its beats; every group of writes asks whether the token is still
//! its own.
//!
//! A second process is refused as soon as it sees a beat. Where none comes, the holder is gone and its place is taken: at once where it
//! was a process of this very system that is not there any more, else after a while.

use super::address::Address;
use super::connection::{Kind, PostgresConnection};
use super::session::Session;
use crate::engine::{Sql, Value};
use crate::error::{StoreError, StoreResult};
use crate::limits::{HOLDER_BEAT, HOLDER_GONE_AFTER};
use domain::World;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const SELECT: &str = "SELECT token, process, host, system, beat FROM holder";
const INSERT: &str =
    "INSERT INTO holder (only_one, token, process, host, system, beat) VALUES (1, ?1, ?2, ?3, ?4, 0)
    ON CONFLICT (only_one) DO NOTHING";
/// Not an update: it waits for a group of the one before that has begun and not ended.
const REMOVE: &str = "DELETE FROM holder WHERE token = ?1 AND beat = ?2";
const BEAT: &str = "UPDATE holder SET beat = beat + 1 WHERE token = ?1";
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT";
const LET_GO: &str = "DELETE FROM holder WHERE token = ?1";
/// Between two looks at another's beats.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// A wait as long as this is worth a word: a living holder has beaten by then.
const TOLD_AFTER: Duration = Duration::from_secs(3);
/// Differences of two clocks that nobody would see.
const CLOCK_TOLERANCE_MS: u64 = 10;
/// A difference that is worth a word.
const CLOCK_TOLD_MS: u64 = 1_000;
/// How long a beat may take.
const BEAT_TIMEOUT: Duration = Duration::from_secs(2);

type Token = [u8; 16];

/// The right to work on a schema.
pub struct Holder {
    token: Token,
    schema: Arc<str>,
    displaced: watch::Receiver<Option<String>>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Who holds a schema, as it says.
#[derive(Clone, PartialEq, Eq)]
struct Held {
    token: Vec<u8>,
    process: i64,
    host: String,
    system: String,
    beat: i64,
}

impl Holder {
    /// Takes the schema, or says who has it.
    pub fn take(
        connection: &mut PostgresConnection,
        address: Arc<Address>,
        schema: Arc<str>,
        token: Token,
        world: Arc<dyn World>,
    ) -> StoreResult<Self> {
        let own = Own::read();
        follow_clock(connection, &*world)?;
        let (mut seen, mut is_told): (Option<(Held, Instant)>, bool) = (None, false);
        loop {
            let held = look(connection)?;
            let Some(held) = held else {
                if write(connection, INSERT, &own.params(&token))? {
                    return Self::start(address, schema, token, world);
                }
                continue;
            };
            let is_silent = matches!(&seen, Some((before, since)) if *before == held && since.elapsed() >= HOLDER_GONE_AFTER);
            if is_silent || own.knows_gone(&held) {
                write(connection, REMOVE, &[(&held.token[..]).into(), held.beat.into()])?;
                continue;
            }
            if seen.as_ref().is_some_and(|(before, _)| *before != held) {
                return Err(in_use(&address, &held));
            }
            if let Some((held, since)) = &seen
                && !is_told
                && since.elapsed() >= TOLD_AFTER
            {
                is_told = true;
                tracing::info!(
                    host = held.host,
                    process = held.process,
                    "Another callhook holds the database: it is waited for a sign of life"
                );
            }
            seen.get_or_insert_with(|| (held, Instant::now()));
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    fn start(
        address: Arc<Address>,
        schema: Arc<str>,
        token: Token,
        world: Arc<dyn World>,
    ) -> StoreResult<Self> {
        let (stop, stopped) = mpsc::sync_channel(1);
        let (displace, displaced) = watch::channel(None);
        let of = Arc::clone(&schema);
        let thread = std::thread::Builder::new()
            .name("store-holder".to_owned())
            .spawn(move || {
                let mut connection = None;
                while stopped.recv_timeout(HOLDER_BEAT) == Err(RecvTimeoutError::Timeout) {
                    match tell(&mut connection, &address, &schema, BEAT, &token) {
                        Ok(true) => {
                            let followed = connection.as_mut().map(|connection| follow_clock(connection, &*world));
                            if let Some(Err(error)) = followed {
                                tracing::debug!(%error, "The database does not say what time it is");
                            }
                        }
                        // The database's own word: while it is away, nobody knows.
                        Ok(false) => {
                            let other = connection.as_mut().and_then(|connection| look(connection).ok()).flatten();
                            let why = displaced_by(other.as_ref());
                            tracing::error!("This callhook writes nothing any more: {why}");
                            displace.send_replace(Some(why));
                            return;
                        }
                        Err(error) => tracing::debug!(%error, "The database did not hear that this callhook is there"),
                    }
                }
                if let Err(error) = tell(&mut connection, &address, &schema, LET_GO, &token) {
                    tracing::warn!(%error, "The database does not know that this callhook stops: the next start waits until it is sure");
                }
            })
            .map_err(|error| StoreError::Unavailable(format!("cannot hold the database: {error}")))?;
        Ok(Self { token, schema: of, displaced, stop: Some(stop), thread: Some(thread) })
    }

    /// Names what this process holds, and nobody after it.
    pub fn id(&self) -> String {
        shown(&self.token)
    }

    /// Answers when the schema is this process's no more, and says why. It writes nothing from then on.
    pub async fn displaced(&self) -> String {
        let mut displaced = self.displaced.clone();
        let why = displaced.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            // It was let go.
            None => std::future::pending().await,
        }
    }

    /// Where there is a row as long as the schema is this process's, with the version of the configuration beside it.
    pub fn guard(&self) -> String {
        let (schema, token) = (&self.schema, u128::from_be_bytes(self.token));
        format!("FROM {schema}.configuration, {schema}.holder WHERE token = decode('{token:032x}', 'hex')")
    }
}

impl Drop for Holder {
    /// The next process needs not wait.
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panicking thread has said so already.
            let _ = thread.join();
        }
    }
}

/// Who holds the schema that is looked at, by the name that [`Holder::id`] has; `None`: nobody does.
pub fn id(sql: &mut dyn Sql) -> StoreResult<Option<String>> {
    sql.row(SELECT, &[], |row| Ok(shown(&row.blob(0)?)))
}

fn shown(token: &[u8]) -> String {
    token.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn look(connection: &mut PostgresConnection) -> StoreResult<Option<Held>> {
    connection.within(Kind::Snapshot, |connection| {
        let sql: &mut dyn Sql = connection;
        sql.row(SELECT, &[], |row| {
            let (token, process, host) = (row.blob(0)?, row.int(1)?, row.text(2)?);
            Ok(Held { token, process, host, system: row.text(3)?, beat: row.int(4)? })
        })
    })
}

/// Writes one row of the holder; `false` where it was not there to be changed.
fn write(connection: &mut PostgresConnection, sql: &str, params: &[Value<'_>]) -> StoreResult<bool> {
    connection.within(Kind::Write, |connection| connection.execute(sql, params).map(|changed| changed > 0))
}

/// Stored times are the database's: its clock is looked at together with the beats.
fn follow_clock(connection: &mut PostgresConnection, world: &dyn World) -> StoreResult<()> {
    let asked = Instant::now();
    let said = connection.within(Kind::Snapshot, |connection| {
        let sql: &mut dyn Sql = connection;
        sql.row(CLOCK, &[], |row| row.time(0))
    })?;
    let took = asked.elapsed();
    let Some(said) = said else { return Ok(()) };
    let ahead_ms = said.after(took / 2).as_millis() - world.now().as_millis();
    // What the way there and back leaves open is no difference.
    if ahead_ms.unsigned_abs() > u64::try_from(took.as_millis()).unwrap_or(u64::MAX) + CLOCK_TOLERANCE_MS {
        if ahead_ms.unsigned_abs() > CLOCK_TOLD_MS {
            tracing::warn!(
                ahead_ms,
                "The database's clock differs from this machine's, and is the one that counts: see whether both are set by NTP"
            );
        }
        world.follow(ahead_ms);
    }
    Ok(())
}

fn tell(
    connection: &mut Option<PostgresConnection>,
    address: &Address,
    schema: &str,
    sql: &str,
    token: &Token,
) -> StoreResult<bool> {
    let open = match connection.take().filter(|connection| !connection.is_closed()) {
        Some(open) => open,
        None => PostgresConnection::open(address, Session::new(schema, BEAT_TIMEOUT))?,
    };
    write(connection.insert(open), sql, &[token.into()])
}

fn in_use(address: &Address, held: &Held) -> StoreError {
    StoreError::InUse {
        place: format!("the database {}", address.shown),
        process: held.shown(),
        other: "schema with --database-schema",
    }
}

fn displaced_by(held: Option<&Held>) -> String {
    match held {
        Some(held) => format!(
            "another callhook (process {}) has taken the database over, since this one was not heard of",
            held.shown()
        ),
        None => "this callhook's place in the database is gone (its row in the table holder was removed)"
            .to_owned(),
    }
}

impl Held {
    fn shown(&self) -> String {
        format!("{} on {}", self.process, self.host)
    }
}

/// This process, as others may know it.
struct Own {
    process: i64,
    host: String,
    /// The start of the machine and the numbering of its processes: within both, a number means one process.
    system: String,
}

impl Own {
    fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let start = text("/proc/sys/kernel/random/boot_id").filter(|text| !text.is_empty());
        let numbering = std::fs::read_link("/proc/self/ns/pid").ok();
        // Where either cannot be read, nobody is known.
        let system =
            start.zip(numbering).map(|(start, numbering)| format!("{start} {}", numbering.display()));
        Self {
            process: i64::from(std::process::id()),
            host: text("/proc/sys/kernel/hostname").unwrap_or_default(),
            system: system.unwrap_or_default(),
        }
    }

    /// Whether that was a process of this system and is not there any more. One with this process's own number is not, since this is
    /// another.
    fn knows_gone(&self, held: &Held) -> bool {
        let is_of_here = !self.system.is_empty() && (&self.host, &self.system) == (&held.host, &held.system);
        // Another user's may be hidden and yet there: only the kernel's own word counts.
        let is_gone = |process: Pid| test_kill_process(process).err() == Some(Errno::SRCH);
        let process = i32::try_from(held.process).ok().and_then(Pid::from_raw);
        is_of_here && (held.process == self.process || process.is_some_and(is_gone))
    }

    fn params<'a>(&'a self, token: &'a Token) -> [Value<'a>; 4] {
        [token.into(), self.process.into(), (&self.host).into(), (&self.system).into()]
    }
}
