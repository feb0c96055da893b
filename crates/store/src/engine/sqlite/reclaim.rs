//! Space of removed rows: its pages are free for new ones, and what is more than those need goes back to the file system.

use crate::error::StoreResult;
use crate::tx::Tx;
use std::ops::ControlFlow;

/// Pages of the file that hold nothing.
pub fn free_pages(tx: &mut Tx<'_>) -> StoreResult<u64> {
    tx.sql().count("PRAGMA freelist_count", &[])
}

/// Moves so many pages from the file's end into free ones, which shortens the file.
pub fn give_back(tx: &mut Tx<'_>, pages: u64) -> StoreResult<()> {
    // One row for each page.
    tx.sql()
        .each_row(&format!("PRAGMA incremental_vacuum({pages})"), &[], &mut |_| Ok(ControlFlow::Continue(())))
}
