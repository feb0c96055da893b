//! What callhook keeps: whole operations over an engine, each one transaction.
//!
//! In reading order: [`engine`] opens transactions, [`tx`] is what an operation works with, each noun has its file with its
//! statements and operations, [`queue`] is what the delivery engine asks for, [`idempotency`] wraps what a client may repeat,
//! [`figures`] counts what happens, [`transfer`] moves all of it to another place.

pub mod api_key;
pub mod backup;
pub mod business;
pub mod call;
pub mod call_flow;
pub mod delivery;
pub mod destination;
pub mod engine;
pub mod erasure;
pub mod error;
pub mod figures;
pub mod idempotency;
pub mod invitation;
pub mod job;
pub mod limits;
pub mod list;
pub mod member;
pub mod number;
pub mod password_proof;
pub mod pause;
pub mod queue;
pub mod recovery_code;
pub mod retention;
pub mod seal;
pub mod session;
pub mod sign_in_link;
pub mod source;
pub mod statistics;
pub mod transfer;
pub mod tx;
pub mod upkeep;
pub mod user;

pub use error::{StoreError, StoreResult};

use api_key::ScopeCache;
use domain::World;
use engine::group::Demand;
use engine::postgres::{Database, PostgresEngine};
use engine::sqlite::SqliteEngine;
use engine::{Engine, Sizes, Sql};
use figures::Figures;
use queue::CommitListener;
use seal::Keyring;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tx::{Rules, Tx, TxShared};

/// The store.
pub struct Store {
    engine: Engine,
    place: String,
    scopes: Arc<ScopeCache>,
    figures: Arc<Figures>,
}

/// Where a store lies.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a folder, by the embedded engine.
    Folder(PathBuf),
    /// In a database server.
    Database(Database),
}

impl Place {
    /// In words, without a password.
    pub fn shown(&self) -> StoreResult<String> {
        match self {
            Self::Folder(folder) => {
                Ok(std::path::absolute(folder).unwrap_or_else(|_| folder.clone()).display().to_string())
            }
            Self::Database(database) => backup::database_shown(database),
        }
    }

    /// What an error means while the store that lies here is opened.
    fn at_start(&self, error: StoreError) -> StoreError {
        match self {
            Self::Folder(data_dir) => error.at_start(data_dir),
            Self::Database(_) => error,
        }
    }
}

/// What a store needs from the program around it.
pub struct StoreConfig {
    /// Clock and chance.
    pub world: Arc<dyn World>,
    /// Opens and seals secrets.
    pub keyring: Keyring,
    /// Rules that the operator sets.
    pub rules: Rules,
    /// Hears what was committed.
    pub listener: Arc<dyn CommitListener>,
}

const SELECT_CANARIES: &str = "SELECT value FROM meta WHERE name LIKE 'canary%'";
const SELECT_QUEUES: &str = "SELECT epoch FROM queues";
const INSERT_CANARY: &str = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
const WRITE_PROBE: &str = "INSERT INTO meta (name, value) VALUES ('probe', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

impl Store {
    /// Opens the store in its place, makes it where it is not there.
    pub async fn open(place: &Place, config: StoreConfig) -> StoreResult<Self> {
        match place {
            Place::Folder(data_dir) => Self::open_sqlite(data_dir, config).await,
            Place::Database(database) => Self::open_postgres(database.clone(), config).await,
        }
    }

    /// The same for whoever lets it send: also a store that has moved away, which is thereby taken back.
    pub async fn open_to_resume(place: &Place, config: StoreConfig) -> StoreResult<Self> {
        let store = Self::open_any(place, config).await?;
        let check = |tx: &mut Tx<'_>| transfer::mark::check_arrived(tx.sql()).and_then(|()| check_canary(tx));
        store.write_engine(1, check).await.map_err(|error| place.at_start(error))?;
        Ok(store)
    }

    /// Opens the embedded store in `data_dir`, makes it where it is not there.
    ///
    /// Fails where another process uses the folder, where a newer callhook wrote it, where it is damaged or gone, where it has moved away or
    /// not arrived, and where the secret key is not the store's.
    pub async fn open_sqlite(data_dir: &Path, config: StoreConfig) -> StoreResult<Self> {
        Self::open_to_use(&Place::Folder(data_dir.to_owned()), config).await
    }

    /// Opens the store in a database, makes it where it is not there.
    ///
    /// Fails where the database cannot be used as it is, where a newer callhook wrote the tables, where it is not there for long, where the
    /// store has moved away or not arrived, and where the secret key is not the store's.
    pub async fn open_postgres(database: Database, config: StoreConfig) -> StoreResult<Self> {
        Self::open_to_use(&Place::Database(database), config).await
    }

