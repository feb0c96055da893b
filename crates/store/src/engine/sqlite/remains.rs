//! What SQLite leaves of a row that has moved to another page.
//!
//! `secure_delete` overwrites what is deleted, where it lies then. A page that was laid out anew since its rows grew or were divided may
//! still hold, in the room between its list of cells and the first of them, bytes of a row that lies elsewhere by now and is deleted
//! there. Nothing reads that room; here it is overwritten. Page layout: <https://sqlite.org/fileformat2.html>, sections 1.6 and 1.8.

use crate::error::{StoreError, StoreResult};
use crate::tx::Tx;
use std::ops::{ControlFlow, Range};

const READ: &str = "SELECT data FROM sqlite_dbpage('main') WHERE pgno = ?1";
const WRITE: &str = "UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1 AND schema = 'main'";
/// What an entry of a pointer map says of a page of a table or index.
const ROOT: u8 = 1;
const INNER: u8 = 5;
/// Bytes of such an entry: what the page is, and its parent.
const ENTRY_BYTES: usize = 5;

/// Pages of the file.
pub fn page_count(tx: &mut Tx<'_>) -> StoreResult<u32> {
    let pages = tx.sql().count("PRAGMA page_count", &[])?;
    u32::try_from(pages).map_err(|_| StoreError::Corrupt("the file has too many pages".to_owned()))
}

/// Those of the pages that hold remains.
pub fn find(tx: &mut Tx<'_>, pages: Range<u32>) -> StoreResult<Vec<u32>> {
    let (mut found, mut map) = (Vec::new(), None);
    for page in pages {
        if with_page(tx, page, |bytes| room(page, bytes).is_some_and(|room| !is_blank(&bytes[room])))?
            && is_of_a_tree(tx, page, &mut map)?
        {
            found.push(page);
        }
    }
    Ok(found)
}

/// Overwrites the remains in a page, if it still holds any.
pub fn remove(tx: &mut Tx<'_>, page: u32) -> StoreResult<()> {
    if !is_of_a_tree(tx, page, &mut None)? {
        return Ok(());
    }
    let mut bytes = with_page(tx, page, <[u8]>::to_vec)?;
    if let Some(room) = room(page, &bytes).filter(|room| !is_blank(&bytes[room.clone()])) {
        bytes[room].fill(0);
        tx.sql().execute(WRITE, &[page.into(), bytes.into()])?;
    }
    Ok(())
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// The room between a page's list of cells and its first cell, if it is a page of a table or index.
fn room(page: u32, bytes: &[u8]) -> Option<Range<usize>> {
    // The first page begins with the file's own head.
    let head = if page == 1 { 100 } else { 0 };
    let number = |at: usize| Some(usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    let head_bytes = match bytes.get(head)? {
        2 | 5 => 12,
        10 | 13 => 8,
        _ => return None,
    };
    let (begin, end) = (head + head_bytes + 2 * number(head + 3)?, number(head + 5)?);
    (begin <= end && end <= bytes.len()).then_some(begin..end)
}

/// Whether the page is one of a table or index, by the file's pointer map: others may begin as such a page does.
fn is_of_a_tree(tx: &mut Tx<'_>, page: u32, map: &mut Option<(u32, Vec<u8>)>) -> StoreResult<bool> {
    if page == 1 {
        return Ok(true);
    }
    let page_bytes = with_page(tx, 1, <[u8]>::len)?;
    let each = u32::try_from(page_bytes / ENTRY_BYTES).unwrap_or(0);
    // A map page stands before the pages that it maps; one page of the file, at 1 GiB, is never used and shifts the one that would be there.
    let unused = u32::try_from(0x4000_0000 / page_bytes.max(1)).unwrap_or(0) + 1;
    let mut mapped_by = (page - 2) / (each + 1) * (each + 1) + 2;
    if mapped_by == unused {
        mapped_by += 1;
    }
    if page <= mapped_by || page == unused {
        return Ok(false);
    }
    if map.as_ref().is_none_or(|(known, _)| *known != mapped_by) {
        *map = Some((mapped_by, with_page(tx, mapped_by, <[u8]>::to_vec)?));
    }
    let at = usize::try_from(page - mapped_by - 1).unwrap_or(0) * ENTRY_BYTES;
    Ok(map.as_ref().is_some_and(|(_, entries)| matches!(entries.get(at), Some(&(ROOT | INNER)))))
}

/// What `read` makes of a page's bytes.
fn with_page<T>(tx: &mut Tx<'_>, page: u32, mut read: impl FnMut(&[u8]) -> T) -> StoreResult<T> {
    let mut made = None;
    tx.sql().each_row(READ, &[page.into()], &mut |row| {
        if let crate::engine::Value::Blob(bytes) = row.value(0)? {
            made = Some(read(&bytes));
        }
        Ok(ControlFlow::Break(()))
    })?;
    made.ok_or_else(|| StoreError::Corrupt(format!("page {page} is not there")))
}
