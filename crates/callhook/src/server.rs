//! The server: everything started in order, run until told to stop, stopped in the reverse order.

use crate::admin::{self, AdminError};
use crate::app::password::Passwords;
use crate::app::proxy_watch::ProxyWatch;
use crate::app::sign_in_gate::SignInGate;
use crate::app::test_gate::TestGate;
use crate::app::typed_forms::TypedForms;
use crate::app::{App, export, health};
use crate::config::{Config, ConfigError, write_private};
use crate::front::{self, Limits};
use crate::network::Network;
use crate::system::{Clocks, FollowingSystem};
use crate::telemetry::trace::{TraceError, TracedStore, Tracer};
use crate::{background, routes};
use delivery::dispatcher::{self, Dispatcher, Parts, Stopped};
use delivery::schedule;
use delivery::sender::{AddressGuard, Sender, SenderConfig};
use domain::World;
use domain::secret::Secret;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::pause::Outstanding;
use store::queue::QueueStore;
use store::seal::Keyring;
use store::tx::Rules;
use store::{Place, Store, StoreConfig, StoreError};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{broadcast, watch};
use url::Url;

/// Hints of changes that a slow listener may be behind.
const CHANGES_HELD_MAX: usize = 4_096;
/// How long requests in flight are waited for at a stop, and outcomes beyond the time that an attempt may take.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// The file of the first key where no terminal could show it.
const FIRST_KEY_FILE: &str = "first-api-key";

/// A server that has been started and takes no requests yet.
pub struct Server {
    drain_max: Duration,
    listener: TcpListener,
    commands: Option<UnixListener>,
    app: Arc<App>,
    dispatcher: Arc<Dispatcher>,
    stopping: watch::Sender<bool>,
    setup_link: Option<Secret>,
}

/// What stops a start, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Nobody can listen there.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Traces cannot be sent.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first business or key cannot be made.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A part of the program has ended by itself. Going on would acknowledge calls that nobody sends.
    #[error("a part of callhook has failed (see the log above): it ends, so that it can be started anew")]
    Broken,
    /// The store is another's, or nobody's, from now on.
    #[error("{0}: this one ends, so that it can be started anew")]
    Displaced(String),
    /// The machine refuses.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Server {
    /// Binds the address, opens the store, takes up what is pending.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        let address = config.listen;
        let listener =
            TcpListener::bind(address).await.map_err(|error| ServerError::Listen { address, error })?;
        let public_url = admin::public_url(&config, listener.local_addr()?);
        let world: Arc<dyn World> = Arc::new(FollowingSystem::default());
        // Asked for only where there is no key: a new one would not open a store that is there.
        let holds_store = config.known_secret_key()?.is_none() && admin::holds_store(&config).await?;
        let key = config.secret_key(world.random(), holds_store)?;
        let (changes, _) = broadcast::channel(CHANGES_HELD_MAX);
        let clock = Arc::new(Clocks::start(Arc::clone(&world)));
        let (hand_over, handed_over) = dispatcher::hand_over(clock.clone(), changes.clone());
        let store = StoreConfig {
            world: Arc::clone(&world),
            keyring: Keyring::new(&key, &config.previous_secret_keys),
            rules: Rules { public_url: public_url.clone(), ai_fallback: config.ai_fallback },
            listener: hand_over,
        };
        let store = Arc::new(Store::open(&config.place(), store).await?);
        prepare_keys(&config, &store, &*world).await?;
        let sending_paused = watch::Sender::new(is_sending_paused(&store).await?);
        let tracer = config.otlp.as_ref().map(|otlp| Tracer::start(otlp, Arc::clone(&world))).transpose()?;
        let tracer = tracer.map(Arc::new);
        let network = Arc::new(network(&config, &world, tracer.clone()));
        let queue_store: Arc<dyn QueueStore> = match &tracer {
            Some(tracer) => Arc::new(TracedStore { store: store.clone(), tracer: Arc::clone(tracer) }),
            None => store.clone(),
        };
        let dispatcher = Dispatcher::start(Parts {
            config: schedule::Config { outcome_wait: store.outcome_wait(), ..schedule::Config::default() },
            store: queue_store,
            attempts: network.clone(),
            clock,
            retry_schedule: config.retry_schedule.clone(),
            sending_paused: sending_paused.subscribe(),
            handed_over,
        })
        .await
        .map_err(|error| at_start(&config, error))?;
        let dispatcher = Arc::new(dispatcher);
        // After the dispatcher has read the store: one that is damaged is found by that, and not by a write.
        let setup_link = prepare_setup(&config, &store, &*world, &public_url).await.unwrap_or_else(|error| {
            // Calls are taken without it, also where a disk is full.
            tracing::warn!(%error, "The link for the first user could not be made; the next start tries it again");
            None
        });
        let (stopping, shutdown) = watch::channel(false);
        let check = Arc::clone(&network);
        let named = config.public_url.as_deref().and_then(|url| Url::parse(url).ok());
        let own_origin = named.map(|url| url.origin());
        let app = Arc::new(App {
            store,
            world,
            public_url,
            own_origin,
            address_check: Arc::new(move |url| check.check(url)),
            outbound: network,
            tests: TestGate::default(),
            typed: TypedForms::default(),
            streams: App::streams(),
            exports: export::places(),
            forms: App::forms(),
            sign_ins: SignInGate::default(),
            seen: health::Seen::default(),
            proxy: ProxyWatch::default(),
            passwords: Passwords::default(),
            observer: Some(dispatcher.observer().clone()),
            tracer,
            changes,
            sending_paused,
            shutdown,
        });
        let commands = listen_to_commands(&config.data_dir);
        Ok(Self {
            drain_max: config.response_timeout + DRAIN_MAX,
            listener,
            commands,
            app,
            dispatcher,
            stopping,
            setup_link,
        })
    }

    /// Where the first user is made, while nobody can sign in.
    #[must_use]
    pub const fn setup_link(&self) -> Option<&Secret> {
        self.setup_link.as_ref()
    }

    /// `http://` and the address that is listened on.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.listener.local_addr().map_or_else(|_| String::new(), |address| format!("http://{address}"))
    }

    /// Serves until `stop`; then takes no new requests, finishes what is in flight, and closes the store.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServerError> {
        let Self { drain_max, listener, commands, app, dispatcher, stopping, setup_link: _ } = self;
        tracing::info!(address = %listener.local_addr()?, public_url = app.public_url, "callhook listens");
        let mut background = background::start(&app, &dispatcher, commands);
        let mut shutdown = app.shutdown.clone();
        let router = routes::router(Arc::clone(&app));
        let serving = tokio::spawn(front::serve(listener, router, Limits::of_this_process(), async move {
            // An error means that the sender is gone, and that is a stop as well.
            let _ = shutdown.wait_for(|stopping| *stopping).await;
        }));
        let store = Arc::clone(&app.store);
        let ended = tokio::select! {
            () = stop => Ok(()),
            () = background.failed() => Err(ServerError::Broken),
            why = store.displaced() => Err(ServerError::Displaced(why)),
        };
        drop(store);
        // No outcome can be recorded any more: whoever holds the store now makes these attempts again, whether or not they are waited for.
        let is_displaced = matches!(ended, Err(ServerError::Displaced(_)));
        let drain_max = if is_displaced { Duration::ZERO } else { drain_max };
        if is_displaced {
            tracing::info!("callhook stops");
        } else {
            tracing::info!("callhook stops: it finishes what is in flight");
        }
        stopping.send_replace(true);
        if tokio::time::timeout(DRAIN_MAX, serving).await.is_err() {
            tracing::warn!("Some requests were still open and are cut off");
        }
        background.stop().await;
        let stopped = match Arc::into_inner(dispatcher) {
            Some(dispatcher) => dispatcher.stop(drain_max).await,
            None => Stopped::Unclean,
        };
        if stopped == Stopped::Unclean {
            tracing::warn!("Some attempts were still in flight: they are made again after the next start");
        }
        let tracer = app.tracer.clone();
        drop(app);
        if let Some(tracer) = tracer {
            tracer.stop().await;
        }
        ended?;
        tracing::info!("callhook has stopped");
        Ok(())
    }
}