    async fn open_to_use(place: &Place, config: StoreConfig) -> StoreResult<Self> {
        let store = Self::open_any(place, config).await?;
        // Read first: a page that is damaged is named by a read, where a write only fails.
        store.read(look_at_pages).await.map_err(|error| place.at_start(error))?;
        store.write_engine(1, check_use).await.map_err(|error| place.at_start(error))?;
        if let Engine::Postgres(engine) = &store.engine {
            engine.tell_durability();
        }
        Ok(store)
    }

    /// Opens it whatever it is there for, and with whatever key.
    async fn open_any(place: &Place, config: StoreConfig) -> StoreResult<Self> {
        let shared = Arc::new(shared(config));
        let engine = match place {
            Place::Folder(data_dir) => SqliteEngine::open(data_dir, Arc::clone(&shared)).map(Engine::Sqlite),
            Place::Database(database) => {
                PostgresEngine::open(database.clone(), Arc::clone(&shared)).await.map(Engine::Postgres)
            }
        };
        let engine = engine.map_err(|error| place.at_start(error))?;
        let (scopes, figures) = (Arc::clone(&shared.scopes), Arc::clone(&shared.figures));
        Ok(Self { engine, place: place.shown()?, scopes, figures })
    }

    /// Runs an operation in a transaction that is on disk when this answers. It may be run twice: what its first run did is then undone.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.write_as(Demand::of(1), operation).await
    }

    /// The same for an operation that says what it asks of the writer.
    pub(crate) async fn write_as<T: Send + 'static>(
        &self,
        demand: Demand,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.engine.write(demand, operation).await
    }

    /// The same for what callhook itself has to write: it waits for room where clients are told to come again.
    pub(crate) async fn write_engine<T: Send + 'static>(
        &self,
        rows: usize,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.write_as(Demand::of(rows).waiting(), operation).await
    }

    /// Runs a read of the delivery engine whose parts ask the same of many rows.
    pub(crate) async fn read_gathered<T: Send + 'static>(
        &self,
        operation: impl Fn(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.engine.read_gathered(operation).await
    }

    /// Runs an operation on a snapshot.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.engine.read(operation).await
    }

    /// Runs a read that the delivery engine or authentication waits for: no reader of lists holds it up.
    pub(crate) async fn read_engine<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.engine.read_engine(operation).await
    }

    /// What was counted since the store was opened.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// How long an outcome should wait for others that are recorded together with it.
    #[must_use]
    pub fn outcome_wait(&self) -> Duration {
        self.engine.outcome_wait()
    }

    /// Where it lies, in words.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Names this process's hold of a database, by which it is known whatever URL led there; `None` of a folder.
    #[must_use]
    pub fn holder(&self) -> Option<String> {
        self.engine.holder()
    }

    /// Answers when the store is not this process's any more, and says why: another has taken it over. It takes no write from then on,
    /// and will not again. A database that is away is no reason.
    pub async fn displaced(&self) -> String {
        self.engine.displaced().await
    }

    /// How large its parts are now.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.engine.sizes()
    }

    /// Whether the store takes writes, found out by writing: the truth behind `/readyz`.
    pub async fn check(&self) -> StoreResult<()> {
        self.write(|tx| {
            let probe = tx.random::<16>();
            tx.sql().execute(WRITE_PROBE, &[(&probe).into()]).map(drop)
        })
        .await
    }
}

fn shared(config: StoreConfig) -> TxShared {
    let StoreConfig { world, keyring, rules, listener } = config;
    TxShared {
        world,
        keyring,
        rules,
        listener,
        destinations: destination::Cache::default(),
        scopes: Arc::default(),
        figures: Arc::default(),
    }
}

/// Whether these keys open all that was ever sealed here.
pub(crate) fn canaries_fit(sql: &mut dyn Sql, keyring: &Keyring) -> StoreResult<bool> {
    let canaries = sql.rows(SELECT_CANARIES, &[], |row| row.blob(0))?;
    Ok(canaries.iter().all(|canary| keyring.knows(canary)))
}

/// Reads what a start is about to write.
fn look_at_pages(tx: &mut Tx<'_>) -> StoreResult<()> {
    tx.sql().rows(SELECT_CANARIES, &[], |row| row.blob(0))?;
    tx.sql().rows(SELECT_QUEUES, &[], |row| row.int(0)).map(drop)
}

/// Whether this is the store to work on, with its key.
fn check_use(tx: &mut Tx<'_>) -> StoreResult<()> {
    transfer::mark::check_use(tx.sql())?;
    check_canary(tx)
}

/// Every key that has ever sealed something here left a canary: a start that cannot open all of them would fail later, on a secret.
fn check_canary(tx: &mut Tx<'_>) -> StoreResult<()> {
    let keyring = tx.keyring();
    if !canaries_fit(tx.sql(), keyring)? {
        return Err(StoreError::WrongKey);
    }
    let name = format!("canary {}", tx.keyring().current_id());
    let canary = tx.keyring().canary(tx.random());
    tx.sql().execute(INSERT_CANARY, &[name.into(), canary.into()]).map(drop)
}
