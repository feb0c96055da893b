//! The embedded engine: one writer that commits in groups, a few readers, one file, one process.
//!
//! What it relies on, and reads back at start: WAL with `synchronous=FULL` (a commit is on disk when it is acknowledged),
//! `secure_delete` (an erased call leaves no trace in free pages), `auto_vacuum=INCREMENTAL`, no memory mapping. The version is
//! at least 3.51.3: earlier ones can corrupt a WAL with several connections.

mod checkpoint;
mod connection;
pub mod copy;
pub mod examination;
mod migrations;
mod readers;
pub mod reclaim;
pub mod remains;
#[cfg(test)]
mod tests;
mod trailer;
mod writer;

use crate::engine::group::{Demand, Writer};
use crate::engine::{FileSizes, Sizes};
use crate::error::{StoreError, StoreResult};
use crate::limits::{ENGINE_READERS, READ_TIMEOUT, READERS};
use crate::tx::{Tx, TxShared};
use connection::SqliteConnection;
use failpoint::{Point, reach};
use readers::Readers;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the database in the data folder.
pub const FILE_NAME: &str = "callhook.db";
/// The name of the file whose lock says that a process uses the folder. It holds the process's number and, from the time when there is
/// a store, [`STORE_MADE`].
const LOCK_NAME: &str = "callhook.lock";
/// An empty database is a new one to SQLite: this says that it cannot be.
const STORE_MADE: &str = "store made";

/// An open embedded store.
pub struct SqliteEngine {
    writer: Writer,
    readers: Readers,
    engine_readers: Readers,
    path: PathBuf,
    // Held as long as the engine lives, and let go after its connections: SQLite's own locks end when any of the process's handles on
    // the file is closed. The operating system gives them back when the process ends, however it ends.
    _locks: (File, Arc<File>),
}

impl SqliteEngine {
    /// Opens the store in `data_dir`, makes it where it is not there, brings it up to date.
    pub fn open(data_dir: &Path, shared: Arc<TxShared>) -> StoreResult<Self> {
        make_private(data_dir).map_err(|error| unavailable("prepare the data folder", data_dir, &error))?;
        let mut lock = lock(data_dir)?;
        reach(Point::StoreLocked);
        let path = data_dir.join(FILE_NAME);
        // Without the mark, an empty file is what a loss of power leaves of a first start.
        if lock.store_made && std::fs::metadata(&path).map_or(true, |file| file.len() == 0) {
            return Err(StoreError::Gone { file: path });
        }
        copy::remove_left_drafts(data_dir);
        let mut connection = SqliteConnection::open(&path)?;
        let file = Arc::new(lock_file(&path, data_dir, &lock)?);
        reach(Point::StoreOpened);
        migrations::run(&mut connection)?;
        let is_log_empty = connection.checkpoint()?;
        reach(Point::StoreCheckpointed);
        lock.note_store()?;
        let readers = Readers::open(&path, Arc::clone(&shared), READERS, Some(READ_TIMEOUT))?;
        let engine_readers = Readers::open(&path, Arc::clone(&shared), ENGINE_READERS, None)?;
        let writer = writer::start(&path, Arc::clone(&file), connection, is_log_empty, shared)?;
        Ok(Self { writer, readers, engine_readers, path, _locks: (lock.file, file) })
    }

    /// Runs `operation` in a transaction, together with others that are waiting, and answers when it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        demand: Demand,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.writer.write(demand, operation).await
    }

    /// Runs `operation` on a snapshot of what is committed; one that takes too long is broken off.
    pub async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.readers.read(operation).await
    }

    /// The same for what the delivery engine and authentication need, which waits behind no other reader.
    pub async fn read_engine<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.engine_readers.read(operation).await
    }

    /// How large its parts are now.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let files = FileSizes { database_bytes: bytes(&self.path), log_bytes: bytes(Path::new(&log)) };
        Sizes { files: Some(files), writes_queued: self.writer.queued() }
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the folder, for its owner alone. A folder that was made is synced into the one above, or a loss of power could take it with
/// everything in it.
fn make_folder(data_dir: &Path) -> std::io::Result<()> {
    let made: Vec<&Path> = data_dir.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    for above in made.iter().filter_map(|folder| folder.parent()) {
        let is_here = above.as_os_str().is_empty();
        File::open(if is_here { Path::new(".") } else { above })?.sync_all()?;
    }
    Ok(())
}

/// Makes the folder, where it is not there, and closes it to all but its owner and group: it holds callers' numbers and recording
/// links. A folder that is shared with others (sticky, such as `/tmp`) is left as it is: closing it would harm them.
pub fn make_private(data_dir: &Path) -> std::io::Result<()> {
    const STICKY: u32 = 0o1000;
    make_folder(data_dir)?;
    let mut rights = std::fs::metadata(data_dir)?.permissions();
    if rights.mode() & 0o007 != 0 && rights.mode() & STICKY == 0 {
        rights.set_mode(rights.mode() & !0o007);
        std::fs::set_permissions(data_dir, rights)?;
    }
    Ok(())
}

/// The right to use the data folder.
struct Lock {
    file: File,
    path: PathBuf,
    /// Whether there has been a store in the folder.
    store_made: bool,
}

impl Lock {
    /// From now on there is a store.
    fn note_store(&mut self) -> StoreResult<()> {
        self.store_made = true;
        self.write().map_err(|error| unavailable("write", &self.path, &error))
    }

    fn write(&mut self) -> std::io::Result<()> {
        let made = if self.store_made { format!("{STORE_MADE}\n") } else { String::new() };
        self.file.set_len(0)?;
        self.file.write_all_at(format!("{}\n{made}", std::process::id()).as_bytes(), 0)
    }
}

fn lock(data_dir: &Path) -> StoreResult<Lock> {
    let path = data_dir.join(LOCK_NAME);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| unavailable("open", &path, &error))?;
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let process = text.lines().next().unwrap_or_default().to_owned();
            return Err(in_use(data_dir, process));
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(unavailable("lock", &path, &error)),
    }
    let mut lock = Lock { file, path, store_made: text.lines().any(|line| line == STORE_MADE) };
    // The number is for the message above only; a lock that could be taken is taken, whatever can be written.
    let _ = lock.write();
    Ok(lock)
}

fn in_use(data_dir: &Path, process: String) -> StoreError {
    let place = format!("the data folder {}", data_dir.display());
    StoreError::InUse { place, process, other: "folder with --data-dir" }
}

/// The file itself is locked as well: somebody may have removed the lock beside it.
fn lock_file(path: &Path, data_dir: &Path, lock: &Lock) -> StoreResult<File> {
    let file = File::open(path).map_err(|error| unavailable("open", path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let _ = std::fs::remove_file(&lock.path);
            Err(in_use(data_dir, "unknown".to_owned()))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(unavailable("lock", path, &error)),
    }
}

/// The number of the process that uses the folder, as far as it left it; `None`: none does.
#[must_use]
pub fn user(data_dir: &Path) -> Option<String> {
    let path = data_dir.join(LOCK_NAME);
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(std::fs::TryLockError::WouldBlock) => {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            Some(text.lines().next().unwrap_or_default().to_owned())
        }
        _ => None,
    }
}

fn unavailable(what: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("cannot {what} {}: {error}", path.display()))
}
