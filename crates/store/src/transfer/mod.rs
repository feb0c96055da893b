//! A whole store moves from one place to another, most often out of one file into PostgreSQL.
//!
//! Both stores are this process's meanwhile, by the locks that a server takes as well. Rows are copied table by table in the order of
//! their keys, in steps: one step is one transaction of the new store, together with the mark of how far it is. Whoever is killed
//! goes on there. Sealed values move as they are.
//!
//! [`mark`] says why nothing is sent twice; [`table`] has the statements, [`checksum`] what is compared at the end.

mod checksum;
pub(crate) mod mark;
pub(crate) mod table;

pub use checksum::Checksum;
pub use table::{TABLES, Table};

use crate::backup;
use crate::engine::Value;
use crate::engine::group::Demand;
use crate::engine::sqlite::FILE_NAME;
use crate::error::{StoreError, StoreResult};
use crate::tx::Tx;
use crate::{Place, Store, StoreConfig};
use mark::{Arriving, Away, Part, Reached};
use std::sync::Arc;
use table::{Row, Statements};

/// A database makes the ids of bodies by a sequence of its own, which does not know of those that came with theirs.
const SET_SEQUENCE: &str =
    "SELECT setval(pg_get_serial_sequence('payloads', 'id'), greatest((SELECT max(id) FROM payloads), 1))";

/// A store on its way.
pub struct Transfer {
    source: Store,
    target: Store,
    tables: Vec<Arc<Statements>>,
    /// Which of the tables is being copied.
    at: usize,
    mark: Arriving,
    /// What was read and is not written yet.
    read: Vec<Row>,
    rows: u64,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows that have arrived.
    pub rows: u64,
    /// Rows in all.
    pub rows_total: u64,
}

/// What both stores hold of a table.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Which table.
    pub table: Table,
    /// In the old store.
    pub source: Checksum,
    /// In the new one.
    pub target: Checksum,
}

impl Compared {
    /// Whether they hold the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.source == self.target
    }
}

impl Transfer {
    /// Opens both stores and leaves the marks, or finds those of a move that did not end.
    ///
    /// Fails where either is in use, where the secret key is not the source's, where the source has gone elsewhere, and where the target
    /// holds anything else than what this very move has brought there.
    pub async fn open(from: (Place, StoreConfig), to: (Place, StoreConfig)) -> StoreResult<Self> {
        let (from_shown, to_shown) = (from.0.shown()?, to.0.shown()?);
        let is_same =
            || StoreError::Unusable(format!("--from and --to are the same, {from_shown}: name two"));
        if from_shown == to_shown || is_same_folder(&from.0, &to.0) {
            return Err(is_same());
        }
        if look(&from).await?.is_none() {
            return Err(StoreError::Unusable(format!(
                "no store lies in {from_shown}: name the one to move with --from"
            )));
        }
        let source = Store::open_any(&from.0, from.1).await.map_err(|error| in_use(error, "--from"))?;
        source.write_engine(1, crate::check_canary).await?;
        let there = look(&to).await?;
        // Other words may lead to the same database.
        if there.as_ref().is_some_and(|there| there.holder.is_some() && there.holder == source.holder()) {
            return Err(is_same());
        }
        let away = source.read_engine(|tx| Away::read(tx.sql())).await?;
        // Nothing is made where nothing of it can have arrived.
        if let Some(away) = away.filter(|_| there.is_none()) {
            return Err(gone(&away));
        }
        let target = Store::open_any(&to.0, to.1).await.map_err(|error| in_use(error, "--to"))?;
        let is_a_file = source.engine.is_a_file();
        let (tables, away, rows) = source
            .read_engine(move |tx| {
                let tables = TABLES.iter().map(|table| Statements::of(tx, *table, is_a_file).map(Arc::new));
                let tables = tables.collect::<StoreResult<Vec<_>>>()?;
                let rows = tables.iter().map(|table| table.count(tx)).sum::<StoreResult<u64>>()?;
                Ok((tables, Away::read(tx.sql())?, rows))
            })
            .await?;
        let mark = match away {
            Some(away) => find(&target, away).await?,
            None => begin(&source, &target, &tables, (from_shown, to_shown)).await?,
        };
        let mut transfer = Self { source, target, tables, at: 0, mark, read: Vec::new(), rows };
        transfer.take_up().await?;
        Ok(transfer)
    }

