//! The engine for those who outgrow one file: PostgreSQL, from version 14 on.
//!
//! Two connections write, in groups; a few read. None of them counts on what an earlier transaction has left in its session, so that a
//! pooler may stand in between that gives out connections by transaction.

mod address;
mod at_once;
mod configuration;
mod connecting;
mod connection;
pub mod durability;
pub mod examination;
mod failure;
mod holder;
mod many;
mod migrations;
mod pooler;
mod readers;
mod rights;
mod rounds;
mod session;
mod sets;
mod statement;
mod tables;
mod writer;

use crate::engine::group::{Demand, Writer};
use crate::engine::{Sizes, Sql};
use crate::error::{StoreError, StoreResult};
use crate::limits::{ENGINE_READERS, READ_TIMEOUT, READERS, START_PATIENCE, TABLES_TIMEOUT, WRITE_TIMEOUT};
use crate::tx::{Tx, TxShared};
use address::Address;
use connection::{Kind, PostgresConnection};
use domain::secret::Secret;
use durability::{Durability, Remark};
use failpoint::{Point, reach};
use holder::Holder;
use readers::Readers;
use session::Session;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The oldest version that is used, as the server counts.
const VERSION_MIN: i64 = 14_00_00;
/// Between two tries to connect at the start.
const START_PAUSE: Duration = Duration::from_millis(250);
const SELECT_SERVER: &str =
    "SELECT current_setting('server_version_num')::BIGINT, current_setting('server_version'),
    current_setting('server_encoding'),
    (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), current_setting('fsync'),
    current_setting('full_page_writes'), current_setting('synchronous_standby_names')";

/// Which database, and where in it.
#[derive(Clone, Debug)]
pub struct Database {
    /// `postgres://…`; it may hold a password.
    pub url: Secret,
    /// The schema of the tables; it is made where it is not there.
    pub schema: String,
}

/// An open store in PostgreSQL.
pub struct PostgresEngine {
    writer: Writer,
    /// Writes what may be committed beside all others: the disk is waited for on both sides at once.
    outcomes: Writer,
    readers: Readers,
    engine_readers: Readers,
    remarks: Vec<Remark>,
    // Let go last, when the writer has written what was queued.
    holder: Holder,
}

impl PostgresEngine {
    /// Connects, makes the tables where they are not there, brings them up to date. A database that is not there is waited for a while.
    pub async fn open(database: Database, shared: Arc<TxShared>) -> StoreResult<Self> {
        let address = Arc::new(Address::parse(&database.url)?);
        let schema: Arc<str> = quoted(&database.schema)?.into();
        let (at, of, world) = (Arc::clone(&address), Arc::clone(&schema), Arc::clone(&shared.world));
        let prepare = tokio::task::spawn_blocking(move || {
            let mut connection = connect(&at, &of)?;
            let server = check_server(&mut connection, &at)?;
            pooler::check(&mut connection, &at, &of)?;
            migrations::make(&mut connection, &of)?;
            reach(Point::StoreOpened);
            let holder =
                Holder::take(&mut connection, at, Arc::clone(&of), world.random(), Arc::clone(&world))?;
            reach(Point::StoreLocked);
            migrations::run(&mut connection, &of)?;
            connection.within(Kind::Snapshot, |connection| tables::check(connection, &of))?;
            Ok::<_, StoreError>((holder, server.durability.remarks()))
        });
        let (holder, remarks) =
            prepare.await.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        let readers = |count, timeout| {
            Readers::new(Arc::clone(&address), Arc::clone(&schema), Arc::clone(&shared), count, timeout)
        };
        let lists = readers(READERS, READ_TIMEOUT);
        let engine = readers(ENGINE_READERS, WRITE_TIMEOUT).by_index();
        let line = |name| {
            writer::start(
                name,
                Arc::clone(&address),
                Arc::clone(&schema),
                holder.guard(),
                Arc::clone(&shared),
            )
        };
        let (writer, outcomes) = (line("store-writer")?, line("store-outcomes")?);
        Ok(Self { writer, outcomes, readers: lists, engine_readers: engine, remarks, holder })
    }

    /// Says in the log what the server makes of what is acknowledged.
    pub fn tell_durability(&self) {
        for remark in &self.remarks {
            match remark {
                Remark::Note(text) => tracing::info!("With this database, {text}"),
                Remark::Warning(text) => tracing::warn!("With this database, {text}"),
            }
        }
    }

    /// Runs `operation` in a transaction, together with others that are waiting, and answers when it is committed.
    pub async fn write<T: Send + 'static>(
        &self,
        demand: Demand,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let writer = if demand.is_apart { &self.outcomes } else { &self.writer };
        writer.write(demand, operation).await
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

