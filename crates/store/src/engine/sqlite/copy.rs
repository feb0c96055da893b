//! Copies of a database file: made while a server writes to it, and put in place of one that is lost.
//!
//! **How a copy is made.** `VACUUM INTO` on a connection of its own, in the process of whoever asks. Of SQLite's two ways it is the
//! one that ends: the backup API begins anew whenever another connection has written between two of its steps, which under load is
//! always. It reads one snapshot, so the copy is the store at one moment; the writer goes on, and only the log (WAL) grows by what
//! is written meanwhile, since it cannot begin anew while somebody looks at an old state. The server's process is not asked: it
//! need not have the right to write where the copy is to lie, its memory and its stop do not hang on it, and a client that is
//! interrupted takes its snapshot with it. SQLite's own locks keep the two processes apart; no lock of the folder is needed, so
//! that a server may also start or stop meanwhile.
//!
//! **When a copy counts.** It is written under another name, opened and read to its end, ended with a checksum, and synced; only then it
//! gets its name.

use super::connection::SqliteConnection;
use super::examination::{examine, holdings};
use super::trailer::{self, Reading};
use super::{FILE_NAME, LOCK_NAME, lock, make_folder, make_private};
use crate::backup::{BackupError, BreakOff, Check, Holdings, KeyFits};
use crate::engine::Sql;
use crate::error::StoreError;
use crate::seal::Keyring;
use domain::Timestamp;
use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempDir};

/// Begins the name of a copy that is not whole yet.
const DRAFT_PREFIX: &str = ".callhook-copy-";

/// Copies the store in `data_dir` to `file`, which must not be there yet, and says what the copy holds.
pub fn write(
    data_dir: &Path,
    file: &Path,
    keyring: Option<&Keyring>,
    now: Timestamp,
    break_off: &BreakOff,
) -> Result<Holdings, BackupError> {
    let source = data_dir.join(FILE_NAME);
    if !source.exists() {
        return Err(BackupError::Failed(format!(
            "no store lies in {}: name the server's folder with --data-dir",
            data_dir.display()
        )));
    }
    if std::fs::symlink_metadata(file).is_ok() {
        return Err(taken(file));
    }
    if is_name_of_the_engine(data_dir, file) {
        return Err(BackupError::Failed(format!(
            "{} is a name that the store itself uses: choose another",
            file.display()
        )));
    }
    let mut draft = Draft::beside(file)?;
    let mut connection = SqliteConnection::open_beside(&source)?;
    let is_wanted = break_off.clone();
    connection.break_off_when(move || is_wanted.is_wanted())?;
    let target = draft
        .path()
        .to_str()
        .ok_or_else(|| BackupError::Failed("the backup's name is no text".to_owned()))?;
    let sql: &mut dyn Sql = &mut connection;
    sql.execute("VACUUM INTO ?1", &[target.into()]).map_err(|error| unwritten(file, &error))?;
    drop(connection);
    let held = examine(draft.path(), Check::Whole, keyring, now, break_off)?;
    if held.key == KeyFits::No {
        return Err(BackupError::Failed(
            "the secret key that is set is not the store's: name the one that the server uses (--secret-key-file), or none".to_owned(),
        ));
    }
    let ended = trailer::append(draft.file.as_file_mut(), break_off);
    if ended.map_err(|error| failed("write", file, &error))? == Reading::BrokenOff {
        return Err(BackupError::BrokenOff);
    }
    draft.put(file, break_off)?;
    Ok(held)
}

/// Whether SQLite would take a file of this name for one of the store's own, as a journal to roll back.
fn is_name_of_the_engine(data_dir: &Path, file: &Path) -> bool {
    let is_beside = match (folder_of(file).canonicalize(), data_dir.canonicalize()) {
        (Ok(folder), Ok(data_dir)) => folder == data_dir,
        _ => false,
    };
    is_beside && file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FILE_NAME))
}

/// Puts a copy in place of a store: in `data_dir`, where none may be. The store is marked, so that its server sends nothing until the
/// operator says so.
pub fn restore(
    file: &Path,
    data_dir: &Path,
    keyring: Option<&Keyring>,
    now: Timestamp,
    break_off: &BreakOff,
) -> Result<Holdings, BackupError> {
    let mut backup = File::open(file).map_err(|error| failed("read", file, &error))?;
    make_folder(data_dir).map_err(|error| failed("make", data_dir, &error))?;
    let lock_path = data_dir.join(LOCK_NAME);
    let was_used = lock_path.exists();
    let lock = lock(data_dir)?;
    let restored = restore_into(&mut backup, file, data_dir, keyring, now, break_off)
        .and_then(|held| give_to_owner(&lock_path, data_dir).map(|()| held));
    if restored.is_err() && !was_used {
        // Nothing is left of what was not restored; if this stays, it is in nobody's way.
        let _ = std::fs::remove_file(lock_path);
    }
    drop(lock);
    restored
}