    /// How far it is.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        Progress { rows: self.mark.rows, rows_total: self.rows }
    }

    /// Copies some rows more; `false`: all are there.
    pub async fn step(&mut self) -> StoreResult<bool> {
        while self.read.is_empty() {
            if self.at + 1 == self.tables.len() {
                return Ok(false);
            }
            self.at += 1;
            self.read = self.read_after(None).await?;
        }
        let table = Arc::clone(&self.tables[self.at]);
        let rows = Arc::new(std::mem::take(&mut self.read));
        let key = rows.last().map(|row| table.key_of(row)).unwrap_or_default();
        let reached = Reached {
            table: table.table.name.to_owned(),
            key: key.iter().map(Part::try_from).collect::<StoreResult<_>>()?,
        };
        let mark = Arriving {
            rows: self.mark.rows + rows.len() as u64,
            reached: Some(reached),
            ..self.mark.clone()
        };
        let writing = {
            let mark = mark.clone();
            self.target.write_as(Demand::of(rows.len()).waiting().in_parts(), move |tx| {
                table.write(tx, &rows).map_err(|error| of_table(error, table.table))?;
                mark.set(tx.sql())
            })
        };
        // The next rows are read while these are written.
        let (written, read) = tokio::join!(writing, self.read_after(Some(key)));
        written?;
        (self.mark, self.read) = (mark, read?);
        Ok(true)
    }

    /// Reads all of a table in both stores.
    pub async fn compare(&self, table: Table) -> StoreResult<Compared> {
        let statements = self.tables.iter().find(|statements| statements.table.name == table.name);
        let statements = statements.ok_or(StoreError::NotFound("table"))?;
        let (source, target) =
            tokio::join!(Checksum::of(&self.source, statements), Checksum::of(&self.target, statements));
        let of_table = |error| of_table(error, table);
        Ok(Compared { table, source: source.map_err(of_table)?, target: target.map_err(of_table)? })
    }

    /// The target is the store from now on, if every table was compared and is the same.
    pub async fn finish(self, compared: &[Compared]) -> StoreResult<()> {
        let is_same = |table: &Arc<Statements>| {
            compared.iter().any(|compared| compared.table.name == table.table.name && compared.is_same())
        };
        if let Some(table) = self.tables.iter().find(|table| !is_same(table)) {
            return Err(StoreError::Unusable(format!(
                "the copy differs from the store in the table {}: run `callhook resume` on the old store, empty the new one, and begin anew",
                table.table.name
            )));
        }
        let has_sequence = !self.target.engine.is_a_file();
        self.target
            .write_engine(1, move |tx| {
                if has_sequence {
                    tx.sql().exists(SET_SEQUENCE, &[])?;
                }
                Arriving::remove(tx.sql()).map(drop)
            })
            .await
    }

    /// Goes to where the mark says it is.
    async fn take_up(&mut self) -> StoreResult<()> {
        let Some(reached) = &self.mark.reached else {
            self.read = self.read_after(None).await?;
            return Ok(());
        };
        let at = self.tables.iter().position(|table| table.table.name == reached.table);
        let key = reached.key();
        self.at = at.ok_or_else(|| StoreError::Corrupt(format!("there is no table {}", reached.table)))?;
        self.read = self.read_after(Some(key)).await?;
        Ok(())
    }

    async fn read_after(&self, key: Option<Vec<Value<'static>>>) -> StoreResult<Vec<Row>> {
        let table = Arc::clone(&self.tables[self.at]);
        let name = table.table;
        let read = self.source.read_engine(move |tx| table.read(tx, key.as_deref())).await;
        read.map_err(|error| of_table(error, name))
    }
}