    /// The same for an operation whose parts ask the same of many rows.
    pub async fn read_gathered<T: Send + 'static>(
        &self,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.engine_readers.read_gathered(operation).await
    }

    /// Names this process's hold of the schema.
    #[must_use]
    pub fn holder(&self) -> String {
        self.holder.id()
    }

    /// Answers when another process has taken this one's place, and says so.
    pub async fn displaced(&self) -> String {
        self.holder.displaced().await
    }

    /// How large its parts are now.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes { files: None, writes_queued: self.writer.queued() + self.outcomes.queued() }
    }
}

fn connect(address: &Address, schema: &str) -> StoreResult<PostgresConnection> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        match PostgresConnection::open(address, Session::new(schema, TABLES_TIMEOUT)) {
            Err(StoreError::Unavailable(reason)) if Instant::now() < deadline => {
                tracing::debug!(reason, "The database is waited for");
                std::thread::sleep(START_PAUSE);
            }
            other => return other,
        }
    }
}

/// What is known of a server.
struct Server {
    /// As it counts: 150004 is 15.4.
    number: i64,
    version: String,
    encoding: String,
    durability: Durability,
}

impl Server {
    /// Refuses one that is not to be used; `shown` names it.
    fn check(self, shown: &str) -> StoreResult<Self> {
        let Self { number, version, encoding, .. } = &self;
        if *number < VERSION_MIN {
            return Err(StoreError::Unusable(format!(
                "the database {shown} is PostgreSQL {version}, which is too old: 14 or newer is needed"
            )));
        }
        if encoding != "UTF8" {
            return Err(StoreError::Unusable(format!(
                "the database {shown} has the encoding {encoding}: make one with ENCODING 'UTF8' (and TEMPLATE template0)"
            )));
        }
        Ok(self)
    }
}

fn check_server(connection: &mut PostgresConnection, address: &Address) -> StoreResult<Server> {
    let found = connection.within(Kind::Snapshot, |connection| {
        let sql: &mut dyn Sql = connection;
        sql.row(SELECT_SERVER, &[], |row| {
            let durability = Durability {
                synchronous_commit: row.text(3)?,
                fsync: row.text(4)?,
                full_page_writes: row.text(5)?,
                synchronous_standby_names: row.text(6)?,
            };
            Ok(Server { number: row.int(0)?, version: row.text(1)?, encoding: row.text(2)?, durability })
        })
    })?;
    let server =
        found.ok_or_else(|| StoreError::Corrupt("the database does not say what it is".to_owned()))?;
    server.check(&address.shown)
}

/// A schema's name as it stands in a statement.
fn quoted(schema: &str) -> StoreResult<String> {
    let is_plain =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    let fits = (1..=63).contains(&schema.len()) && schema.chars().all(is_plain) && !schema.starts_with("pg_");
    if fits {
        Ok(format!("\"{schema}\""))
    } else {
        Err(StoreError::Unusable(
            "--database-schema is at most 63 small letters, digits and _, and does not begin with pg_"
                .to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_or_takes_not_every_letter_is_refused() {
        for (number, version, encoding, refusal) in [
            (13_00_22, "13.22 (Debian 13.22-1)", "UTF8", Some("13.22")),
            (14_00_00, "14.0", "UTF8", None),
            (18_00_01, "18.1", "UTF8", None),
            (17_00_06, "17.6", "LATIN1", Some("LATIN1")),
            (17_00_06, "17.6", "SQL_ASCII", Some("SQL_ASCII")),
        ] {
            let durability = Durability {
                synchronous_commit: "on".to_owned(),
                fsync: "on".to_owned(),
                full_page_writes: "on".to_owned(),
                synchronous_standby_names: String::new(),
            };
            let (version, encoding) = (version.to_owned(), encoding.to_owned());
            let server = Server { number, version, encoding, durability };
            let refused = server.check("calls at db").err().map(|error| error.to_string());
            let Some(word) = refusal else {
                assert_eq!(refused, None);
                continue;
            };
            let words = refused.unwrap();
            assert!(words.contains(word) && words.contains("calls at db"), "{words}");
        }
    }

    #[test]
    fn a_schema_is_a_plain_name() {
        assert_eq!(quoted("callhook_2").unwrap(), "\"callhook_2\"");
        for name in ["", "a b", "A", "a\"; DROP", "pg_catalog", &"a".repeat(64)] {
            assert!(quoted(name).is_err(), "{name}");
        }
    }
}
