//! A PostgreSQL server of this run: made from the installed programs in a folder of its own, gone with the run.
//!
//! It keeps what it acknowledges, as the embedded store does: what it is set to is what a new server is set to, and where that is
//! what the comparison hangs on it is named.

use crate::program::cpu_time;
use crate::{Failure, Outcome};
use procfs::process::{Process, all_processes};
use std::ffi::OsStr;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

/// Where Debian's packages put each version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// Who runs the server where the benchmark is run by root, which it refuses to be.
const ACCOUNT: &str = "postgres";
const SETTINGS: [&str; 5] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
];
/// Time in which the server has to take connections.
const UP_WITHIN: Duration = Duration::from_secs(30);
/// The copies' times and statistics are whole minutes apart.
const MINUTE_MS: u64 = 60_000;
const COPY: &str = include_str!("../../store/bench/copy_postgres.sql");

/// A running server, one database for each store.
pub struct Postgres {
    process: Child,
    binaries: PathBuf,
    port: u16,
    // Removed when the server has ended.
    _folder: TempDir,
}

impl Postgres {
    /// Makes a server with its data below this folder, and starts it.
    pub async fn start(parent: &Path) -> Outcome<Self> {
        let binaries = binaries()?;
        let folder = TempDir::with_prefix_in("callhook-bench-postgres-", parent.canonicalize()?)?;
        let account = account()?;
        if let Some((user, group)) = account {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let data = folder.path().join("data");
        let mut command = as_account(&binaries.join("initdb"), account);
        command
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data);
        ended("initdb", &tokio::process::Command::from(command).output().await?)?;

        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = File::create(folder.path().join("log"))?;
        let mut command = as_account(&binaries.join("postgres"), account);
        command.arg(format!("--port={port}")).arg("-D").arg(&data);
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let process = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut server = Self { process, binaries, port, _folder: folder };
        server.wait_until_up().await?;
        Ok(server)
    }

    async fn wait_until_up(&mut self) -> Outcome<()> {
        let started = Instant::now();
        while self.client("pg_isready").stdout(Stdio::null()).status().await?.code() != Some(0) {
            if self.process.try_wait()?.is_some() || started.elapsed() > UP_WITHIN {
                return Err(Failure::new(format!(
                    "PostgreSQL does not take connections within {UP_WITHIN:?}"
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The flag that has callhook keep its store in this database.
    pub fn flag(&self, database: &str) -> String {
        format!("--database-url=postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Makes this database anew, empty.
    pub async fn renew(&self, database: &str) -> Outcome<()> {
        let mut drop = self.client("dropdb");
        ended("dropdb", &drop.args(["--if-exists", "--force", database]).output().await?)?;
        ended("createdb", &self.client("createdb").arg(database).output().await?)
    }

    /// Copies what was reported in this time (milliseconds UTC), each copy earlier than the one before; answers since when there are
    /// calls now. No callhook may work on the database.
    pub async fn copy(&self, database: &str, reported: Range<u64>, copies: u64) -> Outcome<u64> {
        let step = (reported.end / MINUTE_MS - reported.start / MINUTE_MS + 1) * MINUTE_MS;
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--quiet", "--output=/dev/null", "--dbname", database]);
        for (name, value) in
            [("since", reported.start), ("until", reported.end), ("step", step), ("copies", copies)]
        {
            psql.arg(format!("--set={name}={value}"));
        }
        let mut running = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = running.stdin.take() {
            stdin.write_all(COPY.as_bytes()).await?;
        }
        ended("psql", &running.wait_with_output().await?)?;
        Ok(reported.start - copies * step)
    }

    /// CPU time that its processes have used, those that have ended included.
    pub fn cpu(&self) -> Duration {
        let Some(server) = i32::try_from(self.process.id()).ok().and_then(|id| Process::new(id).ok()) else {
            return Duration::ZERO;
        };
        let ended = server.stat().map_or(0, |stat| u64::try_from(stat.cutime + stat.cstime).unwrap_or(0));
        let others =
            all_processes().into_iter().flatten().flatten().filter_map(|process| process.stat().ok());
        let living = others.filter(|stat| stat.pid == server.pid || stat.ppid == server.pid);
        cpu_time(ended + living.map(|stat| stat.utime + stat.stime).sum::<u64>())
    }

    fn client(&self, program: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(self.binaries.join(program));
        command.args(["--host=127.0.0.1", "--username=postgres", &format!("--port={}", self.port)]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once: nothing of it is kept. Its own processes end with it.
        let told = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        if !told.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// The newest version that is installed, or the one on the path.
fn binaries() -> Outcome<PathBuf> {
    let versions = std::fs::read_dir(INSTALLED).into_iter().flatten().flatten();
    let version = |folder: &PathBuf| {
        folder.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok()).unwrap_or(0)
    };
    let mut installed: Vec<_> = versions.map(|entry| entry.path()).collect();
    installed.sort_by_key(version);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders =
        installed.into_iter().rev().map(|folder| folder.join("bin")).chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").exists()).ok_or_else(|| {
        Failure::new("PostgreSQL is missing: install the package postgresql, or put its programs on the path")
    })
}

/// User and group that run the server; none: whoever runs the benchmark.
fn account() -> Outcome<Option<(u32, u32)>> {
    let is_root = Process::myself().and_then(|process| process.uid()).is_ok_and(|user| user == 0);
    if !is_root {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(ACCOUNT);
        let (user, group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        is_it.then_some((user, group))
    };
    let account = accounts.lines().find_map(of_line);
    let missing =
        || Failure::new(format!("PostgreSQL does not run as root, and there is no user {ACCOUNT}: add one"));
    account.ok_or_else(missing).map(Some)
}

fn as_account(program: &Path, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    // Wherever the benchmark was started, that user may not go there.
    command.current_dir("/");
    if let Some((user, group)) = account {
        command.uid(user).gid(group);
    }
    command
}

/// Fails with what it said where it failed.
fn ended(program: &str, output: &Output) -> Outcome<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{program} failed ({}): {}", output.status, said.trim())))
}
