//! What tells whether two tables hold the same, whatever engines they are in: all rows as they are read, in the order of their key.

use super::table::Statements;
use crate::Store;
use crate::engine::Value;
use crate::error::StoreResult;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Its rows.
    pub rows: u64,
    /// The SHA-256 over their values: of each the kind, the length and the bytes.
    pub sha256: [u8; 32],
}

impl Checksum {
    /// Reads all of a table.
    pub async fn of(store: &Store, table: &Arc<Statements>) -> StoreResult<Self> {
        let (mut rows, mut sha256, mut after) = (0, Sha256::new(), None);
        loop {
            let (statements, so_far) = (Arc::clone(table), sha256.clone());
            let step = store.read_engine(move |tx| {
                let step = statements.read(tx, after.as_deref())?;
                let mut sha256 = so_far;
                for row in &step {
                    take(&mut sha256, row);
                }
                Ok((step.len(), step.last().map(|row| statements.key_of(row)), sha256))
            });
            let (step_rows, reached, so_far) = step.await?;
            if reached.is_none() {
                return Ok(Self { rows, sha256: sha256.finalize().into() });
            }
            (rows, sha256, after) = (rows + step_rows as u64, so_far, reached);
        }
    }
}

fn take(sha256: &mut Sha256, row: &[Value<'_>]) {
    for value in row {
        let (kind, bytes) = match value {
            Value::Null => (b'0', [].as_slice()),
            Value::Int(int) => (b'i', &int.to_be_bytes()[..]),
            Value::Text(text) => (b't', text.as_bytes()),
            Value::Id(id) => (b'b', &id[..]),
            Value::Blob(blob) => (b'b', &**blob),
        };
        sha256.update([kind]);
        sha256.update((bytes.len() as u64).to_be_bytes());
        sha256.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &[Value<'static>], other: &[Value<'static>]) {
        let of = |row: &[Value<'static>]| {
            let mut sha256 = Sha256::new();
            take(&mut sha256, row);
            sha256.finalize()
        };
        assert_ne!(of(one), of(other), "{one:?} {other:?}");
    }

    #[test]
    fn no_two_different_rows_are_taken_for_the_same() {
        check(&[Value::Null], &["".into()]);
        check(&["1".into()], &[Value::Int(1)]);
        check(&["ab".into(), "c".into()], &["a".into(), "bc".into()]);
        check(&["a".into()], &[b"a".to_vec().into()]);
        check(&[Value::Null, "a".into()], &["a".into(), Value::Null]);
    }
}