/// A store that lies in a place already.
struct There {
    /// Names who works on it, where it is in a database.
    holder: Option<String>,
}

/// Looks without making anything: a store is made where it is opened and not there.
async fn look((place, config): &(Place, StoreConfig)) -> StoreResult<Option<There>> {
    match place.clone() {
        Place::Folder(folder) => Ok(folder.join(FILE_NAME).exists().then_some(There { holder: None })),
        Place::Database(database) => {
            let now = config.world.now();
            let examine = move || backup::examine_database(&database, None, now);
            let examined = tokio::task::spawn_blocking(examine).await;
            let examined = examined.map_err(|error| StoreError::Unavailable(error.to_string()))??;
            Ok(examined.holdings.map(|_| There { holder: examined.holder }))
        }
    }
}

fn is_same_folder(one: &Place, other: &Place) -> bool {
    let real = |place: &Place| match place {
        Place::Folder(folder) => folder.canonicalize().ok(),
        Place::Database(_) => None,
    };
    real(one).is_some_and(|folder| Some(folder) == real(other))
}

/// Whoever moves a store has other settings than a server.
fn in_use(error: StoreError, flag: &str) -> StoreError {
    match error {
        StoreError::InUse { place, process, .. } => StoreError::Unusable(format!(
            "{place} ({flag}) is in use by another callhook (process {process}): stop that one, then run this again"
        )),
        other => other,
    }
}

/// What has arrived of a store that is on its way.
async fn find(target: &Store, away: Away) -> StoreResult<Arriving> {
    let found = target.read_engine(|tx| Arriving::read(tx.sql())).await?;
    found.filter(|mark| mark.id == away.id).ok_or_else(|| gone(&away))
}

/// The old store does not know whether all of it has arrived.
fn gone(away: &Away) -> StoreError {
    StoreError::Unusable(format!(
        "this store was moved to {} already, or is on its way there: use that one, or run this again with that target (--to, --to-schema) where it has not ended; to move it elsewhere, run `callhook resume` on the old one first, and remove what was copied",
        away.to
    ))
}

/// Leaves the marks. The target's comes first: with no row beside it, it is in nobody's way.
async fn begin(
    source: &Store,
    target: &Store,
    tables: &[Arc<Statements>],
    (from, to): (String, String),
) -> StoreResult<Arriving> {
    let (all, shown) = (tables.to_vec(), to.clone());
    let mark = target
        .write_engine(1, move |tx| {
            check_empty(tx, &all, &shown)?;
            let id = format!("{:032x}", u128::from_be_bytes(tx.random()));
            let mark = Arriving { id, from: from.clone(), rows: 0, reached: None };
            mark.set(tx.sql())?;
            Ok(mark)
        })
        .await?;
    let away = Away { id: mark.id.clone(), to };
    source.write_engine(1, move |tx| away.set(tx.sql())).await?;
    Ok(mark)
}

fn check_empty(tx: &mut Tx<'_>, tables: &[Arc<Statements>], shown: &str) -> StoreResult<()> {
    for table in tables {
        if table.has_rows(tx)? {
            let what = match Arriving::read(tx.sql())? {
                Some(Arriving { from, .. }) => format!("an unfinished copy of {from} as it was"),
                None => format!("a store already (there are rows in {})", table.table.name),
            };
            return Err(StoreError::Unusable(format!(
                "{shown} holds {what}: remove that, or move to another place (--to, --to-schema)"
            )));
        }
    }
    Ok(())
}

fn of_table(error: StoreError, table: Table) -> StoreError {
    match error {
        StoreError::Corrupt(reason) => {
            StoreError::Corrupt(format!("a row of the table {}: {reason}", table.name))
        }
        other => other,
    }
}
