//! The data folder: who may look into it, on what it lies, and how much room is left.

use super::findings::Findings;
use rustix::fs::{Access, access, statfs, statvfs};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const CHECK: &str = "data folder";
const SPACE: &str = "disk space";

/// Bytes that must be left: a commit of the largest batch and the log of a busy minute fit.
const SPACE_BYTES_MIN: u64 = 64 * 1_024 * 1_024;
/// Bytes below which somebody should look: a day of some hundred thousand calls.
const SPACE_BYTES_LOW: u64 = 1_024 * 1_024 * 1_024;

/// What a file system's number means to a store: whether it is fit for one, and what it is called.
const UNFIT: [(u64, &str); 7] = [
    (0x0102_1994, "in memory (tmpfs): all of it is lost at the next start of the machine"),
    (0x8584_58f6, "in memory (ramfs): all of it is lost at the next start of the machine"),
    (0x794c_7630, "in a container's own layer (overlayfs): it is lost with the container; give it a volume"),
    (
        0x6969,
        "on a network file system (NFS), whose locks and syncs a database cannot rely on; use a local disk",
    ),
    (
        0xff53_4d42,
        "on a network file system (CIFS), whose locks and syncs a database cannot rely on; use a local disk",
    ),
    (
        0xfe53_4d42,
        "on a network file system (SMB), whose locks and syncs a database cannot rely on; use a local disk",
    ),
    (
        0x0102_1997,
        "on a network file system (9P), whose locks and syncs a database cannot rely on; use a local disk",
    ),
];

/// Looks at the folder. False: there is none to look into.
pub fn look(data_dir: &Path, findings: &mut Findings) -> bool {
    let shown = data_dir.display();
    let metadata = match std::fs::metadata(data_dir) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            findings.fault(CHECK, format!("{shown} is no folder: name another one with --data-dir"));
            return false;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            findings.warning(CHECK, format!("{shown} is not there yet: the first `callhook serve` makes it"));
            return false;
        }
        Err(error) => {
            findings.fault(
                CHECK,
                format!("{shown} cannot be looked into ({error}): run this as the server's user"),
            );
            return false;
        }
    };
    let mode = metadata.permissions().mode() & 0o777;
    if access(data_dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        findings.fault(
            CHECK,
            format!("{shown} cannot be written to by this user: run this as the server's user"),
        );
    } else if mode & 0o007 != 0 {
        findings.warning(
            CHECK,
            format!("{shown} is open to everybody on the machine (mode {mode:03o}): chmod o= {shown}"),
        );
    } else if let Some(unfit) = unfit(data_dir) {
        findings.warning(CHECK, format!("{shown} lies {unfit}"));
    } else {
        findings.ok(CHECK, format!("{shown} is private and can be written to"));
    }
    look_at_space(data_dir, findings);
    true
}

fn look_at_space(data_dir: &Path, findings: &mut Findings) {
    let left = match statvfs(data_dir) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            findings.warning(SPACE, format!("what is left cannot be told: {error}"));
            return;
        }
    };
    let shown = format!("{} MB are left", left / 1_000_000);
    if left < SPACE_BYTES_MIN {
        findings.fault(
            SPACE,
            format!("{shown}: calls are refused when it is full; make room, or move the folder"),
        );
    } else if left < SPACE_BYTES_LOW {
        findings.warning(SPACE, format!("{shown}: make room before calls are refused"));
    } else {
        findings.ok(SPACE, shown);
    }
}

fn unfit(data_dir: &Path) -> Option<&'static str> {
    let kind = statfs(data_dir).ok()?.f_type;
    // Some systems keep the number in a signed half: the lower 32 bits are it.
    let kind = u64::try_from(kind & 0xffff_ffff).ok()?;
    UNFIT.iter().find(|(number, _)| *number == kind).map(|(_, words)| *words)
}