fn restore_into(
    backup: &mut File,
    file: &Path,
    data_dir: &Path,
    keyring: Option<&Keyring>,
    now: Timestamp,
    break_off: &BreakOff,
) -> Result<Holdings, BackupError> {
    let place = data_dir.join(FILE_NAME);
    for taken in [place.clone(), beside(&place, "-wal"), beside(&place, "-shm")] {
        if taken.exists() {
            return Err(BackupError::Failed(format!(
                "{} is there already: restore into an empty folder, or move the store that lies there away first",
                taken.display()
            )));
        }
    }
    let mut draft = Draft::beside(&place)?;
    let copied = trailer::copy_without(backup, draft.file.as_file_mut(), break_off);
    let name = file.display();
    match copied.map_err(|error| failed("copy", file, &error))? {
        Reading::Whole => {}
        Reading::NoBackup => {
            return Err(BackupError::Failed(format!(
                "{name} does not end as a backup does: it was cut short, or `callhook backup` did not write it"
            )));
        }
        Reading::Changed => {
            return Err(BackupError::Failed(format!(
                "{name} is damaged, it is not what `callhook backup` wrote: restore an earlier backup"
            )));
        }
        Reading::BrokenOff => return Err(BackupError::BrokenOff),
    }
    let held = examine_and_pause(&draft, file, keyring, now, break_off)?;
    make_private(data_dir).map_err(|error| failed("close to others", data_dir, &error))?;
    give_to_owner(draft.path(), data_dir)?;
    draft.put(&place, break_off)?;
    Ok(held)
}

/// Whoever restores need not be whose server it is: what it could not open would be no store to it.
fn give_to_owner(file: &Path, folder: &Path) -> Result<(), BackupError> {
    let owner = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.uid(), metadata.gid()));
    let (is, should_be) = owner(file)
        .and_then(|is| Ok((is, owner(folder)?)))
        .map_err(|error| failed("look at", folder, &error))?;
    if is.0 == should_be.0 {
        return Ok(());
    }
    chown(file, Some(should_be.0), Some(should_be.1)).map_err(|_| {
        BackupError::Failed(format!("{} belongs to another user: run this as that one", folder.display()))
    })
}

/// What is examined is the copy that will be used, not the file that it was read from.
fn examine_and_pause(
    draft: &Draft,
    file: &Path,
    keyring: Option<&Keyring>,
    now: Timestamp,
    break_off: &BreakOff,
) -> Result<Holdings, BackupError> {
    let mut connection = SqliteConnection::open_beside(draft.path())?;
    let is_wanted = break_off.clone();
    connection.break_off_when(move || is_wanted.is_wanted())?;
    let held = holdings(&mut connection, file, Check::Whole, keyring, now)?;
    if held.key == KeyFits::No {
        return Err(StoreError::WrongKey.into());
    }
    crate::pause::pause(&mut connection, now)?;
    crate::session::end_all_of_copy(&mut connection)?;
    Ok(Holdings { sending_paused: true, ..held })
}

/// A file that only its owner reads, in a folder of its own beside where it will stay: what SQLite lays beside it while it is written
/// goes with the folder, whether the file is kept or not.
struct Draft {
    file: NamedTempFile,
    // Held while the draft is written: what lies in a draft's folder that nobody holds was left by a process that was killed.
    _held: File,
    _folder: TempDir,
}

impl Draft {
    fn beside(file: &Path) -> Result<Self, BackupError> {
        let parent = folder_of(file);
        let failed = |error: std::io::Error| failed("write to", parent, &error);
        remove_left_drafts(parent);
        let folder = tempfile::Builder::new().prefix(DRAFT_PREFIX).tempdir_in(parent).map_err(failed)?;
        let held = File::open(folder.path()).map_err(failed)?;
        // A file system that knows no locks keeps drafts that were left.
        let _ = held.try_lock();
        Ok(Self { file: NamedTempFile::new_in(&folder).map_err(failed)?, _held: held, _folder: folder })
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives it its name, which it takes from nobody, and makes that last.
    fn put(self, file: &Path, break_off: &BreakOff) -> Result<(), BackupError> {
        if break_off.is_wanted() {
            return Err(BackupError::BrokenOff);
        }
        self.file.as_file().sync_all().map_err(|error| failed("sync", file, &error))?;
        self.file.persist_noclobber(file).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => taken(file),
            _ => failed("write", file, &error.error),
        })?;
        let folder = folder_of(file);
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed("sync", folder, &error))
    }
}

/// Removes what killed processes have left of their drafts: copies of whole stores. What cannot be removed is in nobody's way.
pub fn remove_left_drafts(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(DRAFT_PREFIX)) {
        if File::open(entry.path()).is_ok_and(|held| held.try_lock().is_ok()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file's path with an ending of SQLite's.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn taken(file: &Path) -> BackupError {
    BackupError::Failed(format!(
        "{} is there already: name another file, or move that one away first",
        file.display()
    ))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> BackupError {
    BackupError::Failed(format!("cannot {what} {}: {error}", path.display()))
}

fn unwritten(file: &Path, error: &StoreError) -> BackupError {
    match error {
        StoreError::Busy(_) => BackupError::BrokenOff,
        StoreError::Malformed(_) => BackupError::Failed(error.to_string()),
        error => BackupError::Failed(format!(
            "the store cannot be copied to {}: {}",
            file.display(),
            error.reason()
        )),
    }
}
