//! What the file of a backup ends with: words by which it is known, and a checksum of all before them. SQLite's own check sees the
//! structure of a database; it does not see that a byte of a payload has changed.

use crate::backup::BreakOff;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

const WORDS: &[u8; 16] = b"callhook backup\n";
const HASH_BYTES: usize = 32;
const BYTES: usize = WORDS.len() + HASH_BYTES;
/// Read and written at a time; between two blocks it can be broken off.
const BLOCK_BYTES: usize = 1_048_576;

/// What became of a file that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is as it was written.
    Whole,
    /// It does not end as a backup does.
    NoBackup,
    /// It is not what was written.
    Changed,
    /// Whoever waited has gone.
    BrokenOff,
}

/// Ends a copy that is whole, unless that is broken off.
pub fn append(copy: &mut File, break_off: &BreakOff) -> io::Result<Reading> {
    let bytes = copy.metadata()?.len();
    let Some(hash) = hash(copy, bytes, break_off, |_| Ok(()))? else { return Ok(Reading::BrokenOff) };
    copy.seek(SeekFrom::End(0))?;
    copy.write_all(&[&WORDS[..], &hash].concat())?;
    Ok(Reading::Whole)
}

/// Copies what stands before a backup's end.
pub fn copy_without(backup: &mut File, to: &mut File, break_off: &BreakOff) -> io::Result<Reading> {
    let Some(bytes) = backup.metadata()?.len().checked_sub(BYTES as u64) else {
        return Ok(Reading::NoBackup);
    };
    let mut end = [0; BYTES];
    backup.seek(SeekFrom::Start(bytes))?;
    backup.read_exact(&mut end)?;
    let (words, hash_then) = end.split_at(WORDS.len());
    if words != WORDS {
        return Ok(Reading::NoBackup);
    }
    let hash_now = hash(backup, bytes, break_off, |block| to.write_all(block))?;
    Ok(match hash_now {
        None => Reading::BrokenOff,
        Some(hash_now) if hash_now == hash_then => Reading::Whole,
        Some(_) => Reading::Changed,
    })
}

/// Hashes the first bytes of a file and hands each block on; `None` where it was broken off.
fn hash(
    file: &mut File,
    bytes: u64,
    break_off: &BreakOff,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<[u8; HASH_BYTES]>> {
    file.seek(SeekFrom::Start(0))?;
    let (mut file, mut hash, mut block) = (file.take(bytes), Sha256::new(), vec![0; BLOCK_BYTES]);
    loop {
        if break_off.is_wanted() {
            return Ok(None);
        }
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(Some(hash.finalize().into()));
        }
        hash.update(&block[..read]);
        each(&block[..read])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[track_caller]
    fn check(backup: &mut File, expected: Reading) {
        let mut copy = file(b"");
        assert_eq!(copy_without(backup, &mut copy, &BreakOff::default()).unwrap(), expected);
        if expected == Reading::Whole {
            assert_eq!(copy.metadata().unwrap().len(), backup.metadata().unwrap().len() - BYTES as u64);
        }
    }

    #[test]
    fn any_byte_that_changed_and_any_end_that_is_missing_is_seen() {
        let mut whole = file(&vec![7; 3 * BLOCK_BYTES / 2]);
        assert_eq!(append(&mut whole, &BreakOff::default()).unwrap(), Reading::Whole);
        check(&mut whole, Reading::Whole);
        let bytes = {
            whole.seek(SeekFrom::Start(0)).unwrap();
            let mut bytes = Vec::new();
            whole.read_to_end(&mut bytes).unwrap();
            bytes
        };
        for place in [0, BLOCK_BYTES, bytes.len() - BYTES - 1, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            check(&mut file(&changed), Reading::Changed);
        }
        for cut in [0, 1, BYTES - 1, BLOCK_BYTES, bytes.len() - 1] {
            check(&mut file(&bytes[..cut]), Reading::NoBackup);
        }
    }

    #[test]
    fn whoever_has_gone_waits_no_longer() {
        let break_off = BreakOff::default();
        break_off.now();
        assert_eq!(append(&mut file(b"a store"), &break_off).unwrap(), Reading::BrokenOff);
    }
}