/// What an error of the store means at a start: a damaged file is named, with the way to restore it.
fn at_start(config: &Config, error: StoreError) -> StoreError {
    match config.place() {
        Place::Folder(data_dir) => error.at_start(&data_dir),
        Place::Database(_) => error,
    }
}

/// A restored store waits for the operator's word, over every restart until then.
async fn is_sending_paused(store: &Store) -> Result<bool, StoreError> {
    let is_paused = store.is_sending_paused().await?;
    if is_paused {
        let Outstanding { due, waiting } = store.outstanding().await?;
        tracing::warn!(
            due,
            waiting,
            "Sending is paused since this store was restored: calls are taken, nothing is sent until `callhook resume`"
        );
    }
    Ok(is_paused)
}

fn network(config: &Config, world: &Arc<dyn World>, tracer: Option<Arc<Tracer>>) -> Network {
    let guard = AddressGuard::new(config.allow_networks.clone());
    let sender = SenderConfig { deadline: config.response_timeout, ..SenderConfig::from_system(guard) };
    Network::new(Sender::new(sender), Arc::clone(world), tracer)
}

/// Makes sure of the bootstrap key, or makes the first key where there is no business yet, and shows it once.
async fn prepare_keys(config: &Config, store: &Store, world: &dyn World) -> Result<(), ServerError> {
    if let Some(key) = &config.bootstrap_api_key {
        return Ok(admin::bootstrap(store, key.reveal()).await?);
    }
    let Some(key) = admin::first_key(store, world).await? else { return Ok(()) };
    if std::io::stdout().is_terminal() {
        println!("The business `default` was made. Its API key, shown this once:\n\n    {}\n", key.reveal());
    } else {
        let path = config.data_dir.join(FIRST_KEY_FILE);
        write_private(&path, &format!("{}\n", key.reveal()))?;
        tracing::info!(file = %path.display(), "The business `default` was made; its API key is in the file");
    }
    Ok(())
}

/// Where nobody can sign in yet, makes a link for the first user and shows it; each start makes another.
async fn prepare_setup(
    config: &Config,
    store: &Store,
    world: &dyn World,
    public_url: &str,
) -> Result<Option<Secret>, ServerError> {
    let path = config.data_dir.join(admin::SETUP_LINK_FILE);
    let Some(link) = admin::setup_link(store, world, public_url).await? else {
        // Its link leads nowhere any more.
        let _ = std::fs::remove_file(&path);
        return Ok(None);
    };
    if std::io::stdout().is_terminal() {
        println!("Nobody can sign in yet. The first user is made here:\n\n    {}\n", link.reveal());
    } else {
        write_private(&path, &format!("{}\n", link.reveal()))?;
        tracing::info!(file = %path.display(), "Nobody can sign in yet; the link for the first user is in the file");
    }
    Ok(Some(link))
}

/// Without the socket, commands cannot ask this server: worth a warning, not a failed start.
fn listen_to_commands(data_dir: &Path) -> Option<UnixListener> {
    // A store in a database has not made the folder.
    store::engine::sqlite::make_private(data_dir)
        .and_then(|()| admin::listen(data_dir))
        .inspect_err(
            |error| tracing::warn!(%error, "`callhook keys` and other commands cannot reach this server"),
        )
        .ok()
}
