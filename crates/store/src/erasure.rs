//! After an erasure: what the engine has left of it in its pages is overwritten, in steps between other work.
//!
//! The commit that erases leaves a mark, so that a pass over all pages follows, also after a crash. The pass goes from the last page to
//! the first, since what shortens the file moves pages to the front.

use crate::Store;
use crate::engine::sqlite::remains;
use crate::error::StoreResult;
use crate::limits::{REMAINS_PAGES, ROWS_CHANGED_MAX};
use crate::tx::Tx;
use failpoint::{Point, reach};

/// Another mark for each erasure, so that a pass does not take away that of one which came meanwhile.
pub(crate) const MARK: &str = "INSERT INTO meta (name, value) VALUES ('erased', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const SELECT_MARK: &str = "SELECT value FROM meta WHERE name = 'erased'";
const REMOVE_MARK: &str = "DELETE FROM meta WHERE name = 'erased' AND value = ?1";

/// A pass over all pages.
#[derive(Clone, Debug)]
pub struct RemainsPass {
    mark: Vec<u8>,
    /// Pages that are still to be looked at.
    pages: u32,
}

impl Store {
    /// Begins a pass; `None` where nothing was erased since the last one.
    pub async fn begin_remains_pass(&self) -> StoreResult<Option<RemainsPass>> {
        let has_pages = self.engine.is_a_file();
        self.read_engine(move |tx| {
            let Some(mark) = tx.sql().row(SELECT_MARK, &[], |row| row.blob(0))? else { return Ok(None) };
            // A server's pages are its own: its vacuum removes what was erased.
            let pages = if has_pages { remains::page_count(tx)? } else { 0 };
            Ok(Some(RemainsPass { mark, pages }))
        })
        .await
    }

    /// One step of a pass; `None` at its end.
    pub async fn run_remains_step(&self, pass: RemainsPass) -> StoreResult<Option<RemainsPass>> {
        let RemainsPass { mark, pages } = pass;
        let first = pages.saturating_sub(REMAINS_PAGES);
        let look = move |tx: &mut Tx<'_>| remains::find(tx, first + 1..pages + 1);
        let found = if pages > 0 { self.read_engine(look).await? } else { Vec::new() };
        if !found.is_empty() {
            let remove = move |tx: &mut Tx<'_>| {
                // The log still holds the page as it was.
                tx.tell_log_holds_it();
                found.iter().try_for_each(|page| remains::remove(tx, *page))?;
                reach(Point::RemainsRemoved);
                Ok(())
            };
            self.write_engine(ROWS_CHANGED_MAX, remove).await?;
        }
        if first > 0 {
            return Ok(Some(RemainsPass { mark, pages: first }));
        }
        let done = move |tx: &mut Tx<'_>| tx.sql().execute(REMOVE_MARK, &[(&mark[..]).into()]).map(drop);
        self.write_engine(1, done).await?;
        Ok(None)
    }
}
